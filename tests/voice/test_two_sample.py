"""Can a machine tell: one source is not told apart, and every p-value is equally likely; two sources are."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from voice.authors import Author, essays

from cutaway.voice.features import Features, features_of
from cutaway.voice.two_sample import Ridge, two_sample

ONE, OTHER = Author(1), Author(2, habit=0.3)


def kolmogorov_smirnov(p_values: list[float]) -> float:
    """Return the p-value of the test that these are equally likely between 0 and 1 (Kolmogorov's series)."""
    n = len(p_values)
    ordered, steps = np.sort(p_values), np.arange(1, n + 1) / n
    distance = max((steps - ordered).max(), (ordered - steps + 1 / n).max())
    x = (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * distance
    return float(min(1, 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, 50))))


def halves(texts: dict[str, str], seed: int) -> tuple[dict[str, str], dict[str, str]]:
    names = list(np.random.default_rng(seed).permutation(sorted(texts)))
    middle = len(names) // 2
    return {name: texts[name] for name in names[:middle]}, {name: texts[name] for name in names[middle:]}


def tried(texts: dict[str, str], splits: int) -> tuple[list[float], list[float]]:
    """Return p-values and shares of pairs told of so many divisions into halves."""
    found = [two_sample(*halves(texts, seed), permutations=99, seed=seed) for seed in range(splits)]
    return [one.p_value for one in found if one.p_value is not None], [one.auc for one in found if one.auc is not None]


@pytest.mark.slow
def test_halves_of_one_author_are_not_told_apart() -> None:
    found, aucs = tried(ONE.texts(24, 100), 50)
    assert len(found) == 50
    assert kolmogorov_smirnov(found) > 0.01
    assert min(found) >= 0.01
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.08)
    assert kolmogorov_smirnov([p**3 for p in found]) < 1e-4


@pytest.mark.slow
def test_halves_of_one_authors_essays_are_not_told_apart(shared_data: Path) -> None:
    some = list(essays(shared_data).items())[::3]
    shortened = {name: " ".join(text.split()[:110]) for name, text in some}
    found, aucs = tried(shortened, 50)
    assert kolmogorov_smirnov(found) > 0.01
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.08)


def test_two_authors_are_told_apart_and_by_what() -> None:
    result = two_sample(ONE.texts(12, 300), OTHER.texts(10, 300))
    assert result.verdict == "told apart"
    assert (result.n_own, result.n_outputs, result.n_words) == (12, 10, 300)
    assert result.p_value == pytest.approx(1 / 1000)
    assert result.auc is not None
    assert result.auc > 0.95
    assert "p 0.001" in result.sentence()
    marked = {name: text.replace(".", " ;") for name, text in ONE.texts(12, 300, seed=4).items()}
    first = two_sample(ONE.texts(12, 300), marked).tells
    assert {first[0].feature, first[1].feature} == {";", "."}
    semicolon = next(tell for tell in first if tell.feature == ";")
    assert (semicolon.own_rate, ";" in semicolon.example) == (0, True)
    assert semicolon.output_rate > 10
    json.dumps(result.as_dict(), allow_nan=False)


def test_essays_and_plays_are_told_apart(shared_data: Path) -> None:
    plays = (shared_data / "tinyshakespeare.txt").read_text(encoding="utf-8")
    play = {str(i): plays[8000 * i : 8000 * (i + 1)] for i in range(12)}
    own = dict(list(essays(shared_data).items())[:12])
    assert two_sample(own, play, permutations=199).p_value == 1 / 200


def test_left_out_pairs_are_what_fitting_without_them_gives() -> None:
    x_NF = np.random.default_rng(0).normal(size=(9, 30))
    label_N = np.array([1.0, 1, 1, 1, -1, -1, -1, -1, -1])
    fit = Ridge.of(x_NF)
    centred = x_NF - x_NF.mean(0)
    penalty = np.trace(centred @ centred.T) / 9
    told, right = [], []
    for a in range(4):
        for b in range(4, 9):
            rest = [i for i in range(9) if i not in (a, b)]
            with_one = np.hstack([np.ones((9, 1)), centred])
            penalties = penalty * np.eye(31)
            penalties[0, 0] = 0
            weights = np.linalg.solve(with_one[rest].T @ with_one[rest] + penalties, with_one[rest].T @ label_N[rest])
            score_a, score_b = with_one[[a, b]] @ weights
            told.append(score_a > score_b)
            right.append((int(score_a > 0) + int(score_b < 0)) / 2)
    auc, accuracy = fit.pairs_told(label_N[:, None])
    assert auc[0] == pytest.approx(np.mean(told))
    assert accuracy[0] == pytest.approx(np.mean(right))


def test_the_order_of_texts_does_not_matter() -> None:
    own, outputs = ONE.texts(7, 150), OTHER.texts(8, 150)
    turned = two_sample(dict(reversed(own.items())), dict(reversed(outputs.items())))
    assert turned == two_sample(own, outputs)


def test_equal_texts_cannot_be_told_apart() -> None:
    same = {str(i): ONE.text(150, 1) for i in range(6)}
    result = two_sample(same, same)
    assert (result.auc, result.p_value, result.verdict) == (0.5, 1.0, "not told apart")


@pytest.mark.parametrize(
    ("own", "outputs"),
    [({}, {}), ({"one": ONE.text(900, 1)}, {"a": "Hello.", "b": "", "c": "no"}), (ONE.texts(9), ONE.texts(3, 200))],
)
def test_too_little_is_said(own: dict[str, str], outputs: dict[str, str]) -> None:
    result = two_sample(own, outputs)
    assert (result.verdict, result.p_value, result.auc) == ("not enough data", None, None)
    assert "Not enough data" in result.sentence()
    json.dumps(result.as_dict(), allow_nan=False)


def test_columns_are_rates_and_subjects_are_hidden() -> None:
    texts = ["The cat saw the dog. The cat ran.", "The dog saw a bird, \u201cand\u201d -- the end."]
    features, rates = features_of(texts)
    columns = dict(zip(features.names, rates[0], strict=True))
    assert columns["the"] == 3 / 10
    assert columns["the cat"] == 2 / 10
    assert isinstance(features, Features)
    few = Features(("the", "."), (("the", "*"),), (), np.zeros(3), np.ones(3))
    np.testing.assert_allclose(few.rates(texts)[0], [0.3, 0.2, 0.3])
    assert few.example(2, texts[0], 0) == "The cat"
