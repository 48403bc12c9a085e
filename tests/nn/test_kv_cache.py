"""The cache refuses what does not fit. That it changes no number: see test_decoder."""

from __future__ import annotations

import pytest
import torch

from cutaway.base.errors import UsageError
from cutaway.nn.kv_cache import KVCache

B, T, G, D, L = 3, 7, 2, 6, 5


def make() -> KVCache:
    return KVCache(L, B, 11, G, D, torch.float32, torch.device("cpu"))


def test_it_keeps_what_is_appended_in_order() -> None:
    cache = make()
    k, v = torch.randn(B, T, G, D), torch.randn(B, T, G, D)
    for part in (slice(0, 4), slice(4, 5), slice(5, T)):
        keys, values = cache.layers[2].append(k[:, part], v[:, part])
    assert torch.equal(keys, k)
    assert torch.equal(values, v)
    assert cache.layers[1].length == 0


def test_it_says_when_it_is_full() -> None:
    cache = make()
    cache.see(torch.zeros(B, T, dtype=torch.int64))
    with pytest.raises(UsageError, match="room for 11 positions and holds 7; 5 more do not fit"):
        cache.see(torch.zeros(B, 5, dtype=torch.int64))
    assert cache.length == T


def test_it_says_when_the_batch_has_another_size() -> None:
    with pytest.raises(UsageError, match="for 3 texts at once, but 2 were given"):
        make().see(torch.zeros(2, T, dtype=torch.int64))


def test_shortened_it_goes_on_from_there() -> None:
    cache = make()
    cache.see(torch.arange(T).expand(B, T))
    cache.layers[0].append(torch.ones(B, T, G, D), torch.ones(B, T, G, D))
    cache.shorten(2)
    assert cache.see(torch.tensor([[9]] * B)).tolist() == [[0, 1, 9]] * B
    assert cache.layers[0].length == 2
    assert cache.capacity == 11
