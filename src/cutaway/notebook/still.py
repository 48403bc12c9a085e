"""A figure that does not move: a table as text or HTML, with a small drawing, for pages that run no scripts."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]

WIDTH, HEIGHT = 560, 150
MOST_POINTS = 280
COLORS = ("#2a78c2", "#c2601a", "#2c8a52", "#8a5fb0")
"""Told apart on white and on black."""


@dataclass(frozen=True)
class Still:
    """What a figure says without drawing."""

    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    about: str = ""
    note: str = ""
    """What there is to say of the table: its order, what it leaves out."""
    lines: dict[str, tuple[Numbers, Numbers]] = field(default_factory=dict)
    """Lines to draw, by name: x and y."""

    def as_text(self) -> str:
        """Return it for a terminal: numbers to the right, words to the left."""
        said = [self.title, *([self.about] if self.about else [])]
        table = [list(self.columns), *map(list, self.rows)] if self.rows else []
        if table:
            widths = [max(len(row[i]) for row in table) for i in range(len(self.columns))]
            is_number = [all(looks_like_number(row[i]) for row in self.rows) for i in range(len(self.columns))]
            for row in table:
                cells = zip(row, widths, is_number, strict=True)
                said.append("  " + "  ".join(f"{c:>{w}}" if right else f"{c:<{w}}" for c, w, right in cells).rstrip())
        if table and self.note:
            said.append(f"  ({self.note})")
        return "\n".join(said)

    def as_html(self, more: str = "") -> str:
        """Return it for a page; colours are left to the page."""
        parts = [f"<figure><figcaption><strong>{html.escape(self.title)}</strong>"]
        parts.append(f"<br>{html.escape(self.about)}</figcaption>" if self.about else "</figcaption>")
        if self.lines:
            parts.append(drawing(self.title, self.lines))
        if self.rows:
            head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
            body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in self.rows)
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        parts += [f"<p><em>{html.escape(line)}</em></p>" for line in (self.note if self.rows else "", more) if line]
        return "".join([*parts, "</figure>"])


def drawing(title: str, lines: dict[str, tuple[Numbers, Numbers]]) -> str:
    """Return lines as a small picture: what is not finite is a gap."""
    points = {name: thinned(x, y) for name, (x, y) in lines.items()}
    xs = np.concatenate([x for x, _ in points.values()])
    ys = np.concatenate([y for _, y in points.values()])
    seen = np.isfinite(xs) & np.isfinite(ys)
    if not seen.any():
        return ""
    (left, right), (low, high) = ((float(v[seen].min()), float(v[seen].max())) for v in (xs, ys))
    across, up = (right - left) or 1.0, (high - low) or 1.0
    drawn = []
    for n, (name, (x, y)) in enumerate(points.items()):
        color = COLORS[n % len(COLORS)]
        pen, path = "M", []
        for one, other in zip(x, y, strict=True):
            if not (math.isfinite(one) and math.isfinite(other)):
                pen = "M"
                continue
            path.append(
                f"{pen}{60 + (one - left) / across * (WIDTH - 70):.1f} {10 + (high - other) / up * (HEIGHT - 35):.1f}"
            )
            pen = "L"
        drawn.append(f'<path d="{"".join(path)}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        drawn.append(f'<text x="{70 + 150 * n}" y="{HEIGHT - 4}" fill="{color}">{html.escape(name)}</text>')
    ends = "".join(
        f'<text x="4" y="{y}" fill="#808080">{value:.4g}</text>' for y, value in ((16, high), (HEIGHT - 24, low))
    )
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="12">{ends}{"".join(drawn)}</svg>'
    )
    data = base64.b64encode(picture.encode()).decode()  # as an image: pages that clean up HTML take drawings to pieces
    return f'<img alt="{html.escape(title)}, as lines" src="data:image/svg+xml;base64,{data}">'


def thinned(x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
    """Return at most so many points of a line, evenly taken, the last included."""
    kept = np.unique(np.linspace(0, max(0, len(x) - 1), min(len(x), MOST_POINTS)).astype(np.int64))
    return np.asarray(x, np.float64)[kept], np.asarray(y, np.float64)[kept]


def looks_like_number(text: str) -> bool:
    """Whether a cell of a table is a number."""
    try:
        float(text.replace(",", "").rstrip("%"))
    except ValueError:
        return not text
    return True


def short(value: float, digits: int = 4) -> str:
    """Return a number in few digits."""
    return f"{value:.{digits}g}"
