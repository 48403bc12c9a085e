"""A report's numbers on their way to the page: each is taken from report.json by its path, and keeps all its digits.

Every number on the page stands in `<data value="all digits" data-path="where in report.json">shown</data>`, so that the
page can be held against the file, and nothing is shown that is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

NOT_COMPUTED = '<span class="soft">not computed</span>'
Bounds = tuple[float, float, float]


class Told:
    """A report as JSON has it, looked up by dotted paths."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def get(self, path: str) -> Any:
        """Return what stands there, None if nothing does."""
        found: Any = self.data
        for part in path.split("."):
            if isinstance(found, list) and part.isdecimal() and int(part) < len(found):
                found = found[int(part)]
            elif isinstance(found, dict):
                found = found.get(part)
            else:
                return None
        return found

    def has(self, path: str) -> bool:
        """Whether something stands there."""
        return self.get(path) is not None

    def text(self, path: str) -> str:
        """Return a text, made safe."""
        found = self.get(path)
        return "" if found is None else escape(str(found))

    def said(self, *paths: str) -> str:
        """Return the sentences that stand there, a paragraph each."""
        return "".join(f'<p class="said">{self.text(path)}</p>' for path in paths if self.has(path))

    def number(self, path: str, form: str = ".3g") -> str:
        """Return a number, shortened to be read, with all its digits behind it."""
        found = self.get(path)
        if found is None:
            return NOT_COMPUTED
        return f'<data value="{found!r}" data-path="{escape(path)}">{shown(found, form)}</data>'

    def interval(self, path: str, form: str = ".3f") -> str:
        """Return `1.23 (1.10 to 1.41)`."""
        if self.bounds(path) is None:
            return NOT_COMPUTED
        if self.get(f"{path}.low") is None or self.get(f"{path}.high") is None:
            beside = f"no interval: {self.text(f'{path}.how')}"
        else:
            beside = f"{self.number(f'{path}.low', form)} to {self.number(f'{path}.high', form)}"
        return f'{self.number(f"{path}.value", form)} <span class="soft">({beside})</span>'

    def bounds(self, path: str) -> Bounds | None:
        """Return low, value and high; where there is no interval, the value three times."""
        value = self.get(f"{path}.value")
        if value is None:
            return None
        low, high = self.get(f"{path}.low"), self.get(f"{path}.high")
        return (value if low is None else low, value, value if high is None else high)

    def every(self, *paths: str) -> list[float]:
        """Return all bounds of the intervals that stand there."""
        return [x for path in paths for x in self.bounds(path) or ()]


def shown(value: float, form: str) -> str:
    """Return a number as people read it; a minus is a minus."""
    if isinstance(value, int) and not form.endswith("%"):
        return f"{value:,}"
    if form.endswith("f") and 0 < abs(value) < 0.5 * 10 ** -int(form[-2]):
        form = f"{form[:-2]}1g"  # never 0.000 for what is not zero
    return f"{value:{form}}".replace("-", "\u2212")


def section(title: str, *inside: str) -> str:
    """Return a part of the page."""
    return f"<section><h2>{title}</h2>{''.join(inside)}</section>\n"


def figure(title: str, key: str, drawn: str, caption: str) -> str:
    """Return a figure with what its marks mean and what it says."""
    return f"<figure><h3>{title}</h3>{key}{drawn}<figcaption>{caption}</figcaption></figure>"


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]], numbers: tuple[int, ...]) -> str:
    """Return a table; `numbers` says which columns are numbers."""

    def cells(kind: str, row: tuple[str, ...]) -> str:
        parts = (f"<{kind}{' class=number' if i in numbers else ''}>{cell}</{kind}>" for i, cell in enumerate(row))
        return f"<tr>{''.join(parts)}</tr>"

    body = "".join(cells("td", row) for row in rows)
    inside = f"<table><thead>{cells('th', heads)}</thead><tbody>{body}</tbody></table>"
    return f'<div class="table" tabindex="0" role="group" aria-label="table">{inside}</div>'


def missing(why: str) -> str:
    """Say that something was not measured, and why."""
    return f'<p class="missing">Not enough data to say: {escape(why)}.</p>'
