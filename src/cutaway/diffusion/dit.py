"""The diffusion transformer: a picture's patches are tokens, and time, label and words steer every block.

    x = Wp patches + positions
    c = time + label + sentence                 one vector a picture: through adaLN-zero (modulation.py)
    x = block(x, c, words)                      L times (dit_block.py)
    out = patches put back, of Wo (norm(x) * (1 + scale) + shift)

Peebles and Xie 2023, arXiv:2212.09748. All that c sets, and Wo, start at zero: the untrained model answers zero and every
block is the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.base.errors import ShapeError
from cutaway.base.tap import tap
from cutaway.diffusion.condition import Condition
from cutaway.diffusion.config import DiTConfig
from cutaway.diffusion.cross_attention import CrossAttention, ReadWords
from cutaway.diffusion.dit_block import DiTBlock
from cutaway.diffusion.dit_ready import ReadyDiT
from cutaway.diffusion.modulation import AllModulations, Modulations, modulated
from cutaway.diffusion.patches import from_patches, sine_positions, to_patches
from cutaway.diffusion.time_embedding import TimeEmbedding


class DiT(nn.Module):
    """A denoiser made of patches and blocks."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        n_numbers = config.channels * config.patch**2
        self.patch_embedding = nn.Linear(n_numbers, config.d_model)
        positions_PC = sine_positions(config.size // config.patch, config.d_model)
        self.register_buffer("positions_PC", positions_PC, persistent=False)
        self.time_embedding = TimeEmbedding(config.d_model)
        self.label_embedding = nn.Embedding(config.n_labels + 1, config.d_model) if config.n_labels else None
        self.pooled_proj = nn.Linear(config.d_pooled, config.d_model) if config.d_pooled else None
        self.modulations = Modulations(config.d_model, config.n_layers, 2, config.modulation)
        d_ff = round(config.mlp_ratio * config.d_model)
        self.blocks = nn.ModuleList(
            DiTBlock(config.d_model, config.n_heads, d_ff, config.d_words) for _ in range(config.n_layers)
        )
        self.output_proj = nn.Linear(config.d_model, n_numbers)
        self.initialise()

    def initialise(self) -> None:
        """Draw the first weights from PyTorch's global generator; zeros where the identity asks for them."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for linear in (self.time_embedding.up_proj, self.time_embedding.down_proj):
            nn.init.normal_(linear.weight, std=0.02)
        if self.label_embedding is not None:
            nn.init.normal_(self.label_embedding.weight, std=0.02)
        starts_at_zero = [*self.modulations.projections, self.modulations.output, self.output_proj]
        starts_at_zero += [module.o_proj for module in self.modules() if isinstance(module, CrossAttention)]
        for linear in starts_at_zero:
            nn.init.zeros_(linear.weight)

    def forward(
        self, x_BCYX: Float[Tensor, "B C Y X"], t_B: Float[Tensor, " B"], condition: Condition | None = None
    ) -> Float[Tensor, "B C Y X"]:
        """Return what the path asks for (velocity or noise) at each picture's time.

        Raises:
            ShapeError: pictures of another size than the model's, or words of another width.
        """
        condition = condition or Condition()
        self.check(x_BCYX, condition)
        return self.denoise(x_BCYX, self.modulations(self.steering(t_B, condition)), self.read(condition))

    def denoise(
        self, x_BCYX: Float[Tensor, "B C Y X"], modulations: AllModulations, words: Sequence[ReadWords | None]
    ) -> Float[Tensor, "B C Y X"]:
        """Return the answer, given what time and condition have made: modulations, and words as each block reads them."""
        x = self.patch_embedding(to_patches(x_BCYX, self.config.patch)) + self.positions_PC
        x = tap("embed_BPC", x)
        for block, parts, read in zip(self.blocks, modulations.blocks, words, strict=True):
            x = block(x, parts, read)
        x = tap("final_norm_BPC", modulated(x, modulations.shift_B1C, modulations.scale_B1C))
        return from_patches(self.output_proj(x), self.config.patch, self.config.channels)

    def ready(self, condition: Condition) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the model, told what to paint, to be called with x and times: faster, for a drawing of many steps.

        Its weights are those of this moment, rounded to bfloat16 once if this is called under autocast.
        """
        return ReadyDiT(self, condition)

    def steering(self, t_B: Float[Tensor, " B"], condition: Condition) -> Float[Tensor, "B C"]:
        """Return the vector of time, label and sentence that steers every block."""
        vector_BC = self.time_embedding(t_B)
        if self.label_embedding is not None:
            label_B = condition.label_B
            if label_B is None:
                vector_BC = vector_BC + self.label_embedding.weight[self.config.n_labels]
            else:
                vector_BC = vector_BC + self.label_embedding(label_B)
        if self.pooled_proj is not None and condition.pooled_BE is not None:
            direction_BE = F.normalize(condition.pooled_BE, dim=-1)  # how long it is means nothing
            vector_BC = vector_BC + self.pooled_proj(direction_BE)
        return tap("steering_BC", vector_BC)

    def read(self, condition: Condition) -> list[ReadWords | None]:
        """Return the words as each block reads them; None where there are none, or the model reads none."""
        words_BTD, crosses = condition.words_BTD, [block.cross for block in self.blocks]
        return [
            cross.read(words_BTD, condition.mask_BT)
            if isinstance(cross, CrossAttention) and words_BTD is not None
            else None
            for cross in crosses
        ]

    def check(self, x_BCYX: Tensor, condition: Condition) -> None:
        """Raise if pictures or words have the wrong shape."""
        expected = (self.config.channels, self.config.size, self.config.size)
        if tuple(x_BCYX.shape[1:]) != expected:
            raise ShapeError(f"pictures of shape {tuple(x_BCYX.shape[1:])} were given; the model paints {expected}")
        words_BTD = condition.words_BTD
        if self.config.d_words and words_BTD is not None and words_BTD.shape[-1] != self.config.d_words:
            raise ShapeError(
                f"words of width {words_BTD.shape[-1]} were given; the model reads words of {self.config.d_words}: "
                "use the text encoder it was trained with"
            )
