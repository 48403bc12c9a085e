"""What the Compare tab asks while somebody rates: pairs and answers, blind, and what all ratings amount to."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from cutaway.base.errors import UsageError
from cutaway.server.lab import TheLab
from cutaway.server.voice_folders import find_writing
from cutaway.server.voice_table import Table, listed, table

router = APIRouter(prefix="/voice")


class BlindPair(BaseModel):
    """Two answers to rate; nothing here says whose they are."""

    place: int | None
    """Which pair of the order the seed draws; nothing where all are rated."""
    total: int
    left_to_rate: int
    prompt: str
    left: str
    right: str
    is_again: bool
    """Shown for the second time, with sides changed."""


class VoteAsked(BaseModel):
    """What somebody said of a pair."""

    writing: str
    models: list[str]
    seed: int = 0
    rater: str = Field(default="me", max_length=80)
    place: int
    choice: Literal["left", "right", "tie", "neither"]
    seconds: float = Field(default=0.0, ge=0, le=1e6)


class VoteSaid(BaseModel):
    """Whose answers they were, told after the vote."""

    left: str
    right: str
    choice: str
    following: BlindPair


class DimensionSaid(BaseModel):
    """One question of the rubric."""

    name: str
    title: str
    question: str
    low: str
    high: str


class BlindAnswer(BaseModel):
    """One answer to grade; nothing here says whose it is."""

    place: int | None
    total: int
    left_to_grade: int
    prompt: str
    text: str
    rubric: list[DimensionSaid]


class GradesAsked(BaseModel):
    """Grades of an answer."""

    writing: str
    models: list[str]
    seed: int = 0
    rater: str = Field(default="me", max_length=80)
    place: int
    grades: dict[str, int]


class GradesSaid(BaseModel):
    """Whose answer it was, told after grading."""

    model: str
    following: BlindAnswer


class IntervalSaid(BaseModel):
    """A number and between what it may lie."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    """How many prompts it is of."""
    how: str
    level: float


class MeetingSaid(BaseModel):
    """Two models against each other."""

    first: str
    second: str
    first_wins: int
    second_wins: int
    ties: int
    neither: int
    rate: IntervalSaid


class AgreementSaid(BaseModel):
    """How far ratings of the same thing agree."""

    units: int
    same: IntervalSaid
    alpha: float | None
    kappa: float | None


class ResultsSaid(BaseModel):
    """All that was said, in numbers."""

    votes: int
    earlier: int
    meetings: list[MeetingSaid]
    wins: dict[str, IntervalSaid]
    left: IntervalSaid
    own: AgreementSaid
    between: AgreementSaid
    grades: dict[str, dict[str, IntervalSaid]]
    graded: int
    own_grades: float | None
    between_grades: float | None
    raters: dict[str, int]
    """Votes and grades by who gave them."""
    rubric: list[DimensionSaid]


@router.get("/compare/pair")
def pair(lab: TheLab, writing: str, models: str, seed: int = 0, rater: str = "me") -> BlindPair:
    """Return the next pair this rater has not rated."""
    return next_pair(table(lab, writing, listed(models)), seed, rater)


def next_pair(found: Table, seed: int, rater: str) -> BlindPair:
    """Return the next pair a rater has not rated; without a place where all are."""
    from cutaway.voice.compare_votes import open_ballots

    every = found.ballots(seed)
    places = open_ballots(every, found.ratings.votes(), found.sides, rater)
    total, left = len(every), len(places)
    if not places:
        return BlindPair(place=None, total=total, left_to_rate=left, prompt="", left="", right="", is_again=False)
    ballot, texts = every[places[0]], {side.name: side.answers for side in found.sides}
    return BlindPair(
        place=places[0],
        prompt=ballot.text,
        left=texts[ballot.left][ballot.prompt, ballot.sample].text,
        right=texts[ballot.right][ballot.prompt, ballot.sample].text,
        is_again=ballot.round > 0,
        total=total,
        left_to_rate=left,
    )


@router.post("/compare/vote")
def vote(lab: TheLab, asked: VoteAsked) -> VoteSaid:
    """Keep a vote, tell whose answers they were, and give the next pair."""
    from cutaway.voice.compare_votes import cast, open_ballots

    found = table(lab, asked.writing, asked.models)
    every, rater = found.ballots(asked.seed), rater_of(asked.rater)
    if asked.place not in open_ballots(every, found.ratings.votes(), found.sides, rater):
        raise UsageError(f"pair {asked.place} is not one that {rater} has still to rate; load the page again")
    ballot = every[asked.place]
    cast(found.ratings, ballot, found.sides, rater, asked.choice, asked.seconds)
    return VoteSaid(
        left=ballot.left, right=ballot.right, choice=asked.choice, following=next_pair(found, asked.seed, rater)
    )


def rater_of(name: str) -> str:
    """Return the name a rater gave, `me` where none."""
    return name.strip() or "me"


@router.get("/compare/answer-to-grade")
def answer_to_grade(lab: TheLab, writing: str, models: str, seed: int = 0, rater: str = "me") -> BlindAnswer:
    """Return the next answer this rater has not graded."""
    return next_answer(table(lab, writing, listed(models)), seed, rater_of(rater))


def next_answer(found: Table, seed: int, rater: str) -> BlindAnswer:
    """Return the next answer a rater has not graded; without a place where all are."""
    every = found.to_grade(seed)
    done = {grade.unit[:3] for grade in found.ratings.grades() if grade.rater == rater}
    places = [
        place for place, (prompt, sample, side) in enumerate(every) if (prompt.text, sample, side.weights) not in done
    ]
    place = places[0] if places else None
    asked = text = ""
    if place is not None:
        prompt, sample, side = every[place]
        asked, text = prompt.text, side.answers[prompt.name, sample].text
    return BlindAnswer(
        place=place, total=len(every), left_to_grade=len(places), prompt=asked, text=text, rubric=rubric_said()
    )


def rubric_said() -> list[DimensionSaid]:
    """Return the nine questions."""
    from cutaway.voice.rubric import RUBRIC

    return [DimensionSaid(**vars(one)) for one in RUBRIC]


@router.post("/compare/grades")
def grade(lab: TheLab, asked: GradesAsked) -> GradesSaid:
    """Keep the grades of an answer, tell whose it was, and give the next one."""
    from cutaway.voice.compare_votes import check_grades
    from cutaway.voice.ratings import Grade

    found = table(lab, asked.writing, asked.models)
    every, rater = found.to_grade(asked.seed), rater_of(asked.rater)
    if not 0 <= asked.place < len(every) or not asked.grades:
        raise UsageError("there is no such answer to grade, or no grade was given; load the page again")
    check_grades(asked.grades)
    prompt, sample, side = every[asked.place]
    before = [one for one in found.ratings.grades() if one.rater == rater]
    found.ratings.grade(
        [
            Grade(rater, prompt.name, prompt.text, sample, side.name, side.weights, dimension, value,
                  sum(one.unit == (prompt.text, sample, side.weights, dimension) for one in before))
            for dimension, value in asked.grades.items()
        ]
    )  # fmt: skip
    return GradesSaid(model=side.name, following=next_answer(found, asked.seed, rater))


@router.get("/compare/results")
def results(lab: TheLab, writing: str, models: str) -> ResultsSaid:
    """Return what all votes and grades about these models amount to."""
    from collections import Counter

    from cutaway.voice.compare_votes import results

    found = table(lab, writing, listed(models))
    votes, grades = found.ratings.votes(), found.ratings.grades()
    said = results(found.sides, votes, grades).as_dict()
    raters = Counter([*(one.rater for one in votes), *(one.rater for one in grades)])
    return ResultsSaid(**said, raters=dict(raters.most_common()), rubric=rubric_said())


@router.get("/compare/export")
def export(lab: TheLab, writing: str, form: Literal["csv", "json"] = "csv") -> Response:
    """Return every vote and grade about a folder of writing, as a file."""
    import json

    from cutaway.voice.compare_votes import as_csv
    from cutaway.voice.ratings import Ratings

    folder = find_writing(lab.home, writing)
    ratings = Ratings(lab.home, folder)
    votes, grades = ratings.votes(), ratings.grades()
    if form == "csv":
        text, kind = as_csv(votes, grades), "text/csv"
    else:
        data = {"votes": [vars(one) for one in votes], "grades": [vars(one) for one in grades]}
        text, kind = json.dumps(data, indent=1, ensure_ascii=False), "application/json"
    name = f'attachment; filename="ratings-{folder.name}.{form}"'.encode("ascii", "replace").decode()
    return Response(text, media_type=f"{kind}; charset=utf-8", headers={"Content-Disposition": name})
