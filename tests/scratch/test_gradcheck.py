"""The referee: right gradients pass, wrong ones never."""

from __future__ import annotations

import numpy as np
import pytest

from cutaway.base.errors import UsageError
from cutaway.scratch.array import Array
from cutaway.scratch.gradcheck import Check, Row, central_differences, gradcheck
from cutaway.scratch.value import Value


def test_differences_of_a_known_function() -> None:
    x = np.array([[0.5, -1.0, 2.0]])
    np.testing.assert_allclose(central_differences(lambda: float((x**3).sum()), x), 3 * x**2, rtol=1e-8)
    np.testing.assert_array_equal(x, [[0.5, -1.0, 2.0]])  # put back


def test_right_gradients_pass_and_the_table_says_so() -> None:
    x = Array([[1.0, 2.0]], "x")
    check = gradcheck(lambda: (x * x).sum(), {"x": x})
    assert check.ok
    assert check.worst < 1e-8
    assert [(row.name, row.index, row.exact) for row in check.rows] == [("x", (0, 0), 2.0), ("x", (0, 1), 4.0)]
    table = check.table()
    assert table.splitlines()[0].split() == ["exact", "approximate", "difference"]
    assert "x[0, 1]" in table
    assert table.splitlines()[-1].startswith("agree: worst ")


def test_a_wrong_local_derivative_is_caught() -> None:
    x = Value(0.5, "x")

    def wrong() -> Value:
        y = x.tanh()
        y.local = (1 - y.data,)  # not 1 - y^2
        return y

    check = gradcheck(wrong, {"x": x})
    assert not check.ok
    assert check.table().splitlines()[-1].startswith("DIFFER")


def test_a_forgotten_gradient_is_caught() -> None:
    """A constant where there should be a path: the exact gradient is none, the referee's is not."""
    x = Array([3.0])
    assert not gradcheck(lambda: (x * Array(x.data)).sum(), {"x": x}).ok


def test_not_a_number_never_agrees() -> None:
    assert not Check([Row("x", (), float("nan"), 1.0)]).ok
    assert not Check([Row("x", (), 1.0, float("inf"))]).ok


def test_leaves_must_be_finite() -> None:
    with pytest.raises(UsageError, match="x has a number that is infinite"):
        gradcheck(lambda: Array([1.0]), {"x": Array([np.nan])})


def test_long_tables_are_cut_and_say_so() -> None:
    x = Array(np.ones(30))
    assert "... and 10 more, all closer" in gradcheck(lambda: x.sum(), {"x": x}).table()
