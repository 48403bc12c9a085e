"""The report as one page: report.html, complete in itself. No script, no network; it can be printed and sent.

It is made of report.json alone (`report_told.py`), so it cannot say what the file does not. Look at the verdict, then at
the rules under it, then at the answers with what they copied.
"""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from cutaway.voice.report_copied_page import answers, copied
from cutaway.voice.report_figures import Point, Scale, key, points, strip, strips
from cutaway.voice.report_style_page import style, temperature, two_sample
from cutaway.voice.report_texts import surprise_key, surprise_text
from cutaway.voice.report_told import Told, figure, section

HOPED = {
    "enough": True, "better": True, "worse": False, "copies": False, "copies much": False, "style": True,
    "told apart": False,
}  # fmt: skip
"""The answers one hopes for."""
FORMS = {
    "runs copied": ".1%", "by chance": ".1%", "passages gone on with": ".1%", "those held out": ".1%",
    "area under the curve": ".2f",
}  # fmt: skip
LOSSES = (
    ("Your held-out writing", "losses.base.bits_per_byte", "losses.tuned.bits_per_byte"),
    ("What it was trained on", "train.base.bits_per_byte", "train.tuned.bits_per_byte"),
    ("Neutral text (Python's manual)", "forgetting.before", "forgetting.after"),
)
CHANGES = (
    ("Held-out writing", "losses.bits_difference"),
    ("Held-out writing, over several splits", "splits.change"),
    ("Neutral text", "forgetting.change"),
)
THEMES = ("light", "dark")


def report_page(data: dict[str, Any], theme: str = "") -> str:
    """Return the whole page.

    Args:
        data: what report.json holds.
        theme: `light` or `dark`; left out: as the reader's system has it.
    """
    told = Told(data)
    chosen = f' data-theme="{theme}"' if theme in THEMES else ""
    parts = (rules, losses, paragraphs, copied, answers, style, two_sample, temperature)
    return (
        f'<!doctype html>\n<html lang="en"{chosen}>\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{told.text('run')}: your voice, or your essays?</title>\n<style>\n{sheet()}</style>\n</head>\n"
        f"<body>\n{header(told)}<main>\n{''.join(part(told) for part in parts)}</main>\n{footer(told)}</body>\n</html>\n"
    )


@cache
def sheet() -> str:
    """Return the style sheet."""
    return files("cutaway.voice").joinpath("report_page.css").read_text(encoding="utf-8")


def header(told: Told) -> str:
    """Return the verdict and what it is about."""

    def counted(side: str) -> str:
        return f"{told.number(f'data.{side}_pieces', 'd')} pieces, {told.number(f'data.{side}_pairs', 'd')} pairs"

    facts = (
        ("model", told.text("run")), ("tuned from", told.text("base")), ("by", told.text("method")),
        ("learned", counted("train")), ("held out", counted("held_out")), ("made", told.text("made")[:10]),
    )  # fmt: skip
    listed = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts if value)
    return (
        f'<header><p class="kicker">Your voice, or your essays?</p><h1>{told.text("verdict.name")}</h1>'
        f'<p class="lead">{told.text("verdict.sentence")}</p><dl class="facts">{listed}</dl></header>\n'
    )


def rules(told: Told) -> str:
    """Return every rule with its answer and the numbers it looked at."""
    rows = "".join(_rule(told, place) for place in range(len(told.get("verdict.rulings") or [])))
    return section(
        "How this was decided",
        "<p>The verdict follows from these answers and nothing else. Copying is judged first, then whether there is enough "
        "writing the model was not trained on, then whether it got better at that.</p>",
        f'<ul class="rules">{rows}</ul>',
    )


def _rule(told: Told, place: int) -> str:
    path = f"verdict.rulings.{place}"
    one = told.get(path)
    hoped, holds = HOPED.get(one["name"]), one["holds"]
    tone = "cannot" if holds is None else "" if hoped is None else "good" if holds == hoped else "bad"
    mark = {True: "yes", False: "no", None: "cannot"}[holds]
    numbers = "".join(
        f"<span>{escape(name)} {told.number(f'{path}.numbers.{name}', FORMS.get(name, '.3f'))}</span>"
        for name, value in one["numbers"].items()
        if value is not None
    )
    return (
        f'<li><div class="answer {mark} {tone}">{told.text(f"{path}.answer")}</div><div><h3>{told.text(f"{path}.question")}'
        f'</h3><p class="needs">Yes, if {told.text(f"{path}.needs")}.</p><div class="numbers">{numbers}</div></div></li>'
    )


def losses(told: Told) -> str:
    """Return how well both models foretell what they never saw, what was trained on, and neutral text."""
    said = told.said("losses.sentence", "gap.sentence", "forgetting.sentence", "splits.sentence")
    return section("Does it foretell you better?", said, _before_and_after(told), _changes(told))


def _before_and_after(told: Told) -> str:
    known = [row for row in LOSSES if told.bounds(row[1]) and told.bounds(row[2])]
    scale = Scale.over(*(x for _, base, tuned in known for x in told.every(base, tuned)))
    rows = []
    for name, base, tuned in known:
        found = [Point(of, bounds) for of, path in (("base", base), ("model", tuned)) if (bounds := told.bounds(path))]
        numbers = f"{told.number(f'{base}.value', '.3f')} base<br>{told.number(f'{tuned}.value', '.3f')} tuned"
        about = f"{name}: base {told.get(f'{base}.value'):.3f}, tuned {told.get(f'{tuned}.value'):.3f} bits a byte"
        rows.append(strip(name, points(scale, found, height=40), numbers, about, 40))
    if not rows:
        return ""
    return figure(
        "Loss before and after",
        key(("interval-base", "base"), ("interval-model", "tuned")),
        strips(rows, scale, ".3g", "bits a byte"),
        "How many bits the model would have to be told to know the next byte of a text: further left is better. The bars "
        "are 90 % intervals over whole pieces.",
    )


def _changes(told: Told) -> str:
    known = [row for row in CHANGES if told.bounds(row[1])]
    scale = Scale.over(0.0, *told.every(*(path for _, path in known)))
    rows = []
    for name, path in known:
        found = [Point("model", bounds)] if (bounds := told.bounds(path)) else []
        about = f"{name}: {told.get(f'{path}.value'):+.3f} bits a byte"
        rows.append(strip(name, points(scale, found, 0.0), told.interval(path, "+.3f"), about))
    if not rows:
        return ""
    return figure(
        "The change itself, tuned less base",
        key(("interval-model", "change"), ("zero", "no change")),
        strips(rows, scale, "+.3g", "bits a byte"),
        "Drawn piece by piece, so that what makes one piece harder than another cancels. A change counts when its whole "
        "bar is on one side of the dashed line.",
    )


def paragraphs(told: Told) -> str:
    """Return held-out paragraphs under both models."""
    blocks = []
    for place, one in enumerate(told.get("paragraphs") or []):
        path = f"paragraphs.{place}"
        sides = "".join(
            f"<div><h4>{name}: {told.number(f'{path}.{side}_bits', '.2f')} bits a byte</h4>{surprise_text(one[side])}</div>"
            for name, side in (("Base", "before"), ("Tuned", "after"))
        )
        title = f'{told.text(f"{path}.why")} <span class="soft">({told.text(f"{path}.title")})</span>'
        blocks.append(f'<div class="block"><h3>{title}</h3><div class="texts">{sides}</div></div>')
    if not blocks:
        return ""
    return section(
        "Where it does not know you yet",
        "<p>Paragraphs of yours that neither model was trained on. The stronger the tint, the more a word surprised the "
        f"model; hold the pointer over one to read how much.</p>{surprise_key()}",
        *blocks,
    )


def footer(told: Told) -> str:
    """Return how it was made."""
    more = "Every number on this page is in report.json beside it, with all its digits."
    return f"<footer><p>{told.text('how')} {more}</p></footer>\n"
