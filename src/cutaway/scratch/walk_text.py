"""The walk as text for a terminal of 80 columns, and as a page of Markdown with LaTeX.

Both show excerpts of the arrays: the first rows and columns and the last. A number has four digits behind the point,
more where all numbers of its array are small; what only rounding has left of a zero is written 0. The page shows no digits
of a check that differ from machine to machine.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cutaway.scratch.gradcheck import STEP
from cutaway.scratch.ops import FloatArray
from cutaway.scratch.walk_check import SMALLEST_SCALE
from cutaway.scratch.walk_formula import Worked, five_digits
from cutaway.scratch.walk_model import SENTENCE, SIZES, TOKENS, VOCABULARY, WEIGHTS, axes

if TYPE_CHECKING:
    from cutaway.scratch.walk import Section, Walk

WIDTH = 80
MOST_ROWS, MOST_COLUMNS = 6, 6
"""An excerpt shows so many rows, and so many columns before the gap."""
GAP = ".."
EXCERPTS = "Arrays are shown in excerpts: --full shows every number, --format json every digit."
WORDS = tuple(VOCABULARY[token] for token in TOKENS)
LABELS = {"T": WORDS, "S": WORDS, "V": VOCABULARY, "H": tuple(f"head {h}" for h in range(SIZES["H"]))}
ADAMW_COLUMNS = (("", "d ", "m "), ("v ", "m_hat ", "v_hat "), ("decay ", "update ", "new "))
AXES = {
    "T": "positions",
    "S": "positions read",
    "C": "width",
    "H": "heads",
    "D": "width of a head",
    "F": "width of the MLP",
    "V": "words",
}


def as_text(walk: Walk, full: bool) -> str:
    """Return the walk for a terminal."""
    lines = []
    for paragraph in (*introduction(walk), *([] if full else [EXCERPTS])):
        lines += [*wrapped(paragraph), ""]
    for section in walk.sections:
        title = f"{section.number}. {section.title}"
        lines += [title, "-" * len(title), *wrapped(section.why), ""]
        for formula in section.formulas:
            lines += wrapped(formula.plain, "    ", "        ")
        lines.append("")
        for shown in blocks(section, full):
            lines += [f"  {line}".rstrip() for line in shown]
            lines.append("")
        lines.append("  By hand:")
        for worked in section.worked:
            lines += by_hand(worked, full, "    ")
        lines += ["", *wrapped(check_said(section)), "", ""]
    return "\n".join([*lines, *wrapped(ending(walk))])


def as_markdown(walk: Walk) -> str:
    """Return the walk as a page."""
    lines = ["# One training step by hand", ""]
    for paragraph in introduction(walk):
        lines += [code_spans(paragraph), ""]
    lines += [
        made_by(walk.config.seed),
        "",
        "In the formulas a bar means the gradient: $\\bar x = \\partial L / \\partial x$.",
        "",
    ]
    for section in walk.sections:
        lines += [f"## {section.number}. {section.title}", "", code_spans(section.why), ""]
        for formula in section.formulas:
            lines += [f"`{formula.plain}`", "", "$$", formula.latex, "$$", ""]
        shown = [line for part in blocks(section, full=False) for line in (*part, "")][:-1]
        hand = [line for worked in section.worked for line in by_hand(worked, False, "")]
        lines += ["```text", *(line.rstrip() for line in shown), "```", "", "By hand:", "", "```text", *hand, "```", ""]
        lines += [code_spans(check_said(section, digits=False)), ""]
    return "\n".join([*lines, ending(walk)]) + "\n"


# --- the parts -------------------------------------------------------------------------------------------------------


def introduction(walk: Walk) -> list[str]:
    """Return what is walked through, and how to read it."""
    config = walk.config
    sizes = ", ".join(f"{letter} {meaning} ({SIZES[letter]})" for letter, meaning in AXES.items())
    weights = sum(math.prod(SIZES[axis] for axis in letters) for letters in WEIGHTS.values())
    return [
        f"One training step of a transformer with {config.n_layers} layer and {weights:,} weights, drawn from seed "
        f"{config.seed}, on the sentence '{SENTENCE}'.",
        f"The letters at the end of a name are its axes: {sizes}. Places are counted from 0. 'd x' is the gradient of "
        "x: by how much the loss would grow for each unit that x grows.",
        f"Each section ends with its check by central differences: a number is moved up and down by {STEP:g}, and the "
        "slope this gives is compared with the derivative. Forwards the derivative is that of the section alone, its "
        "results weighed at random; backwards it is that of the loss, with everything behind the number computed anew. "
        f"Differences are in units of the largest number of the array, or of {SMALLEST_SCALE:g} if all are smaller.",
    ]


def made_by(seed: int) -> str:
    """Return which commands show the same walk."""
    command = f"cutaway scratch step --seed {seed}"
    return (
        f"This page is what `{command} --format markdown` prints. It shows excerpts of the arrays: `{command} --full` "
        f"shows every number, `{command} --format json` every digit."
    )


def ending(walk: Walk) -> str:
    """Return what the step has done to the loss."""
    change = walk.loss_after - walk.loss_before
    wrong = [section.number for section in walk.sections if not section.check.ok]
    checks = (
        f"Sections that DIFFER from their check: {', '.join(map(str, wrong))}."
        if wrong
        else f"All {len(walk.sections)} sections agree with their checks."
    )
    return (
        f"The loss was {walk.loss_before:.5f} and is {walk.loss_after:.5f} after the step. To first order the "
        f"gradients predicted a change of {walk.predicted_change:.5f}; it was {change:.5f}, the rest is curvature. {checks}"
    )


def check_said(section: Section, digits: bool = True) -> str:
    """Return what the check of a section found.

    Args:
        digits: say the worst difference, which is rounding, and another one on another machine.
    """
    check = section.check
    compared = f"Check: {len(check.rows):,} numbers {section.referee}: "
    if not check.ok:
        worst = max(check.rows, key=lambda row: row.difference if row.difference == row.difference else math.inf)
        place = f"{worst.name}[{','.join(map(str, worst.index))}]"
        return (
            f"{compared}they DIFFER, by {check.worst:.1e} (allowed: {check.tolerance:.0e}); most at {place}, "
            f"{worst.exact:.6g} beside {worst.approximate:.6g}"
        )
    if not digits:
        return f"{compared}they agree to better than {check.tolerance:.0e}."
    if not check.worst:
        return f"{compared}they agree exactly."
    return f"{compared}they agree, worst difference {check.worst:.0e} (allowed: {check.tolerance:.0e})."


def by_hand(worked: Worked, full: bool, indent: str) -> list[str]:
    """Return one entry calculated, on one line where it fits."""
    name = f"{worked.name}[{','.join(map(str, worked.index))}]" if worked.index else worked.name
    steps = [worked.symbols, worked.all_terms if full else worked.arithmetic, five_digits(worked.value)]
    if steps[1].strip("()") == steps[2]:
        del steps[1]
    line = f"{indent}{' = '.join([name, *steps])}"
    if len(line) <= WIDTH:
        return [line]
    lines = [f"{indent}{name}"]
    for said in steps:
        lines += wrapped(f"= {said}", f"{indent}  ", f"{indent}    ")
    return lines


def blocks(section: Section, full: bool) -> list[list[str]]:
    """Return each array of a section as lines."""
    if not full and any(name.startswith("update ") for name in section.arrays):
        return [optimizer_table(section, columns) for columns in ADAMW_COLUMNS]
    return [block(name, values, full) for name, values in section.arrays.items()]


def block(name: str, values: FloatArray, full: bool) -> list[str]:
    """Return an array as lines: its name and axes, then one table, or one for each head."""
    numbers = Writer(name, values)
    if not values.shape:
        return [f"{name} = {numbers.write(float(values))}"]
    letters = axes(name)
    sizes = ", ".join(f"{axis} {size}" for axis, size in zip(letters, values.shape, strict=True))
    labels = [LABELS.get(axis, tuple(map(str, range(size)))) for axis, size in zip(letters, values.shape, strict=True)]
    lines = [f"{name}  ({sizes})"]
    if values.ndim == 1:
        return lines + table(values[None], [""], labels[0], numbers, full)
    if values.ndim == 2:
        return lines + table(values, labels[0], labels[1], numbers, full)
    for part, label in zip(values, labels[0], strict=True):
        lines += [label, *table(part, labels[1], labels[2], numbers, full)]
    return lines


def table(values: FloatArray, rows: Sequence[str], columns: Sequence[str], numbers: Writer, full: bool) -> list[str]:
    """Return a matrix as lines, broken or left out to fit the width."""
    left = max(map(len, rows))
    cells = [[numbers.write(float(x)) for x in row] for row in values]
    narrowest = max(len(cell) for row in cells for cell in row)
    widths = [max(narrowest, len(column)) + 1 for column in columns]
    shown_rows = range(len(rows)) if full or len(rows) <= MOST_ROWS else (0, 1, None, len(rows) - 1)
    lines = []
    for piece in pieces(widths, WIDTH - 2 - left, full):
        for label, row in (("", columns), *((GAP, None) if i is None else (rows[i], cells[i]) for i in shown_rows)):
            shown = [GAP.rjust(3) if j is None else row[j].rjust(widths[j]) for j in piece] if row is not None else []
            lines.append(label.ljust(left) + "".join(shown))
    return lines


def pieces(widths: Sequence[int], room: int, full: bool) -> list[list[int | None]]:
    """Return which columns to show beside each other: all in one or more pieces, or the first, a gap and the last."""
    n, fitting = len(widths), room // max(widths)
    if sum(widths) <= room:
        return [list(range(n))]
    if not full:
        return [[*range(min(fitting - 2, MOST_COLUMNS)), None, n - 1]]
    size = math.ceil(n / math.ceil(n / fitting))
    return [list(range(start, min(start + size, n))) for start in range(0, n, size)]


def optimizer_table(section: Section, parts: Sequence[str]) -> list[str]:
    """Return some of AdamW's numbers of the first entry of every weight."""
    titles = [{"": "weight", "d ": "gradient"}.get(part, part.strip()) for part in parts]
    lines = ["first entry of".ljust(25) + "".join(title.rjust(12) for title in titles)]
    for name in WEIGHTS:
        entries = [(f"{part}{name}", section.arrays[f"{part}{name}"]) for part in parts]
        lines.append(name.ljust(25) + "".join(first_entry(*entry).rjust(12) for entry in entries))
    return lines


def first_entry(name: str, values: FloatArray) -> str:
    """Return the first number of an array in four digits."""
    x = float(values.flat[0])
    return f"{x:.4g}" if abs(x) >= noise(name) else "0"


def noise(name: str) -> float:
    """Return below which size a number of an array is what rounding has left of a zero."""
    return 1e-30 if name.startswith(("v ", "v_hat ")) else 1e-15  # those two are squares


class Writer:
    """Writes the numbers of one array, all with as many digits behind the point."""

    def __init__(self, name: str, values: FloatArray) -> None:
        sizes = np.abs(values[np.isfinite(values)])
        self.largest = float(sizes.max(initial=0.0))
        self.noise = max(noise(name), 1e-13 * self.largest)
        self.is_whole = bool((sizes == np.round(sizes)).all())
        magnitude = math.floor(math.log10(self.largest)) if self.largest >= self.noise else 0
        self.form = ".3e" if magnitude < -3 else f".{max(4, 3 - magnitude)}f"

    def write(self, x: float) -> str:
        """Return one number."""
        if abs(x) < self.noise:
            return "0"
        if self.is_whole or not math.isfinite(x):
            return f"{x:.0f}"
        written = f"{x:{self.form}}"
        return written.lstrip("-") if float(written) == 0 else written  # no -0.0000


def wrapped(text: str, first: str = "", later: str = "") -> list[str]:
    """Return text in lines that fit; products and names like `d x` stay together."""
    lines = textwrap.wrap(
        re.sub(r"(?<=[*]) | (?=[*])|(?<=\b[dmv]) (?=\w+[_.])", "\xa0", text),
        WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\xa0", " ") for line in lines]


def code_spans(text: str) -> str:
    """Return a sentence with the names in it marked as code, for Markdown."""
    return re.sub(r"<\w+>|\b\w+_\w+(?:\.\w+)?", lambda match: f"`{match[0]}`", text)
