"""What noise each pixel would have, were the picture black there, or white: seen through a glass that magnifies with time.

    x_t = t picture + (1 - t) noise   =>   noise = (x_t - t picture) / (1 - t)       with picture = -1, and = 1

The velocity is asked for to the same precision at all times, and it has all of the noise in it. Near t = 1 a thousandth of
x_t is noise; a convolution that reads x_t as it is must raise it a thousandfold, which it learns slowly, and bfloat16
rounds it away before. Most pixels of a drawing or of a page are black or white, and there these numbers are the noise
itself. Cut off where no noise is, they say as well which pixels are neither. (Fourier features of the pixels serve the
same end in Kingma et al. 2021, arXiv:2107.00630, section 5; these know the time and so need two channels.)
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

FARTHEST = 4.0
"""Standard deviations beyond which noise is not expected: one number in sixteen thousand."""
SMALLEST = 1e-4
"""The least share of noise that is divided by."""


def with_ends(x_BCYX: Float[Tensor, "B C Y X"], t_B: Float[Tensor, " B"]) -> Float[Tensor, "B C3 Y X"]:
    """Return the noised picture, and behind it the noise of each pixel if it were black, and if it were white."""
    t_B111 = t_B.to(x_BCYX.dtype).view(-1, 1, 1, 1)
    share_B111 = (1 - t_B111).clamp(min=SMALLEST)
    noises = [((x_BCYX - t_B111 * end) / share_B111).clamp(-FARTHEST, FARTHEST) for end in (-1.0, 1.0)]
    return torch.cat([x_BCYX, *noises], dim=1)
