"""Your voice, or your essays? Everything that is measured of a tuned model, and the verdict that follows.

`collect` measures; it is given models, both sides of the writing, and answers, and reads and writes nothing. Base and tuned
model read the same examples in the tuned model's form. What a model wrote is held against the training texts (copying) and
against the held-out ones (style): beside training texts a model that copies would look perfect.

Little writing gives wide intervals, and a report that says so. `as_dict` is what report.json holds, and the page shows
nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cutaway.base.errors import UsageError
from cutaway.interop.conversations import Conversation
from cutaway.tune.chat_form import chat_form
from cutaway.tune.examples import Example, make_examples
from cutaway.voice.against import Memorization, Output, memorization
from cutaway.voice.answers import Answer, Speaker
from cutaway.voice.exposure import Exposure, exposure
from cutaway.voice.extraction import Extraction, extraction
from cutaway.voice.forgetting import Forgetting, forgetting
from cutaway.voice.learned import Learned
from cutaway.voice.losses import Gap, LossChange, PairLoss, compare_losses, gap, response_losses
from cutaway.voice.membership import Membership, membership
from cutaway.voice.resplits import OverSplits
from cutaway.voice.rhythm import Rhythm, rhythm
from cutaway.voice.style import Style, style
from cutaway.voice.temperature_profile import TemperatureProfile, temperature_profile
from cutaway.voice.temperature_range import TemperatureRange, usable_range
from cutaway.voice.two_sample import TwoSample, two_sample
from cutaway.voice.verdict import Evidence, Verdict, verdict

TEMPERATURES, PROMPTS_TRIED = (0.3, 0.6, 0.8, 1.0, 1.2, 1.5), 3
"""Tried, and how many prompts at each."""
COMPARED_CHARACTERS = 5000
PARAGRAPHS = 3
PARAGRAPH_TOKENS = (20, 400)
"""A paragraph shown has at least so many tokens; of a longer one the beginning is shown."""

Progress = Callable[[str], None]


def _nobody(_: str) -> None:
    pass


@dataclass(frozen=True)
class ReportSettings:
    """How much is measured."""

    seed: int = 0
    train_pairs: int = 200
    """Training pairs read, at most."""
    permutations: int = 999
    passages: int = 24
    """Places on each side at which the model is let go on with a passage."""
    temperatures: bool = True
    """Whether to look for the temperatures that can be used, which takes long."""
    is_quick: bool = False


QUICK = ReportSettings(train_pairs=60, permutations=199, passages=6, temperatures=False, is_quick=True)


PLAIN = ("run", "base", "method", "made", "data", "how", "sources")
MEASURED = (
    "losses", "gap", "splits", "forgetting", "memorization", "extraction", "membership", "exposure", "style", "rhythm",
    "two_sample", "base_two_sample", "temperature_profile", "temperature_range", "base_temperature_range",
)  # fmt: skip
"""What says itself in a sentence."""


@dataclass(frozen=True)
class Paragraph:
    """A held-out paragraph under both models."""

    source: str
    title: str
    why: str
    """Why this one is shown."""
    before: tuple[tuple[str, float], ...]
    """Tokens with their surprisal in nats."""
    after: tuple[tuple[str, float], ...]
    before_bits: float
    """Bits a byte."""
    after_bits: float


@dataclass(frozen=True)
class Report:
    """All that was measured. None: not measured."""

    run: str
    base: str
    method: str
    made: str
    data: dict[str, int]
    verdict: Verdict
    losses: LossChange
    train: LossChange
    gap: Gap
    forgetting: Forgetting
    paragraphs: tuple[Paragraph, ...]
    memorization: Memorization
    extraction: Extraction
    membership: Membership
    exposure: Exposure | None
    style: Style
    rhythm: Rhythm
    two_sample: TwoSample
    base_two_sample: TwoSample
    temperature_profile: TemperatureProfile
    temperature_range: TemperatureRange | None
    base_temperature_range: TemperatureRange | None
    splits: OverSplits | None
    """The change of the loss over several ways to hold pieces out."""
    outputs: tuple[dict[str, Any], ...]
    """The answers with what they copied, those that copied most first."""
    sources: dict[str, dict[str, str]]
    """Titles and texts of the pieces that were copied from."""
    how: str

    def as_dict(self) -> dict[str, Any]:
        """Return what report.json holds."""
        plain = {name: getattr(self, name) for name in PLAIN}
        measured = {
            name: found.as_dict() | {"sentence": found.sentence()}
            for name in MEASURED
            if (found := getattr(self, name)) is not None
        }
        shown = {"paragraphs": [vars(one) for one in self.paragraphs], "outputs": list(self.outputs)}
        return plain | {"verdict": self.verdict.as_dict(), "train": self.train.as_dict()} | measured | shown


def collect(
    base: Speaker,
    tuned: Speaker,
    writing: Learned,
    base_answers: Sequence[Answer],
    answers: Sequence[Answer],
    method: str = "",
    made: str = "",
    splits: OverSplits | None = None,
    settings: ReportSettings | None = None,
    progress: Progress = _nobody,
) -> Report:
    """Measure everything and reach a verdict.

    Args:
        base_answers: to the same prompts as `answers`, in the same order.
        progress: told what is being measured.

    Raises:
        DataError: no pair fits the model.
        UsageError: the base cuts text into other tokens.
    """
    settings = settings or ReportSettings()
    seed = settings.seed
    _check_same_tokens(base, tuned, writing)
    held, train = (_examples(tuned, side) for side in (writing.held_out, writing.sample(settings.train_pairs, seed)))
    progress("losses on held-out writing")
    before, after = (response_losses(one.model, one.tokenizer, held, seed) for one in (base, tuned))
    change = compare_losses(before, after)
    progress("losses on training pairs")
    base_train, tuned_train = (response_losses(one.model, one.tokenizer, train, seed) for one in (base, tuned))
    progress("forgetting")
    forgot = forgetting(base.model, tuned.model, tuned.tokenizer, seed=seed)
    progress("copied passages")
    outputs = [Output(one.text, one.prompt, _name(one)) for one in answers]
    copied = memorization(writing.train_texts, writing.held_out_texts, outputs, seed)
    progress("passages it goes on with")
    gone_on = extraction(tuned.model, tuned.tokenizer, train, held, written=settings.passages, seed=seed)
    members = membership(tuned_train, after, base_train, before, seed)
    exposed = None
    if writing.secrets:
        progress("planted secrets")
        exposed = exposure(tuned.model, chat_form(tuned.folder, tuned.tokenizer), writing.secrets, seed=seed)
    progress("style")
    own = writing.held_out_texts
    texts, base_texts = (texts_by_topic(side) for side in (answers, base_answers))
    counted, beat = style(own, texts, seed), rhythm(own, texts)
    progress("whether a machine can tell")
    told, base_told = (two_sample(own, side, settings.permutations, seed) for side in (texts, base_texts))
    progress("temperature")
    profile = temperature_profile(tuned.model, tuned.tokenizer, own)
    ranges = [_usable(one, answers, own, base, writing) if settings.temperatures else None for one in (base, tuned)]
    evidence = Evidence(
        n_held_out=change.base.nats.n,
        base_bits=change.base.bits_per_byte,
        change_bits=change.bits_difference,
        split_change_bits=splits.change if splits and splits.change.is_known else None,
        copied=copied.shares[8].observed,
        copied_by_chance=copied.shares[8].chance,
        copied_p=copied.shares[8].p,
        longest_words=max((one.longest_words for one in copied.overlaps), default=None),
        longest_p=copied.longest.p,
        recited=gone_on.exact.train,
        recited_by_chance=gone_on.exact.held_out,
        style_median=counted.delta.median,
        style_low=counted.delta.low,
        style_high=counted.delta.high,
        p_value=told.p_value,
        auc=told.auc,
    )
    shown = _outputs(answers, base_answers, copied, writing)
    return Report(
        tuned.name, base.name, method, made,
        {
            "train_pairs": len(writing.train), "train_pieces": len(writing.train_texts),
            "held_out_pairs": len(writing.held_out), "held_out_pieces": len(writing.held_out_texts),
        },
        verdict(evidence), change, compare_losses(base_train, tuned_train), gap(tuned_train, after), forgot,
        _paragraphs(change, writing), copied, gone_on, members, exposed, counted, beat, told, base_told, profile,
        ranges[1], ranges[0], splits, shown, _sources(shown, writing), how_made(settings, len(train), answers),
    )  # fmt: skip


def _check_same_tokens(base: Speaker, tuned: Speaker, writing: Learned) -> None:
    text = "".join(writing.held_out_texts.values())[:COMPARED_CHARACTERS]
    if base.tokenizer.encode(text) != tuned.tokenizer.encode(text):
        raise UsageError(
            f"{base.name!r} cuts text into other tokens than {tuned.name!r}, so it is not what that was tuned from; "
            f"name the model it began with (--base)"
        )


def _examples(tuned: Speaker, conversations: Sequence[Conversation]) -> list[Example]:
    form = chat_form(tuned.folder, tuned.tokenizer)
    return make_examples(conversations, form, tuned.model.config.context_length, "skip").kept


def texts_by_topic(answers: Sequence[Answer]) -> dict[str, str]:
    """Return the answers joined: those about one held-out piece, and those of one kind of canary.

    Single answers are often too short to count anything in; one's own pieces are whole.
    """
    found: dict[str, list[str]] = {}
    for one in answers:
        found.setdefault(one.source if one.kind == "held out" else one.kind, []).append(one.text)
    return {name: "\n\n".join(texts) for name, texts in found.items()}


def _usable(
    speaker: Speaker, answers: Sequence[Answer], own: dict[str, str], judge: Speaker, writing: Learned
) -> TemperatureRange:
    prompts = list(dict.fromkeys(one.prompt for one in answers if one.kind != "known"))[:PROMPTS_TRIED]
    asked = [speaker.ids(prompt) for prompt in prompts]
    known = list(writing.train_texts.values())
    return usable_range(
        speaker.model, speaker.tokenizer, asked, own, (judge.model, judge.tokenizer), known, TEMPERATURES, 80
    )


def _name(one: Answer) -> str:
    return f"{one.name} #{one.sample + 1}"


def _paragraphs(change: LossChange, writing: Learned) -> tuple[Paragraph, ...]:
    """Return the held-out paragraph that gained most, a middling one, and the one that gained least."""
    pairs = list(zip(change.base.pairs, change.tuned.pairs, strict=True))
    short = [pair for pair in pairs if pair[0].tier == "paragraph"] or pairs
    long_enough = [pair for pair in short if pair[0].n_targets >= PARAGRAPH_TOKENS[0]] or short
    order = sorted(long_enough, key=lambda pair: (pair[1].nats - pair[0].nats) / max(1, pair[0].n_bytes))
    if len(order) < PARAGRAPHS:
        picked = list(zip(order, ("A paragraph",) * len(order), strict=True))
    else:
        places = (0, len(order) // 2, len(order) - 1)
        picked = [
            (order[place], why)
            for place, why in zip(
                places, ("Changed for the better most", "In the middle", "Changed for the better least"), strict=True
            )
        ]
    return tuple(
        Paragraph(
            one.source, writing.title(one.source), why, _tokens(one), _tokens(other),
            _bits(one), _bits(other),
        )
        for (one, other), why in picked
    )  # fmt: skip


def _tokens(one: PairLoss) -> tuple[tuple[str, float], ...]:
    """Return the text piece by piece with its surprisal; the tokens of one character are one piece."""
    told, held = [], 0.0
    for piece, nats in zip(one.pieces[: PARAGRAPH_TOKENS[1]], one.nats_T[: PARAGRAPH_TOKENS[1]], strict=True):
        held += float(nats)
        if piece:
            told.append((piece, round(held, 3)))
            held = 0.0
    return tuple(told)


def _bits(one: PairLoss) -> float:
    return one.nats / math.log(2) / max(1, one.n_bytes)


def _outputs(
    answers: Sequence[Answer], base_answers: Sequence[Answer], copied: Memorization, writing: Learned
) -> tuple[dict[str, Any], ...]:
    of_base = {(one.name, one.sample): one.text for one in base_answers}
    told = [
        {
            "name": _name(one), "kind": one.kind, "prompt": one.prompt, "text": one.text, "source": one.source,
            "title": writing.title(one.source) if one.source else "", "base_text": of_base.get((one.name, one.sample)),
            "longest_words": overlap.longest_words, "share": overlap.share(8),
            "marks": [mark.as_dict() for mark in overlap.marks],
        }
        for one, overlap in zip(answers, copied.overlaps, strict=True)
    ]  # fmt: skip
    return tuple(sorted(told, key=lambda one: -sum(mark["words"] for mark in one["marks"])))


def _sources(outputs: Sequence[dict[str, Any]], writing: Learned) -> dict[str, dict[str, str]]:
    names = sorted({mark["source"] for one in outputs for mark in one["marks"]})
    return {name: {"title": writing.title(name), "text": writing.train_texts[name]} for name in names}


def how_made(settings: ReportSettings, n_train: int, answers: Sequence[Answer]) -> str:
    """Say in words how much was measured."""
    drawn = f"seed {answers[0].seed}, temperature {answers[0].temperature:g}" if answers else "nothing"
    quick = "A quick report: fewer pairs, passages, answers and permutations. " if settings.is_quick else ""
    return (
        f"{quick}Intervals are 90 % over whole pieces, drawn again 2,000 times; {n_train} training pairs were read; "
        f"answers were drawn with {drawn}; permutation tests dealt labels out {settings.permutations} times."
    )
