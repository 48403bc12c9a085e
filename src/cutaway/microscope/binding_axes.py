"""How many axes every tuple of a formula stands for, and which index stands on which axis of an array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cutaway.base.errors import UsageError
from cutaway.microscope import formula_tree as tree
from cutaway.microscope.binding_arguments import NotStatic, is_array
from cutaway.microscope.binding_locals import Locals
from cutaway.microscope.formula_print import items_text
from cutaway.microscope.formula_syntax import syntax, tuple_names


class Axes(Locals):
    """Counts axes, and lays indices out on them."""

    def layout(self, items: Sequence[Any], shape: Sequence[int], what: str) -> list[tuple[Any, int | None]]:
        """Return for each axis of an array the index that stands there, and which of a tuple's axes it is."""
        n = len(shape)
        found: list[tuple[Any, int | None] | None] = [None] * n
        rest = []
        for item in items:
            if isinstance(item, (tree.Placed, tree.Blank)) and item.axes is not None:
                full = self.full.get(repr(item.axes), n)
                axes = self.dims(item.axes, full)
                if isinstance(item, tree.Blank) and n != full:
                    continue
                for lane, axis in enumerate(axes):
                    if axis - (full - n) >= 0:
                        found[axis - (full - n)] = (item, lane)
            else:
                rest.append(item)
        left = [axis for axis in range(n) if found[axis] is None]
        ranks = [self.item_rank(item) for item in rest]
        free = len(left) - sum(rank for rank in ranks if rank is not None)
        for item, rank in zip(rest, ranks, strict=True):
            if rank is None:
                rank = free if ranks.count(None) == 1 else -1
                if rank < 0:
                    break
                shift = self.ranks.get(item.name, rank) - rank if isinstance(item, tree.Name) else 0
                shift = max(shift, 0)
            else:
                shift = 0
            single = rank == 1 and not tuple_names(item, self.several)
            for lane in range(rank):
                if not left:
                    break
                found[left.pop(0)] = (item, None if single else lane + shift)
        else:
            if not left:
                return found  # type: ignore[return-value]
        raise UsageError(f"formula: {what} has {n} axes {tuple(shape)}, which do not fit the index {show_items(items)}")

    def item_rank(self, item: Any) -> int | None:
        """Return how many axes an index stands on, None for what takes all that are left."""
        if isinstance(item, tree.Blank):
            return None if item.is_tuple else 1
        if isinstance(item, tree.Bounded):
            item = item.variable
        names = tuple_names(item, self.several)
        if not names:
            return 1
        if isinstance(item, tree.Name) and (item.name in self.spreading or item.name not in self.ranks):
            return None
        ranks = [self.ranks[name] for name in names if name in self.ranks]
        if not ranks:
            raise UsageError(f"formula: how many axes has {show_items([item])}? No array tells")
        return max(ranks)

    def dims(self, axes: tree.Node, rank: int) -> list[int]:
        """Return the axes an argument names, of an array with so many."""
        value = self.constant(axes, {})
        if rank == 0:
            return []
        if value is None or (isinstance(value, (list, tuple)) and not value):
            return list(range(rank))
        found = [value] if isinstance(value, int) else list(value)
        if any(not -rank <= axis < rank for axis in found):
            raise UsageError(f"formula: axis {value} of an array with {rank} axes")
        return [axis % rank for axis in found]

    def count_axes(self, target: tuple[Any, ...], shape: Sequence[int], body: Any) -> None:
        """Find how many axes each tuple stands for."""
        self.ranks: dict[str, int] = {"#all": len(shape)}
        """How many axes a variable stands for."""
        self.full: dict[str, int] = {}
        """How many axes the arrays have of which an argument names some, by `repr` of what stands after @."""
        self.several: set[str] = set()
        """Variables without dots that may stand for several axes, because they stand before an @."""
        self.spreading = {"#all", *(item.name for item in target if is_anonymous(item))}
        """The `..`, which broadcast."""
        self.fixed = set(self.spreading)
        """Of these, those of the result, whose axes no operand adds to."""
        uses = [(target, len(shape))]
        for node in syntax(body):
            if isinstance(node, tree.Read):
                array = self.array_of(node.array, {})[1]
                if isinstance(array, (list, tuple)):
                    array = max(array, key=np.ndim, default=0.0)
                if is_array(array):
                    uses.append((node.items, array.ndim))
            if isinstance(node, tree.Reduce):
                for r in node.variables:
                    self.count_limit(r.variable, r.limit)
                    self.spreading |= {r.variable.name} if is_anonymous(r.variable) else set()
        self.count_placed(uses)
        while any([self.count_from(items, n, which == 0) for which, (items, n) in enumerate(uses)]):  # noqa: C419 - all
            pass

    def count_placed(self, uses: list[tuple[Any, int]]) -> None:
        """Count the axes of variables before an @, and note the limits of the result's own."""
        placed = [(item, n) for items, n in uses for item in items if isinstance(item, tree.Placed)]
        for item, n in placed:
            self.full[repr(item.axes)] = max(n, self.full.get(repr(item.axes), 0))
        for item, _ in placed:
            count = len(self.dims(item.axes, self.full[repr(item.axes)]))
            if isinstance(item.index, tree.Name) or count != 1:
                for part in syntax(item.index):
                    if isinstance(part, tree.Name) and "#" in part.name:
                        self.several.add(part.name)
                        self.ranks[part.name] = max(count, self.ranks.get(part.name, 0))
        for item in uses[0][0]:
            if isinstance(item, tree.Bounded):
                self.count_limit(item.variable, item.limit)

    def count_from(self, items: Sequence[Any], n: int, is_result: bool) -> bool:
        """Learn from one index of an array with n axes how many axes a tuple has; return whether anything was learnt."""
        unknown: list[str | None] = []
        learnt = False
        for item in items:
            if isinstance(item, (tree.Placed, tree.Blank)) and item.axes is not None:
                full = self.full.get(repr(item.axes))
                if full is None:
                    unknown.append(None)
                elif isinstance(item, tree.Placed) or n == full:
                    n -= len(self.dims(item.axes, full))
                continue
            if isinstance(item, tree.Blank):
                n -= 1
                unknown += [None] * item.is_tuple
                continue
            item = item.variable if isinstance(item, tree.Bounded) else item
            names = tuple_names(item, self.several)
            ranks = [self.ranks[name] for name in names if name in self.ranks]
            if not names:
                n -= 1
            elif isinstance(item, tree.Name) and item.name in self.spreading and not (is_result and ranks):
                unknown.append(item.name)
            elif not ranks:
                unknown += names
            else:
                n -= max(ranks)
                for name in names:
                    learnt |= name not in self.ranks
                    self.ranks.setdefault(name, max(ranks))
        if len(unknown) == 1 and unknown[0] is not None and n >= 0:
            name = unknown[0]
            grows = name in self.spreading and name not in self.fixed
            if name not in self.ranks or (grows and n > self.ranks[name]):
                self.ranks[name], learnt = n, True
        return learnt

    def count_limit(self, variable: tree.Name, limit: tree.Node | None) -> None:
        """Note that a tuple has as many axes as the list that limits it is long."""
        if variable.is_tuple and limit is not None:
            try:
                value = self.constant(limit, {})
            except NotStatic:
                return
            if isinstance(value, (list, tuple)):
                self.ranks[variable.name] = len(value)


def is_anonymous(item: Any) -> bool:
    """Return whether an index is `..`."""
    return isinstance(item, tree.Name) and item.is_tuple and item.name.startswith("#")


def show_items(items: Sequence[Any]) -> str:
    """Return indices as a person writes them, without the marks that make names unique."""
    return f"[{items_text(items)}]"
