"""The report's part on copying: every measure beside what chance gives, the answers with what they copied, the essays."""

from __future__ import annotations

from html import escape

from cutaway.voice.report_figures import Point, Scale, dots, key, points, strip, strips
from cutaway.voice.report_texts import marked_output, source_texts
from cutaway.voice.report_told import Told, figure, missing, section

SHARES = (
    ("Runs of 5 words", "memorization.shares.5.observed", "memorization.shares.5.chance"),
    ("Runs of 8 words", "memorization.shares.8.observed", "memorization.shares.8.chance"),
    ("Runs of 13 words", "memorization.shares.13.observed", "memorization.shares.13.chance"),
    ("Passages gone on with word for word", "extraction.exact.train", "extraction.exact.held_out"),
    ("Passages gone on with nearly so", "extraction.approximate.train", "extraction.approximate.held_out"),
)
MEMBERSHIP = (("By its loss alone", "membership.by_loss.auc"), ("Beside the base's loss", "membership.calibrated.auc"))
OPEN = 3
"""So many answers are shown at once, the others when they are opened."""
KINDS = {
    "known": "a topic you wrote about",
    "new": "a new topic",
    "long": "a long form",
    "held out": "the topic of a held-out piece",
}


def copied(told: Told) -> str:
    """Return every measure of copying."""
    said = told.said("memorization.sentence", "extraction.sentence")
    if not said:
        return section("Does it repeat your essays?", missing("nothing was measured"))
    return section(
        "Does it repeat your essays?",
        "<p>Some overlap is chance, and some is your own turn of phrase: so each figure stands beside the same figure of "
        "writing it was not trained on.</p>",
        said, _shares(told), _longest(told), _membership(told), _exposure(told),
    )  # fmt: skip


def _shares(told: Told) -> str:
    known = [row for row in SHARES if told.bounds(row[1])]
    if not known:
        return ""
    scale = Scale.over(0.0, 0.05, *(x for _, observed, chance in known for x in told.every(observed, chance)))
    rows = []
    for name, observed, chance in known:
        found = [
            Point(of, bounds) for of, path in (("you", chance), ("model", observed)) if (bounds := told.bounds(path))
        ]
        numbers = f"{told.number(f'{observed}.value', '.1%')} model<br>{told.number(f'{chance}.value', '.1%')} chance"
        about = f"{name}: {told.get(f'{observed}.value'):.1%} of the model's"
        rows.append(strip(name, points(scale, found, height=38), numbers, about, 38))
    return figure(
        "How much of it stands in the training text",
        key(("interval-you", "chance: held-out writing"), ("interval-model", "the model")),
        strips(rows, scale, ".0%", "share"),
        "Runs: of all runs of so many words in its answers, the share that stands in the training text. Passages: given "
        "the beginning of a passage, how often it writes the rest, in training text and in held-out text.",
    )


def _longest(told: Told) -> str:
    outputs = told.get("memorization.outputs") or []
    words = [one["longest_words"] for one in outputs]
    chance = [one["chance_longest"] for one in outputs if one["chance_longest"] is not None]
    if not words:
        return ""
    scale = Scale.over(0.0, *words, *chance)
    drawn = f"{dots(scale, 'you', chance, 7)}{dots(scale, 'model', words, 18)}"
    mean = told.interval("memorization.longest.observed", ".1f")
    row = strip("Each answer", drawn, f"mean {mean}", f"Longest runs of the answers, up to {max(words)} words")
    return figure(
        "The longest run of words copied in a row",
        key(("dot-you", "held-out writing of the same length"), ("dot-model", "an answer")),
        strips([row], scale, ".0f", "words"),
        "A dot is an answer, placed at the most words in a row that it has from one training text.",
    )


def _membership(told: Told) -> str:
    known = [row for row in MEMBERSHIP if told.bounds(row[1])]
    if not known:
        return ""
    scale = Scale.over(0.45, 1.0, *told.every(*(path for _, path in known)))
    rows = []
    for name, path in known:
        found = [Point("model", bounds)] if (bounds := told.bounds(path)) else []
        about = f"{name}: {told.get(f'{path}.value'):.2f} of the pairs told right"
        rows.append(strip(name, points(scale, found, 0.5), told.interval(path, ".2f"), about))
    return figure(
        "Can one tell from the model what it was trained on?",
        key(("interval-model", "share of pairs told right"), ("zero", "guessing")),
        strips(rows, scale, ".1f", "share"),
        told.text("membership.sentence"),
    )


def _exposure(told: Told) -> str:
    said = told.said("exposure.sentence")
    return f'<div class="block"><h3>Planted secrets</h3>{said}</div>' if said else ""


def answers(told: Told) -> str:
    """Return the answers with what they copied, and the essays."""
    outputs = told.get("outputs") or []
    if not outputs:
        return ""
    essays = source_texts(outputs, told.get("sources") or {})
    blocks = [_answer(told, number) for number in range(len(outputs))]
    return section(
        "What it wrote",
        "<p>Answers to fixed prompts, drawn with the same seed from both models, those that copied most first. A marked "
        "passage stands word for word in a training text and leads to its place there.</p>",
        *blocks,
        f'<div class="block"><h3>The pieces they come from</h3>{essays}</div>' if essays else "",
    )


def _answer(told: Told, number: int) -> str:
    path = f"outputs.{number}"
    one = told.get(path)
    kind = escape(KINDS.get(one["kind"], one["kind"]).capitalize())
    title = f' <span class="soft">({told.text(f"{path}.title")})</span>' if one["title"] else ""
    sides = ""
    if one["base_text"] is not None:
        box = 'class="text clip" tabindex="0" role="group" aria-label="answer of the base"'
        sides = f"<div><h4>Base</h4><div {box}>{told.text(f'{path}.base_text')}</div></div>"
    run = f"{told.number(f'{path}.longest_words', 'd')} words"
    sides += f"<div><h4>Tuned; longest run from the training text: {run}</h4>"
    sides += f"{marked_output(number, one['text'], one['marks'])}</div>"
    inside = f'<p class="prompt">{told.text(f"{path}.prompt")}</p><div class="texts">{sides}</div>'
    if number < OPEN:
        return f'<div class="block"><h3>{number + 1}. {kind}{title}</h3>{inside}</div>'
    most = f' <span class="soft small">{one["longest_words"]} words in a row</span>'
    return f"<details><summary>{number + 1}. {kind}{title}{most}</summary>{inside}</details>"
