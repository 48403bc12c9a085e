"""What was measured that is not a race: a value, its unit, and what it may be at most."""

from __future__ import annotations

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
