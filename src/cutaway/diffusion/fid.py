"""How far what is painted lies from what was drawn, as two clouds of features, and how diverse it is.

The Frechet distance between two normal distributions (Dowson and Landau 1982; for pictures Heusel et al. 2017, FID):

    d^2 = |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a^1/2 C_b C_a^1/2)^1/2)

Here in the judge's features, so our numbers compare with each other and with no published FID. It shrinks as more
pictures are compared: compare equal numbers, and read it beside `between two halves of fresh drawings`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.base.errors import UsageError


def _root(matrix_FF: Float[Tensor, "F F"]) -> Float[Tensor, "F F"]:
    """Return the square root of a symmetric matrix without negative eigenvalues (but for rounding)."""
    values_F, vectors_FF = torch.linalg.eigh(matrix_FF)
    return (vectors_FF * values_F.clamp(min=0).sqrt()) @ vectors_FF.T


def frechet_distance(
    mean_a_F: Float[Tensor, " F"],
    covariance_a_FF: Float[Tensor, "F F"],
    mean_b_F: Float[Tensor, " F"],
    covariance_b_FF: Float[Tensor, "F F"],
) -> float:
    """Return the squared Frechet distance between two normal distributions."""
    root_FF = _root(covariance_a_FF.double())
    middle_FF = root_FF @ covariance_b_FF.double() @ root_FF
    shared = torch.linalg.eigvalsh((middle_FF + middle_FF.T) / 2).clamp(min=0).sqrt().sum()
    traces = covariance_a_FF.double().trace() + covariance_b_FF.double().trace()
    return float((mean_a_F.double() - mean_b_F.double()).square().sum() + traces - 2 * shared)


def fid(a_BF: Float[Tensor, "A F"], b_BF: Float[Tensor, "B F"]) -> float:
    """Return the squared Frechet distance between two sets of features.

    Raises:
        UsageError: there are fewer than two pictures on a side, so there is no covariance.
    """
    if min(len(a_BF), len(b_BF)) < 2:
        raise UsageError(f"FID compares clouds; {len(a_BF)} and {len(b_BF)} pictures were given, expected 2 or more")
    a_BF, b_BF = a_BF.double(), b_BF.double()
    return frechet_distance(a_BF.mean(0), torch.cov(a_BF.T), b_BF.mean(0), torch.cov(b_BF.T))


def diversity(features_BF: Float[Tensor, "B F"]) -> float:
    """Return the mean distance between two different pictures of a set, in their features."""
    if len(features_BF) < 2:
        raise UsageError("diversity is between pictures; one was given, expected 2 or more")
    return float(torch.nn.functional.pdist(features_BF.double()).mean())
