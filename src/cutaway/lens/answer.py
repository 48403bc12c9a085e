"""Which token a question is about, and where: `" Paris"` against `" Rome"`, after the last token of the prompt."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from cutaway.base.errors import TokenizerError, UsageError
from cutaway.lens.prompt import Prompt, read_prompt
from cutaway.models.decoder import Decoder
from cutaway.text.tokenizer import Tokenizer

Token = str | int


@dataclass(frozen=True)
class Answer:
    """What is measured: the logit of one token at a position, or by how much it beats another's."""

    position: int
    """Of the token whose guess of the next one is looked at; from 0."""
    token: int
    piece: str
    """The token as text."""
    other: int | None = None
    other_piece: str | None = None

    def of(self, logits_XV: Float[Tensor, "*N V"]) -> Float[Tensor, "*N"]:
        """Return the logit, or the difference of the two logits, of every row."""
        logit = logits_XV[..., self.token]
        return logit if self.other is None else logit - logits_XV[..., self.other]

    def as_dict(self) -> dict[str, int | str | None]:
        """Return it as plain facts."""
        return {
            "position": self.position,
            "token": self.token,
            "piece": self.piece,
            "other": self.other,
            "other_piece": self.other_piece,
        }

    def __str__(self) -> str:
        what = f"logit of {self.piece!r}"
        return what if self.other is None else f"{what} minus logit of {self.other_piece!r}"


def as_prompt(model: Decoder, tokenizer: Tokenizer, text: str | Prompt) -> Prompt:
    """Return a text as tokens; what is a prompt already stays as it is."""
    return read_prompt(model, tokenizer, text) if isinstance(text, str) else text


def choose_answer(
    tokenizer: Tokenizer, logits_TV: Float[Tensor, "T V"], answer: Token | None, other: Token | None, position: int
) -> Answer:
    """Return what is asked for, with what was left out filled in.

    Args:
        logits_TV: what the model says; the answer left out is its own first guess.
        position: negative ones count from the end.

    Raises:
        UsageError: there is no such position or token; both tokens are the same.
        TokenizerError: a text that is not exactly one token.
    """
    where = find_position(position, len(logits_TV))
    token = int(logits_TV[where].argmax()) if answer is None else find_token(tokenizer, answer, logits_TV.shape[1])
    piece = tokenizer.token_text(token)
    if other is None:
        return Answer(where, token, piece)
    against = find_token(tokenizer, other, logits_TV.shape[1])
    if against == token:
        raise UsageError(f"the answer and the token it is compared with are both {piece!r}; choose two different ones")
    return Answer(where, token, piece, against, tokenizer.token_text(against))


def find_position(position: int, n_positions: int) -> int:
    """Return a position counted from 0.

    Raises:
        UsageError: the text has no such position.
    """
    if not -n_positions <= position < n_positions:
        raise UsageError(
            f"there is no position {position}: the text has {n_positions} tokens, "
            f"positions 0 to {n_positions - 1} (or -1 for the last)"
        )
    return position % n_positions


def find_token(tokenizer: Tokenizer, given: Token, n_tokens: int) -> int:
    """Return a token's id: given as its text (spaces count), as a number, or as text `#17`.

    Raises:
        UsageError: there is no such id.
        TokenizerError: the text is not exactly one token.
    """
    if isinstance(given, str):
        index = find_text(tokenizer, given)
    else:
        index = given
    if not 0 <= index < n_tokens:
        raise UsageError(f"there is no token {index}; the model has tokens 0 to {n_tokens - 1}")
    return index


def find_text(tokenizer: Tokenizer, text: str) -> int:
    """Return the id of a text that is one token."""
    number = re.fullmatch(r"#(\d+)", text)
    try:
        ids = tokenizer.encode(text)
    except TokenizerError:
        if number:
            return int(number[1])
        raise
    if len(ids) == 1:
        return ids[0]
    if number:
        return int(number[1])
    if not ids:
        raise TokenizerError("the answer is an empty text; give one token, or its id as #17")
    pieces = ", ".join(f"{tokenizer.token_text(index)!r} (#{index})" for index in ids[:6])
    more = f" and {len(ids) - 6} more" if len(ids) > 6 else ""
    raise TokenizerError(f"{text!r} is {len(ids)} tokens, not one: {pieces}{more}; ask for one of them")
