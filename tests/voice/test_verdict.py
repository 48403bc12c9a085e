"""The verdict: every rule at its edges, every verdict reached, and nothing said that was not measured."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from typing import Any

import pytest

from cutaway.voice.bootstrap import Interval
from cutaway.voice.verdict import LEAST_HELD_OUT, RULES, VERDICTS, Evidence, verdict


def interval(value: float, low: float | None = None, high: float | None = None) -> Interval:
    if low is None or high is None:
        return Interval(value, math.nan, math.nan, 1, "1 document cannot vary")
    return Interval(value, low, high, 9, "made up")


LEARNED = Evidence(
    n_held_out=9,
    base_bits=interval(2.0, 1.9, 2.1),
    change_bits=interval(-0.2, -0.3, -0.1),
    copied=interval(0.001, 0.0, 0.002),
    copied_by_chance=interval(0.001, 0.0, 0.002),
    copied_p=0.5,
    longest_words=5,
    longest_p=0.5,
    recited=interval(0.0, 0.0, 0.1),
    recited_by_chance=interval(0.0, 0.0, 0.3),
    style_median=0.9,
    style_low=0.6,
    style_high=1.0,
    p_value=0.4,
    auc=0.52,
)
TINY = 1e-9


def changed(**fields: Any) -> Evidence:
    return dataclasses.replace(LEARNED, **fields)


def ruling(name: str, evidence: Evidence) -> bool | None:
    return next(one.holds for one in verdict(evidence).rulings if one.name == name)


NOT_KNOWN = interval(-0.2)
QUOTES = {"copied": interval(0.3, 0.2, 0.4), "copied_p": 0.001}
NOTHING = {"copied": None, "longest_words": None, "recited": None}
EDGES: list[tuple[str, dict[str, Any], bool | None]] = [
    ("enough", {"n_held_out": LEAST_HELD_OUT}, True),
    ("enough", {"n_held_out": LEAST_HELD_OUT - 1}, False),
    ("better", {}, True),
    ("better", {"change_bits": interval(-0.2, -0.4, 0.0)}, False),
    ("better", {"change_bits": interval(-0.2, -0.4, -TINY)}, True),
    ("better", {"change_bits": interval(-0.02, -0.03, -0.01)}, True),  # 1 % of 2.0
    ("better", {"change_bits": interval(-0.02 + TINY, -0.03, -0.01)}, False),
    ("better", {"change_bits": NOT_KNOWN}, None),
    ("better", {"split_change_bits": interval(-0.2, -0.5, 0.1)}, False),
    ("better", {"split_change_bits": interval(-0.2, -0.5, -0.1)}, True),
    ("worse", {}, False),
    ("worse", {"change_bits": interval(0.02, TINY, 0.1)}, True),
    ("worse", {"change_bits": interval(0.02, 0.0, 0.1)}, False),
    ("worse", {"change_bits": interval(0.02 - TINY, TINY, 0.1)}, False),
    ("same", {"change_bits": interval(0.0, -0.02, 0.02)}, True),
    ("same", {"change_bits": interval(0.0, -0.02 - TINY, 0.02)}, False),
    ("same", {"change_bits": interval(0.0, -0.02, 0.02 + TINY)}, False),
    ("same", {"change_bits": interval(0.0, 0.0, 0.0)}, True),
    ("same", {"change_bits": NOT_KNOWN}, None),
    ("copies", {}, False),
    ("copies", {"copied": interval(0.02, 0.01, 0.03), "copied_p": 0.0125}, True),
    ("copies", {"copied": interval(0.02 - TINY, 0.01, 0.03), "copied_p": 0.001}, False),
    ("copies", {"copied": interval(0.5, 0.01, 0.9), "copied_p": 0.0125 + TINY}, False),
    ("copies", {"longest_words": 15, "longest_p": 0.0125}, True),
    ("copies", {"longest_words": 14, "longest_p": 0.001}, False),
    ("copies", {"longest_words": 99, "longest_p": 0.0125 + TINY}, False),
    ("copies", {"recited": interval(0.05, 0.01, 0.1)}, True),
    ("copies", {"recited": interval(0.05 - TINY, 0.01, 0.1)}, False),
    ("copies", {"recited": interval(0.2, 0.1, 0.3), "recited_by_chance": interval(0.1, 0.0, 0.2)}, False),
    ("copies", {"recited": interval(0.2, 0.1 + TINY, 0.3), "recited_by_chance": interval(0.1, 0.0, 0.2)}, True),
    ("copies", {"recited": interval(0.2)}, True),  # one document has no interval
    ("copies", NOTHING | {"recited": interval(math.nan)}, None),
    ("copies", NOTHING, None),
    ("copies", {"copied_p": None, "longest_p": None, "recited": None}, None),
    ("copies", {"recited": None}, False),
    ("copies much", {}, False),
    ("copies much", {"copied": interval(0.25, 0.1, 0.4), "copied_by_chance": interval(0.125, 0, 1)}, True),
    ("copies much", {"copied": interval(0.25, 0.1, 0.4), "copied_by_chance": interval(0.126, 0, 1)}, False),
    ("copies much", {"copied": interval(0.25 - TINY, 0.1, 0.4)}, False),
    ("copies much", {"recited": interval(0.25)}, True),
    ("copies much", {"recited": interval(0.25 - TINY)}, False),
    ("copies much", NOTHING, None),
    ("style", {"style_median": 1.0}, True),
    ("style", {"style_median": 1.0 + TINY}, False),
    ("style", {"style_median": 0.1}, True),  # closer than one's own pieces is not too far
    ("style", {"style_median": None}, None),
    ("told apart", {"p_value": 0.05}, True),
    ("told apart", {"p_value": 0.05 + TINY}, False),
    ("told apart", {"p_value": None}, None),
]


@pytest.mark.parametrize(("name", "fields", "holds"), EDGES)
def test_every_rule_at_its_edges(name: str, fields: dict[str, Any], holds: bool | None) -> None:
    assert ruling(name, changed(**fields)) is holds


def test_every_rule_has_edges() -> None:
    assert {name for name, _, _ in EDGES} == {rule.name for rule in RULES}
    for rule in RULES:
        assert {True, False} <= {holds for name, _, holds in EDGES if name == rule.name}


CASES: list[tuple[str, dict[str, Any]]] = [
    ("learned your voice", {}),
    ("learned something", {"p_value": 0.01}),
    ("learned something", {"p_value": None}),
    ("learned something", {"style_median": 2.0}),
    ("learned something, and repeats your essays", {"recited": interval(0.1, 0.05, 0.15)}),
    ("memorised", {"recited": interval(0.1, 0.05, 0.15), "change_bits": interval(0.3, 0.2, 0.4)}),
    ("memorised", {"recited": interval(0.1, 0.05, 0.15), "change_bits": interval(0.0, -0.2, 0.2)}),
    ("memorised", QUOTES),  # however much better it is
    ("memorised", QUOTES | {"n_held_out": 1, "change_bits": NOT_KNOWN}),
    ("not enough data to say", {"n_held_out": 2}),
    ("not enough data to say", {"n_held_out": 2, "recited": interval(0.1, 0.05, 0.15)}),
    ("not enough data to say", NOTHING),
    ("got worse", {"change_bits": interval(0.3, 0.2, 0.4)}),
    ("no change", {"change_bits": interval(0.0, 0.0, 0.0)}),
    ("no change", {"change_bits": interval(0.0, 0.0, 0.0), "style_median": 3.0, "p_value": 0.001}),
    ("mixed", {"change_bits": interval(-0.1, -0.3, 0.1)}),
    ("mixed", {"split_change_bits": interval(-0.1, -0.5, 0.3)}),
]


@pytest.mark.parametrize(("name", "fields"), CASES)
def test_every_verdict_is_reached(name: str, fields: dict[str, Any]) -> None:
    assert verdict(changed(**fields)).name == name


def test_every_verdict_has_a_case() -> None:
    assert {name for name, _ in CASES} == {name for name, _, _ in VERDICTS}


def test_what_it_learned_is_never_said_of_one_that_got_worse() -> None:
    """Over all answers there can be, a good word needs a loss that fell and nothing copied."""
    names = [rule.name for rule in RULES]
    for given in itertools.product((True, False, None), repeat=len(names)):
        answers = dict(zip(names, given, strict=True))
        name = next(one for one, holds, _ in VERDICTS if holds(answers))
        if name in ("learned your voice", "learned something"):
            assert answers["better"] is True
            assert answers["copies"] is False
            assert answers["enough"] is True
        if answers["enough"] is not True:
            assert name in ("not enough data to say", "memorised")


def test_numbers_are_shown_and_json_holds_them() -> None:
    told = json.loads(json.dumps(verdict(changed(change_bits=NOT_KNOWN)).as_dict(), allow_nan=False))
    rulings = {one["name"]: one for one in told["rulings"]}
    assert rulings["better"]["numbers"] == {"base, bits a byte": 2.0, "change": -0.2, "from": None, "to": None}
    assert (rulings["better"]["answer"], rulings["enough"]["answer"]) == ("cannot say", "yes")
    assert rulings["told apart"]["numbers"]["p"] == 0.4
