"""Randomness that can be repeated: every stream of random numbers is named and derived from one seed.

Streams with different names are independent, so drawing more from one (say, samples for the screen) never changes
another (say, the order of the batches). A stream is a pure function of its name, so nothing about it needs to be saved.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch


def derive(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed for the stream with these names."""
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def torch_generator(seed: int, *names: str | int) -> torch.Generator:
    """Return a fresh PyTorch CPU generator for the named stream."""
    import torch

    return torch.Generator().manual_seed(derive(seed, *names))


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a fresh NumPy generator for the named stream."""
    import numpy as np

    return np.random.Generator(np.random.Philox(derive(seed, *names)))
