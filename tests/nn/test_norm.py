"""Norms against PyTorch and transformers, and their laws."""

from __future__ import annotations

import pytest
import torch

from cutaway.nn.norm import Float32RMSNorm, LayerNorm, NoNorm, RMSNorm

B, T, C, EPS = 3, 7, 24, 1e-5


def draw(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return (torch.randn(B, T, C, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 1).to(dtype)


@pytest.mark.parametrize(("gain", "bias"), [(True, True), (True, False), (False, False), (False, True)])
def test_layer_norm_is_centred_and_scaled(gain: bool, bias: bool) -> None:
    norm, x = LayerNorm(C, EPS, gain, bias).double(), draw()
    assert (norm.weight is not None, norm.bias is not None) == (gain, gain and bias)
    centred = x - x.mean(-1, keepdim=True)
    expected = centred / (centred.square().mean(-1, keepdim=True) + EPS).sqrt()
    torch.testing.assert_close(norm(x), expected)
    if norm.weight is not None:
        torch.nn.init.normal_(norm.weight)
        expected = expected * norm.weight
        if norm.bias is not None:
            torch.nn.init.normal_(norm.bias)
            expected = expected + norm.bias
        torch.testing.assert_close(norm(x), expected)


@pytest.mark.parametrize("gain", [True, False])
def test_rms_norm_is_scaled_only(gain: bool) -> None:
    norm, x = RMSNorm(C, EPS, gain).double(), draw()
    expected = x / (x.square().mean(-1, keepdim=True) + EPS).sqrt()
    if norm.weight is not None:
        torch.nn.init.normal_(norm.weight)
        expected = expected * norm.weight
    torch.testing.assert_close(norm(x), expected)
    torch.testing.assert_close(norm(1000 * x), norm(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_llamas_norm_equals_transformers_bit_for_bit(dtype: torch.dtype) -> None:
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    ours, theirs = Float32RMSNorm(C, EPS).to(dtype), LlamaRMSNorm(C, EPS).to(dtype)
    with torch.no_grad():
        theirs.weight.copy_(torch.linspace(-2, 2, C))
        ours.weight.copy_(theirs.weight)
    assert torch.equal(ours(draw(dtype)), theirs(draw(dtype)))
    assert torch.equal(ours(draw(dtype).requires_grad_()), theirs(draw(dtype)))


def test_rms_norm_has_the_derivative_of_its_formula() -> None:
    x = draw()[0].requires_grad_()
    assert torch.autograd.gradcheck(RMSNorm(C, 0.1).double(), x)
    (gradient,) = torch.autograd.grad(RMSNorm(C, EPS)(x.float()).square().sin().sum(), x)
    with torch.enable_grad():
        (expected,) = torch.autograd.grad(torch.nn.functional.rms_norm(x, (C,), eps=EPS).square().sin().sum(), x)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4)


def test_half_precision_is_summed_in_float32() -> None:
    x = draw(torch.bfloat16).requires_grad_()
    expected = torch.nn.functional.rms_norm(x.detach(), (C,), eps=EPS)
    assert torch.equal(RMSNorm(C, EPS, gain=False)(x), expected)


def test_no_norm_is_the_input() -> None:
    x = draw()
    assert NoNorm()(x) is x
