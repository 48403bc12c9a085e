"""Locals put in, index variables given names of their own, branches on plain arguments chosen."""

from __future__ import annotations

from typing import Any

from cutaway.base.errors import UsageError
from cutaway.microscope import formula_tree as tree
from cutaway.microscope.binding_arguments import Arguments, NotStatic, is_array
from cutaway.microscope.formula_syntax import is_tuple, output_number

ARRAY_FUNCTIONS = ("size", "numel", "rank", "kind", "has", "len", "flat", "positions", "spread")


class Locals(Arguments):
    """Rewrites expressions until they name only arguments, results and variables marked with # and a number."""

    def resolve(self, node: Any, names: dict[str, Any], before: int) -> Any:
        """Return an expression with locals (of statements before a number) and variables replaced."""
        if isinstance(node, (tree.Number, tree.Text)) or node is None:
            return node
        if isinstance(node, tree.Name):
            return self.resolve_name(node, names, before)
        if isinstance(node, tree.Blank):
            return tree.Blank(self.resolve(node.axes, names, before), node.is_tuple)
        if isinstance(node, tree.Placed):
            index = self.resolve(node.index, names, before)
            return (
                index
                if isinstance(index, (tree.Blank, tree.Placed))
                else tree.Placed(index, self.resolve(node.axes, names, before))
            )
        if isinstance(node, tree.Bounded):
            return tree.Bounded(names[node.variable.name], self.resolve(node.limit, names, before))
        if isinstance(node, tree.Reduce):
            inner = dict(names)
            variables = []
            for r in node.variables:
                self.fresh += 1
                inner[r.variable.name] = tree.Name(f"{r.variable.name}#{self.fresh}", r.variable.is_tuple)
                variables.append(
                    tree.Range(inner[r.variable.name], self.resolve(r.limit, names | inner, before), r.is_inclusive)
                )
            return tree.Reduce(node.kind, tuple(variables), self.resolve(node.body, inner, before))
        if isinstance(node, tree.Read):
            local = self.local(node.array, names, before) if isinstance(node.array, tree.Name) else None
            if local is not None and local[1].items is not None:
                return self.put_local(*local, node, names, before)
            array = local[1].value if local is not None else node.array
            if isinstance(array, tree.Read):
                array = tree.Read(array.array, tuple(self.resolve(item, names, before) for item in array.items))
            elif isinstance(array, tree.Call):
                array = self.resolve(array, names, local[0] if local else before)
            return tree.Read(array, tuple(self.resolve(item, names, before) for item in node.items))
        if node.function == "if":
            condition = self.resolve(node.arguments[0], names, before)
            try:
                chosen = node.arguments[1] if self.truth(condition, {}) else node.arguments[2]
            except NotStatic:
                return tree.Call("if", (condition, *(self.resolve(a, names, before) for a in node.arguments[1:])))
            return self.resolve(chosen, names, before)
        if node.function in ARRAY_FUNCTIONS:
            first = node.arguments[0]
            if isinstance(first, tree.Name):
                local = self.local(first, names, before)
                first = self.resolve(local[1].value, names, local[0]) if local else first
            elif isinstance(first, tree.Read):
                first = tree.Read(first.array, tuple(self.resolve(item, names, before) for item in first.items))
            plain = node.function in ("positions", "spread")
            rest = [
                self.resolve_array(a, names, before) if plain else self.resolve(a, names, before)
                for a in node.arguments[1:]
            ]
            return tree.Call(node.function, (first, *rest))
        return tree.Call(node.function, tuple(self.resolve(argument, names, before) for argument in node.arguments))

    def resolve_array(self, node: Any, names: dict[str, Any], before: int) -> Any:
        """Return an argument that is an array as a whole."""
        local = self.local(node, names, before) if isinstance(node, tree.Name) else None
        return self.resolve(local[1].value, names, local[0]) if local else node

    def resolve_name(self, node: tree.Name, names: dict[str, Any], before: int) -> Any:
        """Return what a name stands for."""
        if node.name in names:
            return names[node.name]
        if node.name == "" and node.is_tuple:
            return tree.Name("#all", True)
        local = self.local(node, names, before)
        if local is not None:
            if local[1].items:
                raise UsageError(f"formula: {node.name} needs its index")
            return self.resolve(local[1].value, names, local[0])
        if node.is_tuple:
            raise UsageError(f"formula: no result or reduction introduces {node.name}..")
        if node.name == "given":
            return tree.Read(node, (tree.Name("#all", True),))
        if is_array(self.value_of(node.name)):
            return tree.Read(node, (names.get("", tree.Name("#all", True)),))
        return node

    def local(self, node: Any, names: dict[str, Any], before: int) -> tuple[int, tree.Statement] | None:
        """Return the last statement before a number that defines a local of this name."""
        if not isinstance(node, tree.Name) or node.name in names or node.is_tuple:
            return None
        for n in range(before - 1, -1, -1):
            if self.statements[n].target == node.name and output_number(node.name) is None:
                return n, self.statements[n]
        return None

    def put_local(self, n: int, statement: tree.Statement, node: tree.Read, names: dict[str, Any], before: int) -> Any:
        """Return the body of a local with these indices."""
        given = [self.resolve(item, names, before) for item in node.items]
        formal = statement.items or ()
        if len(given) != len(formal) and len(tuples := [item for item in given if is_tuple(item)]) == 1:
            at, lanes = given.index(tuples[0]), len(formal) - len(given) + 1
            given[at : at + 1] = [tree.Call("lane", (tuples[0], tree.Number(lane))) for lane in range(lanes)]
        if len(given) != len(formal):
            raise UsageError(f"formula: {statement.target} has {len(formal)} indices, given {len(given)}")
        inner: dict[str, Any] = {}
        for parameter, item in zip(formal, given, strict=True):
            if isinstance(parameter, tree.Placed):
                parameter = parameter.index
                item = item.index if isinstance(item, tree.Placed) else item
            if isinstance(parameter, tree.Bounded):
                parameter = parameter.variable
            if isinstance(parameter, tree.Name):
                inner[parameter.name] = item
        return self.resolve(statement.value, inner, n)
