"""The U-Net: down to where a picture is small and each place sees all of it, and up again, with bridges across.

    down    blocks, level by level; each level has half the edge of the one before
    middle  two blocks
    up      blocks, each of which also reads what the block of its size wrote on the way down

Ronneberger et al. 2015, arXiv:1505.04597; for denoising Ho et al. 2020, arXiv:2006.11239. The untrained model answers
zero. `patch` pixels a side may be read as one place: most of a U-Net's time goes into its finest level. Look at
`out_BCYX` of `down.0` and of `middle.0`: outlines where it is fine, meaning where it is coarse.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.base.errors import ShapeError
from cutaway.base.tap import tap
from cutaway.diffusion.condition import Condition
from cutaway.diffusion.config import UNetConfig
from cutaway.diffusion.ends import with_ends
from cutaway.diffusion.time_embedding import TimeEmbedding
from cutaway.diffusion.unet_block import Look, PlaceNorm, ResidualBlock, UNetBlock


class UNet(nn.Module):
    """A denoiser made of convolutions."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        d_time = 4 * config.width
        self.time_embedding = TimeEmbedding(d_time)
        self.label_embedding = nn.Embedding(config.n_labels + 1, d_time) if config.n_labels else None

        def block(n_in: int, n_out: int, looks: bool) -> UNetBlock:
            return UNetBlock(n_in, n_out, d_time, config.n_heads if looks else 0, config.d_words, config.dropout)

        widths = [config.width * multiplier for multiplier in config.multipliers]
        looks = [edge <= config.attention_from for edge in config.edges]
        levels = [level for level in zip(widths, looks, strict=True) for _ in range(config.n_blocks)]
        n_numbers = config.channels * config.patch**2
        self.unshuffle = nn.PixelUnshuffle(config.patch)
        self.in_conv = nn.Conv2d(3 * n_numbers if config.ends else n_numbers, widths[0], 3, padding=1)
        self.down = nn.ModuleList(block(width, width, is_looking) for width, is_looking in levels)
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(widths))
        self.middle = nn.ModuleList([block(widths[-1], widths[-1], looks[-1]), block(widths[-1], widths[-1], False)])
        self.grow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for coarse, fine in pairwise(widths[::-1]))
        self.up = nn.ModuleList(block(2 * width, width, is_looking) for width, is_looking in levels[::-1])
        self.out_norm = PlaceNorm(widths[0])
        self.out_conv = nn.Conv2d(widths[0], n_numbers, 3, padding=1)
        self.shuffle = nn.PixelShuffle(config.patch)
        self.initialise()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def initialise(self) -> None:
        """Draw the first weights from PyTorch's global generator; zeros where a block is to begin as its skip."""
        starts_at_zero: list[nn.Conv2d | nn.Linear] = [self.out_conv]
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, ResidualBlock):
                starts_at_zero.append(module.out_conv)
            elif isinstance(module, Look):
                starts_at_zero += [part.o_proj for part in (module.attn, module.cross) if part is not None]
        if self.label_embedding is not None:
            nn.init.normal_(self.label_embedding.weight, std=0.02)
        for layer in starts_at_zero:
            nn.init.zeros_(layer.weight)

    def forward(
        self, x_BCYX: Float[Tensor, "B C Y X"], t_B: Float[Tensor, " B"], condition: Condition | None = None
    ) -> Float[Tensor, "B C Y X"]:
        """Return what the path asks for (velocity or noise) at each picture's time.

        Raises:
            ShapeError: pictures of another size than the model's, or words of another width.
        """
        condition, n_blocks = condition or Condition(), self.config.n_blocks
        self._check(x_BCYX, condition)
        steering_BE = F.silu(self.steering(t_B, condition))
        read_BCYX = with_ends(x_BCYX, t_B) if self.config.ends else x_BCYX
        x = tap("in_BCYX", self.in_conv(self.unshuffle(read_BCYX)))
        bridges = []
        for i, block in enumerate(self.down):
            if i and i % n_blocks == 0:
                x = self.shrink[i // n_blocks - 1](x)
            x = block(x, steering_BE, condition)
            bridges.append(x)
        for block in self.middle:
            x = block(x, steering_BE, condition)
        for i, block in enumerate(self.up):
            if i and i % n_blocks == 0:
                x = F.interpolate(self.grow[i // n_blocks - 1](x), scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, bridges.pop()], dim=1), steering_BE, condition)
        return self.shuffle(self.out_conv(F.silu(self.out_norm(x))))

    def steering(self, t_B: Float[Tensor, " B"], condition: Condition) -> Float[Tensor, "B E"]:
        """Return the vector of time and label that steers every block."""
        vector_BE = self.time_embedding(t_B)
        if self.label_embedding is not None:
            if condition.label_B is None:
                vector_BE = vector_BE + self.label_embedding.weight[self.config.n_labels]
            else:
                vector_BE = vector_BE + self.label_embedding(condition.label_B)
        return tap("steering_BE", vector_BE)

    def _check(self, x_BCYX: Tensor, condition: Condition) -> None:
        expected = (self.config.channels, self.config.size, self.config.size)
        if tuple(x_BCYX.shape[1:]) != expected:
            raise ShapeError(f"pictures of shape {tuple(x_BCYX.shape[1:])} were given; the model paints {expected}")
        words_BTD = condition.words_BTD
        if self.config.d_words and words_BTD is not None and words_BTD.shape[-1] != self.config.d_words:
            raise ShapeError(
                f"words of width {words_BTD.shape[-1]} were given; the model reads words of {self.config.d_words}: "
                "use the text encoder it was trained with"
            )
