"""The array engine's graph: what ops.py's table cannot test entry by entry."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from cutaway.base.errors import UsageError
from cutaway.scratch.array import (
    Array,
    attention_pattern,
    concatenate,
    cross_entropy,
    embedding,
    layer_norm,
    linear,
    merge_heads,
    rms_norm,
    split_heads,
    where,
    zero_grad,
)
from cutaway.scratch.gradcheck import gradcheck
from cutaway.scratch.value import Value

GENERATOR = np.random.default_rng(0)


def test_a_whole_expression_has_pytorchs_gradients() -> None:
    x, w = GENERATOR.normal(size=(3, 7)), GENERATOR.normal(size=(7, 5))
    ours = [Array(x), Array(w)]
    theirs = [torch.tensor(a, requires_grad=True) for a in (x, w)]

    a, b = ours
    (((a @ b).tanh() / 2 + 1 - a.sum(axis=1, keepdims=True) * 0.1).softmax().max(axis=0) ** 2).mean().backward()
    c, d = theirs
    ((((c @ d).tanh() / 2 + 1 - c.sum(1, keepdim=True) * 0.1).softmax(-1)).amax(0) ** 2).mean().backward()
    for mine, his in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.grad, his.grad, rtol=1e-12, atol=1e-15)


def test_every_method_is_its_operation() -> None:
    """Each public way into the table, once, against central differences."""
    x, y = Array(1.0 + GENERATOR.random((2, 3))), Array(1.0 + GENERATOR.random((2, 3)))
    ways = [
        lambda: x + y, lambda: x - y, lambda: x * y, lambda: x / y, lambda: x @ y.transpose(), lambda: x**3,
        lambda: 2 + x, lambda: 2 - x, lambda: 2 * x, lambda: 2 / x, lambda: np.ones((4, 2)) @ x, lambda: -x,
        lambda: x[1], lambda: x.exp(), lambda: x.log(), lambda: x.sqrt(), lambda: x.relu(), lambda: x.tanh(),
        lambda: x.sigmoid(), lambda: x.gelu(), lambda: x.gelu("tanh"), lambda: x.sum(0), lambda: x.mean(1),
        lambda: x.max(), lambda: x.softmax(), lambda: x.log_softmax(), lambda: x.reshape(3, 2), lambda: x.transpose(1, 0),
        lambda: concatenate([x, y], 1), lambda: where(np.eye(2, 3, dtype=bool), x, y), lambda: embedding(x, [1, 1]),
        lambda: cross_entropy(x, [0, 2]), lambda: layer_norm(x), lambda: rms_norm(x),
        lambda: linear(x, y), lambda: merge_heads(split_heads(x, 3)), lambda: attention_pattern(x, y),
    ]  # fmt: skip
    for way in ways:
        check = gradcheck(lambda way=way: (way() ** 2).sum(), {"x": x, "y": y})
        assert check.ok, check.table()
    assert {way().operation for way in ways} >= {"add", "index", "cross_entropy", "gelu"}


def test_both_engines_agree() -> None:
    numbers = GENERATOR.normal(size=6)
    array = Array(numbers)
    values = [Value(x) for x in numbers]
    ((array * 2).tanh() * array.sigmoid()).sum().backward()
    sum(((v * 2).tanh() * v.sigmoid() for v in values), Value(0.0)).backward()
    np.testing.assert_allclose(array.grad, [v.grad for v in values], rtol=1e-14)


def test_gradients_of_leaves_add_up_and_those_between_do_not() -> None:
    x = Array([2.0, 3.0])
    y = x * x
    z = (y * y).sum()
    z.backward()
    z.backward()
    np.testing.assert_array_equal(x.grad, 2 * 4 * np.array([8.0, 27.0]))
    zero_grad([x])
    assert x.grad is None


def test_backward_from_many_numbers_says_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"this Array has shape \(2, 3\): take its .sum\(\) or .mean\(\)"):
        (Array(np.ones((2, 3))) * 2).backward()


def test_a_form_of_gelu_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="not 'erf'"):
        Array([1.0]).gelu("erf")


def test_a_deep_graph_needs_no_recursion() -> None:
    x = Array([1.0])
    y = x
    for _ in range(20_000):
        y = y + x
    y.sum().backward()
    assert x.grad is not None
    assert x.grad[0] == 20_001


def test_scratch_needs_no_more_than_numpy() -> None:
    """The whole folder, imported in a fresh Python, brings nothing but NumPy and the standard library."""
    script = """
import pathlib, sys
before = set(sys.modules)
import importlib, numpy
import cutaway.scratch
for path in pathlib.Path(cutaway.scratch.__file__).parent.glob("*.py"):
    importlib.import_module(f"cutaway.scratch.{path.stem}")
roots = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(root for root in roots - set(sys.stdlib_module_names) if not root.startswith("_")))
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "['cutaway', 'numpy']"
