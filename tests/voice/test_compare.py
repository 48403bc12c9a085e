"""Blind comparison: order and sides, what is left to rate, and what votes amount to, against raters with known habits."""

from __future__ import annotations

import csv
import io
import math
import threading
from collections import Counter
from pathlib import Path

import pytest

from cutaway.base.errors import UsageError
from cutaway.voice.answers import Answer, AnswerSettings, Prompt, keep_answers
from cutaway.voice.canaries import BASE_ANSWERS, RUN_ANSWERS, Canaries
from cutaway.voice.compare import Side, ballots, note_answered, side_of
from cutaway.voice.compare_votes import CSV_FIELDS, as_csv, cast, check_grades, open_ballots, results
from cutaway.voice.ratings import Grade, Ratings
from cutaway.voice.rubric import NAMES, RUBRIC

PROMPTS = Canaries(tuple(Prompt(f"p{i}", "new", f"about {i}", 20) for i in range(10)), AnswerSettings())


def answer(prompt: Prompt, text: str, weights: str, **changes: object) -> Answer:
    fields = {"name": prompt.name, "kind": prompt.kind, "prompt": prompt.text, "source": "", "text": text, "n_tokens": 3,
              "stop_reason": "end", "sample": 0, "temperature": 0.8, "top_p": 0.95, "seed": 0,
              "max_tokens": prompt.max_tokens, "model": weights}  # fmt: skip
    return Answer(**fields | changes)  # type: ignore[arg-type]


def side(name: str, weights: str = "") -> Side:
    weights = weights or f"hash of {name}"
    return Side(
        name, weights, {(one.name, 0): answer(one, f"{name} on {one.name}", weights) for one in PROMPTS.prompts}
    )


SIDES = [side("tuned"), side("base"), side("other")]


def test_every_pair_meets_on_every_prompt_and_some_twice() -> None:
    every = ballots(SIDES, PROMPTS, seed=3)
    first = [one for one in every if one.round == 0]
    assert len(first) == 3 * len(PROMPTS.prompts)
    assert len({(one.prompt, frozenset((one.left, one.right))) for one in first}) == len(first)
    again = every[len(first) :]
    assert len(again) == 6
    assert all(one.round == 1 for one in again)
    by_pair = {(one.prompt, one.right, one.left) for one in first}
    assert all((one.prompt, one.left, one.right) in by_pair for one in again)
    assert ballots(list(reversed(SIDES)), PROMPTS, seed=3) == every
    assert ballots(SIDES, PROMPTS, seed=4) != every
    lefts = Counter(
        one.left < one.right for seed in range(40) for one in ballots(SIDES, PROMPTS, seed) if one.round == 0
    )
    assert abs(lefts[True] - lefts[False]) < 4 * math.sqrt(lefts.total())


def test_equal_answers_are_left_out() -> None:
    same = Side("same", "hash", SIDES[0].answers)
    assert ballots([SIDES[0], same], PROMPTS) == []
    with pytest.raises(UsageError, match="expected 2 to 4"):
        ballots(SIDES[:1], PROMPTS)


def test_what_was_rated_is_not_asked_again(tmp_path: Path) -> None:
    ratings, every = Ratings(tmp_path, tmp_path / "voice"), ballots(SIDES, PROMPTS)
    for place in (4, 0):
        cast(ratings, every[place], SIDES, "anna", "left", 1.0)
    left = open_ballots(every, ratings.votes(), SIDES, "anna")
    assert left == [place for place in range(len(every)) if place not in (0, 4)]
    assert open_ballots(every, ratings.votes(), SIDES, "ben") == list(range(len(every)))
    again = [Side(one.name, "other weights", one.answers) for one in SIDES]
    assert len(open_ballots(every, ratings.votes(), again, "anna")) == len(every)
    assert Ratings(tmp_path, tmp_path / "other").votes() == []
    with pytest.raises(UsageError, match="no choice 'up'"):
        cast(ratings, every[1], SIDES, "anna", "up", 1.0)


def rated(tmp_path: Path, choose: object, rater: str = "anna") -> Ratings:
    ratings = Ratings(tmp_path, tmp_path / "voice")
    for ballot in ballots(SIDES, PROMPTS):
        cast(ratings, ballot, SIDES, rater, choose(ballot), 1.0)  # type: ignore[operator]
    return ratings


def test_a_rater_who_always_prefers_the_tuned_one(tmp_path: Path) -> None:
    def choose(one: object) -> str:
        return {True: "left", False: "right"}[one.left == "tuned"] if "tuned" in (one.left, one.right) else "tie"  # type: ignore[attr-defined]

    ratings = rated(tmp_path, choose)
    found = results(SIDES, ratings.votes(), [])
    assert found.votes == len(ballots(SIDES, PROMPTS))
    assert found.wins["tuned"].value == 1
    assert found.wins["tuned"].low == pytest.approx(0.05 ** (1 / 10))  # ten prompts, exact
    meeting = next(one for one in found.meetings if (one.first, one.second) == ("base", "tuned"))
    assert (meeting.first_wins, meeting.rate.value) == (0, 0)
    assert meeting.second_wins == sum({one.left, one.right} == {"base", "tuned"} for one in ballots(SIDES, PROMPTS))
    ties = next(one for one in found.meetings if (one.first, one.second) == ("base", "other"))
    assert (ties.rate.value, ties.first_wins) == (0.5, 0)
    assert found.own.units == 6
    assert found.own.same.value == 1
    assert found.between.units == 0


def test_a_rater_who_always_takes_the_left_one_is_found_out(tmp_path: Path) -> None:
    found = results(SIDES, rated(tmp_path, lambda one: "left").votes(), [])
    assert found.left.value == 1
    assert found.own.same.value == 0
    assert found.own.alpha < 0


def test_two_raters(tmp_path: Path) -> None:
    rated(tmp_path, lambda one: "left" if one.left < one.right else "right", "anna")
    votes = rated(tmp_path, lambda one: "left" if one.left < one.right else "right", "ben").votes()
    found = results(SIDES, votes, [])
    assert found.between.units == 30
    assert found.between.same.value == 1
    against = rated(tmp_path, lambda one: "right" if one.left < one.right else "left", "carl").votes()
    assert results(SIDES, against, []).between.same.value == 0


def test_votes_on_earlier_weights_are_kept_and_not_counted(tmp_path: Path) -> None:
    votes = rated(tmp_path, lambda one: "tie").votes()
    later = [side("tuned", "new weights"), *SIDES[1:]]
    found = results(later, votes, [])
    assert found.earlier == sum("tuned" in (one.first, one.second) for one in votes)
    assert found.votes + found.earlier == len(votes)
    assert not found.wins["tuned"].n


def test_grades(tmp_path: Path) -> None:
    assert len(RUBRIC) == 9
    check_grades(dict.fromkeys(NAMES, 5))
    for wrong in ({"rhythm": 6}, {"rhythm": 0}, {"rythm": 3}):
        with pytest.raises(UsageError):
            check_grades(wrong)
    ratings = Ratings(tmp_path, tmp_path / "voice")
    for number, grade in enumerate([4, 5, 3, 4]):
        ratings.grade([Grade("anna", f"p{number}", f"about {number}", 0, "tuned", "hash of tuned", "rhythm", grade, 0)])
    ratings.grade([Grade("anna", "p0", "about 0", 0, "tuned", "hash of tuned", "rhythm", 4, 1)])
    found = results(SIDES, [], ratings.grades())
    mean = found.grades["tuned"]["rhythm"]
    assert (mean.value, mean.n) == (4.0, 4)
    assert mean.low < 4 < mean.high
    assert found.grades["base"]["rhythm"].n == 0
    assert found.graded == 4
    assert found.as_dict()["grades"]["base"]["rhythm"]["value"] is None


def test_the_table_has_every_vote(tmp_path: Path) -> None:
    votes = rated(tmp_path, lambda one: "neither").votes()
    rows = list(csv.DictReader(io.StringIO(as_csv(votes, []))))
    assert len(rows) == len(votes)
    assert set(rows[0]) == set(CSV_FIELDS)
    assert {row["choice"] for row in rows} == {"neither"}


def test_many_write_at_once(tmp_path: Path) -> None:
    every = ballots(SIDES, PROMPTS)

    def work(rater: str) -> None:
        for ballot in every[:8]:
            cast(Ratings(tmp_path, tmp_path / "voice"), ballot, SIDES, rater, "tie", 1.0)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(vote.rater for vote in Ratings(tmp_path, tmp_path / "voice").votes()) == dict.fromkeys("abcd", 8)


def test_answers_are_found_by_the_weights_that_wrote_them(tmp_path: Path) -> None:
    run, writing = tmp_path / "me-1", tmp_path / "voice"
    old = [answer(one, "old", "w1") for one in PROMPTS.prompts]
    new = [answer(one, "new", "w2") for one in PROMPTS.prompts[:4]]
    keep_answers(run / RUN_ANSWERS, [*old, *new, answer(PROMPTS.prompts[0], "other seed", "w3", seed=9)])
    found = side_of("me-1", PROMPTS, writing, run)
    assert (found.weights, {one.text for one in found.answers.values()}, len(found.answers)) == ("w2", {"new"}, 4)
    keep_answers(writing / BASE_ANSWERS, [*old, *new])
    assert side_of("hf:base", PROMPTS, writing, None) == Side("hf:base", "", {})
    note_answered(writing, "hf:base", "w1")
    assert len(side_of("hf:base", PROMPTS, writing, None).answers) == 10
