"""What questions about the inside of a model share: who is asked, tokens with their probabilities, where errors stand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from cutaway.base.errors import CutawayError

if TYPE_CHECKING:
    from torch import Tensor

    from cutaway.server.models import Opened

LONGEST_PROMPT = 200_000
SHOWN_TOKENS = 10


class Asked(BaseModel):
    """A text, and the model that reads it."""

    model: str
    prompt: str = Field(max_length=LONGEST_PROMPT)


class TokenChance(BaseModel):
    """A token the model may go on with."""

    id: int
    text: str
    probability: float
    logit: float


def logits_of(opened: Opened, prompt: str, field: str = "prompt") -> Tensor:
    """Return what the model says after every token of a text."""
    from cutaway.lens.activations import read
    from cutaway.lens.prompt import read_prompt

    with about(field):
        tokens = read_prompt(opened.model, opened.tokenizer, prompt).tokens
    return finite(read(opened.model, tokens, wanted=())["logits"][0].float().cpu())


def finite(logits_TV: Tensor) -> Tensor:
    """Return what a model says, if it says numbers.

    Raises:
        CutawayError: it does not, as after a training that diverged.
    """
    if not bool(logits_TV.isfinite().all()):
        raise CutawayError("what this model computes is infinite or undefined (its training diverged); choose another")
    return logits_TV


def checked_position(position: int, n_positions: int) -> int:
    """Return a position from 0; one that a shorter text no longer has is its last."""
    return position if 0 <= position < n_positions else n_positions - 1


def checked_token(opened: Opened, given: str, field: str) -> int | None:
    """Return the id of a token given as text or `#17`, None where none is given."""
    from cutaway.lens.answer import find_token

    if not given:
        return None
    with about(field):
        return find_token(opened.tokenizer, given, opened.model.lm_head.out_features)


@contextmanager
def about(field: str) -> Iterator[None]:
    """Let what is refused inside the `with` block stand at a field of the form."""
    try:
        yield
    except CutawayError as error:
        error.field = error.field or field
        raise


def chances(opened: Opened, logits_V: Tensor, ids: list[int]) -> list[TokenChance]:
    """Return tokens with what the model gives them."""
    probabilities_V = logits_V.softmax(-1)
    return [
        TokenChance(
            id=index,
            text=opened.tokenizer.token_text(index),
            probability=float(probabilities_V[index]),
            logit=float(logits_V[index]),
        )
        for index in ids
    ]


def most_probable(opened: Opened, logits_V: Tensor, n: int = SHOWN_TOKENS) -> list[TokenChance]:
    """Return the tokens of the highest logits, the first first."""
    return chances(opened, logits_V, logits_V.topk(min(n, len(logits_V))).indices.tolist())
