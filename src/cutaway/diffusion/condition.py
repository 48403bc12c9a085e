"""What a picture is to show, as a denoiser reads it: a label, words, the whole sentence, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Condition:
    """What each picture of a batch is to show. Parts a model does not read are None."""

    label_B: Int[Tensor, " B"] | None = None
    """A class; the number of classes itself stands for "no class"."""
    words_BTD: Float[Tensor, "B T D"] | None = None
    """A vector a word, of the text encoder."""
    mask_BT: Bool[Tensor, "B T"] | None = None
    """True where there is a word."""
    pooled_BE: Float[Tensor, "B E"] | None = None
    """The whole sentence's vector."""

    def where(self, keep_B: Bool[Tensor, " B"], nothing: Condition) -> Condition:
        """Return this condition where `keep_B`, `nothing` (of one row, or as many) elsewhere."""

        def choose(mine: Tensor | None, other: Tensor | None) -> Tensor | None:
            if mine is None or other is None:
                return mine
            return torch.where(keep_B.view(-1, *[1] * (mine.ndim - 1)), mine, other)

        return Condition(*(choose(*pair) for pair in zip(self.parts, nothing.parts, strict=True)))

    def beside(self, other: Condition) -> Condition:
        """Return both, one below the other, so that one call of the model answers both."""

        def join(mine: Tensor | None, theirs: Tensor | None) -> Tensor | None:
            return None if mine is None or theirs is None else torch.cat([mine, theirs.expand_as(mine)])

        return Condition(*(join(*pair) for pair in zip(self.parts, other.parts, strict=True)))

    def rows(self, chosen: slice) -> Condition:
        """Return the conditions of some pictures."""
        return Condition(*(None if part is None else part[chosen] for part in self.parts))

    @property
    def parts(self) -> tuple[Tensor | None, ...]:
        """Label, words, mask and pooled vector."""
        return self.label_B, self.words_BTD, self.mask_BT, self.pooled_BE
