"""What the figures of the lens say in words, all alike."""

from __future__ import annotations

from collections.abc import Sequence

from cutaway.lens.prompt import Prompt

STILL_ROWS = 40
"""Rows of a table that stands in for a figure."""


def quoted(pieces: Sequence[str], most: int = 80) -> str:
    """Return the tokens as the text they are, cut short."""
    text = "".join(pieces)
    return repr(text if len(text) <= most else text[:most] + "...")


def on_text(prompt: Prompt) -> str:
    """Return which text was read, and how much of it was not."""
    cut = f" (the first {prompt.cut} tokens did not fit into the context)" if prompt.cut else ""
    return f"{len(prompt.pieces)} tokens: {quoted(prompt.pieces)}{cut}"


def note(order: str, rows: Sequence[object], what: str) -> str:
    """Return in which order a table stands, and how much of it."""
    cut = f"the first {STILL_ROWS} of {len(rows)} {what}" if len(rows) > STILL_ROWS else ""
    return "; ".join(part for part in (order, cut) if part)
