"""A formula's syntax tree written down: as its author wrote it, as LaTeX, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cutaway.microscope import formula_tree as tree
from cutaway.microscope.formula_functions import FUNCTIONS

ATOM = 11
"""Binds more strongly than any operator."""


def strength(node: Any) -> int:
    """Return how strongly the outermost operator of an expression binds."""
    if isinstance(node, tree.Number):
        return tree.SIGN if node.value < 0 else ATOM
    if not isinstance(node, tree.Call):
        return ATOM
    if node.function == "neg":
        return tree.SIGN
    if node.function == "not":
        return tree.NOT
    return tree.BINDING.get(node.function, ATOM)


def as_text(statements: Sequence[tree.Statement]) -> str:
    """Return statements as their author writes them."""
    return "; ".join(f"{target_text(statement)} = {text(statement.value)}" for statement in statements)


def target_text(statement: tree.Statement) -> str:
    """Return the left side of a statement."""
    items = "" if statement.items is None else f"[{items_text(statement.items)}]"
    return f"{statement.target}{'.flat' if statement.is_flat else ''}{items}"


def items_text(items: Sequence[Any]) -> str:
    """Return indices as written, commas between."""
    return ",".join(map(item_text, items))


def item_text(item: Any) -> str:
    """Return one index as written."""
    if isinstance(item, tree.Blank):
        return f"_{'..' if item.is_tuple else ''}{axes_text(item.axes) if item.axes is not None else ''}"
    if isinstance(item, tree.Placed):
        return f"{text(item.index, ATOM)}{axes_text(item.axes)}"
    if isinstance(item, tree.Bounded):
        return f"{text(item.variable)} < {text(item.limit, tree.COMPARISON + 1)}"
    return text(item, tree.COMPARISON + 1)


def axes_text(axes: tree.Node) -> str:
    """Return `@dim` as written."""
    if isinstance(axes, tree.Call) and axes.function == "neg" and isinstance(axes.arguments[0], tree.Number):
        return f"@{text(axes)}"
    return f"@{text(axes, ATOM)}" if isinstance(axes, (tree.Name, tree.Number)) else f"@({text(axes)})"


def text(node: Any, least: int = 0) -> str:
    """Return an expression as written, in parentheses if it binds less strongly than `least`."""
    found = bare_text(node)
    return f"({found})" if strength(node) < least else found


def bare_text(node: Any) -> str:
    """Return an expression as written, without parentheses around it."""
    if isinstance(node, tree.Number):
        return repr(node.value)
    if isinstance(node, tree.Text):
        return f"'{node.value}'"
    if isinstance(node, tree.Name):
        return node.name.split("#")[0] + (".." if node.is_tuple else "")
    if isinstance(node, tree.Read):
        return f"{text(node.array, ATOM)}[{items_text(node.items)}]"
    if isinstance(node, tree.Reduce):
        return f"{node.kind}({','.join(range_text(r) for r in node.variables)}: {text(node.body)})"
    name, arguments = node.function, node.arguments
    own = strength(node)
    if name == "neg":
        return f"-{text(arguments[0], own)}"
    if name == "not":
        return f"not {text(arguments[0], own)}"
    if name == "if":
        return f"{text(arguments[1], 2)} if {text(arguments[0], 2)} else {text(arguments[2])}"
    if name == "bracket":
        return f"[{text(arguments[0])}]"
    if name == "flat":
        return f"{text(arguments[0], ATOM)}.flat"
    if name in tree.BINDING:
        left, right = (own + 1, own) if name == "**" else (own, own + 1)
        if name in tree.COMPARISONS:
            left += 1
        return f"{text(arguments[0], left)} {name} {text(arguments[1], right)}"
    return f"{name}({', '.join(map(text, arguments))})"


def range_text(r: tree.Range) -> str:
    """Return a variable of a reduction with its limit."""
    if r.limit is None:
        return text(r.variable)
    return f"{text(r.variable)} {'<=' if r.is_inclusive else '<'} {text(r.limit, tree.COMPARISON + 1)}"


# LaTeX

LATEX_REDUCTIONS = {
    "sum": r"\sum", "prod": r"\prod", "max": r"\max", "min": r"\min",
    "mean": r"\operatorname*{mean}", "any": r"\bigvee", "all": r"\bigwedge",
}  # fmt: skip
LATEX_SIGNS = {
    "==": "=", "!=": r"\neq", "<": "<", "<=": r"\le", ">": ">", ">=": r"\ge",
    "and": r"\wedge", "or": r"\vee", "+": "+", "-": "-", "%": r"\bmod",
}  # fmt: skip
LATEX_NAMES = {
    "inf": r"\infty",
    "pi": r"\pi",
    "alpha": r"\alpha",
    "beta": r"\beta",
    "eps": r"\epsilon",
    "nan": r"\mathrm{nan}",
}


def as_latex(statements: Sequence[tree.Statement], k: int = 0) -> str:
    """Return the statements that result k needs as LaTeX."""
    names = {0: ("out", "out0")}.get(k, (f"out{k}",))
    needed: list[tree.Statement] = []

    def need(before: int, name: str) -> None:
        for n in range(before - 1, -1, -1):
            if statements[n].target == name:
                if statements[n] not in needed:
                    for other in names_in(statements[n].value):
                        if not other.startswith("out"):
                            need(n, other)
                    needed.append(statements[n])
                return

    for name in names:
        need(len(statements), name)
    lines = [f"{latex_read(s.target, s.items)} &= {latex(s.value)}" for s in needed]
    if len(lines) == 1:
        return lines[0].replace(" &= ", " = ", 1)
    return r"\begin{aligned} " + r" \\ ".join(lines) + r" \end{aligned}" if lines else ""


def names_in(node: Any) -> list[str]:
    """Return all names in an expression."""
    if isinstance(node, tree.Name):
        return [node.name]
    if isinstance(node, tree.Call):
        return [name for argument in node.arguments for name in names_in(argument)]
    if isinstance(node, tree.Reduce):
        limits = [name for r in node.variables if r.limit is not None for name in names_in(r.limit)]
        return limits + names_in(node.body)
    if isinstance(node, tree.Read):
        return names_in(node.array) + [name for item in node.items for name in names_in(item)]
    if isinstance(node, tree.Placed):
        return names_in(node.index) + names_in(node.axes)
    if isinstance(node, tree.Blank):
        return names_in(node.axes)
    if isinstance(node, tree.Bounded):
        return names_in(node.limit)
    return []


def latex_name(name: str) -> str:
    """Return a name as LaTeX: one letter in italics, a word upright."""
    if name in LATEX_NAMES:
        return LATEX_NAMES[name]
    return name if len(name) == 1 else r"\mathrm{" + name.replace("_", r"\_") + "}"


def latex_read(name: str, items: Sequence[Any] | None) -> str:
    """Return an element of an array as LaTeX."""
    return latex_name(name) + ("_{" + ",".join(map(latex_item, items)) + "}" if items else "")


def latex_item(item: Any) -> str:
    """Return an index as LaTeX."""
    if isinstance(item, tree.Blank):
        return r"\cdot" if item.axes is None else r"\cdot @" + latex(item.axes, ATOM)
    if isinstance(item, tree.Placed):
        return latex(item.index, ATOM) + "@" + latex(item.axes, ATOM)
    if isinstance(item, tree.Bounded):
        return latex(item.variable)
    return latex(item)


def latex(node: Any, least: int = 0) -> str:
    """Return an expression as LaTeX."""
    found = bare_latex(node)
    closed = isinstance(node, tree.Call) and node.function in ("/", "//", "if")
    return rf"\left({found}\right)" if strength(node) < least and not closed else found


def bare_latex(node: Any) -> str:
    """Return an expression as LaTeX, without parentheses around it."""
    if isinstance(node, tree.Number):
        return repr(node.value)
    if isinstance(node, tree.Text):
        return r"\text{" + node.value + "}"
    if isinstance(node, tree.Name):
        if node.is_tuple:
            return r"\boldsymbol{" + node.name + "}" if node.name else r"\ldots"
        return latex_name(node.name)
    if isinstance(node, tree.Read):
        if isinstance(node.array, tree.Name):
            return latex_read(node.array.name, node.items)
        return latex(node.array, ATOM) + "_{" + ",".join(map(latex_item, node.items)) + "}"
    if isinstance(node, tree.Reduce):
        under = ",".join(latex_range(r) for r in node.variables)
        return rf"{LATEX_REDUCTIONS[node.kind]}_{{{under}}} {latex(node.body, tree.BINDING['*'])}"
    return latex_call(node)


def latex_range(r: tree.Range) -> str:
    """Return a variable of a reduction as LaTeX."""
    if r.limit is None:
        return latex(r.variable)
    return latex(r.variable) + (r" \le " if r.is_inclusive else " < ") + latex(r.limit)


def latex_call(node: tree.Call) -> str:
    """Return a function or operator as LaTeX."""
    name, arguments, own = node.function, node.arguments, strength(node)
    if name == "/":
        return rf"\frac{{{latex(arguments[0])}}}{{{latex(arguments[1])}}}"
    if name == "//":
        return rf"\left\lfloor\frac{{{latex(arguments[0])}}}{{{latex(arguments[1])}}}\right\rfloor"
    if name in ("**", "pow"):
        base = (
            latex(arguments[0], ATOM)
            if not isinstance(arguments[0], tree.Reduce)
            else rf"\left({latex(arguments[0])}\right)"
        )
        return f"{base}^{{{latex(arguments[1])}}}"
    if name == "*":
        left, right = latex(arguments[0], own), latex(arguments[1], own + 1)
        return rf"{left} \cdot {right}" if right[0].isdigit() or right[0] == "-" else rf"{left} \, {right}"
    if name == "neg":
        return f"-{latex(arguments[0], own)}"
    if name == "not":
        return rf"\neg {latex(arguments[0], ATOM)}"
    if name == "if":
        condition, value, other = map(latex, arguments)
        return rf"\begin{{cases}} {value} & \text{{if }} {condition} \\ {other} & \text{{otherwise}} \end{{cases}}"
    if name == "bracket":
        return rf"\left[{latex(arguments[0])}\right]"
    if name in LATEX_SIGNS:
        more = own + (name in tree.COMPARISONS)
        return f"{latex(arguments[0], more)} {LATEX_SIGNS[name]} {latex(arguments[1], own + 1)}"
    inside = ", ".join(map(latex, arguments))
    if name == "sqrt":
        return rf"\sqrt{{{inside}}}"
    around = {"abs": ("|", "|"), "floor": (r"\lfloor", r"\rfloor"), "ceil": (r"\lceil", r"\rceil")}.get(name)
    if around:
        return rf"\left{around[0]} {inside} \right{around[1]}"
    if name == "flat":
        return rf"{inside}^{{\mathrm{{flat}}}}"
    shown = FUNCTIONS[name].latex if name in FUNCTIONS else ""
    if not shown:
        shown = r"\operatorname{" + name.replace("_", r"\_") + "}"
    return rf"{shown}\left({inside}\right)"


# JSON


def as_json(statements: Sequence[tree.Statement]) -> list[Any]:
    """Return statements as nested lists.

    A statement is `{"target", "items", "flat", "value"}`. An expression is a list whose first word says what it is:
    `["number", 2]`, `["text", "tanh"]`, `["name", "eps"]`, `["tuple", "k"]` for `k..`, `["read", array, items]`,
    `["reduce", "sum", [[variable, limit or null, inclusive]], body]`, or a function's or operator's name and its
    arguments (`["if", condition, value, other]`, `["bracket", condition]`). An index is an expression or
    `["blank", axes or null, several]`, `["at", index, axes]`, `["below", variable, limit]`.
    """
    return [
        {
            "target": s.target,
            "items": None if s.items is None else [json_of(item) for item in s.items],
            "flat": s.is_flat,
            "value": json_of(s.value),
        }
        for s in statements
    ]


def json_of(node: Any) -> Any:
    """Return an expression or an index as nested lists."""
    if node is None:
        return None
    if isinstance(node, tree.Number):
        return ["number", node.value]
    if isinstance(node, tree.Text):
        return ["text", node.value]
    if isinstance(node, tree.Name):
        return ["tuple" if node.is_tuple else "name", node.name]
    if isinstance(node, tree.Read):
        return ["read", json_of(node.array), [json_of(item) for item in node.items]]
    if isinstance(node, tree.Reduce):
        variables = [[json_of(r.variable), json_of(r.limit), r.is_inclusive] for r in node.variables]
        return ["reduce", node.kind, variables, json_of(node.body)]
    if isinstance(node, tree.Blank):
        return ["blank", json_of(node.axes), node.is_tuple]
    if isinstance(node, tree.Placed):
        return ["at", json_of(node.index), json_of(node.axes)]
    if isinstance(node, tree.Bounded):
        return ["below", json_of(node.variable), json_of(node.limit)]
    return [node.function, *(json_of(argument) for argument in node.arguments)]
