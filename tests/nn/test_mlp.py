"""MLPs and their nonlinearities against their formulas."""

from __future__ import annotations

import math

import torch

from cutaway.base.tap import listening
from cutaway.nn.mlp import ACTIVATIONS, MLP, GatedMLP, relu2

B, T, C, F_WIDTH = 3, 7, 24, 40


def test_activations_equal_their_formulas() -> None:
    x = torch.linspace(-5, 5, 101, dtype=torch.float64)
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    expected = {
        "gelu": x * 0.5 * (1 + torch.erf(x / math.sqrt(2))),
        "gelu_tanh": x * 0.5 * (1 + inner.tanh()),
        "relu": x.clamp(min=0),
        "relu2": x.clamp(min=0) ** 2,
    }
    assert ACTIVATIONS.keys() == expected.keys()
    for name, activation in ACTIVATIONS.items():
        torch.testing.assert_close(activation(x), expected[name])


def test_relu2_has_the_derivative_of_its_formula() -> None:
    x = torch.randn(B, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(relu2, x)


def test_the_plain_mlp_is_its_formula() -> None:
    mlp = MLP(C, F_WIDTH, relu2, bias=True)
    x = torch.randn(B, T, C)
    hidden = (x @ mlp.up_proj.weight.T + mlp.up_proj.bias).clamp(min=0) ** 2
    torch.testing.assert_close(mlp(x), hidden @ mlp.down_proj.weight.T + mlp.down_proj.bias)


def test_the_gated_mlp_is_its_formula_and_names_its_values() -> None:
    mlp = GatedMLP(C, F_WIDTH, bias=False)
    x = torch.randn(B, T, C)
    gate = x @ mlp.gate_proj.weight.T
    hidden = gate * gate.sigmoid() * (x @ mlp.up_proj.weight.T)
    names: list[str] = []
    with listening(lambda name, value: names.append(name)):
        torch.testing.assert_close(mlp(x), hidden @ mlp.down_proj.weight.T)
    assert names == ["mlp_gate_BTF", "mlp_pre_BTF", "mlp_post_BTF"]
