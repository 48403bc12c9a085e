"""The loss where it counts: PyTorch's, and what must hold of it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cutaway.base.tap import listening
from cutaway.models.build import build
from cutaway.models.config import GPTConfig
from cutaway.nn import head_loss as module
from cutaway.nn.head_loss import head_loss

N, C, V = 21, 24, 31


def case(dtype: torch.dtype) -> tuple[Tensor, nn.Linear, Tensor]:
    """Return what a head reads, a head, and targets."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(N, C, generator=generator, dtype=dtype, requires_grad=True)
    head = nn.Linear(C, V, bias=False, dtype=dtype)
    with torch.no_grad():
        head.weight.copy_(torch.randn(V, C, generator=generator))
    return hidden, head, torch.randint(V, (N,), generator=generator)


def plain(hidden: Tensor, head: nn.Linear, targets: Tensor, divisor: float = 1.0) -> Tensor:
    logits = head(hidden)
    logits = logits if logits.dtype is torch.float64 else logits.float()
    return F.cross_entropy(logits, targets, reduction="sum") / divisor


def gradients(loss: Tensor, hidden: Tensor, head: nn.Linear) -> list[Tensor]:
    hidden.grad = head.weight.grad = None
    loss.backward()
    return [x.grad for x in (hidden, head.weight) if x.grad is not None]


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 2e-6), (torch.float64, 1e-14), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("rows", [512, 4])
@pytest.mark.parametrize("divisor", [1.0, 13.0])
@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_value_and_gradients_are_those_of_cross_entropy(
    dtype: torch.dtype, limit: float, rows: int, divisor: float, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", rows)
    hidden, head, targets = case(dtype)
    expected, found = plain(hidden, head, targets, divisor), head_loss(hidden, head, targets, divisor)
    torch.testing.assert_close(found.double(), expected.double(), rtol=limit, atol=limit)
    theirs, ours = (gradients(loss * factor, hidden, head) for loss in (expected, found))
    assert len(ours) == len(theirs) == 2
    for a, b in zip(ours, theirs, strict=True):
        assert b.abs().max() > 1e-3
        torch.testing.assert_close(a, b, rtol=limit, atol=limit * float(b.abs().max()))


def test_in_bfloat16_only_the_products_are_rounded() -> None:
    hidden, head, targets = case(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        expected, found = plain(hidden, head, targets), head_loss(hidden, head, targets)
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    theirs, ours = (gradients(loss, hidden, head) for loss in (expected, found))
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype is torch.float32
        assert (a - b).norm() < 0.01 * b.norm()


def test_only_what_learns_gets_a_gradient() -> None:
    hidden, head, targets = case(torch.float32)
    head.requires_grad_(False)
    head_loss(hidden, head, targets).backward()
    assert head.weight.grad is None
    assert hidden.grad is not None
    head.requires_grad_(True)
    head_loss(hidden.detach(), head, targets).backward()
    assert head.weight.grad is not None
    with torch.no_grad():
        assert not head_loss(hidden, head, targets).requires_grad


def test_large_losses_stay_finite() -> None:
    hidden, head, targets = case(torch.float32)
    found, expected = head_loss(hidden * 1e3, head, targets), plain(hidden * 1e3, head, targets)
    assert expected > 1000 * N
    torch.testing.assert_close(found, expected)


def test_a_model_gives_its_loss_and_the_same_one_to_who_listens() -> None:
    model = build(GPTConfig(V, N, C, n_layers=2, zero_init_head=False))
    _, _, targets = case(torch.float32)
    tokens = torch.randint(V, (1, N), generator=torch.Generator().manual_seed(1))
    wanted = torch.tensor([3, 5, 6])
    every = F.cross_entropy(model(tokens)[0], targets)
    some = F.cross_entropy(model(tokens)[0, wanted], targets[wanted])
    heard: list[str] = []

    def check() -> None:
        torch.testing.assert_close(model(tokens, targets=targets, divisor=float(N)), every)
        torch.testing.assert_close(model(tokens, wanted=wanted, targets=targets[wanted], divisor=3.0), some)

    check()
    with listening(lambda name, value: heard.append(name)):
        check()
    assert "logits_NV" in heard
