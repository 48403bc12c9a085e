"""Who used a number: PyTorch itself says which numbers of an operation's result change when one it reads is another."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from microscope.zoo import ZOO, specimen
from torch import Tensor, nn

import cutaway
from cutaway.base.errors import UsageError
from cutaway.microscope.record import Index, Operation, Place, with_tensors
from cutaway.microscope.replay import find
from cutaway.microscope.trace import Trace
from cutaway.microscope.users import Readers, readings, results, used_by

EXACT = {
    "add.Tensor", "sub.Tensor", "mm", "addmm", "bmm", "embedding", "clone", "_unsafe_view", "sum.dim_IntList", "cat",
    "tanh", "sigmoid", "silu", "exp", "neg", "convolution", "native_layer_norm", "slice_backward", "stack",
    "embedding_dense_backward", "where.self", "masked_fill.Scalar", "tril", "triu", "threshold_backward",
}  # fmt: skip
"""Operations where every number that is said to depend must be seen to change for some other number read."""


def recorded(name: str) -> Trace:
    """Return a recorded step in float64, where a small change is not rounded away."""
    torch.set_default_dtype(torch.float64)
    try:
        one = specimen(name)
        return cutaway.trace(one.model, one.inputs, one.loss, torch.optim.AdamW(one.model.parameters(), lr=0.01))
    finally:
        torch.set_default_dtype(torch.float32)


def run(trace: Trace, operation: Operation, changed: dict[int, Any], position: int) -> list[Tensor]:
    """Return an operation's results with a number in some of the operands (by id of place) another."""

    def tensor(place: Place) -> Tensor:
        storage = trace.memory.contents(place.storage, place.version).clone()
        if id(place) in changed:
            flat = torch.empty(0, dtype=place.dtype).set_(storage)
            flat[position] = changed[id(place)]
        return place.look(storage)

    with torch.no_grad():
        out = find(operation.name)(**{name: with_tensors(value, tensor) for name, value in operation.args.items()})
    every = out if isinstance(out, (tuple, list)) else (out,)
    return [one if isinstance(one, Tensor) else torch.zeros(0) for one in every]


def check(trace: Trace, readers: Readers, address: str, index: Index) -> int:
    """Compare what is said of every operation that reads a number with what PyTorch does; return how many there are."""
    place = trace.place(address)
    position = place.position(index)
    found: dict[int, list[Any]] = {}
    for operation, name, groups in readings(trace, readers, place, index):
        found.setdefault(operation.number, []).append((name, groups))
    value = trace.memory.read(place)[index]
    others = [value.item() + 1.75, -3.5 * value.item() - 0.5] if value.is_floating_point() else []
    if value.dtype is torch.bool:
        others = [not value.item()]
    elif not others and not value.is_complex():
        others = [max(value.item() - 1, 0), value.item() + 1]
    for number, arguments in found.items():
        operation = trace.operations[number]
        named = {name for name, _ in arguments}
        read = {id(p): None for name, p in operation.operands() if name in named}
        before = run(trace, operation, {}, position)
        changes = [np.zeros(tuple(one.shape), bool) for one in before]
        for other in others:
            try:
                after = run(trace, operation, dict.fromkeys(read, other), position)
            except (IndexError, RuntimeError):  # a token that is not there
                continue
            for seen, a, b in zip(changes, before, after, strict=True):
                if a.shape == b.shape:
                    seen |= (~((a == b) | (a.isnan() & b.isnan()) if a.is_floating_point() else a == b)).numpy()
        for which, cells in results(trace, operation, arguments):
            if cells is None or which >= len(changes):  # what a kernel writes to on the side is not returned
                continue
            said = np.zeros(changes[which].size, bool)
            said[cells.flat()] = True
            told = f"{operation.name} reads {address}{list(index)} as {sorted(named)}"
            assert cells.count == said.sum()
            flat = changes[which].ravel()
            assert not (flat & ~said).any(), f"{told}: these change too: {np.nonzero(flat & ~said)[0][:5]}"
            if operation.name in EXACT and value.is_floating_point() and named.isdisjoint({"condition", "mask"}):
                untouched = np.nonzero(said & ~flat)[0]
                assert not untouched.size or is_zero_factor(trace, operation), f"{told}: {untouched[:5]} do not change"
            first = [int(np.ravel_multi_index(one, cells.shape)) if cells.shape else 0 for one in cells.first(5)]
            assert first == np.nonzero(said)[0][:5].tolist()
    return len(found)


def is_zero_factor(trace: Trace, operation: Operation) -> bool:
    """Whether the operation multiplies with zeros, so that what it reads need not matter."""
    if operation.name in ("threshold_backward", "mm", "bmm", "addmm", "convolution", "where.self", "native_layer_norm"):
        return any(bool((trace.memory.read(place) == 0).any()) for _, place in operation.operands())
    return operation.args.get("alpha") == 0


@pytest.mark.parametrize("name", ZOO)
def test_what_depends_is_what_changes(name: str) -> None:
    trace = recorded(name)
    readers = Readers(trace)
    generator = random.Random(1)
    addresses = [a for a in trace if trace.place(a).numel and not trace.place(a).dtype.is_complex]
    checked = 0
    for address in generator.sample(addresses, min(200, len(addresses))):
        index = tuple(generator.randrange(size) for size in trace.place(address).shape)
        checked += check(trace, readers, address, index)
    assert checked > 60


def test_a_weight_of_a_linear_layer() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    trace = cutaway.trace(model, torch.randn(5, 4), lambda out: out.sum(), torch.optim.SGD(model.parameters(), lr=0.1))
    uses = {(use.phase, use.name): use for use in trace.used_by("0.weight", (1, 2))}
    forward = uses["forward", "addmm"]
    assert (forward.address, forward.argument) == ("0:out", "mat2")
    assert (forward.count, forward.first) == (5, [(b, 1) for b in range(5)])
    assert uses["optimizer", "add_.Tensor"].address == "0.weight:new"
    assert uses["optimizer", "add_.Tensor"].first == [(1, 2)]
    assert ("backward", "mm") not in uses  # the input needs no gradient
    assert ("backward", "mm") in {(use.phase, use.name) for use in trace.used_by("2.weight", (1, 2))}
    assert trace.used_by("0.weight:new", (1, 2)) == []  # nobody after the step
    assert "5 of 0:out" in str(forward)


def test_an_expanded_number_is_read_at_every_place() -> None:
    class Wide(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, None].expand(3, 4) * torch.arange(1.0, 13).view(3, 4)

    trace = cutaway.trace(Wide(), torch.randn(3))
    (use,) = trace.used_by("input.x", (1,))
    assert (use.count, use.first) == (4, [(1, 0), (1, 1), (1, 2), (1, 3)])


def test_overlapping_windows() -> None:
    class Windows(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.unfold(0, 3, 1).clone()

    trace = cutaway.trace(Windows(), torch.randn(6))
    (use,) = trace.used_by("input.x", (2,))
    assert use.first == [(0, 2), (1, 1), (2, 0)]


def test_what_is_overwritten_is_not_read_later() -> None:
    class InPlace(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x + 1
            y[0] = 5
            return y * 2

    trace = cutaway.trace(InPlace(), torch.randn(3))
    assert [use.name for use in trace.used_by("add", (0,))] == []
    assert [use.name for use in trace.used_by("add", (1,))] == ["mul.Tensor"]


def test_an_operation_without_a_formula_is_told_and_no_index_invented() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.linalg.svdvals(x)

    trace = cutaway.trace(Odd(), torch.randn(3, 4))
    uses = trace.used_by("input.x", (0, 0))
    opaque = [use for use in uses if use.count is None]
    assert opaque
    assert all(use.first == [] for use in opaque)
    assert "nobody knows which" in str(opaque[0])


def test_a_replay_is_asked_with_the_readers_of_its_recording() -> None:
    torch.manual_seed(0)
    trace = cutaway.trace(nn.Linear(2, 3), torch.randn(4, 2), lambda out: out.sum())
    changed = trace.replay({("weight", (1, 0)): 9.0})
    assert used_by(changed, "weight", (1, 0), readers=Readers(trace)) == trace.used_by("weight", (1, 0))


def test_a_number_that_is_not_there() -> None:
    trace = cutaway.trace(nn.Linear(2, 3), torch.randn(4, 2))
    with pytest.raises(UsageError, match="there is no number at"):
        trace.used_by("weight", (3, 0))
