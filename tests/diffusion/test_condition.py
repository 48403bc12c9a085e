"""A condition: chosen row by row, joined, and parts nobody reads stay away."""

from __future__ import annotations

import torch

from cutaway.diffusion.condition import Condition


def words(seed: int, rows: int) -> Condition:
    random = torch.Generator().manual_seed(seed)
    return Condition(
        words_BTD=torch.randn(rows, 4, 8, generator=random),
        mask_BT=torch.rand(rows, 4, generator=random) < 0.5,
        pooled_BE=torch.randn(rows, 6, generator=random),
    )


def test_each_row_is_one_or_the_other() -> None:
    told, nothing = words(0, 3), words(1, 1)
    mixed = told.where(torch.tensor([True, False, True]), nothing)
    for got, mine, other in zip(mixed.parts[1:], told.parts[1:], nothing.parts[1:], strict=True):
        assert got is not None
        assert mine is not None
        assert other is not None
        assert torch.equal(got[0], mine[0])
        assert torch.equal(got[1], other[0])
        assert torch.equal(got[2], mine[2])
    assert mixed.label_B is None


def test_both_in_one_call() -> None:
    told, nothing = words(0, 3), words(1, 1)
    both = told.beside(nothing)
    assert both.words_BTD is not None
    assert both.words_BTD.shape == (6, 4, 8)
    assert told.words_BTD is not None
    assert nothing.words_BTD is not None
    assert torch.equal(both.words_BTD[:3], told.words_BTD)
    assert torch.equal(both.words_BTD[5], nothing.words_BTD[0])
    assert both.label_B is None
