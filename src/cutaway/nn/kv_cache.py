"""The key/value cache: when writing one token at a time, do not compute the past again.

A position's keys and values depend only on the tokens before it, so they can be kept. Writing token t then
costs one query against t kept keys, in place of a whole new forward pass. The room is reserved once, since
growing a tensor at each token would copy all of it each time. Look at `append`: the only thing attention does
with a cache.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cutaway.base.errors import UsageError


class LayerCache:
    """The keys and values of one block's attention."""

    def __init__(self, keys: Float[Tensor, "B N G D"], values: Float[Tensor, "B N G D"]) -> None:
        self.keys, self.values = keys, values
        self.length = 0

    def append(
        self, k: Float[Tensor, "B T G D"], v: Float[Tensor, "B T G D"]
    ) -> tuple[Float[Tensor, "B S G D"], Float[Tensor, "B S G D"]]:
        """Keep the new keys and values; return all so far."""
        end = self.length + k.shape[1]
        self.keys[:, self.length : end] = k
        self.values[:, self.length : end] = v
        self.length = end
        return self.keys[:, :end], self.values[:, :end]


class KVCache:
    """Room for `capacity` positions of every block, and the tokens seen (n-gram embeddings look back)."""

    def __init__(
        self,
        n_layers: int,
        batch_size: int,
        capacity: int,
        n_kv_heads: int,
        d_head: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        shape = (batch_size, capacity, n_kv_heads, d_head)

        def room() -> Tensor:
            return torch.empty(shape, dtype=dtype, device=device)

        self.layers = [LayerCache(room(), room()) for _ in range(n_layers)]
        self.tokens = torch.empty((batch_size, capacity), dtype=torch.int64, device=device)
        self.length = 0

    @property
    def capacity(self) -> int:
        """Most positions that fit."""
        return self.tokens.shape[1]

    def see(self, tokens: Int[Tensor, "B T"]) -> Int[Tensor, "B S"]:
        """Keep the new tokens; return all seen so far.

        Raises:
            UsageError: there is no room left, or the batch is of another size.
        """
        end = self.length + tokens.shape[1]
        if end > self.capacity:
            raise UsageError(
                f"the cache has room for {self.capacity} positions and holds {self.length}; "
                f"{tokens.shape[1]} more do not fit: make a longer cache, or start again from the last tokens"
            )
        if tokens.shape[0] != self.tokens.shape[0]:
            raise UsageError(f"the cache is for {self.tokens.shape[0]} texts at once, but {tokens.shape[0]} were given")
        self.tokens[:, self.length : end] = tokens
        self.length = end
        return self.tokens[:, :end]

    def shorten(self, length: int) -> None:
        """Forget all positions from `length` on."""
        self.length = min(self.length, length)
        for layer in self.layers:
            layer.length = min(layer.length, length)
