"""Every fault planted in a model is found at its address, and a healthy step has none."""

from __future__ import annotations

import torch
from microscope.zoo import specimen
from torch import Tensor, nn

from cutaway.microscope.diagnose import Finding
from cutaway.microscope.tracing import trace


def find(model: nn.Module, x: Tensor, kind: str) -> list[Finding]:
    return [finding for finding in trace(model, x, lambda y: y.square().mean()).diagnose() if finding.kind == kind]


def test_a_healthy_step_has_no_findings() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))
    assert trace(model, torch.randn(64, 6), lambda y: y.square().mean()).diagnose() == []
    one = specimen("gpt2")
    assert trace(one.model, one.inputs, one.loss).diagnose() == []


class Logarithm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x).abs()
        y = torch.where(torch.arange(3) == 1, torch.zeros(()), y)
        return y.log() + 1


def test_the_first_number_that_is_not_finite_and_what_it_was_made_from() -> None:
    (found,) = find(Logarithm(), torch.ones(2, 4), "non-finite")
    assert (found.address, found.index) == ("log", (0, 1))
    assert found.message.startswith("the first number that is -inf, made by log from where (0 to ")
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    with torch.no_grad():
        model[0].weight[1, 2] = torch.inf  # type: ignore[index]
    (found,) = find(model, torch.ones(2, 4), "non-finite")
    assert (found.address, found.index, found.message) == ("0.weight", (1, 2), "was there before the step")


def test_a_row_that_is_masked_everywhere_is_found_the_mask_is_not() -> None:
    class Masked(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.inner, self.n = nn.Linear(4, 4), n

        def forward(self, x: Tensor) -> Tensor:
            mask = torch.ones(4, 4, dtype=torch.bool).triu(self.n)
            return self.inner(x).masked_fill(mask, -torch.inf).softmax(-1)

    assert find(Masked(1), torch.ones(4, 4), "non-finite") == []
    (found,) = find(Masked(0), torch.ones(4, 4), "non-finite")
    assert found.index == (0, 0)
    assert found.message.startswith("the first number that is nan, made by _softmax from masked_fill (-inf to ")


def test_parameters_without_gradient() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare, self.cut = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x) + 0 * self.cut(x)

    model, x = Unused(), torch.ones(2, 4)
    assert [f.address for f in find(model, x, "no gradient")] == ["spare.weight", "spare.bias"]
    assert [f.address for f in find(model, x, "zero gradient")] == ["cut.weight:grad", "cut.bias:grad"]


def chain(scale: float) -> nn.Module:
    layers = [nn.Linear(8, 8, bias=False) for _ in range(6)]
    for layer in layers:
        nn.init.orthogonal_(layer.weight, scale)
    return nn.Sequential(*layers)


def test_gradients_that_explode_or_vanish() -> None:
    x = torch.randn(5, 8)
    assert [f.address for f in find(chain(6.0), x, "exploding")] == ["0:out:grad", "1:out:grad"]
    assert [f.address for f in find(chain(0.1), x, "vanishing")][:2] == ["0:out:grad", "1:out:grad"]
    assert find(chain(1.0), x, "exploding") == find(chain(1.0), x, "vanishing") == []


def test_dead_units() -> None:
    model = nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 2))
    with torch.no_grad():
        model[0].bias[3] = model[0].bias[7] = -100  # type: ignore[index, operator]
        model[0].bias[:3] = 100  # type: ignore[index]
    (found,) = find(model, torch.rand(6, 4), "dead")
    assert found.address == "1:out"
    assert found.message.endswith("of 10 units are 0 for every input")


def test_saturated_softmax() -> None:
    class Soft(nn.Module):
        def __init__(self, scale: float) -> None:
            super().__init__()
            self.inner, self.scale = nn.Linear(4, 5), scale

        def forward(self, x: Tensor) -> Tensor:
            return (self.inner(x) * self.scale).softmax(-1)

    torch.manual_seed(0)
    x = torch.randn(6, 4)
    assert find(Soft(1.0), x, "saturated") == []
    (found,) = find(Soft(1e4), x, "saturated")
    assert found.message == "6 of 6 rows put 99.9 % on one place"
