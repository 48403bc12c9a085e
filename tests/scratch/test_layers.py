"""The parts against PyTorch's, and the law of the cache."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cutaway.base.errors import ShapeError
from cutaway.scratch.array import Array
from cutaway.scratch.layers import MLP, CausalAttention, Embedding, LayerNorm, Linear, RMSNorm, draw

B, T, C, H, FF, V = 3, 7, 24, 4, 40, 31
GENERATOR = np.random.default_rng(1)


def linear(n_in: int, n_out: int, bias: bool = True) -> Linear:
    return Linear(draw((n_out, n_in), 0.3, GENERATOR), draw((n_out,), 0.3, GENERATOR) if bias else None)


def leaf(x: Array | None) -> torch.Tensor:
    assert x is not None
    return torch.tensor(x.data, requires_grad=True)


def check(layer: object, ours: Array, theirs: torch.Tensor, pairs: list[tuple[Array | None, torch.Tensor]]) -> None:
    gradient = GENERATOR.normal(size=ours.shape)
    np.testing.assert_allclose(ours.data, theirs.detach(), rtol=0, atol=1e-12)
    ours.backward(gradient)
    theirs.backward(torch.tensor(gradient))
    for mine, his in pairs:
        assert mine is not None
        np.testing.assert_allclose(mine.grad, his.grad, rtol=0, atol=1e-11)


def test_linear_and_mlp_are_pytorchs() -> None:
    x, mlp = draw((B, T, C), 1, GENERATOR), MLP(linear(C, FF), linear(FF, C), Array.gelu)
    t = {name: leaf(p) for name, p in mlp.parameters().items()}
    assert list(t) == ["up.weight", "up.bias", "down.weight", "down.bias"]
    tx = leaf(x)
    theirs = F.linear(F.gelu(F.linear(tx, t["up.weight"], t["up.bias"])), t["down.weight"], t["down.bias"])
    check(mlp, mlp(x), theirs, [(x, tx), *((p, t[name]) for name, p in mlp.parameters().items())])


def test_norms_are_pytorchs() -> None:
    x, gain, bias = draw((B, T, C), 2, GENERATOR), draw((C,), 1, GENERATOR), draw((C,), 1, GENERATOR)
    tx, tg, tb = leaf(x), leaf(gain), leaf(bias)
    check(None, LayerNorm(gain, bias)(x), F.layer_norm(tx, (C,), tg, tb), [(x, tx), (gain, tg), (bias, tb)])
    x, gain = draw((B, T, C), 2, GENERATOR), draw((C,), 1, GENERATOR)
    tx, tg = leaf(x), leaf(gain)
    check(None, RMSNorm(gain)(x), F.rms_norm(tx, (C,), tg, eps=1e-5), [(x, tx), (gain, tg)])


def test_embedding_is_pytorchs() -> None:
    table, tokens = Embedding(draw((V, C), 1, GENERATOR)), [3, 30, 3, 0]
    t = leaf(table.weight)
    check(table, table.look_up(tokens), F.embedding(torch.tensor(tokens), t), [(table.weight, t)])


def attention() -> CausalAttention:
    return CausalAttention(*(linear(C, C) for _ in range(4)), n_heads=H)


@pytest.mark.parametrize("shape", [(T, C), (B, T, C)])
def test_attention_is_pytorchs(shape: tuple[int, ...]) -> None:
    layer, x = attention(), draw(shape, 1, GENERATOR)
    t = {name: leaf(p) for name, p in layer.parameters().items()}
    tx = leaf(x)

    def heads(part: str) -> torch.Tensor:
        y = F.linear(tx, t[f"{part}.weight"], t[f"{part}.bias"])
        return y.unflatten(-1, (H, C // H)).transpose(-2, -3)

    z = F.scaled_dot_product_attention(heads("q"), heads("k"), heads("v"), is_causal=True)
    theirs = F.linear(z.transpose(-2, -3).flatten(-2), t["o.weight"], t["o.bias"])
    check(layer, layer(x), theirs, [(x, tx), *((p, t[name]) for name, p in layer.parameters().items())])


@pytest.mark.parametrize("cuts", [[1] * T, [3, 4], [2, 1, 4]])
def test_positions_in_pieces_through_the_cache_are_all_at_once_gradients_too(cuts: list[int]) -> None:
    layer, x = attention(), draw((T, C), 1, GENERATOR)
    gradient = GENERATOR.normal(size=(T, C))
    whole = layer(x)
    whole.backward(gradient)
    expected = {name: p.grad for name, p in layer.parameters().items()} | {"x": x.grad}
    for p in (*layer.parameters().values(), x):
        p.grad = None
    cache: list[Array] = []
    start, loss = 0, Array(0.0)
    for n in cuts:
        piece = layer(x[start : start + n], cache)
        np.testing.assert_allclose(piece.data, whole.data[start : start + n], rtol=0, atol=1e-12)
        loss = loss + (piece * gradient[start : start + n]).sum()
        start += n
    loss.backward()
    for name, p in {**layer.parameters(), "x": x}.items():
        np.testing.assert_allclose(p.grad, expected[name], rtol=0, atol=1e-11)


def test_the_future_does_not_leak() -> None:
    layer, x = attention(), draw((T, C), 1, GENERATOR)
    before = layer(x).data
    x.data[4:] += 1
    after = layer(x).data
    np.testing.assert_array_equal(before[:4], after[:4])
    assert np.abs(before[4:] - after[4:]).max() > 1e-3


def test_heads_must_share_the_width() -> None:
    with pytest.raises(ShapeError, match="attention of 24 numbers in 5 heads"):
        CausalAttention(*(linear(C, C) for _ in range(4)), n_heads=5)
