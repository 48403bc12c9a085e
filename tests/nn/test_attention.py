"""Attention against PyTorch's own, against loops over the formula, and against its laws."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cutaway.base.tap import listening
from cutaway.nn.attention import Attention, attention, causal_mask, fused_attention, open_attention
from cutaway.nn.norm import NoNorm, RMSNorm
from cutaway.nn.position import NoRotation, Rotary

B, T, S, C, H, G, D = 3, 7, 11, 24, 4, 2, 6


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(rotary: bool = True, qk_norm: bool = True, n_kv_heads: int = G, dropout: float = 0.0) -> Attention:
    torch.manual_seed(1)
    turn = Rotary(D, 20, 100.0) if rotary else NoRotation()
    norm = RMSNorm(D, 1e-5, gain=False) if qk_norm else NoNorm()
    return Attention(C, H, n_kv_heads, D, norm, turn, 1 / math.sqrt(D), bias=True, dropout=dropout).double()


@pytest.mark.parametrize("n_kv_heads", [H, G, 1])
@pytest.mark.parametrize(("written", "read"), [(T, T), (T, S), (1, S), (1, 1)])
def test_both_ways_equal_the_formula_number_by_number(n_kv_heads: int, written: int, read: int) -> None:
    q, k, v = (
        draw(B, written, H, D),
        draw(B, read, n_kv_heads, D, seed=1),
        draw(B, read, n_kv_heads, D, seed=2),
    )
    expected = torch.zeros(B, written, H, D, dtype=torch.float64)
    for b in range(B):
        for h in range(H):
            g = h // (H // n_kv_heads)
            for t in range(written):
                visible = range(read - written + t + 1)
                shares = torch.stack([q[b, t, h] @ k[b, s, g] * 0.3 for s in visible]).softmax(0)
                expected[b, t, h] = sum(shares[s] * v[b, s, g] for s in visible)
    for attend in (open_attention, fused_attention, attention):
        torch.testing.assert_close(attend(q, k, v, 0.3), expected, rtol=1e-12, atol=1e-12)


def test_gradients_of_both_ways_are_equal() -> None:
    results = []
    for attend in (open_attention, fused_attention):
        q, k, v = (draw(B, T, n, D, seed=n).requires_grad_() for n in (H, G, G + 0))
        attend(q, k, v, 0.4).square().sum().backward()
        results.append((q.grad, k.grad, v.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_equals_pytorchs_multi_head_attention() -> None:
    ours = make(rotary=False, qk_norm=False, n_kv_heads=H)
    theirs = torch.nn.MultiheadAttention(C, H, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.q_proj.weight, ours.k_proj.weight, ours.v_proj.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.q_proj.bias, ours.k_proj.bias, ours.v_proj.bias]))
        theirs.out_proj.load_state_dict(ours.o_proj.state_dict())
    x = draw(B, T, C)
    mask = torch.ones(T, T, dtype=torch.bool).triu(1)
    torch.testing.assert_close(ours(x), theirs(x, x, x, attn_mask=mask)[0], rtol=1e-10, atol=1e-12)


def test_the_pattern_is_causal_and_sums_to_one() -> None:
    heard: dict[str, Tensor] = {}
    with listening(lambda name, value: heard.update({name: value})):
        make()(draw(B, T, C))
    assert list(heard) == ["q_BTHD", "k_BTGD", "v_BTGD", "scores_BHTS", "pattern_BHTS", "z_BTHD"]
    pattern = heard["pattern_BHTS"]
    assert pattern.shape == (B, H, T, T)
    assert pattern.triu(1).abs().max() == 0
    torch.testing.assert_close(pattern.sum(-1), torch.ones(B, H, T, dtype=torch.float64))
    torch.testing.assert_close(heard["scores_BHTS"].softmax(-1), pattern)


def test_a_replaced_pattern_flows_on() -> None:
    attn, x = make(), draw(B, T, C)
    alone = torch.eye(T, dtype=torch.float64).expand(B, H, T, T)
    with listening(lambda name, value: alone if name == "pattern_BHTS" else None):
        replaced = attn(x)
    v = attn.v_proj(x).view(B, T, G, D).repeat_interleave(H // G, dim=2)
    torch.testing.assert_close(replaced, attn.o_proj(v.flatten(2)))
    assert not torch.allclose(replaced, attn(x))


def test_qk_norm_makes_scores_blind_to_the_size_of_queries() -> None:
    attn, x = make(), draw(B, T, C)
    before = attn(x)
    with torch.no_grad():
        attn.q_proj.weight.mul_(50.0)
        attn.q_proj.bias.mul_(50.0)
    torch.testing.assert_close(attn(x), before, rtol=1e-3, atol=1e-3)


def test_dropout_acts_in_training_only_and_keeps_the_mean() -> None:
    attn, x = make(dropout=0.5), draw(B, T, C)
    attn.eval()
    still = attn(x)
    torch.testing.assert_close(still, make()(x))
    attn.train()
    torch.manual_seed(0)
    mean = torch.stack([attn(x) for _ in range(600)]).mean(0)
    assert not torch.equal(attn(x), still)
    assert (mean - still).abs().max() < 0.15


def test_the_mask_lets_each_new_position_read_itself_and_all_before() -> None:
    mask = causal_mask(2, 5, torch.zeros(()))
    inf = math.inf
    assert mask.tolist() == [[0, 0, 0, 0, -inf], [0, 0, 0, 0, 0]]


def test_bfloat16_stays_close_in_training() -> None:
    q, k, v = draw(B, T, H, D), draw(B, T, G, D, seed=1), draw(B, T, G, D, seed=2)
    low = attention(*(x.bfloat16().requires_grad_() for x in (q, k, v)), 0.4)
    assert low.dtype is torch.bfloat16
    torch.testing.assert_close(
        low.double(),
        F.scaled_dot_product_attention(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            is_causal=True,
            scale=0.4,
            enable_gqa=True,
        ).transpose(1, 2),
        rtol=0.05,
        atol=0.03,
    )
