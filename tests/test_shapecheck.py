"""Shapes are checked at every call of a function that takes or gives arrays, in all tests."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

from cutaway.nn.head_loss import head_loss


def test_a_wrong_shape_is_refused() -> None:
    head = torch.nn.Linear(4, 5)
    head_loss(torch.zeros(3, 4), head, torch.zeros(3, dtype=torch.long))
    with pytest.raises(TypeCheckError, match="targets"):
        head_loss(torch.zeros(3, 4), head, torch.zeros(2, dtype=torch.long))
