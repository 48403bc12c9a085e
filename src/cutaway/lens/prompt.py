"""A text as the model reads it: its tokens, and how much of it fits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from cutaway.base.errors import TokenizerError
from cutaway.models.decoder import Decoder
from cutaway.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Prompt:
    """A text as tokens."""

    ids: tuple[int, ...]
    """One id a token; the mark of the beginning, where the model has one, comes first."""
    pieces: tuple[str, ...]
    """The same tokens as text."""
    cut: int = 0
    """So many tokens at the beginning were left out because the model's context has no room for them."""

    @property
    def tokens(self) -> Int[Tensor, "1 T"]:
        """The ids as the model takes them."""
        return torch.tensor([self.ids])


def read_prompt(model: Decoder, tokenizer: Tokenizer, text: str) -> Prompt:
    """Return the text's tokens, cut from the left where they are more than the model's context.

    Raises:
        TokenizerError: characters the tokenizer does not know; no text and no mark of the beginning; a tokenizer of
            another model.
    """
    ids = tokenizer.prompt_ids(text)
    if not ids and tokenizer.bos_id is not None:
        ids = [tokenizer.bos_id]
    if not ids:
        raise TokenizerError("there is nothing to read: give a text of at least one character")
    if max(ids) >= model.lm_head.out_features:
        raise TokenizerError(
            f"the tokenizer gives token {max(ids)}, but the model has only {model.lm_head.out_features}: "
            f"they do not belong together; load both from one folder"
        )
    cut = max(0, len(ids) - model.config.context_length)
    kept = ids[cut:]
    return Prompt(tuple(kept), tuple(tokenizer.token_text(index) for index in kept), cut)
