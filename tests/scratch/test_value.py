"""Scalar autograd against PyTorch, central differences and itself."""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.base.errors import NonFiniteError, UsageError
from cutaway.scratch.gradcheck import gradcheck
from cutaway.scratch.graph import FORMULAS, in_full, slope_formulas
from cutaway.scratch.value import Value, dot, zero_grad

TWO = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
ONE: dict[str, tuple[Callable[[Value], Value], Callable[[torch.Tensor], torch.Tensor]]] = {
    "exp": (Value.exp, torch.exp),
    "log of the square": (lambda x: (x * x + 0.5).log(), lambda x: (x * x + 0.5).log()),
    "relu": (Value.relu, torch.relu),
    "tanh": (Value.tanh, torch.tanh),
    "sigmoid": (Value.sigmoid, torch.sigmoid),
    "square": (lambda x: x**2, lambda x: x**2),
    "to the -1.5": (lambda x: (x * x + 0.5) ** -1.5, lambda x: (x * x + 0.5) ** -1.5),
    "negative": (lambda x: -x, lambda x: -x),
    "2 - x": (lambda x: 2 - x, lambda x: 2 - x),
    "2 / x": (lambda x: 2 / (x * x + 1), lambda x: 2 / (x * x + 1)),
}


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 25))
def test_random_expressions_have_pytorchs_values_and_gradients(seed: int, size: int) -> None:
    generator = random.Random(seed)
    numbers = [generator.uniform(-1.5, 1.5) for _ in range(3)]
    ours: list[Value] = [Value(x) for x in numbers]
    theirs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in numbers]
    for _ in range(size):  # each result may be used again and again
        i, j = generator.randrange(len(ours)), generator.randrange(len(ours))
        if generator.random() < 0.5:
            mine, his = ONE[generator.choice(sorted(ONE))]
            a, b = mine(ours[i].tanh()), his(theirs[i].tanh())
        elif generator.random() < 0.7:
            make = TWO[generator.choice("+-*")]
            a, b = make(ours[i], ours[j]), make(theirs[i], theirs[j])
        else:
            a, b = ours[i] / (ours[j] * ours[j] + 1), theirs[i] / (theirs[j] * theirs[j] + 1)
        ours.append(a)
        theirs.append(b)
    root, their_root = sum(ours[3:], Value(0.0)), sum(theirs[3:], torch.tensor(0.0, dtype=torch.float64))
    root.backward()
    their_root.backward()
    assert root.data == pytest.approx(their_root.item(), rel=1e-12, abs=1e-12)
    for mine, his in zip(ours[:3], theirs[:3], strict=True):
        assert mine.grad == pytest.approx(0.0 if his.grad is None else his.grad.item(), rel=1e-11, abs=1e-11)


def test_gradients_agree_with_central_differences() -> None:
    a, b = Value(0.7, "a"), Value(-1.3, "b")
    check = gradcheck(lambda: ((a * b).tanh() + (a - b).exp() / (b * b + 1)).sigmoid() * a**3, {"a": a, "b": b})
    assert check.ok, check.table()


def test_a_fused_dot_is_the_sum_of_products() -> None:
    a, b = [Value(x) for x in (1.0, -2.0, 3.0)], [Value(x) for x in (0.5, 0.25, -1.0)]
    a.append(a[0])  # one number on both sides
    b.append(a[0])
    fused = dot(a, b)
    fused.backward()
    gradients = [x.grad for x in a + b]
    zero_grad(a + b)
    plain = sum((x * y for x, y in zip(a, b, strict=True)), Value(0.0))
    plain.backward()
    assert fused.data == plain.data
    assert gradients == [x.grad for x in a + b]
    assert len(fused.operands) == 8
    with pytest.raises(UsageError, match="dot of 4 and 3 numbers"):
        dot(a, b[:3])


def test_gradients_of_leaves_add_up_and_those_between_do_not() -> None:
    x = Value(2.0)
    y = x * x
    z = y * y  # z = x^4
    z.backward()
    assert x.grad == 32
    z.backward()
    assert x.grad == 64  # twice the same; a y.grad left over would give 96
    zero_grad([x])
    (y + z).backward()
    assert x.grad == 2 * 2 + 32


@pytest.mark.slow
def test_a_graph_of_a_million_nodes_needs_no_recursion() -> None:
    x = Value(1.0)
    y = x
    for _ in range(1_000_000):
        y = y + x
    y.backward()
    assert y.data == 1_000_001
    assert x.grad == 1_000_001


def test_results_are_visited_after_everything_made_of_them() -> None:
    """A diamond whose short side is younger than its long side: a depth-first walk that is careless gets it wrong."""
    x = Value(3.0)
    long = ((x * 2) * 2) * 2
    short = x + long
    (short * long).backward()  # (x + 8x) 8x = 72 x^2
    assert x.grad == 2 * 72 * 3


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Value(-1.0).log(), r"log\(-1\): only positive"),
        (lambda: Value(0.0).log(), r"log\(0\)"),
        (lambda: Value(1.0) / Value(0.0), "1 / 0: a division by zero"),
        (lambda: Value(1000.0).exp(), r"exp\(1000\) is too large"),
        (lambda: Value(0.0) ** -1, r"0 \*\* -1 is too large"),
        (lambda: Value(0.0) ** 0.5, r"the slope of 0 \*\* 0.5"),
        (lambda: Value(-1.0) ** 0.5, r"-1 \*\* 0.5: a negative number"),
    ],
)
def test_what_is_not_a_number_is_said_in_one_line(make: Callable[[], Value], says: str) -> None:
    with pytest.raises(NonFiniteError, match=says):
        make()


def test_a_value_as_exponent_says_what_to_write() -> None:
    with pytest.raises(UsageError, match=r"\(b \* a.log\(\)\).exp\(\)"):
        Value(2.0) ** Value(3.0)  # type: ignore[operator]


def test_sigmoid_never_overflows() -> None:
    assert Value(-1000.0).sigmoid().data == 0.0
    assert Value(1000.0).sigmoid().data == 1.0


def examples() -> list[Value]:
    a, b = Value(1.7, "a"), Value(-0.6, "b")
    made = [a + b, a - b, a * b, a / b, b**3, a**-0.5, b.exp(), a.log(), a.relu(), b.relu(), b.tanh(), b.sigmoid()]
    return [*made, dot([a, b], [b, a])]


@pytest.mark.parametrize("value", examples(), ids=lambda value: value.operation)
def test_every_formula_said_computes_what_was_computed(value: Value) -> None:
    """The text of a formula, read as Python, gives the number, and the text of each local derivative its number."""
    names = {"exp": math.exp, "log": math.log, "tanh": math.tanh, "max": max}
    value.name = "y"
    known = {operand.name: operand.data for operand in value.operands} | {"y": value.data}
    said, counted = value.formula().split(" = ")[1:3]
    assert eval(said, names | known) == pytest.approx(value.data, rel=1e-15)
    assert eval(counted, names) == pytest.approx(value.data, rel=1e-5)
    for slope, formula in zip(value.local, slope_formulas(value, lambda x: x.name), strict=True):
        assert eval(formula, names | known) == pytest.approx(slope, rel=1e-14)


def test_there_is_a_formula_for_every_operation() -> None:
    assert {value.operation.partition(" ")[0] for value in examples()} == {*FORMULAS, "dot"}


def test_a_node_explains_itself() -> None:
    a, b = Value(2.0, "a"), Value(-3.0, "b")
    c = a * b
    c.name = "c"
    (c + 1).backward()
    assert c.explain().splitlines() == [
        "c = a * b = 2 * (-3) = -6",
        "  d c / d a = b = -3",
        "  d c / d b = a = 2",
        "  d loss / d c = 1, of which",
        "    a gets 1 * (-3) = -3",
        "    b gets 1 * 2 = 2",
    ]


def test_the_graph_as_text_names_what_was_shown_before() -> None:
    a, b = Value(2.0, "a"), Value(3.0, "b")
    d = a * b
    d.name = "d"
    root = d * d
    root.name = "root"
    root.backward()
    assert root.show().splitlines() == [
        "root = d * d = 6 * 6 = 36   grad 1",
        "|- d = a * b = 2 * 3 = 6   grad 12",
        "|  |- a = 2   grad 36",
        "|  `- b = 3   grad 24",
        "`- d (above)",
    ]
    assert root.show(most=2).splitlines()[-1] == "... cut after 2 lines; show(most=...) shows more"


def test_the_graph_as_a_picture_has_every_number() -> None:
    a, b = Value(2.0, "a<b"), Value(3.0, "b")
    root = (a * b).tanh()
    root.backward()
    picture = ElementTree.fromstring(root.svg())
    text = " ".join("".join(element.itertext()) for element in picture.iter() if element.tag.endswith("text"))
    for said in ("a<b", "tanh", "multiply", f"{root.data:.6g}", f"grad {a.grad:.6g}"):
        assert said in text
    titles = [element.text or "" for element in picture.iter() if element.tag.endswith("title")]
    assert any(in_full(root.data) in title for title in titles)


@pytest.mark.slow
def test_large_graphs_are_shown_in_part() -> None:
    y = x = Value(1.0, "x")
    for _ in range(100_000):
        y = y + x
    assert len(y.show().splitlines()) == 61
    boxes = [e for e in ElementTree.fromstring(y.svg(most=50)).iter() if e.tag.endswith("}rect")]
    assert len(boxes) == 50
