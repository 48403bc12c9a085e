from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cutaway.base.errors import UsageError
from cutaway.models.build import build
from cutaway.models.config import GPTConfig
from cutaway.nn.quantized import Int8Linear, quantize_int8


def rounded_product(x: torch.Tensor, layer: Int8Linear) -> torch.Tensor:
    """The formula of the module's docstring, in float64."""
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    step = (high - low) / 255
    zero = round(-low / step)
    u = (x.double() / step).round().add(zero).clamp(0, 255)
    return layer.scale.double() * step * ((u - zero) @ layer.q.double().T) + layer.bias.double()


@pytest.mark.parametrize("n_rows", [1, 7])
def test_the_product_is_the_formula(n_rows: int) -> None:
    torch.manual_seed(0)
    layer = Int8Linear.from_linear(nn.Linear(24, 40))
    layer.reduce_range = False
    x = torch.randn(n_rows, 24)
    torch.testing.assert_close(layer(x).double(), rounded_product(x, layer), atol=1e-4, rtol=0)


def test_weights_are_off_by_half_a_unit_at_most() -> None:
    linear = nn.Linear(24, 40, bias=False)
    layer = Int8Linear.from_linear(linear)
    assert layer.q.abs().max() == 127
    assert ((layer.weight - linear.weight).abs() <= layer.scale[:, None] / 2 + 1e-7).all()


def test_merged_layers_answer_side_by_side() -> None:
    layers = [Int8Linear.from_linear(nn.Linear(24, n)) for n in (8, 16)]
    x = torch.randn(3, 24)
    merged = Int8Linear.merge(layers)
    torch.testing.assert_close(merged(x), torch.cat([layer(x) for layer in layers], dim=-1), atol=1e-5, rtol=0)


def test_rows_of_zeros_stay_zeros() -> None:
    linear = nn.Linear(24, 8, bias=False)
    nn.init.zeros_(linear.weight)
    assert Int8Linear.from_linear(linear)(torch.randn(2, 24)).abs().max() == 0


@pytest.mark.slow
def test_the_loss_of_a_trained_model_changes_little_and_the_model_not_at_all() -> None:
    torch.manual_seed(0)
    model = build(GPTConfig(16, 32, 64, 2, 4, tied=True), seed=0)
    text = torch.randint(0, 16, (40,)).repeat(60)[:2304].view(72, 32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        loss = F.cross_entropy(model(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    quantized = quantize_int8(model)
    with torch.no_grad():
        losses = [F.cross_entropy(m(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten()) for m in (model, quantized)]
    assert losses[0] < 1.5
    assert abs(losses[0] - losses[1]) < 0.01
    assert not any(type(module) is nn.Linear for module in quantized.modules())
    assert quantized.token_embedding.weight is model.token_embedding.weight
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_only_float32_on_the_cpu_can_be_rounded() -> None:
    with pytest.raises(UsageError, match="float32 weights on the CPU"):
        quantize_int8(build(GPTConfig(16, 8, 24, 1, 4), dtype=torch.bfloat16))
