"""What a text looks like to the model without some of its parts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from cutaway.server.arrays import ArraysResponse, with_arrays
from cutaway.server.lab import TheLab
from cutaway.server.routes.lens_common import Asked, TokenChance, about, chances, checked_position, finite, logits_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from cutaway.server.models import Opened

router = APIRouter(prefix="/lens")


class AblateAsked(Asked):
    """What is taken away."""

    position: int = -1
    off: list[str] = Field(default=[], max_length=2000)
    """Parts: `2.0` (block 2, head 0), `mlp 2`, `mlp 2 unit 17`."""
    how: Literal["zero", "mean"] = "zero"


class TokenChange(BaseModel):
    """A token's probability with and without some parts."""

    id: int
    text: str
    before: float
    after: float


class Ablated(BaseModel):
    """What taking parts away does; with it come `before` and `after` (position): each token's surprisal, in nats."""

    tokens: list[str]
    cut: int
    position: int
    off: list[str]
    layers: int
    heads: int
    units: int
    """Of each MLP."""
    candidates: list[TokenChange]
    """The tokens most probable before or after; first those of before, the first first."""
    loss_before: float | None
    """In nats a token; None for a text of one token."""
    loss_after: float | None


class Scanned(BaseModel):
    """Every part taken away by itself; with it come `loss_heads` and `answer_heads` (layer, head), `loss_mlps` and
    `answer_mlps` (layer): by how much the loss grows, and the answer's logit falls, without the part."""

    tokens: list[str]
    cut: int
    position: int
    how: Literal["zero", "mean"]
    answer: TokenChance


@router.post("/ablate", **with_arrays(Ablated))
def ablate(lab: TheLab, asked: AblateAsked) -> ArraysResponse:
    """Return what a text looks like to the model without some of its parts."""
    from cutaway.lens.ablate import logits_without
    from cutaway.lens.parts import check_part, read_part
    from cutaway.lens.prompt import read_prompt

    opened = lab.models.open(asked.model)
    config = opened.model.config
    with opened.lock:
        with about("prompt"):
            prompt = read_prompt(opened.model, opened.tokenizer, asked.prompt)
        with about("off"):
            parts = [check_part(opened.model, read_part(part)) for part in asked.off]
        both = logits_without(opened.model, prompt, parts, asked.how)
        before_TV, after_TV = (finite(logits_TV.double().cpu()).log_softmax(-1) for logits_TV in both)
    position = checked_position(asked.position, len(prompt.ids))
    before, after = (surprisal(log_TV, prompt.tokens[0]) for log_TV in (before_TV, after_TV))
    meta = Ablated(
        tokens=list(prompt.pieces),
        cut=prompt.cut,
        position=position,
        off=[str(part) for part in parts],
        layers=config.n_layers,
        heads=config.n_heads,
        units=config.mlp_width,
        candidates=changes(opened, before_TV[position].exp(), after_TV[position].exp()),
        loss_before=mean_of(before),
        loss_after=mean_of(after),
    )
    return ArraysResponse(meta, {"before": before, "after": after})


def surprisal(log_TV: Tensor, tokens_T: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return of each token -log of the probability it had, in nats; NaN for the first, which nothing foretold."""
    import numpy as np

    told = -log_TV[:-1].gather(1, tokens_T[1:, None])[:, 0].numpy()
    return np.concatenate([[np.nan], told])


def mean_of(surprisal: np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
    """Return the loss over the text, None where there is none, or where it is no number."""
    loss = float(surprisal[1:].mean()) if len(surprisal) > 1 else math.nan
    return loss if math.isfinite(loss) else None


def changes(opened: Opened, before_V: Tensor, after_V: Tensor, n: int = 6) -> list[TokenChange]:
    """Return the tokens most probable before, then those that only became so."""
    n = min(n, len(before_V))
    ids = [*before_V.topk(n).indices.tolist(), *after_V.topk(n).indices.tolist()]
    return [
        TokenChange(
            id=index,
            text=opened.tokenizer.token_text(index),
            before=float(before_V[index]),
            after=float(after_V[index]),
        )
        for index in dict.fromkeys(ids)
    ]


@router.post("/ablate/scan", **with_arrays(Scanned))
def scan(lab: TheLab, asked: AblateAsked) -> ArraysResponse:
    """Return what every head and MLP is worth to a text, each taken away by itself."""
    from cutaway.lens.ablate import scan as scan_parts

    opened = lab.models.open(asked.model)
    with opened.lock:
        logits_TV = logits_of(opened, asked.prompt)
        position = checked_position(asked.position, len(logits_TV))
        with about("prompt"):
            found = scan_parts(
                opened.model,
                opened.tokenizer,
                asked.prompt,
                position=position,
                by=asked.how,
                on_done=lambda done, of: opened.lock.give_way(),
            )
    was, loss = found.before, math.nan if found.before.loss_nats is None else found.before.loss_nats
    meta = Scanned(
        tokens=list(found.prompt.pieces),
        cut=found.prompt.cut,
        position=position,
        how=asked.how,
        answer=chances(opened, logits_TV[position].double(), [found.answer.token])[0],
    )
    arrays = {
        "loss_heads": found.heads_loss_LH - loss,
        "loss_mlps": found.mlps_loss_L - loss,
        "answer_heads": was.logit - found.heads_logit_LH,
        "answer_mlps": was.logit - found.mlps_logit_L,
    }
    return ArraysResponse(meta, {name: array.numpy() for name, array in arrays.items()})
