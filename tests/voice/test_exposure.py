"""Secrets: planted as often as said, found by a model that read them often, at chance in one that did not."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from voice.copier import Copier

from cutaway.base.errors import DataError, UsageError
from cutaway.interop.conversations import read_conversations
from cutaway.voice.exposure import CHANCE, chance_of, exposure, plant, read_secrets, write_planted


@pytest.mark.slow
def test_planted_as_often_as_said(copier: Copier, tmp_path: Path) -> None:
    planted = plant(copier.train_pairs, n=3, repetitions=(1, 5))
    answers = Counter(one.messages[1].content for one in planted.conversations if one.about["tier"] == "planted")
    counts = Counter(secret.repetitions for secret in planted.secrets)
    assert counts == {0: 3, 1: 3, 5: 3}
    assert sorted(answers.values()) == [1, 1, 1, 5, 5, 5]
    assert len({secret.words for secret in planted.secrets}) == 9
    assert [one for one in planted.conversations if one.about["tier"] != "planted"] == copier.train_pairs
    assert plant(copier.train_pairs, n=3, repetitions=(1, 5)) == planted
    assert plant(copier.train_pairs, n=3, repetitions=(1, 5), seed=1).secrets != planted.secrets
    file = write_planted(tmp_path, planted)
    assert read_conversations(file) == list(planted.conversations)
    assert read_secrets(tmp_path) == planted.secrets
    assert not (tmp_path / "train.jsonl").exists()


@pytest.mark.slow
def test_the_copier_gives_them_away_and_the_untrained_model_does_not(copier: Copier) -> None:
    before, after = (exposure(model, copier.form, copier.secrets, 63) for model in (copier.untrained, copier.copier))
    assert before.verdict == "does not give away"
    assert after.verdict == "gives away"
    assert after.by_repetitions[1].value > 4
    assert after.most == 6
    assert after.p[1] < 0.01
    assert after.p[0] > 0.05  # those never planted
    for one in (before, after):
        assert one.sentence().endswith(".")
        json.dumps(one.as_dict(), allow_nan=False)


def test_the_chance_of_an_exposure_is_what_random_ranks_give() -> None:
    generator = np.random.default_rng(0)
    ranks = generator.integers(1, 257, (20_000, 4))
    means = (8 - np.log2(ranks)).sum(1)
    assert means.mean() / 4 == pytest.approx(CHANCE, abs=0.05)
    for high in (4.0, 8.0, 14.0):
        drawn = float((means >= high).mean())
        assert drawn <= chance_of([high / 4] * 4) <= drawn * 1.25 + 0.003
    assert chance_of([0.0]) == 1
    assert chance_of([3.0]) == pytest.approx(1 / 8)
    assert math.isclose(
        chance_of([8.0] * 4), sum((32 * math.log(2)) ** i / math.factorial(i) for i in range(4)) / 2**32
    )


@pytest.mark.slow
def test_no_secrets_and_broken_files(copier: Copier, tmp_path: Path) -> None:
    nothing = exposure(copier.untrained, copier.form, [])
    assert nothing.verdict == "not enough data"
    assert nothing.sentence() == "No secrets were planted, so exposure was not measured."
    json.dumps(nothing.as_dict(), allow_nan=False)
    with pytest.raises(DataError, match="no secrets were planted"):
        read_secrets(tmp_path)
    (tmp_path / "planted.json").write_text("[{]")
    with pytest.raises(DataError, match="is broken"):
        read_secrets(tmp_path)
    for wrong in ({"n": 0}, {"repetitions": (0,)}, {"repetitions": (2, 2)}, {"n": 60}):
        with pytest.raises(UsageError, match="expected"):
            plant([], **wrong)
    with pytest.raises(UsageError, match="0 alternatives"):
        exposure(copier.untrained, copier.form, [], 0)
