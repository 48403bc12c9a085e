"""Programs of all kinds that people write: recorded, run again and verified; what has no formula is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from torch.utils.checkpoint import checkpoint

from cutaway.microscope.diff import diff
from cutaway.microscope.tracing import trace


class Function(nn.Module):
    """A function of a module `inner` and inputs, as a module."""

    def __init__(self, compute: Callable[..., Any], inner: nn.Module) -> None:
        super().__init__()
        self.compute, self.inner = compute, inner

    def forward(self, *inputs: Tensor) -> Any:
        return self.compute(self.inner, *inputs)


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


def half(inner: nn.Module, x: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return inner(x)


def many_losses(inner: nn.Module, x: Tensor) -> Tensor:
    y, classes = inner(x), torch.tensor([0, 1, 2])
    return (
        F.huber_loss(y, x) + F.smooth_l1_loss(y, x) + F.l1_loss(y, x) + F.nll_loss(y.log_softmax(-1), classes)
        + F.kl_div(y.log_softmax(-1), x.softmax(-1), reduction="batchmean") + F.multi_margin_loss(y, classes)
        + F.binary_cross_entropy_with_logits(y, x.sigmoid()) + F.triplet_margin_loss(y, x, -x)
        + F.cross_entropy(y, classes, label_smoothing=0.1) + F.gaussian_nll_loss(y, x, x.exp())
    )  # fmt: skip


def scattered(inner: nn.Module, x: Tensor) -> Tensor:
    y = torch.zeros(3, 9).scatter_add(1, torch.arange(24).view(3, 8) % 9, inner(x))
    return y.index_put((torch.tensor([0, 1]), torch.tensor([2, 2])), inner(x)[0, :2], accumulate=True)


def line() -> nn.Module:
    return nn.Linear(8, 8)


Program = tuple[Callable[[], nn.Module], Callable[[], tuple[Tensor, ...]]]


def rows() -> tuple[Tensor, ...]:
    return (torch.randn(3, 8),)


ODDITIES: dict[str, Program] = {
    "lstm": (lambda: nn.LSTM(6, 8, 2, batch_first=True, bidirectional=True), lambda: (torch.randn(3, 4, 6),)),
    "gru": (lambda: nn.GRU(6, 8), lambda: (torch.randn(3, 4, 6),)),
    "attention": (lambda: nn.MultiheadAttention(24, 4, batch_first=True), lambda: (torch.randn(3, 5, 24),) * 3),
    "fast path": (lambda: nn.TransformerEncoderLayer(24, 4, 40).eval(), lambda: (torch.randn(3, 5, 24),)),
    "own function": (lambda: Function(lambda inner, x: Square.apply(inner(x)), line()), rows),
    "checkpoint": (
        lambda: Function(
            lambda inner, x: checkpoint(inner, x, use_reentrant=False), nn.Sequential(line(), nn.GELU(), nn.Linear(8, 3))
        ),
        rows,
    ),
    "autocast": (lambda: Function(half, nn.Sequential(line(), nn.GELU(), nn.Linear(8, 3))), rows),
    "weight norm": (lambda: weight_norm(nn.Linear(8, 3)), rows),
    "spectral norm": (lambda: spectral_norm(nn.Linear(8, 3)), rows),
    "einsum": (lambda: Function(lambda inner, x: torch.einsum("bi,oi,bj->boj", x, inner.weight, x), line()), rows),
    "1-d": (
        lambda: nn.Sequential(
            nn.Conv1d(3, 6, 3, padding="same"), nn.BatchNorm1d(6), nn.PReLU(), nn.ConvTranspose1d(6, 4, 3, 2),
            nn.InstanceNorm1d(4, affine=True), nn.AvgPool1d(2),
        ),
        lambda: (torch.randn(2, 3, 9),),
    ),
    "3-d": (
        lambda: nn.Sequential(nn.Conv3d(2, 3, 2), nn.BatchNorm3d(3), nn.ELU(), nn.MaxPool3d(2)),
        lambda: (torch.randn(2, 2, 5, 5, 5),),
    ),
    "pictures": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Hardswish(), nn.PixelShuffle(2),
            nn.ReflectionPad2d(1), nn.AdaptiveAvgPool2d((3, 2)),
        ),
        lambda: (torch.randn(2, 2, 6, 6),),
    ),
    "top-k": (lambda: Function(lambda inner, x: inner(x).topk(3).values.cumsum(-1).flip(-1), line()), rows),
    "scatter": (lambda: Function(scattered, line()), rows),
    "gumbel": (lambda: Function(lambda inner, x: F.gumbel_softmax(inner(x), hard=True), line()), rows),
    "noise": (lambda: Function(lambda inner, x: inner(x) + torch.randn_like(x) * inner(x).exp(), line()), rows),
    "vmap": (lambda: Function(lambda inner, x: torch.vmap(inner)(x), line()), rows),
    "branch": (lambda: Function(lambda inner, x: inner(x) if x.sum() > 0 else inner(-x), line()), rows),
    "distances": (lambda: Function(lambda inner, x: torch.cdist(inner(x), x), line()), rows),
    "losses": (lambda: Function(many_losses, line()), rows),
    "embedding bag": (lambda: nn.EmbeddingBag(9, 4, mode="mean"), lambda: (torch.randint(9, (3, 4)),)),
    "whole numbers": (lambda: Function(lambda inner, x: inner(x) * (x * 4).long().bitwise_and(3), line()), rows),
}  # fmt: skip


def first(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


def record(model: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    return trace(model, inputs, lambda output: first(output).float().square().mean(), optimizer)


@pytest.mark.parametrize("name", ODDITIES)
@pytest.mark.filterwarnings("ignore")
def test_recorded_run_again_and_verified(name: str) -> None:
    torch.manual_seed(0)
    make, inputs = ODDITIES[name]
    found = record(make(), inputs())
    assert diff(found, found.replay(everything=True)) == []
    report = found.verify()
    assert report.wrong == []
    assert report.opaque == []


NAMED = {
    "complex": (lambda inner, x: (2j * inner(x)).abs(), {"mul.Tensor", "abs"}),
    "fft": (lambda inner, x: torch.fft.irfft(torch.fft.rfft(inner(x))), {"_fft_r2c", "_fft_c2r"}),
}


@pytest.mark.parametrize("name", NAMED)
def test_what_has_no_formula_is_named(name: str) -> None:
    torch.manual_seed(0)
    compute, names = NAMED[name]
    found = record(Function(compute, line()), rows())
    report = found.verify()
    assert report.ok
    assert names <= set(report.opaque)
    assert found.explain("inner:out", (0, 0)).verdict == "agrees"
    assert diff(found, found.replay(everything=True)) == []


def test_a_sparse_gradient_is_named_and_not_replayed() -> None:
    model = nn.Embedding(9, 4, sparse=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = trace(model, torch.randint(9, (3, 4)), lambda y: y.square().mean(), optimizer)
    report = found.verify()
    assert report.ok
    assert any("sparse" in name for name in report.opaque)
    assert diff(found, found.replay(everything=True)) == []
