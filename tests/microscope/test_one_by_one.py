"""Operations on lists of tensors, recorded tensor by tensor: the same numbers, each with its formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cutaway.microscope.tracing import recording

OPERATIONS: dict[str, Callable[[list[Tensor], list[Tensor]], Any]] = {
    "add": lambda a, b: torch._foreach_add(a, b, alpha=-0.5),
    "add a number": lambda a, b: torch._foreach_add(a, 2.0),
    "add numbers": lambda a, b: torch._foreach_add(a, [2.0, 3.0, 4.0]),
    "add_": lambda a, b: torch._foreach_add_(a, b, alpha=-0.5),
    "mul_": lambda a, b: torch._foreach_mul_(a, 0.9),
    "mul_ a tensor": lambda a, b: torch._foreach_mul_(a, torch.tensor(0.9)),
    "lerp": lambda a, b: torch._foreach_lerp(a, b, 0.25),
    "lerp_": lambda a, b: torch._foreach_lerp_(a, b, 0.25),
    "addcdiv_": lambda a, b: torch._foreach_addcdiv_(a, a, b, value=-0.1),
    "addcmul_": lambda a, b: torch._foreach_addcmul_(a, b, b, 0.3),
    "addcdiv_ numbers": lambda a, b: torch._foreach_addcdiv_(a, a, b, [0.1, 0.2, 0.3]),
    "sqrt": lambda a, b: torch._foreach_sqrt(b),
    "div_": lambda a, b: torch._foreach_div_(a, b),
    "norm": lambda a, b: torch._foreach_norm(a),
    "norm 1": lambda a, b: torch._foreach_norm(a, 1),
    "zero_": lambda a, b: torch._foreach_zero_(a),
    "neg": lambda a, b: torch._foreach_neg(a),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_as_one_operation_a_tensor(name: str) -> None:
    torch.manual_seed(0)
    shapes = [(3, 5), (7,), ()]
    a, b = [torch.randn(shape) for shape in shapes], [torch.rand(shape) + 0.5 for shape in shapes]
    again = [one.clone() for one in a], [one.clone() for one in b]
    with recording(nn.Identity()) as trace:
        found = OPERATIONS[name](a, b)
    expected = OPERATIONS[name](*again)
    assert all(torch.equal(x, y) for x, y in zip(a, again[0], strict=True))
    if expected is not None:
        assert all(torch.equal(x, y) for x, y in zip(found, expected, strict=True))
    names = [operation.name for operation in trace.operations if not operation.is_view]
    assert len(names) == 3
    assert not any("foreach" in one for one in names)
    report = trace.verify()
    assert report.ok
    assert not report.opaque
