"""Operands and settings for every kind of operation that `ops.py` names in `draws`, drawn by Hypothesis.

Shapes have up to four axes of size 0 to 4; operands are broadcast against each other, and lie in memory in order,
transposed, with gaps or backwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from cutaway.scratch.ops import FloatArray


@dataclass
class Case:
    """What an operation is called with."""

    operands: list[FloatArray]
    settings: dict[str, Any] = field(default_factory=dict)


def shapes(smallest: int = 0, least_axes: int = 0, most_axes: int = 4) -> SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(smallest, 4), min_size=least_axes, max_size=most_axes).map(tuple)


@st.composite
def numbers(draw: DrawFn, shape: tuple[int, ...], layout: str | None = None) -> FloatArray:
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layout = layout or draw(st.sampled_from(["in order", "transposed", "with gaps", "backwards"]))
    if layout == "transposed":
        return generator.normal(size=shape[::-1]).transpose()
    if layout == "with gaps" and shape:
        return generator.normal(size=(*shape[:-1], 2 * shape[-1]))[..., ::2]
    if layout == "backwards" and shape:
        return generator.normal(size=shape)[::-1]
    return generator.normal(size=shape)


@st.composite
def one(draw: DrawFn, smallest: int = 0) -> Case:
    return Case([draw(numbers(draw(shapes(smallest))))])


@st.composite
def two(draw: DrawFn) -> Case:
    shape = draw(shapes())
    return Case([draw(numbers(draw(narrower(shape)))), draw(numbers(draw(narrower(shape))))])


@st.composite
def narrower(draw: DrawFn, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape that is repeated to fit the given one: leading axes missing, some sizes 1."""
    kept = shape[draw(st.integers(0, len(shape))) :]
    return tuple(1 if draw(st.booleans()) and draw(st.booleans()) else size for size in kept)


def changed(case: Case, which: int, change: Callable[[FloatArray], FloatArray]) -> Case:
    """Return the case with one operand changed where it lies: its layout in memory stays."""
    case.operands[which][...] = change(case.operands[which])
    return case


def away_from_zero(x: FloatArray) -> FloatArray:
    return np.where(x >= 0, x + 0.2, x - 0.2)


def spread(x: FloatArray) -> FloatArray:
    """Keep the numbers of a row apart: with nearly equal ones a norm's gradient is nothing but rounding, PyTorch's too."""
    return x + 3 * np.arange(x.shape[-1])


@st.composite
def with_axes(draw: DrawFn, smallest: int = 0) -> Case:
    case = draw(one(smallest))
    n = case.operands[0].ndim
    axes: list[Any] = [None, *range(-n, n)]
    if n > 1:
        axes += [tuple(draw(st.permutations(range(n)))[: draw(st.integers(1, n))])]
    case.settings = {"axis": draw(st.sampled_from(axes)), "keepdims": draw(st.booleans())}
    return case


@st.composite
def rows(draw: DrawFn, least_axes: int = 1) -> Case:
    shape = (*draw(shapes(0, least_axes - 1, 3)), draw(st.integers(1, 5)))
    return Case([draw(numbers(shape))])


@st.composite
def with_targets(draw: DrawFn) -> Case:
    shape = (*draw(shapes(1, 1, 2)), draw(st.integers(1, 5)))
    targets = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).integers(0, shape[-1], shape[:-1])
    return Case([draw(numbers(shape))], {"targets": targets})


@st.composite
def matrices(draw: DrawFn) -> Case:
    batch = draw(shapes(0, 0, 2))
    T, C, F = (draw(st.integers(0, 4)) for _ in range(3))
    x, y = (*draw(narrower(batch)), T, C), (*draw(narrower(batch)), C, F)
    return Case([draw(numbers(x)), draw(numbers(y))])


@st.composite
def with_weights(draw: DrawFn) -> Case:
    rows, C, F = draw(shapes(0, 0, 3)), draw(st.integers(0, 4)), draw(st.integers(0, 4))
    return Case([draw(numbers((*rows, C))), draw(numbers((F, C)))])


@st.composite
def with_rows(draw: DrawFn) -> Case:
    V, C = draw(st.integers(1, 4)), draw(st.integers(0, 4))
    found = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).integers(0, V, draw(shapes(0, 0, 3)))
    return Case([draw(numbers((V, C)))], {"rows": found})


@st.composite
def with_key(draw: DrawFn) -> Case:
    shape = draw(shapes(1, 1, 4))
    size = shape[0]
    key = draw(
        st.one_of(
            st.integers(-size, size - 1),
            st.builds(slice, st.integers(0, size), st.integers(0, size)),
            st.just((Ellipsis, 0)),
            st.just(None),
            st.lists(st.integers(0, size - 1), max_size=4).map(lambda rows: np.array(rows, dtype=np.int64)),
        )
    )
    return Case([draw(numbers(shape))], {"key": key})


@st.composite
def with_heads(draw: DrawFn, is_split: bool) -> Case:
    rest, H, T, D = draw(shapes(0, 0, 2)), draw(st.integers(1, 3)), draw(st.integers(0, 4)), draw(st.integers(0, 3))
    if is_split:
        return Case([draw(numbers((*rest, H, T, D)))])
    return Case([draw(numbers((*rest, T, H * D)))], {"heads": H})


@st.composite
def queries_and_keys(draw: DrawFn) -> Case:
    rest, T, D = draw(shapes(0, 0, 2)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    S = T + draw(st.integers(0, 3))
    return Case([draw(numbers((*rest, T, D))), draw(numbers((*rest, S, D)))])


@st.composite
def several(draw: DrawFn) -> Case:
    shape = draw(shapes(0, 1, 3))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    operands = []
    for _ in range(draw(st.integers(1, 3))):
        own = list(shape)
        own[axis] = draw(st.integers(0, 3))
        operands.append(draw(numbers(tuple(own))))
    return Case(operands, {"axis": axis})


@st.composite
def with_shape(draw: DrawFn) -> Case:
    old = draw(shapes())
    new = list(draw(st.permutations(old)))
    if draw(st.booleans()):
        new.insert(draw(st.integers(0, len(new))), 1)
    if len(new) > 1 and draw(st.booleans()):
        new = [new[0] * new[1], *new[2:]]
    return Case([draw(numbers(old))], {"shape": tuple(new)})


@st.composite
def with_order(draw: DrawFn) -> Case:
    shape = draw(shapes())
    return Case([draw(numbers(shape))], {"axes": tuple(draw(st.permutations(range(len(shape)))))})


@st.composite
def with_condition(draw: DrawFn) -> Case:
    case = draw(two())
    shape = draw(narrower(np.broadcast_shapes(*[x.shape for x in case.operands])))
    case.settings = {
        "condition": np.asarray(np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random(shape) < 0.5)
    }
    return case


def settled(strategy: SearchStrategy[Case], **choices: list[Any]) -> SearchStrategy[Case]:
    """Return cases with each setting drawn from a list."""
    drawn = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in choices.items()})
    return st.builds(lambda case, settings: Case(case.operands, settings), strategy, drawn)


positive = one().map(lambda case: changed(case, 0, lambda x: 0.2 + np.abs(x)))

DRAWS: dict[str, SearchStrategy[Case]] = {
    "one": one(),
    "one, not near 0": one().map(lambda case: changed(case, 0, away_from_zero)),
    "positive": positive,
    "positive, with an exponent": settled(positive, exponent=[-1.5, -1, 0, 0.5, 1, 2, 3]),
    "one, with a form of GELU": settled(one(), approximate=["none", "tanh"]),
    "two": two(),
    "two, the second not near 0": two().map(lambda case: changed(case, 1, away_from_zero)),
    "two, with a condition": with_condition(),
    "one, with axes": with_axes(),
    "not empty, with axes": with_axes(1),
    "rows": rows(),
    "rows, with eps": settled(rows().map(lambda case: changed(case, 0, spread)), eps=[1e-5, 1e-2]),
    "rows, with targets": with_targets(),
    "matrices": matrices(),
    "rows, with weights": with_weights(),
    "table, with rows": with_rows(),
    "one, with a key": with_key(),
    "positions, with heads": with_heads(is_split=False),
    "queries and keys": queries_and_keys(),
    "heads": with_heads(is_split=True),
    "several, with an axis": several(),
    "one, with a shape": with_shape(),
    "one, with an order of axes": with_order(),
}
