"""A formula bound to the operands of one operation, as a `bound_tree`.

In this order: locals are put in and conditions on plain arguments settled (`binding_locals`), the axes of tuples are
counted (`binding_axes`), variables get their sizes, and the expression is lowered to nodes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cutaway.base.errors import UsageError
from cutaway.microscope import formula_tree as tree
from cutaway.microscope.binding_arguments import EVERYTHING, NotStatic, Scope, is_array, lane_of
from cutaway.microscope.binding_axes import Axes, show_items
from cutaway.microscope.bound_tree import Node, Tree, Var
from cutaway.microscope.formula_functions import FUNCTIONS, NEUTRAL
from cutaway.microscope.formula_syntax import depth_of, output_number, syntax, tuple_names

SINGLE = (*tree.COMPARISONS, "%", "//")
"""Where PyTorch first rounds a plain number to float32 if no array is float64, and where that can matter much."""


class Binder(Axes):
    """Turns one statement into a bound tree."""

    def statement(self, k: int) -> tuple[int, tree.Statement] | None:
        """Return the statement of an output and its number, or None if there is none."""
        for n, statement in enumerate(self.statements):
            if output_number(statement.target) == k:
                return n, statement
        return None

    def bind(self, k: int) -> Tree:
        """Return the bound tree of an output."""
        found = self.statement(k)
        if found is None:
            raise UsageError(f"formula: no statement for result {k}")
        n, statement = found
        self.given = self.outputs[k]
        kinds = {value.dtype.char for value in (*self.arguments.values(), self.given) if is_array(value)}
        self.is_single = "d" not in kinds and bool(kinds & {"f", "e"})
        shape = tuple(self.given.shape)
        laid_shape = (math.prod(shape),) if statement.is_flat else shape
        items: tuple[Any, ...] = statement.items if statement.items is not None else EVERYTHING
        variables = [part for item in items for part in syntax(item) if isinstance(part, tree.Name)]
        names: dict[str, Any] = {v.name: tree.Name(f"{v.name}#0", v.is_tuple) for v in variables}
        target = tuple(self.resolve(item, names, n) for item in items)
        body = self.resolve(statement.value, names, n)
        self.count_axes(target, laid_shape, body)
        scope: Scope = {name.name: [] for name in names.values()}
        axes = self.result_axes(target, laid_shape, scope)
        root = self.lower(body, scope, None, 0.0)
        of_infinity = math.inf
        if self.given.dtype == bool and root.kind != "b":
            root = self.nodes.call("!=", root, self.nodes.number(0))
        elif self.given.dtype.kind in "iu":
            of_infinity = float(np.iinfo(self.given.dtype).min)
            if root.kind == "f":
                root = self.nodes.call("trunc", root)
        return Tree(root, tuple(axes), shape, statement.is_flat, of_infinity)

    def result_axes(self, target: tuple[Any, ...], shape: tuple[int, ...], scope: Scope) -> list[Var | None]:
        """Return the variable of each axis of the result, None for an axis of size 1, and add them to the scope."""
        axes: list[Var | None] = []
        for axis, (item, lane) in enumerate(self.layout(target, shape, "the result")):
            if isinstance(item, tree.Blank):
                axes.append(None)
                continue
            variable: Any = item.index if isinstance(item, tree.Placed) else item
            if isinstance(item, tree.Bounded):
                variable = item.variable
            if not isinstance(variable, tree.Name):
                raise UsageError(f"formula: the result's index {show_items([item])} is not a variable")
            shown = variable.name.split("#")[0] or "_"
            var = Var((0, axis, 0), shape[axis], shown if lane is None else f"{shown}{lane}")
            axes.append(var if var.size != 1 else None)
            nodes = scope[variable.name]
            nodes.extend([self.nodes.number(0)] * ((lane or 0) + 1 - len(nodes)))
            nodes[lane or 0] = self.nodes.var(var)
        scope["#all"] = [self.nodes.number(0) if var is None else self.nodes.var(var) for var in axes]
        return axes

    def lower(self, node: Any, scope: Scope, lane: int | None, outside: float) -> Node:
        """Return an expression as a node.

        Args:
            lane: which axis of a tuple is meant, None outside tuples.
            outside: what reading outside an array gives here.
        """
        make = self.nodes
        try:
            value = self.constant(node, scope)
        except NotStatic:
            pass
        else:
            if isinstance(value, (list, tuple)):
                if lane is None:
                    raise UsageError(f"formula: a list {list(value)} where one number is expected")
                value = lane_of(value, lane)
            return make.number(value)
        if isinstance(node, tree.Name):
            found = scope.get(node.name)
            if found is None:
                raise UsageError(f"formula: {node.name.split('#')[0]} is not known here")
            if not found:
                return make.number(0)
            if len(found) == 1:
                return found[0]
            if lane is None or lane >= len(found):
                raise UsageError(
                    f"formula: {node.name.split('#')[0]} stands for {len(found)} axes, where one is expected"
                )
            return found[lane]
        if isinstance(node, tree.Read):
            return self.lower_read("read", node, scope, outside, lane)
        if isinstance(node, tree.Reduce):
            return self.lower_reduce(node, scope)
        function, arguments = node.function, node.arguments
        if function == "if":
            return make.where(
                self.lower_condition(arguments[0], scope, lane),
                self.lower(arguments[1], scope, lane, outside),
                self.lower(arguments[2], scope, lane, outside),
            )
        if function == "bracket":
            return self.lower_condition(arguments[0], scope, lane)
        if function == "lane":
            return self.lower(arguments[0], scope, arguments[1].value, outside)
        if function == "inside":
            return self.lower_read("inside", arguments[0], scope, outside, lane)
        if function not in FUNCTIONS:
            raise UsageError(f"formula: unknown function {function!r}; there are {', '.join(sorted(FUNCTIONS))}")
        nodes = [self.lower(argument, scope, lane, outside) for argument in arguments]
        if function in SINGLE and self.is_single:
            nodes = [make.number(float(np.float32(n.data))) if n.op == "number" and n.kind == "f" else n for n in nodes]
        return make.call(function, *nodes)

    def lower_condition(self, node: tree.Node, scope: Scope, lane: int | None) -> Node:
        """Return a condition as 1 or 0: conditions joined by `and`, and those on tuples, as a product."""
        make = self.nodes
        if isinstance(node, tree.Call) and node.function == "and":
            return make.call("*", *(self.lower_condition(a, scope, lane) for a in node.arguments))
        names = tuple_names(node, self.several) if lane is None else []
        count = max((len(scope.get(name, ())) for name in names), default=1)
        if count != 1 and isinstance(node, tree.Call) and node.function in tree.COMPARISONS:
            return make.product([(self.lower_condition(node, scope, one), False) for one in range(count)])
        return make.call("bracket", self.lower(node, scope, 0 if names and lane is None else lane, math.nan))

    def lower_read(self, op: str, node: tree.Read, scope: Scope, outside: float, lane: int | None) -> Node:
        """Return an element of an array, or whether there is one at that index."""
        make = self.nodes
        name, array = self.array_of(node.array, scope)
        items: Sequence[Any] = node.items
        if isinstance(array, (list, tuple)):
            if not name.endswith(".*"):
                return make.number(lane_of(array, lane or 0))
            first = self.lower(node.array.items[0], scope, None, math.nan)  # type: ignore[union-attr]
            array, start = array[0], [first]
        else:
            start = []
        if array is None:
            raise UsageError(f"formula: {name} is not given")
        if array.dtype.kind not in "fiub":
            raise UsageError(f"formula: {name} holds {array.dtype} numbers; formulas are about real and whole numbers")
        if is_old_empty(array, items):
            return make.number(outside)
        indices = list(start)
        for axis, (item, which) in enumerate(self.layout(items, array.shape, name)):
            repeats = isinstance(item, tree.Name) and item.name in self.spreading and array.shape[axis] == 1
            if isinstance(item, tree.Blank) or repeats:
                indices.append(make.number(0))
            else:
                index = item.index if isinstance(item, tree.Placed) else item
                indices.append(self.lower(index, scope, which, math.nan))
        whole = ((len(self.value_of(name[:-2])),) if start else ()) + tuple(array.shape)
        kind = {"b": "b", "f": "f"}.get(array.dtype.kind, "i")
        is_inside = all(
            index.bounds is not None and index.bounds[0] >= 0 and index.bounds[1] < size
            for index, size in zip(indices, whole, strict=True)
        )
        if op == "inside":
            return make.node("inside", tuple(indices), whole, "b") if not is_inside else make.number(True)
        if is_inside:
            outside = 0.0
        elif outside != 0.0 or math.isnan(outside):
            kind = "f"
        return make.node("read", tuple(indices), (name, outside), kind)

    def lower_reduce(self, node: tree.Reduce, scope: Scope) -> Node:
        """Return a sum, maximum and so on."""
        make = self.nodes
        listed = [r for r in node.variables if self.counts_list(node.body, r.variable.name)]
        if listed:
            return self.unroll(node, listed[0], scope)
        height = depth_of(node.body) + 1
        inner = dict(scope)
        over: list[Var] = []
        limits: list[tree.Node] = []
        for r in node.variables:
            sizes = self.range_of(r, node.body, inner, limits)
            shown = r.variable.name.split("#")[0] or "_"
            found = []
            for lane, size in enumerate(sizes):
                single = len(sizes) == 1 and not r.variable.is_tuple
                over.append(Var((1, -height, len(over)), size, shown if single else f"{shown}{lane}"))
                found.append(make.var(over[-1]))
            inner[r.variable.name] = found
        body = self.lower(node.body, inner, None, NEUTRAL[node.kind])
        for limit in limits:
            condition = self.lower_condition(limit, inner, None)
            if node.kind in ("sum", "mean"):
                body = make.call("*", condition, body)
            else:
                body = make.where(condition, body, make.number(NEUTRAL[node.kind]))
        if node.kind == "mean":
            total = make.number(math.prod(var.size for var in over))
            return make.call("/", make.reduce("sum", over, body), total)
        return make.reduce(node.kind, over, body)

    def range_of(self, r: tree.Range, body: tree.Node, scope: Scope, limits: list[tree.Node]) -> list[int]:
        """Return the sizes of a variable's axes: from its limit, or from the arrays it indexes."""
        rank = self.ranks.get(r.variable.name, 1)
        if r.limit is not None:
            try:
                limit = self.constant(r.limit, scope)
                return [max(int(lane_of(limit, lane)) + r.is_inclusive, 0) for lane in range(rank)]
            except NotStatic:
                limits.append(tree.Call("<=" if r.is_inclusive else "<", (r.variable, r.limit)))
        sizes: dict[int, int] = {}
        for node in syntax(body):
            if isinstance(node, tree.Read):
                name, array = self.array_of(node.array, scope)
                if isinstance(array, (list, tuple)) and name.endswith(".*"):
                    array = array[0]
                if not is_array(array) or is_old_empty(array, node.items):
                    continue
                for axis, (item, lane) in enumerate(self.layout(node.items, array.shape, name)):
                    index = item.index if isinstance(item, tree.Placed) else item
                    if index == r.variable:
                        if r.variable.name in self.spreading and sizes.get(lane or 0) == 1:
                            sizes.pop(lane or 0)
                        sizes.setdefault(lane or 0, array.shape[axis])
        if set(sizes) != set(range(rank)):
            if r.limit is not None:  # only known relative to another variable
                bounds = self.lower(r.limit, scope, None, math.nan).bounds
                if bounds is not None:
                    return [int(bounds[1]) + r.is_inclusive] * rank
            shown = r.variable.name.split("#")[0]
            raise UsageError(f"formula: no array shows the range of {shown}; write it: {shown} < n")
        return [sizes[lane] for lane in range(rank)]

    def counts_list(self, node: Any, name: str) -> str:
        """Return the list argument that a variable counts through, '' if none."""
        for part in syntax(node):
            if isinstance(part, tree.Read) and isinstance(part.array, tree.Name) and tree.Name(name) in part.items:
                value = self.given if part.array.name == "given" else self.value_of(part.array.name)
                if isinstance(value, (list, tuple)):
                    return part.array.name
        return ""

    def unroll(self, node: tree.Reduce, r: tree.Range, scope: Scope) -> Node:
        """Return a reduction over the arrays of a list, one after another."""
        rest = tuple(other for other in node.variables if other is not r)
        name = self.counts_list(node.body, r.variable.name)
        count = len(self.value_of(name))
        if r.limit is not None:
            count = int(self.constant(r.limit, scope)) + r.is_inclusive
        parts = []
        for n in range(count):
            inner = scope | {r.variable.name: [self.nodes.number(n)]}
            body = tree.Reduce(node.kind, rest, node.body) if rest else node.body
            part = self.lower(body, inner, None, NEUTRAL[node.kind])
            if part.op != "number" or part.data != 0 or node.kind not in ("sum", "mean"):
                parts.append(part)
        if not parts:
            return self.nodes.number(NEUTRAL[node.kind])
        if len(parts) == 1:
            return parts[0]
        if node.kind in ("max", "min", "prod", "any", "all"):
            function = {"prod": "*", "any": "or", "all": "and"}.get(node.kind, node.kind)
            found = parts[0]
            for part in parts[1:]:
                found = self.nodes.call(function, found, part)
            return found
        if any(part.op == "read" for part in parts):
            kind = "f" if any(part.kind == "f" for part in parts) else "i"
            total = self.nodes.node("total", tuple(parts), kind=kind)
        else:
            total = parts[0]
            for part in parts[1:]:
                total = self.nodes.call("+", total, part)
        return self.nodes.call("/", total, self.nodes.number(count)) if node.kind == "mean" else total


def is_old_empty(array: Any, items: Sequence[Any]) -> bool:
    """Return whether this is one of the empty tensors with one axis that `cat` accepts beside any others."""
    return array.shape == (0,) and len(items) > 1
