"""Ablation: take a part out and see what the model says then.

    zero    its output becomes 0
    mean    its output becomes its own mean over the positions of this text, or of a reference text

A head's output is z, what it read (its share of the attention's bias stays); an MLP's or a whole attention's is what it
writes, bias and all; a neuron's is its activation. Zero may be far from anything the later parts have ever met; the mean
takes out only what the part says about this position (Wang et al. 2022, arXiv:2211.00593, section 2.1). Later parts can
make up for what is missing (McGrath et al. 2023, arXiv:2307.15771): that nothing changes does not prove a part idle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cutaway.base.errors import UsageError
from cutaway.lens.activations import Edit, read
from cutaway.lens.answer import Answer, Token, as_prompt, choose_answer, find_position
from cutaway.lens.onward import Change, OnDone, follow, read_course
from cutaway.lens.parts import Part, check_part, read_part
from cutaway.lens.patch import after_attention
from cutaway.lens.prompt import Prompt
from cutaway.models.decoder import Decoder, evaluating
from cutaway.nn.attention import Attention
from cutaway.nn.block import Block
from cutaway.notebook import Figure, Shown
from cutaway.text.tokenizer import Tokenizer

BY = ("zero", "mean")


@dataclass(frozen=True)
class Measured:
    """What a model says."""

    logit: float
    """Of the answer, or its difference from the other's, in nats."""
    probability: float
    """Of the answer."""
    loss_nats: float | None
    """Mean over the text's tokens from the second on; None where there is none."""


@dataclass(frozen=True)
class Ablation(Shown):
    """What taking some parts out did."""

    prompt: Prompt
    answer: Answer
    parts: tuple[Part, ...]
    by: str
    """`zero` or `mean`."""
    reference: Prompt | None
    """The text whose mean was taken; None: the prompt itself."""
    at: tuple[int, ...] | None
    """The positions; None: all."""
    before: Measured
    after: Measured
    kl_nats: float
    """Kullback-Leibler divergence at the answer's position, of what it says now from what it said."""
    guess: int
    """The token it holds likeliest now."""
    guess_piece: str

    def show(self) -> Figure:
        """Return what it did as a figure."""
        from cutaway.lens.ablate_figure import ablation_figure

        return ablation_figure(self).show()

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain facts."""
        return {
            "pieces": list(self.prompt.pieces),
            "cut": self.prompt.cut,
            "answer": self.answer.as_dict(),
            "what": str(self.answer),
            "parts": [str(part) for part in self.parts],
            "by": self.by,
            "reference": None if self.reference is None else list(self.reference.pieces),
            "at": None if self.at is None else list(self.at),
            "before": asdict(self.before),
            "after": asdict(self.after),
            "kl_nats": self.kl_nats,
            "guess": self.guess,
            "guess_piece": self.guess_piece,
        }


@dataclass(frozen=True)
class Scan(Shown):
    """What the model says without each head, and without each MLP."""

    prompt: Prompt
    answer: Answer
    by: str
    reference: Prompt | None
    at: tuple[int, ...] | None
    before: Measured
    heads_logit_LH: Float[Tensor, "L H"]
    """The answer's logit, or difference of logits, without this head."""
    heads_probability_LH: Float[Tensor, "L H"]
    heads_loss_LH: Float[Tensor, "L H"]
    """NaN for a text of one token."""
    mlps_logit_L: Float[Tensor, " L"]
    mlps_probability_L: Float[Tensor, " L"]
    mlps_loss_L: Float[Tensor, " L"]

    def show(self) -> Figure:
        """Return how the answer changes without each part as a figure."""
        from cutaway.lens.ablate_figure import scan_figure

        return scan_figure(self).show()

    def strongest(self, n: int) -> list[tuple[Part, float]]:
        """Return the parts without which the logit changes most, and by how much, the most first."""
        changes = [
            (Part("head", i, h), float(value) - self.before.logit)
            for i, row in enumerate(self.heads_logit_LH)
            for h, value in enumerate(row)
        ]
        changes += [(Part("mlp", i), float(value) - self.before.logit) for i, value in enumerate(self.mlps_logit_L)]
        return sorted(changes, key=lambda change: -abs(change[1]))[:n]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain facts."""

        def measured(logit: Tensor, probability: Tensor, loss: Tensor) -> dict[str, Any]:
            without_loss = self.before.loss_nats is None
            return {
                "logit": logit.tolist(),
                "probability": probability.tolist(),
                "loss_nats": None if without_loss else loss.tolist(),
            }

        return {
            "pieces": list(self.prompt.pieces),
            "cut": self.prompt.cut,
            "answer": self.answer.as_dict(),
            "what": str(self.answer),
            "by": self.by,
            "reference": None if self.reference is None else list(self.reference.pieces),
            "at": None if self.at is None else list(self.at),
            "before": asdict(self.before),
            "heads": measured(self.heads_logit_LH, self.heads_probability_LH, self.heads_loss_LH),
            "mlps": measured(self.mlps_logit_L, self.mlps_probability_L, self.mlps_loss_L),
        }


def ablate(
    model: Decoder,
    tokenizer: Tokenizer,
    text: str | Prompt,
    parts: Sequence[Part | str],
    answer: Token | None = None,
    other: Token | None = None,
    position: int = -1,
    by: str = "zero",
    reference: str | Prompt | None = None,
    at: Sequence[int] | None = None,
) -> Ablation:
    """Take parts out of a model, all at once, and measure what it says then.

    Args:
        parts: as `Part`s or as text, `2.0` for a head; see `parts.py`.
        answer: a token, as text or id; left out: the model's own first guess, of the whole model.
        other: what it is measured against; left out: its own logit is.
        position: after which token the answer comes; negative ones count from the end.
        by: `zero` or `mean`.
        reference: for `mean`, the text over whose positions it is taken; left out: the text itself.
        at: the positions at which the parts are taken out; left out: all.

    Raises:
        UsageError: the model has no such part, or the text no such position.
    """
    chosen = tuple(check_part(model, read_part(part) if isinstance(part, str) else part) for part in parts)
    if not chosen:
        raise UsageError("name at least one part to take out, as the head 2.0; `scan` takes each out in turn")
    prompt, source, places = _asked_for(model, tokenizer, text, by, reference, at)
    before_TV, after_TV = logits_without(model, prompt, chosen, by, source, places)
    asked = choose_answer(tokenizer, before_TV, answer, other, position)
    log_before, log_after = (logits[asked.position].double().log_softmax(-1) for logits in (before_TV, after_TV))
    guess = int(after_TV[asked.position].argmax())
    return Ablation(
        prompt=prompt,
        answer=asked,
        parts=chosen,
        by=by,
        reference=None if source is prompt else source,
        at=places,
        before=measure(before_TV, prompt.tokens[0], asked),
        after=measure(after_TV, prompt.tokens[0], asked),
        kl_nats=max(0.0, float((log_before.exp() * (log_before - log_after)).sum())),
        guess=guess,
        guess_piece=tokenizer.token_text(guess),
    )


def logits_without(
    model: Decoder,
    prompt: Prompt,
    parts: Sequence[Part],
    by: str = "zero",
    source: Prompt | None = None,
    at: Sequence[int] | None = None,
) -> tuple[Float[Tensor, "T V"], Float[Tensor, "T V"]]:
    """Return what a model says after every token of a text with all its parts, and without some.

    Args:
        source: for `mean`, the text over whose positions it is taken; left out: the text itself.
        at: the positions at which the parts are taken out; left out: all.
    """
    names = {part.name for part in parts}
    plain = read(model, prompt.tokens, names)
    means = stand_ins(read(model, source.tokens, names) if source and source is not prompt else plain, names, by)
    where = slice(None) if at is None else list(at)

    def edit(name: str) -> Edit:
        def without(value: Tensor) -> Tensor:
            value = value.clone()
            for part in parts:
                if part.name == name:
                    take_out(value[0], part, means[name], where)
            return value

        return without

    changed = read(model, prompt.tokens, (), {name: edit(name) for name in names})
    return plain["logits"][0].float(), changed["logits"][0].float()


def scan(
    model: Decoder,
    tokenizer: Tokenizer,
    text: str | Prompt,
    answer: Token | None = None,
    other: Token | None = None,
    position: int = -1,
    by: str = "zero",
    reference: str | Prompt | None = None,
    at: Sequence[int] | None = None,
    on_done: OnDone | None = None,
) -> Scan:
    """Take out each head and each MLP in turn and measure what the model says then; arguments as for `ablate`.

    Args:
        on_done: told how many parts are done, and of how many.
    """
    prompt, source, places = _asked_for(model, tokenizer, text, by, reference, at)
    blocks = range(len(model.blocks))
    parts = ("attn.z", "attn_out", "resid_mid", "mlp_out")
    course = read_course(model, prompt.tokens, parts)
    names = {f"blocks.{i}.{part}" for i in blocks for part in ("attn.z", "mlp_out")}
    means = stand_ins(course.found if source is prompt else read(model, source.tokens, names), names, by)
    asked = choose_answer(tokenizer, course.logits_TV.float(), answer, other, position)
    where = slice(None) if places is None else list(places)

    changes = []
    with torch.no_grad(), evaluating(model):
        for i in blocks:
            block = model.blocks[i]
            assert isinstance(block, Block)
            assert isinstance(block.attn, Attention)
            z = course.found[f"blocks.{i}.attn.z"][0]
            without_HTHD = z.repeat(z.shape[1], 1, 1, 1)
            for head, without in enumerate(without_HTHD):
                take_out(without, Part("head", i, head), means[f"blocks.{i}.attn.z"], where)
            post_HTC = after_attention(block, course.streams[i][None], block.attn.o_proj(without_HTHD.flatten(2)))
            mlp_out = course.found[f"blocks.{i}.mlp_out"][0].clone()
            take_out(mlp_out, Part("mlp", i), means[f"blocks.{i}.mlp_out"], where)
            bare_TC = course.found[f"blocks.{i}.resid_mid"][0] + mlp_out
            changes += [Change(i + 1, 0, post_TC) for post_TC in (*post_HTC, bare_TC)]

    def read_out(stream_NTC: Tensor, first: int) -> Tensor:
        rows = [measure(model.lm_head(model.final_norm(row)).float(), prompt.tokens[0], asked) for row in stream_NTC]
        return torch.tensor([[m.logit, m.probability, _nan(m.loss_nats)] for m in rows], dtype=torch.float64)

    found = torch.stack(follow(model, course, changes, read_out, on_done)).view(len(blocks), -1, 3)
    heads, mlps = found[:, :-1], found[:, -1]
    return Scan(
        prompt,
        asked,
        by,
        None if source is prompt else source,
        places,
        measure(course.logits_TV.float(), prompt.tokens[0], asked),
        *(heads[..., i] for i in range(3)),
        *(mlps[..., i] for i in range(3)),
    )


def _asked_for(
    model: Decoder,
    tokenizer: Tokenizer,
    text: str | Prompt,
    by: str,
    reference: str | Prompt | None,
    at: Sequence[int] | None,
) -> tuple[Prompt, Prompt, tuple[int, ...] | None]:
    """Return the prompt, the one whose mean is taken, and the positions."""
    if by not in BY:
        raise UsageError(f"by is {by!r}; expected zero or mean")
    if reference is not None and by != "mean":
        raise UsageError("a reference text is for its mean; say by mean, or leave it out")
    prompt = as_prompt(model, tokenizer, text)
    source = prompt if reference is None else as_prompt(model, tokenizer, reference)
    return prompt, source, None if at is None else tuple(find_position(place, len(prompt.ids)) for place in at)


def stand_ins(found: dict[str, Tensor], names: set[str], by: str) -> dict[str, Tensor]:
    """Return by name what takes an output's place: one row for all positions."""
    if by == "zero":
        return {name: torch.zeros_like(found[name][0, 0]) for name in names}
    return {name: found[name][0].float().mean(0).to(found[name].dtype) for name in names}


def take_out(value_TX: Float[Tensor, "T ..."], part: Part, instead_X: Tensor, where: slice | list[int]) -> None:
    """Put something else in the place of a part's output, at some positions."""
    if part.kind in ("head", "neuron"):
        value_TX[where, part.index] = instead_X[part.index]
    else:
        value_TX[where] = instead_X


def measure(logits_TV: Float[Tensor, "T V"], tokens_T: Int[Tensor, " T"], asked: Answer) -> Measured:
    """Return what is asked of the logits of a whole text."""
    log_TV = logits_TV.log_softmax(-1)
    told = log_TV[:-1].gather(1, tokens_T[1:, None].to(log_TV.device))
    return Measured(
        logit=float(asked.of(logits_TV[asked.position])),
        probability=float(log_TV[asked.position, asked.token].exp()),
        loss_nats=-float(told.double().mean()) if len(told) else None,
    )


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value
