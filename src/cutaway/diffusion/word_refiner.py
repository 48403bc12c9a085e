"""Words, read once more for painting: which colour belongs to which thing.

    words = words + positions
    words = words + attn(norm(words));  words = words + mlp(norm(words))         n times, trained with the denoiser

A text encoder that learned from pictures and captions alone may not keep, at the word "scarf", that the scarf is red, nor
even where a word stood (measured in docs/log.md; `wrong_captions.py`). The denoiser needs it there, where its
cross-attention reads. So it is told again where the words stand (sines: Vaswani et al. 2017) and reads them with layers of
its own, which begin by adding nothing; the encoder stays as it is (a "token refiner": Kong et al. 2024, HunyuanVideo,
arXiv:2412.03603).
Look at `word_refiner.blocks.0`: where does a noun look?
"""

from __future__ import annotations

import dataclasses
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.diffusion.condition import Condition
from cutaway.diffusion.text_encoder import TextBlock


class WordRefiner(nn.Module):
    """A few transformer layers over the words of a condition."""

    def __init__(self, d_words: int, n_layers: int) -> None:
        super().__init__()
        n_heads = 4 if d_words % 4 == 0 else 1
        self.blocks = nn.ModuleList(TextBlock(d_words, n_heads) for _ in range(n_layers))

    def start_adding_nothing(self) -> None:
        """Let what each layer adds begin at zero."""
        for block in self.blocks:
            assert isinstance(block, TextBlock)
            for linear in (block.attn.o_proj, block.mlp.down_proj):
                nn.init.zeros_(linear.weight)
                if linear.bias is not None:
                    nn.init.zeros_(linear.bias)

    def forward(self, condition: Condition) -> Condition:
        """Return the condition with its words read once more; without words it stays as it is."""
        words_BTD, mask_BT = condition.words_BTD, condition.mask_BT
        if words_BTD is None:
            return condition
        if mask_BT is None:
            mask_BT = torch.ones(words_BTD.shape[:2], dtype=torch.bool, device=words_BTD.device)
        words_BTD = words_BTD + sine_places(words_BTD.shape[1], words_BTD.shape[2]).to(words_BTD)
        for block in self.blocks:
            words_BTD = block(words_BTD, mask_BT)
        return dataclasses.replace(condition, words_BTD=words_BTD)


@cache
def sine_places(n_places: int, width: int) -> Float[Tensor, "T D"]:
    """Return a vector for each place: sines of wavelengths from 6 places to thousands, then their cosines."""
    frequencies = 10000 ** (-torch.arange(width // 2, device="cpu") / (width / 2))
    angles = torch.outer(torch.arange(n_places, device="cpu"), frequencies)
    places_TD = torch.zeros(n_places, width, device="cpu")
    places_TD[:, : 2 * (width // 2)] = torch.cat([angles.sin(), angles.cos()], dim=1)
    return places_TD
