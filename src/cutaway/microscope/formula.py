"""Formulas of operations: one line of index notation each, and what can be done with it.

    formula = parse("out[i,j] = sum(k: self[i,k] * mat2[k,j])")
    bound = formula.bind({"self": a, "mat2": b}, [result])
    bound.at(0, (3, 5)).terms          # what result[3,5] was made of
    bound.whole(0)                     # all of it in float64, and how far rounding may move it

`formulas.toml` has a line for every operation that has one; `lookup` finds it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cutaway.base.errors import UsageError
from cutaway.microscope import evaluate, pieces
from cutaway.microscope import formula_tree as tree
from cutaway.microscope.at_index import at
from cutaway.microscope.binding import Binder
from cutaway.microscope.bound_json import bound_json
from cutaway.microscope.bound_tree import Tree
from cutaway.microscope.formula_print import as_json, as_latex, as_text
from cutaway.microscope.formula_syntax import output_number
from cutaway.microscope.terms import At

FILE = Path(__file__).with_name("formulas.toml")
UNCOMPUTED = ("drawn", "unset")
"""What a result may be instead of computed: drawn at random, or memory that nobody has filled."""


class Formula:
    """The statements that say what the results of an operation are."""

    def __init__(self, statements: tuple[tree.Statement, ...]) -> None:
        self.statements = statements
        self.trees: dict[Any, Tree] = {}

    def bind(self, arguments: dict[str, Any], outputs: Sequence[Any], eps: float | None = None) -> Bound:
        """Return the formula for these operands.

        Args:
            arguments: by the names of the operation's schema: arrays, numbers, strings, lists of them, or None.
            outputs: the recorded results; None for one that was not made.
            eps: of the dtype computed in, where it is coarser than the arrays' own.
        """
        return Bound(self, arguments, list(outputs), eps)

    def kind(self, k: int = 0) -> str:
        """Return how result k comes about: `computed`, `drawn`, `unset`, or `missing` if no statement says."""
        for statement in self.statements:
            if output_number(statement.target) == k:
                value = statement.value
                return value.name if isinstance(value, tree.Name) and value.name in UNCOMPUTED else "computed"
        return "missing"

    def latex(self, k: int = 0) -> str:
        """Return the statements needed for result k as LaTeX."""
        return as_latex(self.statements, k)

    def as_json(self) -> list[Any]:
        """Return the statements as nested lists: see `formula_print.as_json`."""
        return as_json(self.statements)

    def __str__(self) -> str:
        return as_text(self.statements)


class Bound:
    """A formula with its operands."""

    def __init__(self, formula: Formula, arguments: dict[str, Any], outputs: list[Any], eps: float | None) -> None:
        self.formula = formula
        self.arguments = {name: normal(value) for name, value in arguments.items()}
        self.outputs = [normal(output) for output in outputs]
        self.eps = eps
        self.arrays: dict[str, Any] = {**self.arguments}
        """By the names that the bound tree reads them by."""
        for name, value in self.arguments.items():
            if isinstance(value, list):
                self.arrays[f"{name}.*"] = value
                self.arrays |= {f"{name}.{n}": array for n, array in enumerate(value)}
        self.arrays |= {f"out{n or ''}": array for n, array in enumerate(self.outputs)}
        self.trees: dict[int, Tree] = {}

    def kind(self, k: int = 0) -> str:
        """Return how result k comes about, `missing` also where there is none."""
        return self.formula.kind(k) if k < len(self.outputs) and self.outputs[k] is not None else "missing"

    def tree(self, k: int = 0) -> Tree:
        """Return the bound tree of result k."""
        if k in self.trees:
            return self.trees[k]
        key = (k, tuple((name, signature(value)) for name, value in self.arguments.items()), signature(self.outputs))
        binder = Binder(self.formula.statements, self.arguments, self.outputs)
        found = self.formula.trees.get(key)
        if found is None:
            found = binder.bind(k)
            if not binder.derived:
                if len(self.formula.trees) >= 256:
                    self.formula.trees.clear()
                self.formula.trees[key] = found
        self.arrays.update(binder.derived)
        self.trees[k] = found
        return found

    def evaluator(self, k: int, with_rounding: bool) -> evaluate.Evaluator:
        """Return what computes result k."""
        output = self.outputs[k]
        eps = self.eps or (float(np.finfo(output.dtype).eps) if output.dtype.kind == "f" else 0.0)
        return evaluate.Evaluator(self.arrays | {"given": output}, eps, with_rounding)

    def whole(self, k: int = 0) -> tuple[Any, Any] | None:
        """Return result k in float64 (whole numbers in int64) and how far rounding may move it, in units of eps.

        None where there is nothing to recompute.
        """
        if self.kind(k) != "computed":
            return None
        return pieces.whole(self.tree(k), self.evaluator(k, True))

    def pieces(self, k: int = 0) -> Iterator[tuple[tuple[slice, ...], Any, Any]]:
        """Yield result k in parts that take little memory: where, values, rounding."""
        if self.kind(k) != "computed":
            return
        bound = self.tree(k)
        if bound.is_flat:
            yield tuple(slice(0, n) for n in bound.shape), *pieces.whole(bound, self.evaluator(k, True))
        else:
            yield from pieces.pieces(bound, self.evaluator(k, True))

    def as_json(self, k: int = 0) -> dict[str, Any]:
        """Return the bound tree of result k for a browser: see `bound_json`."""
        return bound_json(self.tree(k))

    def at(self, k: int, index: Sequence[int]) -> At:
        """Return result k at an index, with what it was made of.

        Raises:
            UsageError: there is no element at that index.
        """
        shape = np.shape(self.outputs[k]) if k < len(self.outputs) else ()
        if len(index) != len(shape) or not all(0 <= i < n for i, n in zip(index, shape, strict=True)):
            raise UsageError(
                f"no element {list(index)} in a result of shape {list(shape)}: one index from 0 for each axis"
            )
        kind = self.kind(k)
        if kind != "computed":
            return At(None, kind)
        return at(self.tree(k), self.evaluator(k, True), index)


def normal(value: Any) -> Any:
    """Return an argument as the binder expects it: lists as lists, NumPy numbers as plain ones."""
    if isinstance(value, (list, tuple)):
        return [normal(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def signature(value: Any) -> Any:
    """Return what the bound tree depends on."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.char
    if isinstance(value, list):
        return tuple(map(signature, value))
    return type(value).__name__, repr(value)


@lru_cache(maxsize=4096)
def parse(text: str) -> Formula:
    """Return the formula a text says.

    Raises:
        UsageError: the text is no formula; the message names the place.
    """
    return Formula(tree.parse_statements(text))


@lru_cache(maxsize=1)
def load_formulas() -> dict[str, Formula]:
    """Return all formulas of `formulas.toml`, by operation (tables in the file only group them)."""
    found: dict[str, Formula] = {}

    def add(lines: dict[str, Any]) -> None:
        for name, line in lines.items():
            if isinstance(line, dict):
                add(line)
            else:
                found[name] = parse(line)

    add(tomllib.loads(FILE.read_text(encoding="utf-8")))
    return found


@lru_cache(maxsize=4096)
def lookup(name: str) -> Formula | None:
    """Return the formula of an operation such as `aten.add_.Tensor`, or None.

    In-place operations and those that write to a given tensor use the line of the plain one; an overload without a
    line of its own that of the name without overload.
    """
    formulas = load_formulas()
    name = name.removeprefix("aten.").removeprefix("aten::")
    base, _, overload = name.partition(".")
    bases = [base]
    if base.endswith("_") and not base.endswith("__"):
        bases.append(base[:-1])
    overloads = [overload]
    if overload.endswith("out"):
        overloads.append(overload[:-3].rstrip("_"))
    for one in bases:
        for which in overloads:
            key = f"{one}.{which}" if which not in ("", "default") else one
            if key in formulas:
                return formulas[key]
    for one in bases:
        if overload.endswith("_out"):  # sum.IntList_out is sum.dim_IntList
            near = [key for key in formulas if key.startswith(f"{one}.") and key.endswith(f"_{overloads[-1]}")]
            if len(near) == 1:
                return formulas[near[0]]
        if one in formulas:
            return formulas[one]
    return None
