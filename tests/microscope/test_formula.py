"""The formula language by hand-worked examples, beside plain NumPy, and by its laws. (Beside PyTorch: test_formulas.py.)"""

from __future__ import annotations

import json
import math
import re
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from microscope.operands import LEFT_OUT, draws, to_numpy

from cutaway.base.errors import UsageError
from cutaway.microscope import derivative, pieces, reductions, terms
from cutaway.microscope.formula import Bound, load_formulas, lookup, parse
from cutaway.microscope.formula_functions import FUNCTIONS

RANDOM = np.random.default_rng(0)
EPS32 = 2.0**-23


def some(*shape: int) -> Any:
    return RANDOM.standard_normal(shape)


def bind(line: str, shape: tuple[int, ...], dtype: Any = np.float64, /, **arguments: Any) -> Bound:
    """Bind a formula with one result of which only the shape matters."""
    return parse(line).bind(arguments, [np.zeros(shape, dtype)])


def whole(line: str, shape: tuple[int, ...], dtype: Any = np.float64, /, **arguments: Any) -> Any:
    found = bind(line, shape, dtype, **arguments).whole()
    assert found is not None
    return found[0]


# Parsing


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("2 - 3 - 4", -5),
        ("2 ** 3 ** 2", 512),
        ("-2 ** 2", -4),
        ("2 ** -1", 0.5),
        ("7 // 2 * 2", 6),
        ("-7 // 2", -4),
        ("-7 % 3", 2),
        ("12 / 2 / 3", 2),
        ("1 if 2 > 3 else 4 if 5 > 4 else 6", 4),
        ("1 + 1 if 0 else 2 * 3", 6),
        ("[1 < 2] + [2 < 1] + [not 2 < 1 and 1 < 2]", 2),
        ("[1 <= 1 < 2] * 5", 5),
        ("[1 < 1 < 2] * 5", 0),
        ("max(1, min(5, 3))", 3),
        ("1e-3 * 2.5e3", 2.5),
        ("sum(i < 4: i * i)", 14),
        ("sum(i < 3, j <= i: 10 ** j)", 1 + 11 + 111),
        ("prod(i < 4: i + 1)", 24),
        ("max(i < 5: i * (4 - i))", 4),
        ("mean(i < 5: i)", 2),
        ("sum(i < 2: sum(i < 3: i))", 6),
        ("any(i < 3: i == 2) + all(i < 3: i < 2)", 1),
        ("exp(0) + sqrt(9) + abs(-2) + floor(-0.5)", 5),
        ("b if has(b) else 8", 8),
        ("[mode == 'tanh'] + 2 * [mode == 'none']", 1),
        ("pads[0] + pads[-1] * len(pads) + prod(pads)", 2 + 3 * 2 + 6),
        ("round(2.5) + trunc(-1.5)", 1),
    ],
)
def test_what_binds_more_strongly(text: str, value: float) -> None:
    assert whole(f"out[] = {text}", (), b=None, mode="tanh", pads=[2, 3]) == value


@pytest.mark.parametrize("key", load_formulas())
def test_a_formula_is_written_as_it_is_read(key: str) -> None:
    formula = load_formulas()[key]
    assert parse(str(formula)).statements == formula.statements


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("out[i] = ", "column 10: unexpected end, at its end"),
        ("out[i = self[i]", "column 7: expected ',', at '= self[i]'"),
        ("out[i] = self[i] $ 2", "column 18: unexpected '$', at '$ 2'"),
        ("out[i] = self[i] self[i]", "column 18: expected an operator, ';' or the end"),
        ("out[i] = (self[i] + 1", "column 22: expected ')'"),
        ("out[i] = sum(: self[i])", "column 14: expected an index variable"),
        ("out[i] = sum(j < : self[j])", "column 18: expected a number, a name, '(' or '['"),
        ("a = 1\nout[i] = * 2", "line 2, column 10: expected a number"),
        ("out[i] = 1 if self[i]", "column 22: expected 'else'"),
        ("", "expected a statement"),
        ("3 = out[i]", "column 1: expected the name of a result"),
    ],
)
def test_an_error_names_the_place(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("out[i] = other[i]", "unknown name 'other'; this operation has self, empty, out"),
        ("out[i] = self[i]", "self has 2 axes (3, 4), which do not fit the index [i]"),
        ("out[i] = sum(j,k: self[i,j])", "no array shows the range of k; write it: k < n"),
        ("out[i] = sinn(self[i,0])", "unknown function 'sinn'"),
        ("out[i] = empty[i]", "empty is not given"),
        ("out[i] = sum(k..: self[k.., 0])[i]", "cannot index reduce"),
        ("m[i] = self[i,0]; out[i] = m[i,0]", "m has 1 indices, given 2"),
        ("out[i] = self[j,i]", "unknown name 'j'"),
        ("out[i] = self[i,0@2]", "axis 2 of an array with 2 axes"),
    ],
)
def test_what_cannot_be_bound(line: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        whole(line, (3,), self=some(3, 4), empty=None)


def test_what_cannot_be_asked() -> None:
    bound = bind("out[i] = self[i]", (3,), self=some(3))
    for index in ((3,), (-1,), (), (0, 0)):
        with pytest.raises(UsageError, match=r"no element .* in a result of shape \[3\]"):
            bound.at(0, index)
    with pytest.raises(UsageError, match="complex128 numbers"):
        whole("out[i] = self[i]", (3,), self=some(3) + 1j)


# Worked by hand


def test_a_matrix_product() -> None:
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0], [7.0, 8.0]])
    bound = parse("out[i,j] = sum(k: self[i,k] * mat2[k,j])").bind({"self": a, "mat2": b}, [a @ b])
    values, rounding = bound.whole() or (None, None)
    assert np.array_equal(values, [[19.0, 22.0], [43.0, 50.0]])
    assert np.all(rounding < 3 * np.abs(values) + 1)
    at = bound.at(0, (1, 0))
    assert (at.value, at.kind, at.constant) == (43.0, "sum of products", 0.0)
    assert at.terms == [
        terms.Term(15.0, 5.0, "self", (1, 0), (("mat2", (0, 0)),)),
        terms.Term(28.0, 7.0, "self", (1, 1), (("mat2", (1, 0)),)),
    ]
    assert at.largest(1) == at.terms[1:]
    assert at.numbers == "5 * 3 + 7 * 4"


def test_a_softmax() -> None:
    x = np.log([[1.0, 2.0, 5.0]])
    line = str(lookup("_softmax"))
    bound = bind(line, (1, 3), self=x, dim=-1)
    assert np.allclose((bound.whole() or [None])[0], [[0.125, 0.25, 0.625]], rtol=1e-15)
    at = bound.at(0, (0, 1))
    assert at.kind == "function"
    found = {term.index: term.weight for term in at.terms}
    assert np.allclose([found[0, j] for j in range(3)], [-0.25 * 0.125, 0.25 * 0.75, -0.25 * 0.625])
    assert at.numbers.startswith("exp(0.693147 - max(0, 0.693147, 1.60944)) / (exp(0 - ")


def test_a_scatter_has_the_terms_that_go_there() -> None:
    grad = np.arange(8.0).reshape(4, 2)
    line = "out[v,c] = sum(t: [indices[t] == v] * grad[t,c])"
    bound = bind(line, (3, 2), indices=np.array([2, 0, 2, 2]), grad=grad)
    assert np.array_equal((bound.whole() or [None])[0], [[2, 3], [0, 0], [10, 13]])
    assert [(t.value, t.operand, t.index) for t in bound.at(0, (2, 1)).terms] == [
        (1.0, "grad", (0, 1)),
        (5.0, "grad", (2, 1)),
        (7.0, "grad", (3, 1)),
    ]
    assert (bound.at(0, (1, 0)).terms, bound.at(0, (1, 0)).value) == ([], 0.0)


def test_a_convolution() -> None:
    x, w = np.arange(1.0, 6.0).reshape(1, 1, 5), np.array([[[1.0, 10.0, 100.0]]])
    line = "out[n,o,y..] = sum(c,k..: input[n,c,y..*stride + k.. - padding] * weight[o,c,k..])"
    bound = bind(line, (1, 1, 3), input=x, weight=w, stride=[2], padding=[1])
    assert np.array_equal((bound.whole() or [None])[0], [[[210.0, 432.0, 54.0]]])
    assert [(t.value, t.index) for t in bound.at(0, (0, 0, 2)).terms] == [(4.0, (0, 0, 3)), (50.0, (0, 0, 4))]


def test_joined_arrays() -> None:
    line = str(lookup("cat"))
    tensors = [some(2, 3), np.zeros(0), some(2, 1), some(2, 2)]
    bound = bind(line, (2, 6), tensors=tensors, dim=-1)
    values, rounding = bound.whole() or (None, None)
    assert np.array_equal(values, np.concatenate([tensors[0], tensors[2], tensors[3]], 1))
    assert np.all(rounding == 0)
    assert [(t.operand, t.index, t.weight) for t in bound.at(0, (1, 4)).terms] == [("tensors.3", (1, 0), 1)]
    stacked = bind("out[..,n@dim] = tensors[n][..]", (2, 3), tensors=[some(2), some(2), some(2)], dim=1)
    assert [(t.operand, t.index) for t in stacked.at(0, (1, 2)).terms] == [("tensors.2", (1,))]


def test_what_is_drawn_is_not_recomputed() -> None:
    bound = parse("out[..] = drawn; out1[..] = unset").bind({}, [some(2), some(2)])
    assert [bound.kind(k) for k in range(3)] == ["drawn", "unset", "missing"]
    assert bound.whole(0) is None
    assert list(bound.pieces(1)) == []
    assert (bound.at(0, (1,)).value, bound.at(0, (1,)).kind, bound.at(1, (1,)).kind) == (None, "drawn", "unset")


def test_a_choice_is_checked() -> None:
    line = """out[..,_@dim] = max(i: self[..,i@dim])
    out1[..,_@dim] = given if self[..,out1[..,_@dim]@dim] == max(i: self[..,i@dim]) else nan"""
    x = np.array([[1.0, 3.0, 3.0], [5.0, 4.0, 2.0]])
    best = x.max(1)
    for chosen, right in (
        ([1, 0], [True, True]),
        ([2, 0], [True, True]),
        ([0, 0], [False, True]),
        ([1, 7], [True, False]),
    ):
        values = (parse(line).bind({"self": x, "dim": 1}, [best, np.array(chosen)]).whole(1) or [None])[0]
        assert np.array_equal(values == chosen, right)


def test_what_a_read_outside_gives() -> None:
    x = np.array([1.0, 2.0])
    assert np.array_equal(whole("out[i] = self[i - 1]", (4,), self=x), [0, 1, 2, 0])
    assert np.array_equal(whole("out[i] = max(k < 3: self[i + k - 1])", (2,), self=-x), [-1, -1])
    assert np.array_equal(whole("out[i] = min(k < 3: self[i + k - 1])", (2,), self=x), [1, 1])
    assert np.array_equal(whole("out[i] = prod(k < 3: self[i + k - 1])", (2,), self=x), [2, 2])
    assert np.array_equal(whole("out[i] = [self[i - 1] <= 9]", (4,), self=x), [0, 1, 1, 0])
    assert np.array_equal(whole("out[i] = self[i / 2]", (4,), self=x), [1, 0, 2, 0])
    assert np.array_equal(whole("out[i] = inside(self[i - 1]) * 5", (4,), self=x), [0, 5, 5, 0])
    assert np.array_equal(whole("out[i] = self[at[i]]", (3,), self=x, at=np.array([1, 7, -1])), [2, 0, 0])


@pytest.mark.parametrize(
    ("dim", "keepdim"), [(d, k) for d in (0, -1, [1], [0, 2], [-1, 0], [], None) for k in (True, False)]
)
def test_axes_by_name(dim: Any, keepdim: bool) -> None:
    x = some(2, 3, 4)
    axes = tuple(range(3)) if dim in ([], None) else tuple(np.atleast_1d(dim).tolist())
    right = x.sum(axis=axes, keepdims=keepdim)
    found = whole("out[..,_@dim] = sum(i: self[..,i@dim])", right.shape, self=x, dim=dim)
    assert np.allclose(found, right, rtol=1e-14)
    centred = whole(
        "m[..,_@dim] = mean(i: self[..,i@dim]); out[..,i@dim] = self[..,i@dim] - m[..,_@dim]", x.shape, self=x, dim=dim
    )
    assert np.allclose(centred, x - x.mean(axis=axes, keepdims=True), atol=1e-15)


def test_a_number_with_no_axes() -> None:
    for dim in (0, -1, [], None):
        assert whole("out[..,i@dim] = self[..,i@dim] / sum(j: self[..,j@dim])", (), self=np.asarray(3.0), dim=dim) == 1


def test_broadcasting() -> None:
    for shape in ((), (5,), (1, 5), (4, 1), (3, 4, 5), (3, 1, 1)):
        a, b = some(3, 4, 5), some(*shape)
        assert np.array_equal(whole("out[..] = self[..] + 2 * other[..]", (3, 4, 5), self=a, other=b), a + 2 * b)
        assert np.array_equal(whole("out[..] = self + 2 * other", (3, 4, 5), self=a, other=b), a + 2 * b)
    assert np.array_equal(whole("out[..] = self[..] * other[..]", (2,), self=np.ones(2), other=3), [3, 3])
    assert np.array_equal(whole("out[i,j] = self[..]", (2, 3), self=np.arange(3.0)), [[0, 1, 2], [0, 1, 2]])


def test_whole_numbers_and_truth() -> None:
    x = np.array([-1.5, 0.0, 2.7, -math.inf])
    assert np.array_equal(whole("out[..] = self[..]", (4,), np.int64, self=x), [-1, 0, 2, -(2**63)])
    assert np.array_equal(whole("out[..] = self[..]", (4,), np.bool_, self=x), [1, 0, 1, 1])
    big = np.array([2**62 + 1])
    assert whole("out[..] = self[..] + 1", (1,), np.int64, self=big)[0] == 2**62 + 2
    assert np.array_equal(
        whole("out[..] = self[..] + other[..]", (2,), np.int64, self=np.ones(2, bool), other=np.ones(2, bool)), [2, 2]
    )


def test_numbers_are_compared_as_pytorch_does() -> None:
    x = np.array([0.7], np.float32)
    assert whole("out[..] = [self[..] == other]", (1,), np.bool_, self=x, other=0.7)[0]
    assert not whole("out[..] = [self[..] == other]", (1,), np.bool_, self=x.astype(np.float64), other=0.7)[0]


# Beside NumPy


OPERANDS = {"a": some(3, 4, 5), "b": some(4, 5), "c": some(3, 1, 5), "d": np.abs(some(3, 4, 5)) + 0.5}
LEAVES = [("a[i,j,k]", "a"), ("b[j,k]", "b[None]"), ("c[i,0,k]", "c"), ("d[i,j,k]", "d"), ("2.5", "2.5")]


def expressions() -> st.SearchStrategy[tuple[str, str]]:
    """Draw an expression in the formula language and the same in NumPy, on axes i, j, k."""

    def grow(inner: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
        return st.one_of(
            st.builds(
                lambda sign, x, y: (f"({x[0]} {sign} {y[0]})", f"({x[1]} {sign} {y[1]})"),
                st.sampled_from(["+", "-", "*"]),
                inner,
                inner,
            ),
            st.builds(
                lambda f, x: (f"{f}({x[0]})", f"np.{f}({x[1]})"),
                st.sampled_from(["tanh", "sin", "abs", "floor"]),
                inner,
            ),
            st.builds(lambda x: (f"({x[0]} / d[i,j,k])", f"({x[1]} / d)"), inner),
            st.builds(
                lambda x, y: (f"({x[0]} if {y[0]} > 0 else {y[0]})", f"np.where({y[1]} > 0, {x[1]}, {y[1]})"),
                inner,
                inner,
            ),
            st.builds(
                lambda kind, v, x: reduce_both(kind, v, x),
                st.sampled_from(["sum", "max", "min", "mean"]),
                st.sampled_from("ijk"),
                inner,
            ),
            st.builds(lambda x, y: (f"max({x[0]}, {y[0]})", f"np.maximum({x[1]}, {y[1]})"), inner, inner),
        )

    return st.recursive(st.sampled_from(LEAVES), grow, max_leaves=8)


def reduce_both(kind: str, v: str, x: tuple[str, str]) -> tuple[str, str]:
    """Return a reduction over one axis: the variable is renamed to one of its own, with the axis's length."""
    length = {"i": 3, "j": 4, "k": 5}[v]
    own = f"m{x[0].count(' < ')}"
    body = re.sub(rf"\b{v}\b(?=[,\]])", own, x[0])
    return (
        f"{kind}({own} < {length}: {body})",
        f"np.broadcast_to({x[1]}, (3, 4, 5)).{kind}(axis={'ijk'.index(v)}, keepdims=True)",
    )


@settings(max_examples=200, deadline=None)
@given(expressions())
@pytest.mark.slow
def test_a_random_expression_is_what_numpy_computes(pair: tuple[str, str]) -> None:
    line, plain = pair
    right = np.broadcast_to(eval(plain, {"np": np} | OPERANDS), (3, 4, 5))
    bound = bind(f"out[i,j,k] = {line}", (3, 4, 5), **OPERANDS)
    values, rounding = bound.whole() or (None, None)
    allowed = 4 * 2.0**-52 * rounding + 1e-300
    near_steps = "floor" in line or ">" in line
    assert near_steps or np.all(np.abs(values - right) <= allowed), line
    for index in ((0, 0, 0), (2, 3, 4), (1, 2, 0)):
        at = bound.at(0, index)
        assert at.value is not None
        assert math.isclose(at.value, values[index], rel_tol=1e-12, abs_tol=1e-12) or near_steps
        if at.kind == "sum of products":
            total = sum(term.value for term in at.terms) + at.constant
            assert math.isclose(total, at.value, rel_tol=1e-9, abs_tol=1e-9)


# Laws

A, B, C = some(4, 6, 5), some(4, 5, 7), some(6)
INDEX = RANDOM.integers(0, 9, (3, 6))
LINES: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "products": ("out[b,i,j] = C[i] + 0.3 * sum(k: A[b,i,k] * B[b,k,j])", (4, 6, 7), {"A": A, "B": B, "C": C}),
    "three factors": (
        "out[i,j] = sum(b,k: A[b,i,k] * B[b,k,j] * tanh(D[b,k]))",
        (6, 7),
        {"A": A, "B": B, "D": some(4, 5)},
    ),
    "inexact factors": (
        "out[i,j] = sum(b,k: exp(A[b,i,k]) * (B[b,k,j] - sum(l: B[b,l,j])) / (1 + D[b]**2))",
        (6, 7),
        {"A": A, "B": B, "D": some(4)},
    ),
    "attention": (
        """s[b,i,j] = sum(k: A[b,i,k] * A[b,j,k]) - (99 if j > i else 0)
        m[b,i] = max(j < 6: s[b,i,j])
        p[b,i,j] = exp(s[b,i,j] - m[b,i]) / sum(l < 6: exp(s[b,i,l] - m[b,i]))
        out[b,i,k] = sum(j < 6: p[b,i,j] * A[b,j,k])""",
        (4, 6, 5),
        {"A": A},
    ),
    "scatter": (
        "out[v,c] = C[c] + sum(t..: [index[t..] == v] * [v != 2] * G[t..,c])",
        (9, 6),
        {"index": INDEX, "G": some(3, 6, 6), "C": C},
    ),
    "scatter along an axis": (
        "out[p..,v@dim] = sum(j: [index[p..,j@dim] == v] * G[p..,j@dim] * D[j])",
        (3, 9),
        {"index": INDEX, "G": some(3, 6), "D": some(6), "dim": 1},
    ),
    "who came last": ("out[v] = max(t: t if index.flat[t] == v else -1)", (9,), {"index": INDEX}),
    "largest of each": (
        "out[v] = max(t..: G[t..] if index[t..] == v else -inf)", (9,), {"index": INDEX, "G": some(3, 6)},
    ),
    "transposed convolution": (
        "out[n,o,y..] = sum(c,z..,k..: [y.. == z..*stride + k.. - 1] * A[n,c,z..] * W[c,o,k..])",
        (4, 2, 9),
        {"A": A, "W": some(6, 2, 3), "stride": [2]},
    ),
    "grouped convolution": (
        "out[n,o,y..] = sum(c,k..: A[n, o // 2 * 3 + c, y.. + k..*2 - 2] * W[o,c,k..])",
        (4, 4, 5),
        {"A": A, "W": some(4, 3, 3)},
    ),
    "pooling": ("out[n..,y] = max(k.. < size: A[n..,y*2 + k.. - 1])", (4, 6, 3), {"A": A, "size": [3]}),
    "running sums": ("out[b,i,k] = sum(j <= i: A[b,j,k] * C[j])", (4, 6, 5), {"A": A, "C": C}),
    "running sums, exclusive": ("out[b,i] = sum(j < i: exp(A[b,j,0]))", (4, 6), {"A": A}),
    "running products": ("out[b,i,k] = prod(j <= i: A[b,j,k])", (4, 6, 5), {"A": A}),
    "running maxima": ("out[b,i,k] = max(j <= i: A[b,j,k])", (4, 6, 5), {"A": A}),
    "counts": ("out[b,i,k] = sum(j: [A[b,j,k] < A[b,i,k]])", (4, 6, 5), {"A": A}),
    "counts the other way": (
        "out[b,i] = sum(j: [C[i] >= A[b,j,0]]) + 10 * sum(j: [C[j] != C[i]])", (4, 6), {"A": A, "C": C},
    ),
    "gather": ("out[t..,c] = A[0, index[t..] % 6, c] * 2 + [index[t..] > 4]", (3, 6, 5), {"A": A, "index": INDEX}),
    "flat": (
        "place = positions(A, at); out.flat[v] = A.flat[v] + sum(t..: [place[t..] == v])", (4, 6, 5),
        {"A": A, "at": [None, INDEX[0] % 6, INDEX[1] % 5]},
    ),
    "norms": ("out[b,k] = sqrt(sum(i: (A[b,i,k] - mean(j: A[b,j,k]))**2) / 5) + prod(i: A[b,i,k])", (4, 5), {"A": A}),
    "everything": ("out[] = sum(i..: A[i..]) + max(i..: abs(A[i..])) * min(i: C[i])", (), {"A": A, "C": C}),
    "conditions": ("out[b,i,k] = C[i] if A[b,i,k] > 0 else sum(l: [l > k] * A[b,i,l])", (4, 6, 5), {"A": A, "C": C}),
}  # fmt: skip


def close(a: Any, b: Any, rounding: Any) -> bool:
    a, b = np.asarray(a, float), np.asarray(b, float)
    with np.errstate(invalid="ignore"):
        return bool(np.all((np.abs(a - b) <= 4 * 2.0**-52 * rounding + 1e-300) | (a == b)))


def line_of(name: str) -> Bound:
    line, shape, arguments = LINES[name]
    return bind(line, shape, **arguments)


@pytest.mark.parametrize("name", LINES)
def test_one_element_is_that_of_the_whole(name: str) -> None:
    bound = line_of(name)
    values, rounding = bound.whole() or (None, None)
    for index in np.ndindex(values.shape):
        at = bound.at(0, index)
        assert close(at.value, values[index], rounding[index]), index
        assert at.rounding >= 0


@pytest.mark.parametrize("name", LINES)
def test_pieces_make_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values, rounding = line_of(name).whole() or (None, None)
    monkeypatch.setattr(pieces, "SMALL_PIECE", 7)
    monkeypatch.setattr(pieces, "LARGE_PIECE", 11)
    found = np.full(values.shape, np.nan)
    count = 0
    for where, part, _ in line_of(name).pieces():
        assert np.isnan(found[where]).all(), "a part twice"
        found[where] = part
        count += 1
    assert count > 1 or values.ndim < 2 or "flat" in name
    assert close(found, values, rounding)


@pytest.mark.parametrize("name", LINES)
def test_a_plan_computes_what_the_whole_body_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reductions, "WORTH_SORTING", 1)
    parse.cache_clear()
    bound = line_of(name)
    values, rounding = bound.whole() or (None, None)
    how = {reductions.plan_of(node).how for node in bound.tree().root.walk() if node.op == "reduce"}
    expected = {"products": "product", "scatter": "scatter", "who came last": "scatter", "largest of each": "scatter",
                "running sums": "prefix", "running products": "prefix", "running maxima": "prefix", "counts": "count",
                "transposed convolution": "scatter", "attention": "product"}  # fmt: skip
    assert name not in expected or expected[name] in how
    monkeypatch.setattr(reductions, "plan_of", lambda node: reductions.DENSE)
    assert close((line_of(name).whole() or [None])[0], values, rounding)


@pytest.mark.parametrize("name", LINES)
def test_terms_add_up_or_are_derivatives(name: str) -> None:
    line, shape, arguments = LINES[name]
    arguments = {key: value.copy() if isinstance(value, np.ndarray) else value for key, value in arguments.items()}
    bound = bind(line, shape, **arguments)
    for index in list(np.ndindex(shape))[:: max(1, math.prod(shape) // 4)]:
        at = bound.at(0, index)
        assert at.value is not None
        assert at.rest_count == 0
        if at.kind == "sum of products":
            assert math.isclose(sum(t.value for t in at.terms) + at.constant, at.value, rel_tol=1e-12, abs_tol=1e-12)
            for t in at.terms[:9]:
                assert math.isclose(t.value, t.weight * arguments[t.operand][t.index], rel_tol=1e-12)
        else:
            check_derivatives(bound, arguments, index, at)
        assert at.largest(3) == sorted(at.terms, key=lambda t: -abs(t.value))[:3] or len(at.terms) > 3
        assert at.numbers


def check_derivatives(bound: Bound, arguments: dict[str, Any], index: Any, at: Any) -> None:
    seen = {(t.operand, t.index) for t in at.terms}
    assert len(seen) == len(at.terms), "an element twice"
    for t in at.terms[:12]:
        array = arguments[t.operand]
        if array.dtype.kind != "f":
            continue
        kept = array[t.index]
        around = []
        for step in (1e-6, -1e-6):
            array[t.index] = kept + step
            around.append(bound.at(0, index).value)
        array[t.index] = kept
        slope = (around[0] - around[1]) / 2e-6
        assert math.isclose(slope, t.weight, rel_tol=1e-4, abs_tol=1e-6), t
        assert math.isclose(t.value, t.weight * kept, rel_tol=1e-12, abs_tol=1e-300)


def test_of_very_long_sums_the_largest_terms_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (terms, derivative):
        monkeypatch.setattr(module, "MOST_TERMS", 64)
        monkeypatch.setattr(module, "KEPT_TERMS", 8)
    monkeypatch.setattr("cutaway.microscope.at_index.MOST_TERMS", 64)
    x = some(40, 30)
    order = np.argsort(-np.abs(x), axis=None)[:5]
    for line in (
        "out[] = 3 * sum(i..: x[i..])",
        "out[] = exp(sum(i..: x[i..] * 0.01) * 2)",
        "out[] = sqrt(sum(i,j: x[i,j]**2))",
    ):
        at = bind(line, (), x=x).at(0, ())
        assert at.rest_count > 1000
        assert len(at.terms) + at.rest_count == x.size
        assert [t.index for t in at.largest(5)] == [tuple(map(int, np.unravel_index(n, x.shape))) for n in order]
        if at.kind == "sum of products":
            assert math.isclose(sum(t.value for t in at.terms) + at.rest, at.value or 0.0, rel_tol=1e-12)
    at = bind("out[] = sqrt(sum(i,j: x[i,j]**2))", (), x=x).at(0, ())
    assert math.isclose(
        sum(t.value for t in at.terms) + at.rest, at.value or 0.0, rel_tol=1e-12
    )  # homogeneous of degree 1


# Rounding


SINGLE: dict[str, tuple[str, Any]] = {
    "sum": ("out[i] = sum(j: a[i,j])", lambda a, b: a.sum(1)),
    "sum one by one": ("out[i] = sum(j: a[i,j])", lambda a, b: np.cumsum(a, 1)[:, -1]),
    "product": ("out[i,j] = sum(k: a[i,k] * b[j,k])", lambda a, b: a @ b.T),
    "difference": ("out[i,j] = (a[i,j] * 100 + b[i,j]) - a[i,j] * 100", lambda a, b: (a * 100 + b) - a * 100),
    "variance": (
        "m[i] = mean(j: a[i,j]); out[i] = sum(j: (a[i,j] - m[i])**2)",
        lambda a, b: ((a - a.mean(1, keepdims=True)) ** 2).sum(1),
    ),
    "quotient": ("out[i,j] = (a[i,j] - b[i,j]) / (a[i,j] + b[i,j])", lambda a, b: (a - b) / (a + b)),
    "functions": ("out[i,j] = exp(-a[i,j]**2) * tanh(b[i,j])", lambda a, b: np.exp(-(a**2)) * np.tanh(b)),
    "softmax": (
        "m[i] = max(j: a[i,j]); out[i,j] = exp(a[i,j] - m[i]) / sum(k: exp(a[i,k] - m[i]))",
        lambda a, b: np.exp(a - a.max(1, keepdims=True)) / np.exp(a - a.max(1, keepdims=True)).sum(1, keepdims=True),
    ),
    "running sum": ("out[i,j] = sum(k <= j: a[i,k])", lambda a, b: np.cumsum(a, 1)),
    "root": ("out[i] = sqrt(sum(j: a[i,j]**2))", lambda a, b: np.sqrt((a * a).sum(1))),
}


def off(name: str, a: Any, b: Any, wrong: Any = None) -> Any:
    """Return how far NumPy's float32 result is from the formula, in units of the rounding expected."""
    line, plain = SINGLE[name]
    with np.errstate(all="ignore"):
        recorded = plain(a, b)
    assert recorded.dtype == np.float32
    if wrong is not None:
        recorded = wrong(recorded)
    values, rounding = parse(line).bind({"a": a, "b": b}, [recorded]).whole() or (None, None)
    return np.where(recorded == values, 0.0, np.abs(recorded - values) / (EPS32 * rounding + 1.2e-38))


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e8])
def test_rounding_bounds_what_float32_does_and_not_much_more(name: str, scale: float) -> None:
    a, b = ((some(40, 300) * scale).astype(np.float32) for _ in range(2))
    assert np.all(off(name, a, b) <= 1.5)
    worst = off(name, a, b, lambda right: right * np.float32(1.003))
    assert np.median(worst[np.isfinite(worst)]) > 4 or scale == 1e8, "0.3 % wrong must be seen"


def test_nothing_rounds_in_copies_and_whole_numbers() -> None:
    x = some(3, 4).astype(np.float32)
    for line in (
        "out[i,j] = x[j,i]",
        "out[i,j] = -abs(x[j,i]) * 2",
        "out[i,j] = max(x[j,i], 0)",
        "out[i,j] = x[j,i] if i > j else 1",
    ):
        assert np.all((bind(line, (4, 3), np.float32, x=x).whole() or [0, 1])[1] == 0), line
    assert np.all((bind("out[i] = sum(j: [x[i,j] > 0]) * 3", (3,), np.int64, x=x).whole() or [0, 1])[1] == 0)


def test_a_formula_can_say_what_rounds_more() -> None:
    x = some(3)
    for line, times in (("out[i] = rounded(x[i])", 1), ("out[i] = rounded(x[i], sqrt(25))", 5)):
        bound = bind(line, (3,), x=x)
        values, rounding = bound.whole() or (None, None)
        assert np.array_equal(values, x)
        assert np.allclose(rounding, times * np.abs(x), rtol=1e-6)
        assert [(t.value, t.weight, t.index) for t in bound.at(0, (1,)).terms] == [(x[1], 1.0, (1,))]


def test_infinities_do_no_harm() -> None:
    x = np.array([[0.0, -math.inf, 1.0], [-math.inf, -math.inf, -math.inf], [math.inf, 1.0, 2.0]])
    bound = bind(str(lookup("_softmax")), (3, 3), self=x, dim=1)
    values, rounding = bound.whole() or (None, None)
    e = math.exp(-1)
    assert np.allclose(values[0], [e / (1 + e), 0, 1 / (1 + e)])
    assert np.isnan(values[1]).all()
    assert np.isfinite(rounding[0]).all()
    assert np.all(rounding[0] < 100)


def test_a_recorded_result_that_is_read_was_rounded() -> None:
    mean = np.array([1 / 3], np.float32)
    x = np.array([[0.25, 0.5, 0.25]], np.float32)
    line = "out[i,j] = x[i,j] - out1[i]; out1[i] = mean(j: x[i,j])"
    bound = parse(line).bind({"x": x}, [x - mean[:, None], mean])
    assert np.all((bound.whole() or [0, 0])[1] >= mean)


# Planted faults


@pytest.mark.parametrize(
    "key",
    ["mm", "_softmax", "convolution", "native_layer_norm", "embedding", "add", "gelu_backward", "nll_loss_forward"],
)
def test_a_wrong_number_is_seen(key: str) -> None:
    for draw in draws(key)[:2]:
        results = [None if r is None else to_numpy(r) for r in draw.run()]
        arguments = {name: None if value is LEFT_OUT else to_numpy(value) for name, value in draw.arguments.items()}
        for k, recorded in enumerate(results):
            if recorded is None or not recorded.size:
                continue
            values, rounding = load_formulas()[key].bind(arguments, results).whole(k) or (None, None)
            allowed = 8 * 2.0**-52 * rounding + 1e-300
            assert np.all(np.abs(values - recorded) <= allowed)
            tampered = recorded.copy()
            where = tuple(RANDOM.integers(n) for n in recorded.shape)
            tampered[where] = tampered[where] * 1.001 + 1e-6
            results[k] = tampered
            values, rounding = load_formulas()[key].bind(arguments, results).whole(k) or (None, None)
            seen = np.abs(values - tampered) > 8 * 2.0**-52 * rounding + 1e-300
            assert seen[where]
            assert seen.sum() == 1
            results[k] = recorded


# LaTeX


@pytest.mark.parametrize(
    ("line", "latex"),
    [
        (
            "out[i,j] = sum(k: self[i,k] * b[k,j])",
            r"\mathrm{out}_{i,j} = \sum_{k} \mathrm{self}_{i,k} \, b_{k,j}",
        ),
        ("out[..] = self[..] / 2 ** n", r"\mathrm{out}_{\ldots} = \frac{\mathrm{self}_{\ldots}}{2^{n}}"),
        ("out[i] = (a[i] + b[i]) * 3", r"\mathrm{out}_{i} = \left(a_{i} + b_{i}\right) \cdot 3"),
        ("out[i] = [a[i] <= 0 and b[i] != 1]", r"\mathrm{out}_{i} = \left[a_{i} \le 0 \wedge b_{i} \neq 1\right]"),
        (
            "out[i] = sqrt(exp(a[i])) if t else 0",
            r"\mathrm{out}_{i} = \begin{cases} \sqrt{\exp\left(a_{i}\right)} & \text{if } t \\ "
            r"0 & \text{otherwise} \end{cases}",
        ),
        (
            "m[i] = max(k.. < n: a[i,k..]); out[i] = m[i] ** 2",
            r"\begin{aligned} m_{i} &= \max_{\boldsymbol{k} < n} a_{i,\boldsymbol{k}} \\ "
            r"\mathrm{out}_{i} &= m_{i}^{2} \end{aligned}",
        ),
    ],
)
def test_latex(line: str, latex: str) -> None:
    assert parse(line).latex() == latex


@pytest.mark.parametrize("key", load_formulas())
def test_latex_of_every_formula_is_well_formed(key: str) -> None:
    formula = load_formulas()[key]
    for k in range(5):
        if formula.kind(k) != "missing":
            check_latex(formula.latex(k))


def check_latex(text: str) -> None:
    """Check that braces, \\left and \\right, \\begin and \\end pair up, and that every command is known."""
    stack: list[str] = []
    pairs = {"}": "{", r"\right": r"\left", r"\end{cases}": r"\begin{cases}", r"\end{aligned}": r"\begin{aligned}"}
    for token in re.findall(r"\\(?:begin|end)\{\w+\}|\\[A-Za-z]+|\\.|[{}]", text):
        if token in pairs.values():
            stack.append(token)
        elif token in pairs:
            assert stack.pop() == pairs[token], text
        elif re.fullmatch(r"\\[A-Za-z]+", token):
            assert token[1:] in KNOWN, token
        else:
            assert token in (r"\,", r"\\", r"\_"), token
    assert not stack
    assert text


KNOWN = set(
    """mathrm operatorname sum prod max min bigvee bigwedge frac sqrt cdot ldots boldsymbol left right lfloor rfloor
    lceil rceil text infty pi alpha beta epsilon le ge neq wedge vee neg bmod exp log tanh sinh cosh sin cos tan arcsin
    arccos arctan sigma""".split()  # noqa: SIM905 - reads better
)


# JSON: computed by an evaluator of its own, as a browser would


def element(tree: dict[str, Any], arrays: Any, index: tuple[int, ...]) -> float:
    """Compute one element from a bound tree's JSON, with nothing but Python's arithmetic and the table of functions."""
    nodes, sizes = tree["nodes"], [size for _, size in tree["variables"]]
    if tree["is_flat"]:
        index = (int(np.ravel_multi_index(index, tree["shape"])) if index else 0,)
    here = {v: i for v, i in zip(tree["axes"], index, strict=True) if v is not None}

    def value(n: int, at: dict[int, int]) -> Any:
        op, *rest = nodes[n]
        if op == "number":
            return float(rest[0]) if isinstance(rest[0], str) else rest[0]
        if op == "var":
            return at[rest[0]]
        if op in ("read", "inside"):
            place = [value(m, at) for m in rest[-1]]
            array = arrays[rest[0]] if op == "read" else np.empty(rest[0])
            inside = all(
                math.isfinite(i) and i == int(i) and 0 <= i < size for i, size in zip(place, array.shape, strict=True)
            )
            if op == "inside":
                return int(inside)
            return array[tuple(map(int, place))].item() if inside else float(rest[1])
        if op == "if":
            return value(rest[1] if value(rest[0], at) else rest[2], at)
        if op == "total":
            return sum(value(m, at) for m in rest[0])
        if op == "reduce":
            kind, variables, body = rest
            values = [
                value(body, at | dict(zip(variables, place, strict=True)))
                for place in product(*(range(sizes[v]) for v in variables))
            ]
            return {"sum": math.fsum, "prod": math.prod, "max": max, "min": min, "any": any, "all": all}[kind](values)
        return FUNCTIONS[op].compute(*(np.asarray(value(m, at)) + 0 for m in rest)).item()

    found = value(len(nodes) - 1, here)
    return -(2.0**63) if tree["whole"] and math.isinf(found) else found


@pytest.mark.parametrize("key", load_formulas())
def test_json_of_every_formula_gives_the_same_numbers(key: str) -> None:
    formula = load_formulas()[key]
    assert json.loads(json.dumps(formula.as_json())) == formula.as_json()
    for draw in draws(key)[:2]:
        results = [None if r is None else to_numpy(r) for r in draw.run()]
        arguments = {name: None if value is LEFT_OUT else to_numpy(value) for name, value in draw.arguments.items()}
        bound = formula.bind(arguments, results)
        for k, recorded in enumerate(results):
            if bound.kind(k) != "computed" or not np.size(recorded):
                continue
            tree = json.loads(json.dumps(bound.as_json(k), allow_nan=False))
            arrays = {
                name: np.stack(a) if isinstance(a, list) else a
                for name, a in bound.arrays.items()
                if name in tree["arrays"]
            }
            arrays["given"] = recorded
            values, rounding = bound.whole(k) or (None, None)
            index = tuple(int(RANDOM.integers(n)) for n in np.shape(recorded))
            with np.errstate(all="ignore"):
                found = element(tree, arrays, index)
            same = found == values[index] or (np.isnan(found) and np.isnan(values[index]))
            assert same or abs(found - values[index]) <= 8 * 2.0**-52 * rounding[index] + 1e-300, f"{key} {k} {index}"


# Lookup


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("aten.mm.default", "mm"),
        ("mm", "mm"),
        ("aten.add_.Tensor", "add"),
        ("aten::mul.Tensor", "mul"),
        ("aten.mm.out", "mm"),
        ("aten.sum.dim_IntList", "sum.dim_IntList"),
        ("aten.sum.IntList_out", "sum.dim_IntList"),
        ("aten._softmax.default", "_softmax"),
        ("aten.max.dim", "max.dim"),
    ],
)
def test_lookup(name: str, key: str) -> None:
    assert lookup(name) is load_formulas()[key]


def test_lookup_of_what_is_not_there() -> None:
    assert lookup("aten.no_such_operation.default") is None
