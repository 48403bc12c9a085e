"""The AUC is the share of pairs in order; the copier is found out, the untrained model is not, a coin covers one half."""

from __future__ import annotations

import dataclasses
import json
from itertools import product

import numpy as np
import pytest
from voice.copier import Copier

from cutaway.base.errors import UsageError
from cutaway.voice.losses import Losses, PairLoss, response_losses
from cutaway.voice.membership import membership
from cutaway.voice.permutation import permutation_p


def losses(values: list[tuple[str, float]], n_targets: int = 50, tier: str = "essay") -> Losses:
    return Losses(
        tuple(
            PairLoss(f"pair {number}", source, tier, ("a",) * n_targets, np.full(n_targets, value), n_targets, 0)
            for number, (source, value) in enumerate(values)
        )
    )


def drawn(generator: np.random.Generator, side: str, documents: int, mean: float = 3.0) -> Losses:
    """Return losses of four pairs of each document; pairs of one document are alike."""
    centres = generator.normal(mean, 0.5, documents)
    return losses([(f"{side} {i}", centres[i] + generator.normal(0, 0.1)) for i in range(documents) for _ in range(4)])


def test_the_auc_is_the_share_of_comparisons_won() -> None:
    generator = np.random.default_rng(0)
    train, held_out = drawn(generator, "train", 9, 2.8), drawn(generator, "held", 6)
    found = membership(train, held_out).by_loss
    wins = [a.nats < b.nats for a, b in product(train.pairs, held_out.pairs)]
    assert found.auc.value == pytest.approx(np.mean(wins))
    assert found.n_comparisons == 9 * 4 * 6 * 4
    assert (found.n_train, found.n_held_out) == (9, 6)
    ties = membership(losses([("a", 1.0), ("b", 2.0)]), losses([("c", 1.0), ("d", 1.0)])).by_loss
    assert ties.auc.value == pytest.approx((0.5 + 0.5 + 0 + 0) / 4)


def test_only_answers_of_one_tier_and_about_one_length_are_compared() -> None:
    long, short = losses([("a", 1.0), ("b", 1.0), ("c", 1.0)], 100), losses([("d", 2.0), ("e", 2.0), ("f", 2.0)], 40)
    found = membership(long, short)
    assert found.verdict == "not enough data"
    assert "was not measured" in found.sentence()
    json.dumps(found.as_dict(), allow_nan=False)
    notes = losses([("d", 2.0), ("e", 2.0), ("f", 2.0)], 100, "note")
    assert membership(long, notes).verdict == "not enough data"
    both = Losses((*notes.pairs, *losses([("g", 0.5)], 120).pairs))
    assert membership(long, both).by_loss.auc.value == 0  # only the one that can be compared
    assert membership(long, both).by_loss.n_comparisons == 3


@pytest.mark.slow
def test_a_coin_is_covered_and_seldom_called_knowledge() -> None:
    covered, called, p_values = 0, 0, []
    for seed in range(100):
        generator = np.random.default_rng(seed)
        found = membership(drawn(generator, "train", 20), drawn(generator, "held", 8), seed=seed, shuffles=99).by_loss
        covered += found.auc.low <= 0.5 <= found.auc.high
        called += found.verdict == "told apart"
        p_values.append(found.p)
    assert 84 <= covered <= 98
    assert called <= 11  # one in twenty expected
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.1)


def test_the_copier_is_caught_and_the_untrained_model_is_not(copier: Copier) -> None:
    def of(model: object) -> tuple[Losses, Losses]:
        both = (response_losses(model, copier.tokenizer, mine) for mine in (copier.train, copier.held_out))  # type: ignore[arg-type]
        train, held_out = both
        return train, held_out

    before, after = of(copier.untrained), of(copier.copier)
    caught = membership(*after, *before)
    for attack in (caught.by_loss, caught.calibrated):
        assert attack is not None
        assert attack.verdict == "told apart"
        assert attack.auc.value == 1
        assert attack.auc.low == pytest.approx(0.05 ** (1 / 5))  # five documents are no proof of "always"
    same = membership(*before, *before)
    assert same.by_loss.verdict == "not told apart"
    assert same.calibrated is not None
    assert same.calibrated.auc.value == 0.5
    for found in (caught, same):
        assert found.sentence().endswith(".")
        json.dumps(found.as_dict(), allow_nan=False)
    with pytest.raises(UsageError, match="other pairs"):
        membership(*after, *reversed(before))


def test_the_base_takes_out_what_makes_texts_easy() -> None:
    """Held-out texts happen to be easier; the tuned model knows its training texts all the same."""
    generator = np.random.default_rng(5)
    base = drawn(generator, "train", 12, 4.0), drawn(generator, "held", 8, 3.4)
    tuned = tuple(
        Losses(tuple(dataclasses.replace(pair, nats_T=pair.nats_T - fall) for pair in side.pairs))
        for side, fall in zip(base, (0.3, 0.1), strict=True)
    )
    found = membership(*tuned, *base)
    assert found.by_loss.verdict == "not told apart"
    assert found.calibrated is not None
    assert found.calibrated.auc.value == 1
    assert found.verdict == "told apart"


def test_hardly_any_documents() -> None:
    many = losses([(f"t {i}", 1.0 + i / 10) for i in range(10)])
    for held in (losses([]), losses([("h", 2.5)] * 5), losses([("h", 2.5), ("g", 2.0)])):
        for one, other in ((many, held), (held, many)):
            found = membership(one, other)
            assert found.verdict == "not enough data"
            assert found.sentence()
            json.dumps(found.as_dict(), allow_nan=False)
    equal = membership(losses([(f"t {i}", 2.0) for i in range(5)]), losses([(f"h {i}", 2.0) for i in range(5)]))
    assert (equal.by_loss.auc.value, equal.by_loss.p, equal.verdict) == (0.5, 1.0, "not told apart")


def test_shuffles_of_documents() -> None:
    ones, nones = [[1.0, 1.0]] * 5, [[0.0, 1.0]] * 5
    assert permutation_p(ones, nones) == pytest.approx(1 / 252, abs=0.006)  # of the ways to part ten in two fives
    assert permutation_p(nones, ones) == 1
    assert permutation_p(ones, ones) == 1
    assert permutation_p([], ones) is None
    assert permutation_p([[0.0, 0.0]], ones) is None
