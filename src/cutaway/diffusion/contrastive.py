"""A small CLIP: a picture and its caption are to lie close together, and far from everybody else's.

    similarity[i,j] = exp(log_scale) * cos(picture i, caption j)
    loss = (cross entropy of the rows + cross entropy of the columns) / 2       the right answer is on the diagonal

Where captions are known that are wrong in one thing, each picture's row has its own ones as further wrong answers. Beside
it, words alone foresee what the picture encoder makes of each place, so that each word knows whose it is (`foresight.py`).

Radford et al. 2021, arXiv:2103.00020, figure 3; the temperature 1 / exp(log_scale) is learned. Trained here so that a
caption's words mean something to look at before anything paints by them. What to look at is retrieval: of N held-out
pictures, how often is the one most like a caption one that the caption describes?
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cutaway.base.tap import tap
from cutaway.diffusion.config import ContrastiveConfig
from cutaway.diffusion.foresight import Foresight, foresight_error
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
        self.config = config
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

    def forward(self, x: Float[Tensor, "B C Y X"]) -> tuple[Float[Tensor, "B E"], Float[Tensor, "B C2 Y2 X2"]]:
        """Return a vector a picture, and the map that it was made of."""
        map_BCYX = tap("map_BCYX", self.layers(x.contiguous(memory_format=torch.channels_last)))
        return tap("pooled_BE", self.pooled_proj(map_BCYX.flatten(1))), map_BCYX


class Encoded(NamedTuple):
    """Pictures and captions in the space they share."""

    pictures_BE: Tensor
    """Of length one."""
    captions_NE: Tensor
    """Of length one."""
    foresight_error: Tensor
    """How badly the captions' words alone foresaw the pictures (`foresight.py`); 0 where they are not asked."""


class Contrastive(nn.Module):
    """Both encoders, the temperature, and what makes words foresee pictures.

    Args:
        vocab_size: words of the tokenizer, where the config leaves it open.
    """

    def __init__(self, config: ContrastiveConfig, vocab_size: int | None = None) -> None:
        super().__init__()
        text = replace(config.text, vocab_size=vocab_size) if vocab_size else config.text
        self.config = replace(config, text=text)
        self.picture_encoder = PictureEncoder(self.config)
        self.text_encoder = TextEncoder(text)
        edge, d_map = -(-config.size // 2**config.n_levels), config.width * 2 ** (config.n_levels - 1)
        self.foresight = Foresight(edge**2, d_map, text.d_model, text.n_heads) if config.foresight_weight else None
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / FIRST_TEMPERATURE)))

    def forward(self, x: Float[Tensor, "B C Y X"], tokens: Int[Tensor, "N T"], mask: Bool[Tensor, "N T"]) -> Encoded:
        """Return pictures and captions, encoded; there may be more captions, of which the first B are the pictures' own."""
        read = self.text_encoder(tokens, mask)
        pictures_BE, map_BCYX = self.picture_encoder(x)
        error = torch.zeros((), device=x.device)
        if self.foresight is not None:
            error = foresight_error(self.foresight(read.words_BTD[: len(x)], mask[: len(x)]), map_BCYX)
        return Encoded(unit(pictures_BE), unit(read.pooled_BE), error)

    def loss(
        self,
        pictures: Float[Tensor, "B E"],
        captions: Float[Tensor, "B E"],
        wrong: Float[Tensor, "B K E"] | None = None,
        is_wrong: Bool[Tensor, "B K"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the loss of pairs, in nats.

        Args:
            wrong: captions that are wrong of each picture.
            is_wrong: false where one of those is not to be counted; left out: all count.
        """
        log_scale = self.log_scale.clamp(max=GREATEST_LOG_SCALE)
        if wrong is None:
            return pair_loss(pictures, captions, log_scale)
        own_BK = log_scale.exp() * torch.einsum("be,bke->bk", pictures, wrong)
        if is_wrong is not None:
            own_BK = own_BK.masked_fill(~is_wrong, -torch.inf)
        return pair_loss(pictures, captions, log_scale, own_BK)


def unit(x: Float[Tensor, "N E"]) -> Float[Tensor, "N E"]:
    """Return the rows with length one, in float32."""
    return F.normalize(x.float(), dim=-1)


def pair_loss(
    pictures: Float[Tensor, "B E"],
    captions: Float[Tensor, "B E"],
    log_scale: Float[Tensor, ""],
    further: Float[Tensor, "B K"] | None = None,
) -> Float[Tensor, ""]:
    """Return the symmetric cross entropy of rows that belong together.

    Args:
        further: similarities, scaled, of each picture to wrong captions of its own.
    """
    similarity_BB = log_scale.exp() * pictures @ captions.T
    right_B = torch.arange(len(pictures), device=pictures.device)
    rows = similarity_BB if further is None else torch.cat([similarity_BB, further], dim=1)
    return (F.cross_entropy(rows, right_B) + F.cross_entropy(similarity_BB.T, right_B)) / 2
