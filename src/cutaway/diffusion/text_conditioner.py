"""Captions as a denoiser reads them: tokenizer, frozen text encoder, and a memory for captions seen before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from cutaway.diffusion.condition import Condition

REMEMBERED = 4096
"""Captions; of the default encoder 50 MB."""


@runtime_checkable
class CaptionTokenizer(Protocol):
    """Captions to numbers: our words, or CLIP's pieces."""

    def encode(self, captions: Sequence[str]) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
        """Return numbers and mask, equally many places for every caption."""

    def words(self, caption: str) -> list[str]:
        """Return what stands at each place."""

    def unknown_words(self, text: str) -> list[str]:
        """Return the words that the encoder never saw."""

    def lost_words(self, text: str) -> list[str]:
        """Return the words at the end for which there is no place."""


class TextConditioner:
    """Reads captions with an encoder, which it freezes.

    Args:
        encoder: numbers and mask in, `ReadText` out.
    """

    def __init__(self, encoder: nn.Module, tokenizer: CaptionTokenizer) -> None:
        self.encoder, self.tokenizer = encoder.eval().requires_grad_(False), tokenizer
        self._known: OrderedDict[str, tuple[Tensor, Tensor, Tensor]] = OrderedDict()

    @torch.no_grad()
    def __call__(self, captions: list[str], label_B: Tensor | None = None) -> Condition:
        """Return a row a caption. Labels are left out: the words say more."""
        new = [caption for caption in dict.fromkeys(captions) if caption not in self._known]
        if new:
            tokens_BT, mask_BT = self.tokenizer.encode(new)
            device = next(self.encoder.parameters()).device
            with torch.autocast(device.type, enabled=False):  # what is remembered must not depend on who asked first
                read = self.encoder(tokens_BT.to(device), mask_BT.to(device))
            self._known.update(zip(new, zip(*read, strict=True), strict=True))
        rows = [self._known[caption] for caption in captions]
        for caption in captions:
            self._known.move_to_end(caption)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        words_BTD, mask_BT, pooled_BE = (torch.stack(parts) for parts in zip(*rows, strict=True))
        return Condition(None, words_BTD, mask_BT, pooled_BE)

    def nothing(self) -> Condition:
        """Return the one row of the empty prompt."""
        return self([""])
