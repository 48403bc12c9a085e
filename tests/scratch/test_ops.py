"""Every operation of the table, by being in it: value and gradients against PyTorch and against central differences."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cutaway.base.errors import ShapeError
from cutaway.scratch.array import Array, apply
from cutaway.scratch.gradcheck import gradcheck
from cutaway.scratch.ops import OPERATIONS, FloatArray, Operation
from scratch.draws import DRAWS, Case

BAR = 1e-12
"""The worst difference to PyTorch in float64, relative to the largest number of the array (or to 1)."""

draw_many = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
draw_some = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
NAMES = sorted(OPERATIONS)


def ask_torch(operation: Operation, case: Case) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return PyTorch's result and its operands, after the entry's own expression."""
    # as_tensor keeps gaps and order; PyTorch has no negative strides
    operands = [
        torch.as_tensor(x if all(s >= 0 for s in x.strides) else x.copy()).clone().requires_grad_()
        for x in case.operands
    ]
    named = {name: torch.as_tensor(v) if isinstance(v, np.ndarray) else v for name, v in case.settings.items()}
    if named.get("axis", 0) is None:  # which not all of PyTorch's reductions know
        named["axis"] = tuple(range(case.operands[0].ndim))
    letters = dict(zip(("x", "y"), operands, strict=False)) | {"table": operands[0], "operands": operands}
    letters["weight"] = operands[-1]
    return eval(operation.torch, {"torch": torch, "F": F}, letters | named), operands


def difference(ours: FloatArray, theirs: torch.Tensor | None, shape: tuple[int, ...]) -> float:
    expected = np.zeros(shape) if theirs is None else theirs.detach().numpy()
    assert ours.shape == expected.shape
    if not expected.size:
        return 0.0
    return float(np.abs(ours - expected).max() / max(1.0, np.abs(expected).max()))


def gradient_for(result: FloatArray, seed: int) -> FloatArray:
    return np.random.default_rng(seed).normal(size=result.shape)


@pytest.mark.parametrize("name", NAMES)
@draw_many
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_value_and_gradients_are_those_of_pytorch(name: str, data: st.DataObject, seed: int) -> None:
    case = data.draw(DRAWS[OPERATIONS[name].draws])
    theirs, their_operands = ask_torch(OPERATIONS[name], case)
    operands = [Array(x) for x in case.operands]
    ours = apply(name, *operands, **case.settings)
    assert difference(ours.data, theirs, ours.shape) <= BAR
    gradient = gradient_for(ours.data, seed)
    ours.backward(gradient)
    theirs.backward(torch.as_tensor(gradient))
    for mine, his in zip(operands, their_operands, strict=True):
        assert mine.grad is not None
        assert difference(mine.grad, his.grad, mine.shape) <= BAR


@pytest.mark.parametrize("name", NAMES)
@draw_some
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_gradients_are_those_of_central_differences(name: str, data: st.DataObject, seed: int) -> None:
    check = referee(name, data.draw(DRAWS[OPERATIONS[name].draws]), seed)
    assert check.ok, check.table()


def referee(name: str, case: Case, seed: int) -> Any:
    operands = [Array(x) for x in case.operands]
    gradient = gradient_for(apply(name, *operands, **case.settings).data, seed)
    return gradcheck(
        lambda: (apply(name, *operands, **case.settings) * gradient).sum(),
        {f"operand{i}": operand for i, operand in enumerate(operands)},
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_referee_catches_a_planted_fault_in_every_backward(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backward that is one percent wrong in its last operand must not pass."""
    right = OPERATIONS[name]

    def wrong(*arguments: Any, **named: Any) -> tuple[FloatArray, ...]:
        *first, last = right.backward(*arguments, **named)
        return (*first, last * 1.01)

    cases = []

    @settings(max_examples=40, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=DRAWS[right.draws])
    def collect(case: Case) -> None:
        cases.append(case)

    collect()
    monkeypatch.setitem(OPERATIONS, name, replace(right, backward=wrong))
    assert any(not referee(name, case, seed=1).ok for case in cases)


def test_every_entry_is_complete() -> None:
    for name, operation in OPERATIONS.items():
        assert operation.name == name
        assert operation.formula.startswith("out")
        assert operation.gradient
        assert operation.source
        assert operation.draws in DRAWS
        ast.parse(operation.torch, mode="eval")


BAD: list[tuple[str, list[tuple[int, ...]], dict[str, Any], str]] = [
    ("add", [(3, 4), (5, 6)], {}, r"add of \(3, 4\) and \(5, 6\)"),
    ("matmul", [(3, 4), (5, 6)], {}, r"matmul of \(3, 4\) and \(5, 6\).*as wide as the second is high"),
    ("matmul", [(3,), (3, 2)], {}, r"matmul of \(3,\) and \(3, 2\)"),
    (
        "linear",
        [(3, 4), (5, 3)],
        {},
        r"linear of \(3, 4\) and \(5, 3\): it needs rows of x as long as rows of the weights",
    ),
    ("linear", [(3, 4), (4,)], {}, r"linear of \(3, 4\) and \(4,\).*the weights are not a matrix"),
    (
        "split_heads",
        [(3, 4)],
        {"heads": 3},
        r"split_heads of \(3, 4\), heads 3.*4 numbers cannot be shared among 3 heads",
    ),
    ("attention_pattern", [(3, 4), (2, 4)], {}, r"attention_pattern of \(3, 4\) and \(2, 4\): it needs axes"),
    ("merge_heads", [(3, 4)], {}, r"merge_heads of \(3, 4\): it needs axes"),
    ("reshape", [(3, 4)], {"shape": (5, 2)}, r"reshape of \(3, 4\), shape \(5, 2\)"),
    ("concatenate", [(3, 4), (3, 5)], {"axis": 0}, r"concatenate of \(3, 4\) and \(3, 5\)"),
    ("transpose", [(3, 4)], {"axes": (0, 0)}, r"transpose of \(3, 4\)"),
    ("index", [(3, 4)], {"key": 7}, r"index of \(3, 4\), key 7"),
    ("sum", [(3, 4)], {"axis": 2, "keepdims": False}, r"sum of \(3, 4\), axis 2"),
    ("mean", [(3, 0)], {"axis": 1, "keepdims": False}, r"mean of \(3, 0\)"),
    ("max", [(0,)], {"axis": None, "keepdims": False}, r"max of \(0,\)"),
    ("softmax", [(3, 0)], {}, r"softmax of \(3, 0\)"),
    ("layer_norm", [()], {"eps": 1e-5}, r"layer_norm of \(\)"),
    ("rms_norm", [(2, 0)], {"eps": 1e-5}, r"rms_norm of \(2, 0\)"),
    ("embedding", [(3, 4)], {"rows": np.array([1, 3])}, r"row 3 is not among rows 0 to 2"),
    ("embedding", [(3, 4)], {"rows": np.array([1, -1])}, r"row -1 is not among rows 0 to 2"),
    ("cross_entropy", [(3, 4)], {"targets": np.array([1, 2])}, r"the targets have shape \(2,\)"),
    ("cross_entropy", [(2, 4)], {"targets": np.array([1, 4])}, r"targets from 1 to 4, columns from 0 to 3"),
    ("cross_entropy", [(2, 4)], {"targets": np.array([-1, 3])}, r"targets from -1 to 3"),
    ("where", [(3, 4), (5,)], {"condition": np.array(True)}, r"where of \(3, 4\) and \(5,\)"),
]


@pytest.mark.parametrize(("name", "sizes", "named", "says"), BAD)
def test_shapes_that_do_not_fit_are_named(name: str, sizes: list[Any], named: dict[str, Any], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        apply(name, *[np.ones(shape) for shape in sizes], **named)
