"""The Frechet distance against SciPy and against cases that can be done by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cutaway.base.errors import UsageError
from cutaway.diffusion.fid import diversity, fid, frechet_distance


def test_as_scipy_computes_it() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(60, 7)) @ rng.normal(size=(7, 7)), rng.normal(size=(50, 7)) + rng.normal(size=7)
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    root = linalg.sqrtm(cov_a @ cov_b)
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(cov_a + cov_b - 2 * root.real)
    assert fid(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(expected, rel=1e-9)


def test_by_hand() -> None:
    """Independent features: the squared difference of means plus that of standard deviations."""
    mean_a, mean_b = torch.tensor([0.0, 1.0]), torch.tensor([3.0, 1.0])
    a, b = torch.diag(torch.tensor([4.0, 9.0])), torch.diag(torch.tensor([1.0, 0.0]))
    assert frechet_distance(mean_a, a, mean_b, b) == pytest.approx(9 + (2 - 1) ** 2 + 3**2)


def test_to_itself_and_both_ways() -> None:
    random = torch.Generator().manual_seed(0)
    a, b = torch.randn(40, 5, generator=random), 2 * torch.randn(30, 5, generator=random)
    assert fid(a, a) == pytest.approx(0, abs=1e-9)
    assert fid(a, b) == pytest.approx(fid(b, a), rel=1e-9)
    assert fid(a, b) > 1
    few = torch.randn(3, 5, generator=random)  # fewer pictures than features
    assert fid(few, a) > 0
    with pytest.raises(UsageError, match="2 or more"):
        fid(a[:1], b)


def test_diversity() -> None:
    assert diversity(torch.zeros(5, 3)) == 0
    assert diversity(torch.tensor([[0.0, 0.0], [3.0, 4.0]])) == pytest.approx(5)
    with pytest.raises(UsageError, match="one was given"):
        diversity(torch.zeros(1, 3))
