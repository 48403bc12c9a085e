"""Other documents held out, whole, as many as before; an interval that knows that splits share their texts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from voice.copier import pairs

from cutaway.base.errors import DataError
from cutaway.interop.conversations import conversation
from cutaway.voice.resplits import over_splits, resplit


def test_other_documents_are_held_out_whole() -> None:
    train, held_out = pairs([f"train {i}" for i in range(12)]), pairs([f"held {i}" for i in range(3)])
    splits = [resplit(train, held_out, seed) for seed in range(4)]
    assert resplit(train, held_out, 2) == splits[2]
    assert len({one.held_out_sources for one in splits}) > 1
    for one in splits:
        assert len(one.held_out_sources) == 3
        assert {pair.about["source"] for pair in one.held_out} == set(one.held_out_sources)
        assert not {pair.about["source"] for pair in one.train} & set(one.held_out_sources)
        assert sorted(map(str, (*one.train, *one.held_out))) == sorted(map(str, (*train, *held_out)))


def test_near_copies_stay_on_one_side() -> None:
    train = pairs([f"train {i}" for i in range(10)])
    copies = [conversation("Else", one.messages[1].content, source=f"copy {i}") for i, one in enumerate(train[:6:2])]
    for seed in range(8):
        parted = resplit([*train, *copies], pairs(["held 1", "held 2"]), seed)
        texts = [one.messages[1].content for one in parted.train]
        assert not {one.messages[1].content for one in parted.held_out} & set(texts)
    with pytest.raises(DataError, match="unlike all others"):
        resplit(train[:2] * 3, [conversation("a", train[0].messages[1].content, source="copy")], 0)


def test_the_interval_covers_although_splits_share_their_texts() -> None:
    """Documents of unequal difficulty, held out again and again from the same forty: the plain t interval is too sure."""
    generator = np.random.default_rng(0)
    covered = plain = 0
    for _ in range(300):
        documents = generator.normal(3.0, 1.0, 40)
        values = [documents[generator.permutation(40)[:10]].mean() for _ in range(8)]
        found = over_splits(values, 0.25)
        covered += found.low <= 3 <= found.high
        naive = 1.895 * np.std(values, ddof=1) / math.sqrt(8)
        plain += abs(np.mean(values) - 3) <= naive
    assert covered / 300 >= 0.85
    assert plain / 300 <= 0.75


def test_splits_that_cannot_vary() -> None:
    assert not over_splits([], 0.1).is_known
    assert not over_splits([2.0], 0.1).is_known
    assert "1 split cannot vary" in over_splits([2.0], 0.1).text()
    assert not over_splits([2.0, math.nan], 0.1).is_known
    two = over_splits([2.0, 3.0], 0.0)
    assert two.value == 2.5
    assert two.high - 2.5 == pytest.approx(6.3138 * math.sqrt(0.5 / 2), abs=1e-3)
