"""How one token was chosen, stage by stage.

    raw -> (repetition penalty) -> temperature -> (top-k) -> (top-p) -> (min-p) -> a random number points at one

After each stage the logits become probabilities, p = softmax(logits), and how undecided they leave the model is their
entropy in bits, H = -sum(v: p[v] * log2(p[v])) (Shannon 1948): 0 for one possible token, log2(V) when all are alike. The
stages are those of `sampling.py`, the same code that chose. Then all probabilities are laid end to end, in order of the
token's id, on a line from 0 to 1, and the random number falls onto one of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cutaway.generate.config import SamplingConfig
from cutaway.generate.sampling import draw, stages


@dataclass(frozen=True)
class Drawn:
    """One new token of every text, and what it was drawn from."""

    t: int
    """The number of the new token, from 0."""
    temperature: float
    logits_BV: Tensor
    """As the model gave them, in float32 on the CPU; tokens that stand for no text included."""
    allowed_BV: Tensor
    """The same with -inf at tokens that stand for no text (the unknown token, padding of the vocabulary)."""
    uniforms_B: Tensor
    """The random number of each text, from 0 to 1."""
    tokens_B: Tensor
    seen_BV: Tensor | None = None
    """Which tokens were in each text before, where the repetition penalty asks for it; valid until the next is drawn."""


@dataclass(frozen=True)
class StageFacts:
    """What one stage left."""

    name: str
    """`raw`, `no_text` (tokens that stand for no text are never drawn), `repetition_penalty`, `temperature`, `top_k`,
    `top_p` or `min_p`."""
    setting: float | None
    """The setting that acted: the penalty, the temperature, k, p."""
    n_kept: int
    """Tokens that can still be drawn."""
    entropy_bits: float


@dataclass(frozen=True)
class Candidate:
    """One token on its way through the stages; each tuple has an entry a stage."""

    id: int
    logits: tuple[float, ...]
    """-inf from the stage that removed it on."""
    probabilities: tuple[float, ...]
    rank: int
    """Its place among all tokens as the model said it, from 1."""
    removed_by: str | None
    """The stage that removed it."""


@dataclass(frozen=True)
class Step:
    """How one token was chosen."""

    t: int
    """The number of the new token, from 0."""
    temperature: float
    stages: tuple[StageFacts, ...]
    candidates: tuple[Candidate, ...]
    """The likeliest at any stage, and the chosen one; likeliest first as the model said it."""
    chosen: Candidate
    drawn: int
    """The token the random number points at; the chosen one is another only where it was forced."""
    uniform: float
    """The random number, from 0 to 1."""
    interval: tuple[float, float]
    """Where the drawn token lies in the line of probabilities. At temperature 0 it is the whole line."""

    @property
    def is_forced(self) -> bool:
        """Whether the token was chosen by somebody, not drawn."""
        return self.chosen.id != self.drawn

    @property
    def probability(self) -> float:
        """Of the chosen token when it was drawn, after all stages."""
        return self.chosen.probabilities[-1]

    def as_dict(self, token_text: Callable[[int], str]) -> dict[str, Any]:
        """Return the step as plain values; a logit that is -inf is None.

        Args:
            token_text: of a tokenizer.
        """

        def told(one: Candidate) -> dict[str, Any]:
            logits = [None if math.isinf(value) else value for value in one.logits]
            return {
                "id": one.id,
                "text": token_text(one.id),
                "logits": logits,
                "probabilities": list(one.probabilities),
                "rank": one.rank,
                "removed_by": one.removed_by,
            }

        return {
            "t": self.t,
            "temperature": self.temperature,
            "stages": [vars(stage) for stage in self.stages],
            "candidates": [told(one) for one in self.candidates],
            "chosen": told(self.chosen),
            "drawn": self.drawn,
            "is_forced": self.is_forced,
            "uniform": self.uniform,
            "interval": list(self.interval),
        }


def explain_step(
    logits_V: Float[Tensor, " V"],
    config: SamplingConfig,
    temperature: float,
    seen: Bool[Tensor, " V"] | None = None,
    uniform: float = 0.0,
    chosen: int | None = None,
    allowed_V: Float[Tensor, " V"] | None = None,
    n_candidates: int = 12,
    t: int = 0,
) -> Step:
    """Return how a token is chosen from these logits.

    Args:
        seen: tokens already in the text; needed for a repetition penalty.
        uniform: the random number, from 0 to 1.
        chosen: the token that was forced; left out, the one that is drawn.
        allowed_V: the logits with -inf at tokens that are never drawn.
        n_candidates: how many of the likeliest tokens to follow.
    """
    names: list[str] = []
    rows: list[Tensor] = []
    if allowed_V is not None and not torch.equal(allowed_V, logits_V):
        names.append("raw")
        rows.append(logits_V)
    for name, after in stages(
        (logits_V if allowed_V is None else allowed_V)[None], config, temperature, None if seen is None else seen[None]
    ):
        names.append("no_text" if name == "raw" and rows else name)
        rows.append(after[0])
    logits_NV = torch.stack(rows).double()
    probabilities_NV = logits_NV.softmax(dim=-1)
    entropies_N = torch.special.entr(probabilities_NV).sum(dim=-1).div(math.log(2)).tolist()
    kept_N = logits_NV.isfinite().sum(dim=-1).tolist()

    drawn = int(draw(rows[-1][None], torch.tensor([uniform], dtype=torch.float64)))
    ends_V = probabilities_NV[-1].cumsum(dim=-1)
    total = float(ends_V[-1])
    end, width = float(ends_V[drawn]), float(probabilities_NV[-1, drawn])

    taken = drawn if chosen is None else chosen
    likeliest = probabilities_NV.amax(dim=0).topk(min(n_candidates, probabilities_NV.shape[1])).indices.tolist()
    ids = likeliest if taken in likeliest else [*likeliest, taken]
    columns_LN = logits_NV[:, ids].T.tolist()
    shares_LN = probabilities_NV[:, ids].T.tolist()
    ranks_L = (logits_NV[0] > logits_NV[0, ids][:, None]).sum(dim=-1).add(1).tolist()
    candidates = [
        Candidate(
            index,
            tuple(logits),
            tuple(shares),
            rank,
            next((name for name, logit in zip(names, logits, strict=True) if logit == -math.inf), None),
        )
        for index, logits, shares, rank in zip(ids, columns_LN, shares_LN, ranks_L, strict=True)
    ]
    return Step(
        t=t,
        temperature=temperature,
        stages=tuple(
            StageFacts(name, _setting(name, config, temperature), kept, entropy)
            for name, kept, entropy in zip(names, kept_N, entropies_N, strict=True)
        ),
        candidates=tuple(sorted(candidates, key=lambda one: one.rank)),
        chosen=next(one for one in candidates if one.id == taken),
        drawn=drawn,
        uniform=uniform,
        interval=((end - width) / total, end / total),
    )


def explain_drawn(drawn: Drawn, config: SamplingConfig, sample: int = 0, n_candidates: int = 12) -> Step:
    """Return how the token of one sample was chosen."""
    with torch.inference_mode():
        return explain_step(
            drawn.logits_BV[sample],
            config,
            drawn.temperature,
            None if drawn.seen_BV is None else drawn.seen_BV[sample],
            float(drawn.uniforms_B[sample]),
            int(drawn.tokens_B[sample]),
            drawn.allowed_BV[sample],
            n_candidates,
            drawn.t,
        )


def _setting(name: str, config: SamplingConfig, temperature: float) -> float | None:
    return temperature if name == "temperature" else getattr(config, name, None)
