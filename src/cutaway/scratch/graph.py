"""A graph of Values tells about itself: formulas with their numbers, a tree of text, a picture.

FORMULAS has for every operation the formula and the local derivative by each operand; value.py computes them, this
page only says them. Look at `explain` of any node: its own arithmetic, and what a small change of each operand does.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cutaway.scratch.value import Value

FORMULAS: dict[str, tuple[str, tuple[str, ...]]] = {
    "add": ("{a} + {b}", ("1", "1")),
    "subtract": ("{a} - {b}", ("1", "-1")),
    "multiply": ("{a} * {b}", ("{b}", "{a}")),
    "divide": ("{a} / {b}", ("1 / {b}", "-{a} / {b} ** 2")),
    "power": ("{a} ** {n}", ("{n} * {a} ** ({n} - 1)",)),
    "exp": ("exp({a})", ("{y}",)),
    "log": ("log({a})", ("1 / {a}",)),
    "relu": ("max(0, {a})", ("(1 if {a} > 0 else 0)",)),
    "tanh": ("tanh({a})", ("1 - {y} ** 2",)),
    "sigmoid": ("1 / (1 + exp(-{a}))", ("{y} * (1 - {y})",)),
}
"""Operation: the formula of the result y, and its derivative by each operand."""


def name(value: Value) -> str:
    """Return what a value is called: its name, or v and its number; a leaf without a name is called what it is."""
    return value.name or (f"v{value.number}" if value.operands else _inside(number(value.data)))


def number(data: float) -> str:
    """Return a number for people, six digits."""
    return f"{data:.6g}"


def in_full(data: float) -> str:
    """Return a number with all its digits."""
    return repr(data)


def _inside(written: str) -> str:
    """Return a number as it stands in a formula: negative ones in brackets."""
    return f"({written})" if written.startswith("-") else written


def formula(value: Value, write: Callable[[float], str] = number, most_terms: int = 4) -> str:
    """Return how a value was made: its name, the formula in names, the formula in numbers, the result."""
    if not value.operands:
        return f"{name(value)} = {write(value.data)}"
    said = expression(value, name, most_terms)
    counted = expression(value, lambda operand: _inside(write(operand.data)), most_terms)
    return f"{name(value)} = {said} = {counted} = {write(value.data)}"


def explain(value: Value, write: Callable[[float], str] = number) -> str:
    """Return a value's formula, then for each operand the local derivative and, after backward(), its share of the
    gradient."""
    y, lines = name(value), [formula(value, write, most_terms=len(value.operands))]
    for operand, slope, said in zip(value.operands, value.local, slope_formulas(value, name), strict=True):
        x, counted = name(operand), write(slope)
        lines.append(f"  d {y} / d {x} = {f'{said} = ' if said != counted else ''}{counted}")
    if value.grad:
        lines.append(f"  d loss / d {y} = {write(value.grad)}, of which")
        for operand, slope in zip(value.operands, value.local, strict=True):
            arithmetic = f"{write(value.grad)} * {_inside(write(slope))} = {write(value.grad * slope)}"
            lines.append(f"    {name(operand)} gets {arithmetic}")
    return "\n".join(lines)


def expression(value: Value, say: Callable[[Value], str], most_terms: int) -> str:
    """Return the right-hand side of a value's formula, each operand as `say` says it."""
    if value.operation != "dot":
        return _fill(FORMULAS[value.operation.partition(" ")[0]][0], value, say)
    half = len(value.operands) // 2
    pairs = list(zip(value.operands[:half], value.operands[half:], strict=True))
    terms = [f"{say(a)} * {say(b)}" for a, b in pairs[:most_terms]]
    left = half - len(terms)
    return " + ".join(terms + ([f"({left} more products)"] if left else [])) or "0"


def slope_formulas(value: Value, say: Callable[[Value], str]) -> list[str]:
    """Return the formula of the local derivative by each operand, each number as `say` says it."""
    if value.operation == "dot":
        half = len(value.operands) // 2
        return [say(x) for x in (*value.operands[half:], *value.operands[:half])]
    return [_fill(slope, value, say) for slope in FORMULAS[value.operation.partition(" ")[0]][1]]


def _fill(template: str, value: Value, say: Callable[[Value], str]) -> str:
    letters = dict(zip("ab", map(say, value.operands), strict=False))
    return template.format(**letters, y=say(value), n=value.operation.partition(" ")[2])


def show(root: Value, most: int = 60) -> str:
    """Return the graph as text: a result, below it what it was made from. What was shown before is only named."""
    lines: list[str] = []
    shown: set[int] = set()
    waiting = [(root, "", "")]  # a node, what stands before it, what stands before its operands
    while waiting and len(lines) < most:
        value, before, below = waiting.pop()
        again = value.number in shown and value.operands
        said = f"{name(value)} (above)" if again else formula(value)
        lines.append(f"{before}{said}{'' if again else f'   grad {number(value.grad)}'}")
        if not again:
            shown.add(value.number)
            last = len(value.operands) - 1
            for i in range(last, -1, -1):
                branch, trunk = ("`- ", "   ") if i == last else ("|- ", "|  ")
                waiting.append((value.operands[i], below + branch, below + trunk))
    if waiting:
        lines.append(f"... cut after {most} lines; show(most=...) shows more")
    return "\n".join(lines)


BOX_WIDTH, BOX_HEIGHT, ACROSS, DOWN = 148, 50, 196, 66
STYLE = """
text { font: 12px ui-monospace, monospace; fill: #1d2433; text-anchor: middle }
.grad { fill: #9a3412 } .operation { font-style: italic; fill: #475569 }
rect { fill: #f8fafc; stroke: #475569; rx: 6 } .leaf rect { fill: #e0f2fe } .cut rect { stroke-dasharray: 4 }
path { fill: none; stroke: #64748b }
@media (prefers-color-scheme: dark) {
  text { fill: #e2e8f0 } .grad { fill: #fdba74 } .operation { fill: #cbd5e1 }
  rect { fill: #1e293b; stroke: #94a3b8 } .leaf rect { fill: #0c4a6e } path { stroke: #94a3b8 }
}"""


def svg(root: Value, most: int = 200) -> str:
    """Return the graph as a picture, left to right: leaves, results, the root. Beyond `most` nodes the oldest are left
    out, and boxes whose operands are missing get a dashed rim."""
    kept = _nearest(root, most)
    column = _columns(kept)
    rows: dict[int, int] = {}

    def free_row(c: int) -> tuple[int, int]:
        rows[c] = rows.get(c, 0) + 1
        return 12 + c * ACROSS, 12 + (rows[c] - 1) * DOWN

    place = {value.number: free_row(column[value.number]) for value in kept.values()}
    lanes: dict[tuple[int, int], tuple[int, int]] = {}  # what passes a column without a box there, one lane each
    edges, boxes = [], []
    for value in kept.values():
        for operand in {x.number: x for x in value.operands if x.number in kept}.values():
            points = [place[operand.number]]
            for c in range(column[operand.number] + 1, column[value.number]):
                if (operand.number, c) not in lanes:
                    lanes[operand.number, c] = free_row(c)
                points.append(lanes[operand.number, c])
            edges.append(_edge([*points, place[value.number]]))
        boxes.append(_box(value, *place[value.number], all(x.number in kept for x in value.operands)))
    width, height = 24 + max(rows) * ACROSS + BOX_WIDTH, 24 + (max(rows.values()) - 1) * DOWN + BOX_HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(formula(root))}"><style>{STYLE}</style>' + "".join(edges + boxes) + "</svg>"
    )


def _columns(kept: dict[int, Value]) -> dict[int, int]:
    """Return each node's column: right of all its operands, a leaf just left of the first that uses it."""
    column: dict[int, int] = {}
    results = sorted((value for value in kept.values() if value.operands), key=lambda value: value.number)
    for value in results:  # operands first
        column[value.number] = 1 + max((column.get(x.number, 0) for x in value.operands), default=0)
    for value in results:
        for x in value.operands:
            if x.number in kept and not x.operands:
                column[x.number] = min(column.get(x.number, column[value.number] - 1), column[value.number] - 1)
    for value in kept.values():
        column.setdefault(value.number, 0)
    return column


def _edge(places: list[tuple[int, int]]) -> str:
    """Return a curve from the right of the first box, through lanes, to the left of the last one."""
    middle = BOX_HEIGHT // 2
    x, y = places[0][0] + BOX_WIDTH, places[0][1] + middle
    path = f"M{x} {y}"
    for i, (left, top) in enumerate(places[1:], 1):
        half = (x + left) // 2
        path += f" C{half} {y} {half} {top + middle} {left} {top + middle}"
        x, y = left, top + middle
        if i < len(places) - 1:
            x = left + BOX_WIDTH
            path += f" H{x}"
    return f'<path d="{path}"/>'


def _nearest(root: Value, most: int) -> dict[int, Value]:
    """Return the root and the nodes nearest to it, breadth first."""
    kept, waiting = {root.number: root}, [root]
    for value in waiting:
        for operand in value.operands:
            if operand.number not in kept and len(kept) < most:
                kept[operand.number] = operand
                waiting.append(operand)
    return kept


def _box(value: Value, x: int, y: int, is_whole: bool) -> str:
    middle, kind = x + BOX_WIDTH // 2, "leaf" if not value.operands else "result" if is_whole else "result cut"
    operation = f' <tspan class="operation">{escape(value.operation)}</tspan>' if value.operation else ""
    return (
        f'<g class="{kind}"><title>{escape(formula(value, in_full))}</title>'
        f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}"/>'
        f'<text x="{middle}" y="{y + 15}">{escape(name(value))}{operation}</text>'
        f'<text x="{middle}" y="{y + 30}">{value.data:.6g}</text>'
        f'<text class="grad" x="{middle}" y="{y + 44}">grad {value.grad:.6g}</text></g>'
    )
