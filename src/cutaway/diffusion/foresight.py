"""What words alone let one expect: at each place of a picture, what the picture encoder would make of it.

    x = a vector for each place
    x = x + cross(norm(x), words);   x = x + mlp(norm(x))
    error = mean (W x - norm(map))^2                            map: the picture encoder's last, which is not moved by this

To find a caption's picture it is enough to know, at the end of it, what was said; nothing asks for the word "fox" to know
that it is the fox on the right. A painter asks for that: its right half is to become a fox while there is only noise to be
seen. Here every place asks it of the words, long before there is a painter, and at a small part of its cost. An error of 1
is no better than the mean.

To predict features instead of pixels is the idea of Assran et al. 2023, arXiv:2301.08243 (I-JEPA), where one part of a
picture foresees another; here words foresee all of it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cutaway.base.tap import tap
from cutaway.diffusion.cross_attention import CrossAttention
from cutaway.nn.mlp import MLP, gelu
from cutaway.nn.norm import LayerNorm

EPS = 1e-5


class Foresight(nn.Module):
    """Places that read words, and say what stands there.

    Args:
        n_places: of the picture encoder's map.
        d_map: channels of that map.
    """

    def __init__(self, n_places: int, d_map: int, d_words: int, n_heads: int) -> None:
        super().__init__()
        self.places_PD = nn.Parameter(torch.empty(n_places, d_words))
        self.cross = CrossAttention(d_words, d_words, n_heads)
        self.mlp_norm = LayerNorm(d_words, EPS)
        self.mlp = MLP(d_words, 4 * d_words, gelu, bias=True)
        self.map_proj = nn.Linear(d_words, d_map)
        nn.init.normal_(self.places_PD, std=0.5)

    def forward(self, words: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B P C"]:
        """Return what is expected at each place, row by row."""
        x_BPD = self.places_PD.expand(len(words), -1, -1)
        x_BPD = x_BPD + self.cross(x_BPD, self.cross.read(words, mask))
        x_BPD = x_BPD + self.mlp(self.mlp_norm(x_BPD))
        return tap("expected_BPC", self.map_proj(x_BPD))


def foresight_error(expected_BPC: Float[Tensor, "B P C"], map_BCYX: Float[Tensor, "B C Y X"]) -> Float[Tensor, ""]:
    """Return the mean squared error; the map is centred and scaled at each place, and gets no gradient."""
    seen_BPC = map_BCYX.detach().float().flatten(2).transpose(1, 2)
    return F.mse_loss(expected_BPC.float(), F.layer_norm(seen_BPC, seen_BPC.shape[-1:], eps=EPS))
