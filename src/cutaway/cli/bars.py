"""Signed numbers as bars to the left and right of a line, with their names; sizes are printed too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text

from cutaway.cli.heat import NEGATIVE, POSITIVE

if TYPE_CHECKING:
    from rich.console import Console

HALF = 20
"""Characters to each side at most."""
EIGHTHS = " ▏▎▍▌▋▊▉█"


def bars(rows: Sequence[tuple[str, float, str]], console: Console) -> None:
    """Print (name, value, remark) a line each; the largest value has the longest bar."""
    largest = max((abs(value) for _, value, _ in rows), default=0.0)
    width = max((len(name) for name, _, _ in rows), default=0)
    for name, value, remark in rows:
        line = Text(f"{name:<{width}}  {value:>+9.4f}  ", no_wrap=True, overflow="ellipsis")
        length = HALF * abs(value) / largest if largest else 0.0
        tint = POSITIVE if value > 0 else NEGATIVE
        style = Style(color=f"#{tint[0]:02x}{tint[1]:02x}{tint[2]:02x}")
        left = "█" * round(length) if value < 0 else ""  # there are no blocks that fill from the right
        right = "█" * int(length) + EIGHTHS[round(8 * (length % 1))].strip() if value > 0 else ""
        line.append(f"{left:>{HALF}}", style)
        line.append("│", "dim")
        line.append(f"{right:<{HALF}}", style)
        line.append(f"  {remark}", "dim")
        console.print(line)
