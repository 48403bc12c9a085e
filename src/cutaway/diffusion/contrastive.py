"""A small CLIP: a picture and its caption are to lie close together, and far from everybody else's.

    similarity[i,j] = exp(log_scale) * cos(picture i, caption j)
    loss = (cross entropy of the rows + cross entropy of the columns) / 2       the right answer is on the diagonal

Radford et al. 2021, arXiv:2103.00020, figure 3; the temperature 1 / exp(log_scale) is learned. Trained here so that a
caption's words mean something to look at before anything paints by them. What to look at is retrieval: of N held-out
pictures, how often is the one most like a caption one that the caption describes?
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.base.tap import tap
from cutaway.diffusion.config import ContrastiveConfig
from cutaway.diffusion.text_encoder import TextEncoder

FIRST_TEMPERATURE = 0.07
GREATEST_LOG_SCALE = math.log(100)
"""As published: a sharper one makes training unstable."""


class PictureEncoder(nn.Module):
    """Convolutions, each level half the edge and twice the channels of the one before; then one product over all places,
    since captions say what is left of what.
    """

    def __init__(self, config: ContrastiveConfig) -> None:
        super().__init__()
        widths = [config.width * 2**i for i in range(config.n_levels)]
        layers: list[nn.Module] = []
        for i, width in enumerate(widths):
            before = widths[i - 1] if i else config.channels
            layers.append(nn.Conv2d(before, width, 3, padding=1, stride=2))
            layers += [nn.GroupNorm(1, width), nn.GELU(), nn.Conv2d(width, width, 3, padding=1)]
            layers += [nn.GroupNorm(1, width), nn.GELU()]
        self.layers = nn.Sequential(*layers)
        edge = -(-config.size // 2**config.n_levels)
        self.pooled_proj = nn.Linear(widths[-1] * edge**2, config.text.d_shared, bias=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B E"]:
        """Return a vector a picture."""
        map_BCYX = tap("map_BCYX", self.layers(x.contiguous(memory_format=torch.channels_last)))
        return tap("pooled_BE", self.pooled_proj(map_BCYX.flatten(1)))


class Contrastive(nn.Module):
    """Both encoders and the temperature.

    Args:
        vocab_size: words of the tokenizer, where the config leaves it open.
    """

    def __init__(self, config: ContrastiveConfig, vocab_size: int | None = None) -> None:
        super().__init__()
        text = replace(config.text, vocab_size=vocab_size) if vocab_size else config.text
        self.config = replace(config, text=text)
        self.picture_encoder = PictureEncoder(self.config)
        self.text_encoder = TextEncoder(text)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / FIRST_TEMPERATURE)))

    def forward(
        self, x: Float[Tensor, "B C Y X"], tokens: Int[Tensor, "B T"], mask: Tensor
    ) -> tuple[Float[Tensor, "B E"], Float[Tensor, "B E"]]:
        """Return the pictures' and the captions' vectors, all of length one."""
        captions_BE = self.text_encoder(tokens, mask).pooled_BE
        return unit(self.picture_encoder(x)), unit(captions_BE)

    def loss(self, pictures_BE: Float[Tensor, "B E"], captions_BE: Float[Tensor, "B E"]) -> Float[Tensor, ""]:
        """Return the loss of pairs, in nats."""
        return pair_loss(pictures_BE, captions_BE, self.log_scale.clamp(max=GREATEST_LOG_SCALE))


def unit(x: Float[Tensor, "B E"]) -> Float[Tensor, "B E"]:
    """Return the rows with length one, in float32."""
    return F.normalize(x.float(), dim=-1)


def pair_loss(
    pictures: Float[Tensor, "B E"], captions: Float[Tensor, "B E"], log_scale: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Return the symmetric cross entropy of rows that belong together."""
    similarity_BB = log_scale.exp() * pictures @ captions.T
    right_B = torch.arange(len(pictures), device=pictures.device)
    return (F.cross_entropy(similarity_BB, right_B) + F.cross_entropy(similarity_BB.T, right_B)) / 2
