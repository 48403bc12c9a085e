"""A verdict in words, chosen by rules that anybody can check.

First every rule is asked (`RULES`): yes, no, or not enough data to say; each says its threshold and its numbers. Then the
verdict is the first line of `VERDICTS` whose condition holds:

    memorised                                      copies much, or copies and foretells unseen writing no better
    not enough data to say                         too few held-out pieces
    learned something, and repeats your essays     foretells unseen writing better, and copies
    learned your voice                             better, does not copy, counts like you, and cannot be told from you
    learned something                              better, does not copy
    got worse, no change, mixed                    the rest

Copying is judged first because it needs no held-out writing: twenty words in your order are no chance. Everything else is
judged on pieces the model never saw, and a difference counts only if its whole interval is beyond zero and it is large
enough to matter: with enough text every difference is beyond zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cutaway.voice.bootstrap import Interval

LEAST_HELD_OUT = 5
"""Held-out pieces; with fewer, one odd piece decides."""
MATTERS = 0.01
"""Share of the base's loss by which it must change."""
LEAST_COPIED, MUCH_COPIED = 0.02, 0.25
"""Share of the model's runs of eight words that stand in the training text."""
LEAST_RUN = 15
"""Words in a row in one answer."""
BY_CHANCE = 0.0125
"""The p-value up to which copying counts as more than chance (four figures are looked at, so a quarter of 0.05)."""
LEAST_RECITED, MUCH_RECITED = 0.05, 0.25
"""Share of training passages it goes on with word for word."""
TOLD_APART = 0.05
"""The p-value up to which a machine counts as telling the texts apart."""


@dataclass(frozen=True)
class Evidence:
    """The figures the rules look at. None: not measured."""

    n_held_out: int
    """Held-out pieces."""
    base_bits: Interval
    """Loss of the base on them, bits a byte."""
    change_bits: Interval
    """Tuned less base, drawn piece by piece."""
    split_change_bits: Interval | None = None
    """The same over several ways to hold pieces out."""
    copied: Interval | None = None
    """Share of the runs of eight words of its texts that stand in the training text."""
    copied_by_chance: Interval | None = None
    """The same share of held-out writing."""
    copied_p: float | None = None
    """How often stretches of held-out writing in place of the answers have as much."""
    longest_words: int | None = None
    """The longest run of words an answer has from a training text."""
    longest_p: float | None = None
    """How often held-out stretches have runs as long, on average."""
    recited: Interval | None = None
    """Share of training passages the model goes on with word for word."""
    recited_by_chance: Interval | None = None
    """The same of held-out passages."""
    style_median: float | None = None
    """Burrows' Delta of the model's texts to the writing."""
    style_low: float | None = None
    style_high: float | None = None
    """Where one's own pieces lie to each other."""
    p_value: float | None = None
    """Of the two-sample test, own against the model's texts."""
    auc: float | None = None


@dataclass(frozen=True)
class Ruling:
    """A rule's answer."""

    name: str
    question: str
    needs: str
    """When the answer is yes, in words."""
    holds: bool | None
    """None: not enough data to say."""
    numbers: dict[str, float | None]
    """What was looked at."""

    @property
    def answer(self) -> str:
        """The answer in a word."""
        return {True: "yes", False: "no", None: "cannot say"}[self.holds]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**vars(self), "answer": self.answer}


@dataclass(frozen=True)
class Verdict:
    """What it comes to."""

    name: str
    sentence: str
    rulings: tuple[Ruling, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        rulings = [ruling.as_dict() for ruling in self.rulings]
        return {"name": self.name, "sentence": self.sentence, "rulings": rulings}


@dataclass(frozen=True)
class Rule:
    """A question with a threshold."""

    name: str
    question: str
    needs: str
    decide: Callable[[Evidence], bool | None]
    numbers: Callable[[Evidence], dict[str, float | None]]

    def ask(self, evidence: Evidence) -> Ruling:
        """Return its answer."""
        numbers = {name: _finite(value) for name, value in self.numbers(evidence).items()}
        return Ruling(self.name, self.question, self.needs, self.decide(evidence), numbers)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _changed(evidence: Evidence, sign: int) -> bool | None:
    """Whether the loss rose (1) or fell (-1): beyond zero with all of every interval, and by enough to matter."""
    found = [evidence.change_bits, *([evidence.split_change_bits] if evidence.split_change_bits else [])]
    if not all(one.is_known for one in found):
        return None
    beyond = all(one.above(0) if sign > 0 else one.below(0) for one in found)
    return beyond and sign * evidence.change_bits.value >= MATTERS * evidence.base_bits.value


def _same(evidence: Evidence) -> bool | None:
    found = [evidence.change_bits, *([evidence.split_change_bits] if evidence.split_change_bits else [])]
    if not all(one.is_known for one in found):
        return None
    most = MATTERS * evidence.base_bits.value
    return all(-most <= one.low and one.high <= most for one in found)


def _copies(evidence: Evidence) -> bool | None:
    """Whether it quotes or recites more than chance would."""
    return _any(_quotes(evidence), _recites(evidence))


def _any(*answers: bool | None) -> bool | None:
    return True if True in answers else None if all(one is None for one in answers) else False


def _quotes(evidence: Evidence) -> bool | None:
    def beyond(value: float | None, least: float, p: float | None) -> bool | None:
        return None if value is None or p is None else value >= least and p <= BY_CHANCE

    share = evidence.copied.value if evidence.copied and math.isfinite(evidence.copied.value) else None
    return _any(
        beyond(share, LEAST_COPIED, evidence.copied_p), beyond(evidence.longest_words, LEAST_RUN, evidence.longest_p)
    )


def _recites(evidence: Evidence) -> bool | None:
    if evidence.recited is None or not math.isfinite(evidence.recited.value):
        return None
    share, chance = evidence.recited, evidence.recited_by_chance
    by_chance = chance.value if chance and math.isfinite(chance.value) else 0.0
    return share.value >= LEAST_RECITED and (share.low if share.is_known else share.value) > by_chance


def _copies_much(evidence: Evidence) -> bool | None:
    def much(share: Interval | None, chance: Interval | None, most: float) -> bool | None:
        if share is None or not math.isfinite(share.value):
            return None
        by_chance = chance.value if chance and math.isfinite(chance.value) else 0.0
        return share.value >= most and by_chance <= share.value / 2

    return _any(
        much(evidence.copied, evidence.copied_by_chance, MUCH_COPIED),
        much(evidence.recited, evidence.recited_by_chance, MUCH_RECITED),
    )


def _like_own(evidence: Evidence) -> bool | None:
    if evidence.style_median is None or evidence.style_high is None:
        return None
    return evidence.style_median <= evidence.style_high


def _loss_numbers(evidence: Evidence) -> dict[str, float | None]:
    change, splits = evidence.change_bits, evidence.split_change_bits
    found: dict[str, float | None] = {"base, bits a byte": evidence.base_bits.value, "change": change.value}
    found |= {"from": change.low, "to": change.high}
    return found | ({"over splits, from": splits.low, "to, over splits": splits.high} if splits else {})


def _copy_numbers(evidence: Evidence) -> dict[str, float | None]:
    pairs = {
        "runs copied": evidence.copied, "by chance": evidence.copied_by_chance,
        "passages gone on with": evidence.recited, "those held out": evidence.recited_by_chance,
    }  # fmt: skip
    found = {name: one.value if one else None for name, one in pairs.items()}
    return found | {
        "p of runs": evidence.copied_p, "longest run, words": evidence.longest_words, "p of the longest": evidence.longest_p
    }  # fmt: skip


RULES = (
    Rule(
        "enough", "Is there enough held-out writing?", f"at least {LEAST_HELD_OUT} held-out pieces",
        lambda e: e.n_held_out >= LEAST_HELD_OUT, lambda e: {"pieces": e.n_held_out},
    ),
    Rule(
        "better", "Does it foretell writing it never saw better than the base?",
        f"the whole interval of the change is below 0, and the loss fell by at least {MATTERS:.0%}",
        lambda e: _changed(e, -1), _loss_numbers,
    ),
    Rule(
        "worse", "Does it foretell that writing worse?",
        f"the whole interval of the change is above 0, and the loss rose by at least {MATTERS:.0%}",
        lambda e: _changed(e, 1), _loss_numbers,
    ),
    Rule(
        "same", "Did nothing happen?", f"the whole interval of the change is within {MATTERS:.0%} of the base's loss",
        _same, _loss_numbers,
    ),
    Rule(
        "copies", "Does it repeat your essays?",
        f"at least {LEAST_COPIED:.0%} of its runs of eight words stand in the training text, or one answer has {LEAST_RUN} "
        f"words in a row from there, and either is more than your held-out writing has (p {BY_CHANCE} or less); or it goes "
        f"on with {LEAST_RECITED:.0%} of training passages word for word, the whole interval above what held-out ones give",
        _copies, _copy_numbers,
    ),
    Rule(
        "copies much", "Does it repeat much of them?",
        f"{MUCH_COPIED:.0%} of its runs of eight words, or {MUCH_RECITED:.0%} of the training passages, and twice what "
        f"chance gives",
        _copies_much, _copy_numbers,
    ),
    Rule(
        "style", "Does it use small words as you do?",
        "its distance to your writing (Burrows' Delta) is no larger than nine of ten of your own pieces have",
        _like_own, lambda e: {"the model": e.style_median, "yours from": e.style_low, "yours to": e.style_high},
    ),
    Rule(
        "told apart", "Can a machine tell its texts from yours?", f"p is {TOLD_APART} or less",
        lambda e: None if e.p_value is None else e.p_value <= TOLD_APART,
        lambda e: {"p": e.p_value, "area under the curve": e.auc},
    ),
)  # fmt: skip

Answers = dict[str, bool | None]
VERDICTS: tuple[tuple[str, Callable[[Answers], bool], str], ...] = (
    (
        "memorised",
        lambda a: bool(a["copies much"]) or bool(a["copies"] and a["enough"] and not a["better"]),
        "It learned your essays, not your voice: it repeats what it was trained on.",
    ),
    (
        "not enough data to say",
        lambda a: not a["enough"] or a["better"] is None or a["copies"] is None,
        "There is too little writing that it was not trained on, or too little by the model, to tell voice from memory.",
    ),
    (
        "learned something, and repeats your essays",
        lambda a: bool(a["better"] and a["copies"]),
        "It foretells your unseen writing better than the base, and it also repeats passages it was trained on.",
    ),
    (
        "learned your voice",
        lambda a: bool(a["better"] and a["style"] and a["told apart"] is False),
        "It foretells your unseen writing better, does not repeat your essays, and its texts cannot be told from yours.",
    ),
    (
        "learned something",
        lambda a: bool(a["better"]),
        "It foretells your unseen writing better than the base and was not caught repeating your essays, but its texts "
        "are not yet like yours in everything measured.",
    ),
    ("got worse", lambda a: bool(a["worse"]), "It foretells your unseen writing worse than the base did."),
    ("no change", lambda a: bool(a["same"]), "It is as good, and as bad, at your writing as the base was."),
    (
        "mixed",
        lambda a: True,
        "The figures do not agree, or the change is smaller than what this much writing can show.",
    ),
)
"""Name, condition and sentence, the first that holds counts."""


def verdict(evidence: Evidence) -> Verdict:
    """Ask every rule and return the verdict that follows."""
    rulings = tuple(rule.ask(evidence) for rule in RULES)
    answers = {ruling.name: ruling.holds for ruling in rulings}
    name, _, sentence = next(one for one in VERDICTS if one[1](answers))
    return Verdict(name, sentence, rulings)
