"""Best of n: it finds what is planted, gains by measures it was not trained on, and cannot judge what it learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tune.small import make_base
from voice.authors import Author

from cutaway.base.errors import DataError, UsageError
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import generate
from cutaway.interop.hub_folder import load_folder
from cutaway.voice.rerank import Reranker, best_of, load_reranker, train_reranker
from cutaway.voice.style import style
from cutaway.voice.two_sample import two_sample

ONE, MODEL = Author(1), Author(2)
TRAIN, WRITTEN = ONE.texts(12, 300), MODEL.texts(12, 300)


@pytest.fixture(scope="module")
def reranker() -> Reranker:
    return train_reranker(TRAIN, WRITTEN)


def test_it_finds_the_planted_voice(reranker: Reranker) -> None:
    draw = np.random.default_rng(0)
    plain, chosen, shares = {}, {}, []
    for prompt in range(12):
        likeness = draw.random(8)
        candidates = [MODEL.mixed(ONE, share).text(150, 9000 + 8 * prompt + i) for i, share in enumerate(likeness)]
        best = reranker.best(candidates)
        plain[f"plain {prompt}"], chosen[f"chosen {prompt}"] = candidates[0], candidates[best]
        shares.append(likeness[best])
    assert np.mean(shares) > 0.7
    held_out = ONE.texts(14, 300, seed=7)
    before, after = (style(held_out, texts).group_delta.median for texts in (plain, chosen))
    assert before is not None
    assert after is not None
    assert after < 0.9 * before
    told_before, told_after = (two_sample(held_out, texts, 99, seen_by=[reranker]).auc for texts in (plain, chosen))
    assert told_before is not None
    assert told_after is not None
    assert told_after < told_before


def test_scores_are_one_for_ones_own_and_less_for_the_model(reranker: Reranker) -> None:
    own, outputs = (
        [reranker.score(text) for text in author.texts(10, 200, seed=3).values()] for author in (ONE, MODEL)
    )
    assert np.mean(own) == pytest.approx(1, abs=0.35)
    assert np.mean(outputs) == pytest.approx(-1, abs=0.35)
    assert min(own) > max(outputs)
    assert reranker.auc == 1
    assert "12 texts of yours" in reranker.sentence()


def test_the_report_refuses_what_the_ranking_learned_from(reranker: Reranker) -> None:
    held_out, outputs = ONE.texts(6, 200, seed=5), MODEL.texts(6, 200, seed=5)
    assert two_sample(held_out, outputs, 9, seen_by=[reranker]).p_value == 0.1
    part = " ".join(TRAIN["text-3"].split()[40:160])
    edited = part.replace(",", " --").upper()
    for known in (TRAIN["text-3"], part, edited, WRITTEN["text-0"]):
        assert reranker.has_seen(known)
    assert not reranker.has_seen("")
    with pytest.raises(UsageError, match="'mine' was used to train the ranking"):
        two_sample(held_out | {"mine": edited}, outputs, seen_by=[reranker])
    with pytest.raises(UsageError, match="'its'"):
        two_sample(held_out, outputs | {"its": WRITTEN["text-1"]}, seen_by=[reranker])


def test_short_answers_come_last(reranker: Reranker) -> None:
    long = MODEL.text(100, 1)
    short = " ".join(ONE.text(100, 1).split()[:30])
    assert reranker.score(short) > reranker.score(long)
    assert reranker.best([short, long, ""]) == 1
    assert reranker.best(["", ""]) == 0


def test_it_comes_back_as_it_was(reranker: Reranker, tmp_path: Path) -> None:
    reranker.save(tmp_path / "ranking.npz")
    back = load_reranker(tmp_path / "ranking.npz")
    assert back.score(ONE.text(100, 2)) == reranker.score(ONE.text(100, 2))
    assert (back.seen, back.as_dict()) == (reranker.seen, reranker.as_dict())
    (tmp_path / "other.npz").write_bytes(b"something else")
    for wrong in ("other.npz", "missing.npz"):
        with pytest.raises(DataError, match="is not a ranking of ours"):
            load_reranker(tmp_path / wrong)


def test_too_little_to_learn_from() -> None:
    with pytest.raises(DataError, match="the ranking cannot be trained"):
        train_reranker(TRAIN, {"a": "short"})


def test_best_of_ranks_what_generate_writes(tmp_path: Path, reranker: Reranker) -> None:
    model, tokenizer = load_folder(make_base(tmp_path / "base"))
    config = SamplingConfig(max_tokens=40, seed=3)
    ranked = best_of(model, tokenizer, "The rain", reranker, 4, config)
    assert list(ranked.completions) == generate(model, tokenizer, "The rain", config, 4)
    assert ranked.scores == tuple(reranker.score(one.text) for one in ranked.completions)
    assert ranked.chosen == ranked.completions[ranked.best]
