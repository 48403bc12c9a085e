"""A table of numbers as a picture of characters: the sign and a digit for the size, coloured where there is colour.

The characters say everything the colours say, so a pipe, NO_COLOR and eyes that see colours otherwise lose nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.style import Style
from rich.text import Text

POSITIVE, NEGATIVE, PAPER = (230, 97, 1), (65, 105, 205), (245, 245, 245)
CELL = 2
"""Characters a number takes."""


def heat(values: Any, width: int = 80, height: int = 24) -> tuple[Text, str]:
    """Return the picture of a table, or of a list broken into lines, and what its characters mean.

    Args:
        width: in characters; what does not fit is shown in means of equal blocks, which the legend says.
    """
    numbers = np.asarray(values, dtype=np.float64)
    margin = len(str(max(numbers.shape))) + 1
    columns = max(1, (width - margin) // CELL)
    picture = Text(no_wrap=True)
    if numbers.ndim == 1:
        columns = columns // 10 * 10 or columns
        step = -(-len(numbers) // (columns * height))
        shown = means(numbers[None], 1, step)[0]
        lines = [(start * step, shown[start : start + columns]) for start in range(0, len(shown), columns)]
        block = (1, step)
    else:
        block = -(-numbers.shape[0] // height), -(-numbers.shape[1] // columns)
        shown = means(numbers, *block)
        lines = [(i * block[0], row) for i, row in enumerate(shown)]
        picture.append(" " * margin + heads(shown.shape[1], block[1]) + "\n", style="dim")
    sizes = np.abs(shown[np.isfinite(shown)])
    largest = float(sizes.max()) if sizes.size else 0.0
    for label, row in lines:
        picture.append(f"{label:>{margin - 1}} ", style="dim")
        for value in row:
            picture.append(*cell(float(value), largest))
        picture.append("\n")
    picture.rstrip()
    return picture, legend(shown, largest, block)


def heads(n: int, step: int) -> str:
    """Return what stands above the columns: the number of every fifth."""
    return "".join(f"{i * step:<{5 * CELL}}" for i in range(0, n, 5)).rstrip()


def cell(value: float, largest: float) -> tuple[str, Style]:
    """Return a number's two characters and its colour."""
    if np.isnan(value):
        return " ?", Style(bold=True, reverse=True)
    if np.isinf(value):
        return ("+!" if value > 0 else "-!"), Style(bold=True, reverse=True)
    part = abs(value) / largest if largest else 0.0
    tint = POSITIVE if value > 0 else NEGATIVE
    red, green, blue = (round(paper + part * (full - paper)) for paper, full in zip(PAPER, tint, strict=True))
    ink = "#000000" if red + green + blue > 380 else "#ffffff"
    mark = " ." if value == 0 else f"{'+' if value > 0 else '-'}{round(9 * part)}"
    return mark, Style(color=ink, bgcolor=f"#{red:02x}{green:02x}{blue:02x}")


def means(table: Any, rows: int, columns: int) -> Any:
    """Return a table in means of blocks of so many rows and columns."""
    if (rows, columns) == (1, 1):
        return table
    starts_y, starts_x = range(0, table.shape[0], rows), range(0, table.shape[1], columns)
    with np.errstate(all="ignore"):
        return np.array([[table[y : y + rows, x : x + columns].mean() for x in starts_x] for y in starts_y])


def legend(shown: Any, largest: float, block: tuple[int, int]) -> str:
    """Return what the characters mean."""
    said = [f"9 is {largest:.4g}, the others ninths of it, + and - the sign"]
    if (shown == 0).any():
        said.append(". exactly 0")
    if np.isnan(shown).any():
        said.append("? not a number")
    if np.isinf(shown).any():
        said.append("! infinite")
    if block != (1, 1):
        said.append(f"each cell is the mean of {block[0] * block[1]} numbers ({block[0]} x {block[1]})")
    return "; ".join(said)
