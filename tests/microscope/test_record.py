"""Memory keeps every version: whatever was written since, a tensor reads as it was."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from cutaway.microscope.record import Cell, Memory, Place, Write


def place_of(tensor: Tensor, version: int) -> Place:
    return Place(0, version, tensor.dtype, tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset()))


def some_view(whole: Tensor, rng: random.Random) -> Tensor:
    rows = slice(rng.randrange(4), rng.randrange(4, 7))
    columns = slice(rng.randrange(2), rng.randrange(3, 6), rng.choice((1, 1, 2)))
    view = rng.choice((whole, whole[rows], whole[:, columns], whole[rows, columns], whole.view(-1)[4:17], whole[2]))
    view = view.t() if rng.random() < 0.3 else view
    return view.view(torch.int32) if view.stride(-1) == 1 and rng.random() < 0.1 else view


@pytest.mark.parametrize("seed", range(40))
def test_every_view_reads_as_it_was_at_every_version(seed: int) -> None:
    rng = random.Random(seed)
    torch.manual_seed(seed)
    whole = torch.randn(6, 5)
    memory = Memory()
    memory.cells.append(Cell(whole.untyped_storage(), is_source=True))
    expected: list[tuple[Place, Tensor]] = []
    for version in range(6):
        expected += [(place_of(view, version), view.clone()) for view in (some_view(whole, rng) for _ in range(8))]
        written = some_view(whole, rng)
        memory.cells[0].writes.append(Write(place_of(written, version), written.clone(), version))
        written.copy_(torch.randint(0, 9, written.shape))
    for place, value in expected:
        assert torch.equal(memory.read(place), value)


def test_a_view_of_what_was_overwritten_is_not_put_together_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The transpose of a weight before the step is a view of what the step replaced: no copy of the whole."""
    weight = torch.randn(6, 5)
    memory = Memory()
    memory.cells.append(Cell(weight.untyped_storage(), is_source=True))
    memory.cells[0].writes.append(Write(place_of(weight, 0), weight.clone(), 0))
    before = weight.clone()
    weight.zero_()
    monkeypatch.setattr(Memory, "contents_of", lambda *_: pytest.fail("copied everything"))
    assert torch.equal(memory.read(place_of(weight.t(), 0)), before.t())
    assert torch.equal(memory.read(place_of(weight[2:, 1:3], 0)), before[2:, 1:3])
