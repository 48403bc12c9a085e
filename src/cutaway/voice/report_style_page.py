"""The report's part on style: dots over the spread of one's own writing, the machine's test, the rhythm of surprise."""

from __future__ import annotations

from html import escape

from cutaway.voice.report_figures import Curve, Scale, key, level, plot, spread, strip, strips
from cutaway.voice.report_told import Told, figure, missing, section, table

COUNTED = ("style.delta", "style.group_delta", "style.richness")
RHYTHM = ("sentence_length", "sentence_spread", "sentence_memory", "sentence_distribution", "paragraph_length")
TELLS_SHOWN = 8


def style(told: Told) -> str:
    """Return every counted figure as dots over the natural spread."""
    marks = [f"style.punctuation.{name}" for name in told.get("style.punctuation") or {}]
    paths = [*COUNTED, *marks, "style.openings.first_sentence", *(f"rhythm.{name}" for name in RHYTHM)]
    known = [path for path in paths if told.get(f"{path}.median") is not None]
    said = told.said("style.sentence", "style.openings.sentence", "rhythm.sentence")
    if not known:
        return section("Does it write like you?", said or missing("there are too few texts"))
    drawn = figure(
        "Counted, stretch by stretch",
        key(
            ("spread", "where 8 of 10 of your own stretches lie"), ("dot-you", "yours, held out"),
            ("dot-model", "the model's"), ("median", "the middle of the model's"),
        ),
        strips([_row(told, path) for path in known]),
        "Each row has a scale of its own. All texts are cut to stretches of the same length, since nearly every such "
        "figure depends on length.",
    )  # fmt: skip
    return section(
        "Does it write like you?",
        "<p>Your own pieces differ from each other, and that is the yardstick: most of them lie in the shaded part.</p>",
        said, drawn, _words(told),
    )  # fmt: skip


def _row(told: Told, path: str) -> str:
    one = told.get(path)
    scale = Scale.over(one["low"], one["high"], one["median"], *one["own"], *one["outputs"])
    form = f".{one['decimals']}f"
    is_said = not one["unit"] or one["unit"] in one["name"].lower()
    unit = "" if is_said else f' <span class="soft">{told.text(f"{path}.unit")}</span>'
    range_ = f"{told.number(f'{path}.low', form)} to {told.number(f'{path}.high', form)}"
    place = f'<span class="verdict {one["verdict"]}">{told.text(f"{path}.verdict")}</span>'
    value = f'{told.number(f"{path}.median", form)} {place}<br><span class="soft">yours {range_}</span>'
    drawn = spread(scale, one["low"], one["high"], one["own"], one["outputs"], one["median"])
    return strip(f"{told.text(f'{path}.name')}{unit}", drawn, value, one["sentence"])


def _words(told: Told) -> str:
    paths = [f"style.words.{i}" for i in range(len(told.get("style.words") or []))]
    if not paths:
        return ""
    rows = [
        (
            told.text(f"{path}.word"), told.number(f"{path}.own", ".1f"),
            f"{told.number(f'{path}.low', '.1f')} to {told.number(f'{path}.high', '.1f')}",
            told.number(f"{path}.outputs", ".1f"),
        )
        for path in paths
    ]  # fmt: skip
    return figure(
        "Small words used most differently, in 1,000 words",
        "",
        table(("word", "yours", "8 of 10 of yours", "the model's"), rows, (1, 2, 3)),
        "Nobody watches the words that carry no meaning, which is why they give an author away.",
    )


def two_sample(told: Told) -> str:
    """Return whether a machine can tell."""
    if not told.has("two_sample"):
        return ""
    return section("Can a machine tell?", told.said("two_sample.sentence"), _told_apart(told), _tells(told))


def _told_apart(told: Told) -> str:
    rows, scale = [], Scale(0.0, 1.0)
    for name, path, of in (
        ("The base's texts", "base_two_sample", "base"),
        ("The tuned model's", "two_sample", "model"),
    ):
        auc = told.get(f"{path}.auc")
        if auc is None:
            continue
        drawn = (
            '<line class="axis" x1="0" x2="100%" y1="13" y2="13"/><line class="zero" x1="50%" x2="50%" y1="0" y2="26"/>'
            f'<circle class="point {of}" cx="{scale.place(auc)}" cy="13" r="5"/>'
        )
        value = (
            f'{told.number(f"{path}.auc", ".0%")} <span class="soft">p {told.number(f"{path}.p_value", ".3f")}</span>'
        )
        rows.append(strip(name, drawn, value, f"{name}: told from yours in {auc:.0%} of the pairs"))
    if not rows:
        return ""
    return figure(
        "How often it knows which text is yours",
        key(("interval-base", "base"), ("interval-model", "tuned"), ("zero", "guessing")),
        strips(rows, scale, ".0%", "pairs told right"),
        "A classifier is shown one text of yours and one of a model's that it has not seen. p says how often labels dealt "
        "out at random do as well; small means that it can really tell.",
    )


def _tells(told: Told) -> str:
    paths = [f"two_sample.tells.{i}" for i in range(len((told.get("two_sample.tells") or [])[:TELLS_SHOWN]))]
    if not paths:
        return ""
    rows = [
        (
            told.text(f"{path}.feature"), told.number(f"{path}.own_rate", ".1f"),
            told.number(f"{path}.output_rate", ".1f"), told.text(f"{path}.example"),
        )
        for path in paths
    ]  # fmt: skip
    return figure(
        "By what it tells",
        "",
        table(("sign", "yours", "the model's", "for example"), rows, (1, 2)),
        "The signs that part the two most, and how often each occurs in 1,000 words (of letters: 1,000 characters).",
    )


def temperature(told: Told) -> str:
    """Return the rhythm of surprise in one's writing, and the temperatures that can be used."""
    charts = []
    for name in ("sentence", "paragraph", "piece"):
        one = told.get(f"temperature_profile.{name}_wave")
        if one and any(value is not None for value in one["surprisal"]):
            curves = [Curve("you", one["surprisal"]), Curve("base", one["entropy"], True)]
            drawn = plot(curves, ("its beginning", "its end"), f"Surprisal and entropy along a {escape(name)}, in nats")
            charts.append(f"<figure><h3>Along a {name}</h3>{drawn}</figure>")
    said = told.said("temperature_profile.sentence")
    if not (charts or said):
        return ""
    marks = key(("line-you", "surprise of your words, in nats"), ("dashed-base", "what the model expected"))
    about = (
        '<p class="small soft">How much your words surprise the tuned model, from the beginning to the end; writing at one '
        "temperature has no such rhythm.</p>"
    )
    drawn = f'<div class="block">{marks}<div class="three">{"".join(charts)}</div>{about}</div>' if charts else ""
    return section("The rhythm of surprise, and the temperature", said, drawn, _usable(told))


def _usable(told: Told) -> str:
    """Return which temperatures can be used, before and after."""
    rows = []
    scale = Scale(0.0, 1.9)
    for name, path, of in (("Base", "base_temperature_range", "base"), ("Tuned", "temperature_range", "model")):
        tried = told.get(f"{path}.tried") or []
        if not tried:
            continue
        drawn = [level(scale, 0.0, 1.9, 24, "axis")]
        if told.has(f"{path}.low"):
            drawn.append(level(scale, told.get(f"{path}.low"), told.get(f"{path}.high"), 12, f"interval {of} wide"))
        for one in tried:
            place = scale.place(one["temperature"])
            wrong = "".join(f"<title>{escape(', '.join(one['wrong']) or 'usable')}</title>")
            kind = "dot" if one["wrong"] else "point"
            drawn.append(f'<circle class="{kind} {of}" cx="{place}" cy="12" r="4.5">{wrong}</circle>')
        value = (
            "none"
            if not told.has(f"{path}.low")
            else (f"{told.number(f'{path}.low', '.1f')} to {told.number(f'{path}.high', '.1f')}")
        )
        rows.append(strip(name, "".join(drawn), value, told.get(f"{path}.sentence")))
    if not rows:
        return ""
    return figure(
        "Temperatures that can be used",
        "",
        strips(rows, scale, ".1f", "temperature"),
        f"{told.text('temperature_range.sentence')} The bar is the range; a faint ring is a temperature at which the texts "
        "repeat themselves, fall apart or have unknown words.",
    )
