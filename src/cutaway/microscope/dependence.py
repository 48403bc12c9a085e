"""Which elements of a result depend on some elements of an operand: a formula's index maps, read backwards.

    out[i,j] = sum(k: self[i,k] * mat2[k,j])      self[3,5] stands in every out[3,j]

Every read of the operand in the bound tree asks for the values of the index variables at which its indices are those of
the element: `i == 3 and k == 5`. Conditions on the way there must hold too: `[indices[t] == v] * grad[t,c]`,
`self if mask else 0`. Indices that are plain sums are solved, others (looked up in another array) are computed. What is
left free takes all its values.

An element *depends* where its formula reads: that the number it is multiplied with happens to be 0, or that another one is
the maximum, does not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cutaway.microscope.bound_tree import Node, Tree, Var, affine, factors_of
from cutaway.microscope.element_places import first_argument
from cutaway.microscope.evaluate import Evaluator
from cutaway.microscope.formula import Bound
from cutaway.microscope.formula_syntax import output_number
from cutaway.microscope.values import Array, spread, union

MOST_TESTED = 1 << 26
"""Conditions on more elements than this are taken to hold."""


@dataclass(frozen=True)
class Group:
    """Some axes of an array and the indices meant on them together, one array an axis."""

    axes: tuple[int, ...]
    places: tuple[Array, ...]


@dataclass(frozen=True)
class Box:
    """Elements of an array: every combination of those of its groups. An axis in no group is meant with all its indices."""

    shape: tuple[int, ...]
    groups: tuple[Group, ...]

    @property
    def count(self) -> int:
        """How many elements these are."""
        named = {axis for group in self.groups for axis in group.axes}
        free = math.prod(size for axis, size in enumerate(self.shape) if axis not in named)
        return free * math.prod(len(group.places[0]) for group in self.groups)

    def flat(self, most: int | None = None) -> Array:
        """Return the elements counted row by row, in no order.

        Args:
            most: of every free axis and every group only so many, where the first ones are enough.
        """
        steps = [math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape))]
        named = {axis for group in self.groups for axis in group.axes}
        parts = [
            np.arange(size if most is None else min(size, most)) * steps[axis]
            for axis, size in enumerate(self.shape)
            if axis not in named
        ]
        for group in self.groups:
            part = sum(steps[axis] * at.astype(np.int64) for axis, at in zip(group.axes, group.places, strict=True))
            parts.append(np.sort(part)[:most])
        total = np.zeros(1, np.int64)
        for part in parts:
            total = (total[:, None] + part).ravel()
            if most is not None:
                total = np.sort(total)[:most]
        return total

    def holds(self, other: Box) -> bool:
        """Whether all elements of another box are in this one, as far as that is plain to see."""
        mine = {group.axes: group for group in self.groups}
        for axes, group in mine.items():
            same = next((g for g in other.groups if g.axes == axes), None)
            if same is None or not (
                len(same.places[0]) <= len(group.places[0])
                and all(np.isin(a, b).all() for a, b in zip(same.places, group.places, strict=True))
            ):
                return False
            if len(axes) > 1 and not all(np.array_equal(a, b) for a, b in zip(same.places, group.places, strict=True)):
                return False
        return True


class Cells:
    """Elements of a result: all those of some boxes."""

    def __init__(self, shape: tuple[int, ...], boxes: Sequence[Box]) -> None:
        self.shape = shape
        self.boxes: list[Box] = []
        for box in sorted(boxes, key=lambda box: -box.count):
            if box.count and not any(other.holds(box) for other in self.boxes):
                self.boxes.append(box)
        self._count: int | None = None

    @property
    def count(self) -> int:
        """How many elements these are."""
        if self._count is None:
            self._count = self.boxes[0].count if len(self.boxes) == 1 else self._union()
        return self._count

    def _union(self) -> int:
        if not self.boxes:
            return 0
        if sum(box.count for box in self.boxes) < math.prod(self.shape) // 8:
            return len(np.unique(np.concatenate([box.flat() for box in self.boxes])))
        mask = np.zeros(math.prod(self.shape), bool)
        for box in self.boxes:
            mask[box.flat()] = True
        return int(mask.sum())

    def flat(self) -> Array:
        """Return all the elements counted row by row, in order."""
        return np.unique(np.concatenate([np.zeros(0, np.int64), *(box.flat() for box in self.boxes)]))

    def first(self, most: int) -> list[tuple[int, ...]]:
        """Return the indices of the first ones."""
        found = np.unique(np.concatenate([np.zeros(0, np.int64), *(box.flat(most) for box in self.boxes)]))[:most]
        if not self.shape:
            return [()] * len(found)
        return [tuple(one) for one in np.array(np.unravel_index(found, self.shape)).T.tolist()]


def dependents(bound: Bound, operands: dict[str, list[Group]]) -> Callable[[int], Cells | None]:
    """Return a function that gives, for a result, the elements that depend on these elements of operands.

    None of it: the formula reads the operand in a way that cannot be followed.
    """
    known: dict[int, Cells | None] = {}

    def of(k: int) -> Cells | None:
        if k not in known:
            known[k] = Cells((), ())  # a result that reads itself as recorded does not depend on itself
            known[k] = compute(k)
        return known[k]

    def compute(k: int) -> Cells | None:
        tree = bound.tree(k)
        boxes: list[Box] = []
        for read, conditions in reads_of(tree.root, bound.evaluator(k, False)):
            wanted = wanted_by(read, bound, operands, of, k)
            if wanted is None:
                return None
            for groups in wanted:
                box = solve(tree, bound.evaluator(k, False), read, groups, conditions)
                if box is not None:
                    boxes.append(box)
        return Cells(tree.shape, boxes)

    return of


def wanted_by(
    read: Node, bound: Bound, operands: dict[str, list[Group]], of: Callable[[int], Cells | None], k: int
) -> list[list[Group]] | None:
    """Return which elements of the array a read reads are meant, a list of groups each; None where nobody knows."""
    name: str = read.data[0]
    found = []
    for operand, groups in operands.items():
        mine = groups_in(name, operand, groups, bound)
        if mine is None:
            if name.startswith("positions(") and operand.partition(".")[0] in name[len(first_argument(name)) + 10 :]:
                return None
        else:
            found.append(mine)
    result = output_number(name.removesuffix(".flat"))
    if result is not None and result != k and name.removesuffix(".flat") not in bound.arguments:
        cells = of(result)
        if cells is None:
            return None
        for box in cells.boxes:
            groups = list(box.groups)
            if name.endswith(".flat"):
                groups = [Group((0,), (box.flat(),))]
            found.append(groups)
    return found


def groups_in(name: str, operand: str, groups: list[Group], bound: Bound) -> list[Group] | None:
    """Return where elements of an operand stand in an array of the bound tree, None if that is of another operand."""
    if name == operand:
        return groups
    if name.endswith(".flat"):
        inner = groups_in(name.removesuffix(".flat"), operand, groups, bound)
        shape = np.shape(bound.arrays[name.removesuffix(".flat")])
        return None if inner is None else [Group((0,), (Box(shape, tuple(inner)).flat(),))]
    if name.endswith(".*") and operand.startswith(name[:-1]):
        number = int(operand[len(name) - 1 :])
        shifted = [Group(tuple(axis + 1 for axis in group.axes), group.places) for group in groups]
        return [Group((0,), (np.array([number]),)), *shifted]
    if name.startswith("spread("):
        first = first_argument(name)
        inner = groups_in(first, operand, groups, bound)
        if inner is None:
            return None
        own, whole = np.shape(bound.arrays[first]), np.shape(bound.arrays[name])
        shift = len(whole) - len(own)
        kept = []
        for group in inner:
            axes = [(axis, at) for axis, at in zip(group.axes, group.places, strict=True) if own[axis] > 1]
            if axes:
                kept.append(Group(tuple(axis + shift for axis, _ in axes), tuple(at for _, at in axes)))
        return kept
    return None


Condition = tuple[Node, bool]


def reads_of(root: Node, evaluator: Evaluator) -> Iterator[tuple[Node, tuple[Condition, ...]]]:
    """Yield every read of a tree with the conditions on the way there and what each must be."""
    seen: set[tuple[int, frozenset[tuple[int, bool]]]] = set()
    stack: list[tuple[Node, tuple[Condition, ...]]] = [(root, ())]
    while stack:
        node, conditions = stack.pop()
        key = id(node), frozenset((id(test), wanted) for test, wanted in conditions)
        if key in seen:
            continue
        seen.add(key)
        if node.op == "read":
            yield node, conditions
        if node.op == "where":
            test, yes, no = node.args
            stack += [(test, conditions), (yes, (*conditions, (test, True))), (no, (*conditions, (test, False)))]
        elif node.op in ("*", "/"):
            factors = factors_of(node)
            if any(one.op == "number" and one.data == 0 and not divides for one, divides in factors):
                continue
            tests = [
                [] if divides else [(test, True) for test in holding(factor, evaluator)] for factor, divides in factors
            ]
            for n, (factor, _) in enumerate(factors):
                others = [test for m, mine in enumerate(tests) if m != n for test in mine]
                stack.append((factor, (*conditions, *others)))
        else:
            stack += [(arg, conditions) for arg in node.args]


def holding(factor: Node, evaluator: Evaluator) -> list[Node]:
    """Return the conditions without which a factor is 0: itself, or that an element is inside its array (padding is 0)."""
    if factor.kind == "b":
        return [factor]
    is_zero_outside = factor.op == "read" and factor.data[1] == 0
    return [test for _, test in borders(factor, evaluator)] if is_zero_outside else []


def borders(read: Node, evaluator: Evaluator) -> Iterator[tuple[int, Node]]:
    """Yield the axes on which a read may leave its array, with the condition that it does not."""
    for axis, (index, size) in enumerate(zip(read.args, evaluator.array(read.data[0]).shape, strict=True)):
        if index.bounds is None or index.bounds[0] < 0 or index.bounds[1] >= size:
            yield axis, Node("inside", (index,), (size,), index.vars, "b")


def solve(
    tree: Tree, evaluator: Evaluator, read: Node, wanted: list[Group], conditions: tuple[Condition, ...]
) -> Box | None:
    """Return the elements of a result for which a read, under its conditions, reads one of the wanted elements."""
    shape = evaluator.array(read.data[0]).shape
    tests: list[tuple[tuple[Var, ...], Callable[[], Array]]] = []
    named = {axis for group in wanted for axis in group.axes}
    waiting = [group for group in wanted if group.axes]
    waiting += [
        Group((axis,), (np.zeros(1, int),)) for axis, size in enumerate(shape) if size == 1 and axis not in named
    ]
    around = [test for axis, test in borders(read, evaluator) if shape[axis] > 1 and axis not in named]
    equalities = [test for test, must in conditions if must and is_equality(test)]
    progress = True
    while progress:  # solving one may make another plain
        progress = False
        for group in list(waiting):
            fixed = solved(read.args[group.axes[0]], group.places[0], evaluator) if len(group.axes) == 1 else None
            if fixed is False:
                return None
            if fixed:
                waiting.remove(group)
                progress = True
        for test in list(equalities):
            fixed = settled(test, evaluator)
            if fixed is False:
                return None
            if fixed:
                equalities.remove(test)
                progress = True
    for group in waiting:
        tests.append((union(*(read.args[axis].vars for axis in group.axes)), index_test(read, group, shape, evaluator)))
    for test, must in [*conditions, *((test, True) for test in around)]:
        tests.append((test.vars, condition_test(test, must, evaluator)))
    return box_of(tree, evaluator, tests)


def is_equality(test: Node) -> bool:
    """Return whether a condition says that two things are the same."""
    return (test.args[0] if test.op == "bracket" else test).op == "=="


def settled(test: Node, evaluator: Evaluator) -> bool | None:
    """Fix a variable that a condition says is equal to something known; return False if it can be no such value."""
    left, right = (test.args[0] if test.op == "bracket" else test).args
    for one, other in ((left, right), (right, left)):
        form = affine(one)
        if form and len(form[0]) == 1 and all(evaluator.count([v]) == [1] for v in other.vars):
            return solved(one, value_of(other, evaluator).reshape(-1), evaluator)
    return None


def solved(index: Node, wanted: Array, evaluator: Evaluator) -> bool | None:
    """Fix the one variable of an index that must have one value; return False if it cannot have it, None if not so."""
    form = affine(index)
    if form is None or len(wanted) != 1:
        return None
    coefficients, constant = form
    free = {v: n for v, n in coefficients.items() if evaluator.count([v]) != [1]}
    left = (
        float(wanted[0]) - constant - sum(n * evaluator.range(v)[0] for v, n in coefficients.items() if v not in free)
    )
    if not free:
        return left == 0
    if len(free) > 1:
        return None
    ((v, n),) = free.items()
    start, stop = evaluator.range(v)
    if left % n or not start <= left // n < stop:
        return False
    evaluator.set_range(v, (int(left // n), int(left // n) + 1))
    return True


def index_test(read: Node, group: Group, shape: tuple[int, ...], evaluator: Evaluator) -> Callable[[], Array]:
    """Return the test whether the indices of a read are wanted ones."""

    def test() -> Array:
        nodes = [read.args[axis] for axis in group.axes]
        over = union(*(node.vars for node in nodes))
        code: Any = 0
        codes: Any = 0
        inside: Any = True
        for node, axis, places in zip(nodes, group.axes, group.places, strict=True):
            at = spread(value_of(node, evaluator), node.vars, over)
            inside = inside & (at >= 0) & (at < shape[axis])
            code = code * shape[axis] + at
            codes = codes * shape[axis] + places
        return np.asarray(np.isin(code, codes) & inside)

    return test


def condition_test(test: Node, must: bool, evaluator: Evaluator) -> Callable[[], Array]:
    """Return the test whether a condition holds, or does not."""
    return lambda: np.asarray((value_of(test, evaluator) != 0) == must)


def value_of(node: Node, evaluator: Evaluator) -> Array:
    """Return a node's value where the variables it depends on are fixed; sums inside it run over all of theirs."""
    if not all(v in node.vars for v in evaluator.ranges):
        ranges = {v: span for v, span in evaluator.ranges.items() if v in node.vars}
        evaluator = Evaluator(evaluator.arrays, 0.0, False)
        evaluator.ranges = ranges
    return np.asarray(evaluator.value(node).array)


def box_of(tree: Tree, evaluator: Evaluator, tests: list[tuple[tuple[Var, ...], Callable[[], Array]]]) -> Box | None:
    """Return the elements of a result for which values of all other variables pass all tests."""
    groups: list[Group] = []
    axis_of = {v: axis for axis, v in enumerate(tree.axes) if v is not None}
    joined: list[tuple[tuple[Var, ...], Any]] = []
    for own, test in tests:
        if math.prod(evaluator.count(own)) > MOST_TESTED:
            continue
        passed, over = np.broadcast_to(test(), evaluator.count(own)), own
        free = {v for v in own if evaluator.count([v]) != [1]}
        for other in [one for one in joined if free & set(one[0])]:
            every = union(over, other[0])
            passed = spread(passed, over, every) & spread(other[1], other[0], every)
            over = every
            joined.remove(other)
        joined.append((over, passed))
    named: set[int] = set()
    for over, passed in joined:
        inner = tuple(n for n, v in enumerate(over) if v not in axis_of)
        passed = np.asarray(np.broadcast_to(passed, evaluator.count(over)).any(axis=inner))
        outer = [v for v in over if v in axis_of]
        if not passed.any():
            return None
        moving = [n for n, v in enumerate(outer) if evaluator.count([v]) != [1]]
        if moving and not passed.all():
            found = np.nonzero(passed)
            places = tuple(found[n] + evaluator.range(outer[n])[0] for n in moving)
            groups.append(Group(tuple(axis_of[outer[n]] for n in moving), places))
            named |= {axis_of[outer[n]] for n in moving}
    for v, axis in axis_of.items():
        start, stop = evaluator.range(v)
        if axis not in named and (start, stop) != (0, v.size):
            groups.append(Group((axis,), (np.arange(start, stop),)))
    if any(v is not None and v.size == 0 for v in tree.axes):
        return None
    if not tree.is_flat:
        return Box(tree.shape, tuple(groups))
    if not groups:
        return Box(tree.shape, ())
    found = np.unravel_index(groups[0].places[0], tree.shape) if tree.shape else ()
    return Box(tree.shape, (Group(tuple(range(len(tree.shape))), tuple(found)),) if tree.shape else ())
