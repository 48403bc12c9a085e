"""What was measured that is not a race: a value, its unit, and what it may be at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Fact:
    """Something measured alone."""

    what: str
    value: float
    unit: str
    bar: float | None = None
    """At most this."""

    def as_dict(self) -> dict[str, float | str | None]:
        """Return the fact as plain values."""
        return asdict(self)


def fact_table(facts: list[Fact]) -> str:
    """Return facts as a plain table."""
    width = max(len(fact.what) for fact in facts)
    lines = []
    for fact in facts:
        bar = "" if fact.bar is None else f"at most {fact.bar:g}"
        lines.append(f"{fact.what:<{width}}  {fact.value:>9.2f} {fact.unit:<2}  {bar}".rstrip())
    return "\n".join(lines)


def plain_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a plain table: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.rjust(w) if i else text.ljust(w) for i, (text, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    )
