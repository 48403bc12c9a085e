"""Texts in the report: surprisal as colour, copied passages marked, and the essays they are from.

Surprise is shown by tint, and from 7 bits on by a line under the token too. A copied passage leads to the same passage in
its essay, further down on the page, and back.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from html import escape
from typing import Any

STEPS = (2.0, 4.0, 7.0, 10.0)
"""Bits from which on a token is tinted more."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def surprise_text(tokens: Sequence[tuple[str, float]]) -> str:
    """Return a text with each token, given with its surprisal in nats, tinted by it."""
    parts = []
    for place, (piece, nats) in enumerate(tokens, 1):
        bits = nats / math.log(2)
        step = sum(bits >= edge for edge in STEPS)
        if place == len(tokens) and re.fullmatch(r"<.+>", piece):
            parts.append(f' <span class="t s{step} end" title="{bits:.1f} bits">end</span>')
            continue
        word = piece.lstrip(" ")
        inside = f'<span class="t s{step}" title="{bits:.1f} bits">{escape(word)}</span>' if step else escape(word)
        parts.append(f"{' ' * (len(piece) - len(word))}{inside}")
    return f'<div class="text">{"".join(parts)}</div>'


def surprise_key() -> str:
    """Return what the tints mean."""
    edges = ["under " + f"{STEPS[0]:g}", *(f"{edge:g} and more" for edge in STEPS)]
    spans = " ".join(f'<span class="t s{step}">{words}</span>' for step, words in enumerate(edges))
    return f'<p class="small soft scale">Bits of surprise: {spans}</p>'


def safe(name: str) -> str:
    """Return a name as part of an id."""
    return "".join(c if c.isalnum() or c == "-" else "_" for c in name)


def marked_output(number: int, text: str, marks: Sequence[dict[str, Any]]) -> str:
    """Return an answer with the passages that stand in the training text marked, each a link to its place there."""
    parts, at = [], 0
    for place, mark in enumerate(sorted(marks, key=lambda mark: mark["start"])):
        name = mark_name(number, place)
        inside = escape(text[mark["start"] : mark["end"]])
        said = f"{mark['words']} words from {mark['source']}"
        parts.append(escape(text[at : mark["start"]]))
        parts.append(
            f'<mark id="o-{name}"><a href="#s-{name}" title="{escape(said)}">{inside}<sup>{name}</sup></a></mark>'
        )
        at = mark["end"]
    return f'<div class="text">{"".join(parts)}{escape(text[at:])}</div>'


def mark_name(number: int, place: int) -> str:
    """Return what a marked passage is called: the answer's number and a letter."""
    return f"{number + 1}{LETTERS[place % 26] * (1 + place // 26)}"


def source_texts(outputs: Sequence[dict[str, Any]], sources: dict[str, dict[str, Any]]) -> str:
    """Return the essays that answers copied from, with the copied passages marked."""
    found: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for number, output in enumerate(outputs):
        for place, mark in enumerate(sorted(output["marks"], key=lambda mark: mark["start"])):
            found[mark["source"]].append((mark["at"], mark["at_end"], mark_name(number, place)))
    parts = []
    for source in sorted(found):
        told = sources.get(source)
        if told is None:
            continue
        count = len(found[source])
        parts.append(
            f'<details id="essay-{escape(safe(source))}"><summary>{escape(told["title"])} '
            f'<span class="soft small">({count} passage{"s" if count > 1 else ""})</span></summary>'
            f"{_source_text(told['text'], found[source])}</details>"
        )
    return "".join(parts)


def _source_text(text: str, passages: Sequence[tuple[int, int, str]]) -> str:
    """Return an essay; passages may overlap, so the text is cut at every beginning and end."""
    edges = sorted({0, len(text), *(edge for start, end, _ in passages for edge in (start, end))})
    parts = []
    for start, end in itertools.pairwise(edges):
        over = [one for one in passages if one[0] <= start and end <= one[1]]
        begins = "".join(
            f'<a id="s-{name}" href="#o-{name}" aria-label="back to answer, passage {name}"><sup>{name}</sup></a>'
            for first, _, name in passages
            if first == start and over
        )
        inside = escape(text[start:end])
        parts.append(f"<mark>{begins}{inside}</mark>" if over else inside)
    return f'<div class="text">{"".join(parts)}</div>'
