"""What votes and grades amount to: who wins how often, how sure that is, and how far raters agree.

A tie counts as half a win for each. Intervals are over prompts: two votes on one prompt are not two pieces of evidence.
Agreement is Krippendorff's alpha (agreement.py) of the same pair rated twice by one person, and of different persons.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from cutaway.base.errors import UsageError
from cutaway.voice.agreement import cohen_kappa, krippendorff_alpha
from cutaway.voice.bootstrap import Interval, bootstrap, rate
from cutaway.voice.compare import Ballot, Side
from cutaway.voice.ratings import Grade, Ratings, Vote
from cutaway.voice.rubric import HIGHEST, LOWEST, NAMES

WORTH = {"first": 1.0, "second": 0.0, "tie": 0.5, "neither": 0.5}
CSV_FIELDS = ("kind", "rater", "prompt", "text", "sample", "first", "second", "left_side", "choice", "model", "dimension",
              "grade", "round", "seconds", "made")  # fmt: skip


@dataclass(frozen=True)
class Meeting:
    """Two models against each other."""

    first: str
    second: str
    first_wins: int
    second_wins: int
    ties: int
    neither: int
    rate: Interval
    """How often the first wins, ties counted as half."""


@dataclass(frozen=True)
class Agreement:
    """How far ratings of the same thing agree."""

    units: int
    """Rated more than once."""
    same: Interval
    """Share of them rated the same."""
    alpha: float
    kappa: float
    """Of the two ratings, or of the two raters with most in common."""


@dataclass(frozen=True)
class Results:
    """All that was said, in numbers."""

    votes: int
    earlier: int
    """Votes on answers of other weights than the models have now: kept, not counted."""
    meetings: list[Meeting]
    wins: dict[str, Interval]
    """By model: how often it wins against any other."""
    left: Interval
    """How often the one on the left wins: 0.5 unless the side matters."""
    own: Agreement
    """Of each rater with himself."""
    between: Agreement
    grades: dict[str, dict[str, Interval]]
    """By model and dimension: the mean grade."""
    graded: int
    own_grades: float
    """Alpha (interval) of answers graded again by the same person."""
    between_grades: float

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON; what is not known is null."""
        return _plain(self)


def _plain(value: Any) -> Any:
    if isinstance(value, Interval):
        return value.as_dict()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return {name: _plain(one) for name, one in vars(value).items()} if hasattr(value, "__dataclass_fields__") else value


def cast(ratings: Ratings, ballot: Ballot, sides: Sequence[Side], rater: str, choice: str, seconds: float) -> Vote:
    """Keep a vote: `left`, `right`, `tie` or `neither` of a ballot.

    Raises:
        UsageError: it is none of these.
    """
    if choice not in ("left", "right", "tie", "neither"):
        raise UsageError(f"there is no choice {choice!r}; there is left, right, tie, neither (keys 1 to 4)")
    chosen = {"left": ballot.left, "right": ballot.right}.get(choice)
    weights = {side.name: side.weights for side in sides}
    first, second = sorted((ballot.left, ballot.right), key=weights.__getitem__)
    vote = Vote(
        rater, ballot.prompt, ballot.text, ballot.sample, first, second, weights[first], weights[second],
        "first" if ballot.left == first else "second",
        choice if chosen is None else "first" if chosen == first else "second", ballot.round, seconds,
    )  # fmt: skip
    ratings.vote(vote)
    return vote


def open_ballots(every: Sequence[Ballot], votes: Sequence[Vote], sides: Sequence[Side], rater: str) -> list[int]:
    """Return which ballots, by their place, this rater has not voted on yet."""
    weights = {side.name: side.weights for side in sides}
    done: dict[Any, int] = defaultdict(int)
    for vote in votes:
        if vote.rater == rater:
            done[vote.unit] += 1
    units = []
    for ballot in every:
        units.append((ballot.text, ballot.sample, *sorted((weights[ballot.left], weights[ballot.right]))))
    return [place for place, (ballot, unit) in enumerate(zip(every, units, strict=True)) if done[unit] <= ballot.round]


def check_grades(grades: dict[str, int]) -> None:
    """Refuse grades that cannot be.

    Raises:
        UsageError: a dimension does not exist, or a grade is not 1 to 5.
    """
    for name, grade in grades.items():
        if name not in NAMES:
            raise UsageError(f"there is no dimension {name!r}; there is {', '.join(NAMES)}")
        if not LOWEST <= grade <= HIGHEST:
            raise UsageError(f"the grade of {name} is {grade}; expected {LOWEST} to {HIGHEST}")


def results(sides: Sequence[Side], votes: Sequence[Vote], grades: Sequence[Grade], seed: int = 0) -> Results:
    """Return what the votes and grades about these models amount to."""
    names = {side.weights: side.name for side in sides if side.weights}
    now = [vote for vote in votes if vote.first_weights in names and vote.second_weights in names]
    counted, called = set(map(id, now)), {side.name for side in sides}
    earlier = sum({vote.first, vote.second} <= called and id(vote) not in counted for vote in votes)
    mine = [dataclasses.replace(one, model=names[one.weights]) for one in grades if one.weights in names]
    worth = [(vote.prompt, names[vote.first_weights], names[vote.second_weights], WORTH[vote.choice]) for vote in now]
    worth += [(prompt, second, first, 1 - value) for prompt, first, second, value in worth]
    everyone = sorted(side.name for side in sides)
    left = [(vote.prompt, float(vote.choice == vote.left_side)) for vote in now if vote.choice in ("first", "second")]
    return Results(
        len(now),
        earlier,
        [_meeting(first, second, now, worth, names, seed) for first, second in combinations(everyone, 2)],
        {name: _share([(prompt, value) for prompt, one, _, value in worth if one == name], seed) for name in everyone},
        _share(left, seed),
        *_agreements(now, seed),
        {name: {dimension: _mean(mine, name, dimension, seed) for dimension in NAMES} for name in everyone},
        len({grade.unit[:3] for grade in mine}),
        krippendorff_alpha(list(_by_rater(mine).values()), "interval"),
        krippendorff_alpha(_between(mine), "interval"),
    )


def _meeting(first: str, second: str, votes: Sequence[Vote], worth: Sequence[tuple[str, str, str, float]],
             names: dict[str, str], seed: int) -> Meeting:  # fmt: skip
    mine = [(prompt, value) for prompt, one, other, value in worth if (one, other) == (first, second)]
    neither = sum(
        vote.choice == "neither" and {names[vote.first_weights], names[vote.second_weights]} == {first, second}
        for vote in votes
    )
    won, lost = (sum(value == wanted for _, value in mine) for wanted in (1.0, 0.0))
    return Meeting(first, second, won, lost, len(mine) - won - lost - neither, neither, _share(mine, seed))


def _share(worth: Sequence[tuple[str, float]], seed: int) -> Interval:
    """Return the mean over votes with its interval over prompts; exact bounds where all say the same."""
    hits: dict[str, float] = defaultdict(float)
    trials: dict[str, int] = defaultdict(int)
    for prompt, value in worth:
        hits[prompt] += value
        trials[prompt] += 1
    return rate([hits[prompt] for prompt in trials], [trials[prompt] for prompt in trials], seed)


def _mean(grades: Sequence[Grade], model: str, dimension: str, seed: int) -> Interval:
    of = [grade for grade in grades if (grade.model, grade.dimension) == (model, dimension)]
    return bootstrap([grade.grade for grade in of], seed=seed, groups=[grade.prompt for grade in of])


def _by_rater(ratings: Sequence[Any]) -> dict[Any, list[Any]]:
    """Return what each person said of each thing, in order."""
    found: dict[Any, list[Any]] = defaultdict(list)
    for one in ratings:
        found[one.rater, one.unit].append(_said(one))
    return found


def _between(ratings: Sequence[Any]) -> list[list[Any]]:
    """Return what different persons said of the same thing first."""
    found: dict[Any, dict[str, Any]] = defaultdict(dict)
    for one in ratings:
        found[one.unit].setdefault(one.rater, _said(one))
    return [list(said.values()) for said in found.values()]


def _said(one: Vote | Grade) -> Any:
    return one.choice if isinstance(one, Vote) else one.grade


def _agreements(votes: Sequence[Vote], seed: int) -> tuple[Agreement, Agreement]:
    own = [said for said in _by_rater(votes).values() if len(said) > 1]
    between = [said for said in _between(votes) if len(said) > 1]
    by_rater: dict[str, dict[Any, str]] = defaultdict(dict)
    for vote in votes:
        by_rater[vote.rater].setdefault(vote.unit, vote.choice)
    best: tuple[list[str], list[str]] = ([], [])
    for one, other in combinations(sorted(by_rater), 2):
        shared = sorted(set(by_rater[one]) & set(by_rater[other]))
        if len(shared) > len(best[0]):
            best = [by_rater[one][unit] for unit in shared], [by_rater[other][unit] for unit in shared]
    twice = [said[0] for said in own], [said[1] for said in own]
    return _agreement(own, twice, seed), _agreement(between, best, seed)


def _agreement(units: list[list[Any]], two: tuple[list[Any], list[Any]], seed: int) -> Agreement:
    same = rate([float(len(set(said)) == 1) for said in units], [1.0] * len(units), seed)
    return Agreement(len(units), same, krippendorff_alpha(units), cohen_kappa(*two))


def as_csv(votes: Sequence[Vote], grades: Sequence[Grade]) -> str:
    """Return every vote and grade as a table."""
    out = io.StringIO()
    table = csv.DictWriter(out, CSV_FIELDS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for kind, said in (("vote", votes), ("grade", grades)):
        for one in said:
            table.writerow({"kind": kind, **asdict(one)})
    return out.getvalue()
