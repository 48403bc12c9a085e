"""What the Compare tab asks: answers side by side, pairs to rate blind, grades, and what all of it amounts to."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from cutaway.base.errors import UsageError
from cutaway.server.jobs import Job
from cutaway.server.lab import Lab, TheLab
from cutaway.server.routes.voice_writing import WordPart
from cutaway.server.voice_folders import find_writing
from cutaway.server.voice_sides import bases, find_named, sides_of

if TYPE_CHECKING:
    from cutaway.voice.answers import Prompt
    from cutaway.voice.canaries import Canaries
    from cutaway.voice.compare import Ballot, Side
    from cutaway.voice.ratings import Ratings

router = APIRouter(prefix="/voice")

SHARED_WORDS = 3
"""Fewer words in a row stand in both answers by chance."""


class Choosable(BaseModel):
    """A model that may be compared."""

    name: str
    kind: Literal["tuned", "run", "folder", "base"]


class PromptSaid(BaseModel):
    """A prompt every model answers."""

    name: str
    kind: str
    text: str
    source: str
    """The piece it is about, if there is one."""


class AnswerSaid(BaseModel):
    """What a model wrote."""

    model: str
    prompt: str
    sample: int
    text: str
    n_tokens: int
    is_cut: bool
    """Whether it was cut off at the most tokens it could have."""


class SideSaid(BaseModel):
    """How far a model's answers are there."""

    name: str
    answers: int
    weights: str


class Comparing(BaseModel):
    """Models side by side."""

    choosable: list[Choosable]
    prompts: list[PromptSaid]
    kinds: dict[str, str]
    """What each kind of prompt is for."""
    samples: int
    wanted: int
    """Answers each model should have."""
    sides: list[SideSaid]
    answers: list[AnswerSaid]
    ballots: int
    """Pairs there are to rate."""
    command: str
    """What lets the missing answers be written."""
    problem: str
    """Why there are no prompts."""


class Differences(BaseModel):
    """Two answers as one text."""

    parts: list[WordPart]


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


class AnswerAsked(BaseModel):
    """Models that are to answer."""

    writing: str
    models: list[str]


@dataclass(frozen=True)
class Table:
    """What all questions of this tab begin with."""

    writing: Path
    canaries: Canaries
    sides: list[Side]
    ratings: Ratings

    def ballots(self, seed: int) -> list[Ballot]:
        """Return the pairs to rate; none for one model."""
        from cutaway.voice.compare import ballots

        return ballots(self.sides, self.canaries, seed) if len(self.sides) > 1 else []

    def to_grade(self, seed: int) -> list[tuple[Prompt, int, Side]]:
        """Return the answers to grade, in an order the seed decides."""
        found = [
            (prompt, sample, side)
            for side in sorted(self.sides, key=lambda side: side.name)
            for prompt in self.canaries.prompts
            for sample in range(self.canaries.settings.samples)
            if (prompt.name, sample) in side.answers
        ]
        random.Random(f"grades {seed}").shuffle(found)
        return found


def table(lab: Lab, writing: str, models: list[str]) -> Table:
    """Return the folder, its prompts, the models' answers and what was said of them.

    Raises:
        UsageError: there are too many models, or one twice.
        DataError: there are no pairs to choose prompts from.
    """
    from cutaway.voice.canaries import canaries_of
    from cutaway.voice.compare import MOST_MODELS
    from cutaway.voice.ratings import Ratings

    if len(models) > MOST_MODELS or len(set(models)) < len(models):
        raise UsageError(f"{len(models)} models were named; expected at most {MOST_MODELS}, each once")
    folder = find_writing(lab.home, writing)
    canaries = canaries_of(folder)
    return Table(folder, canaries, sides_of(lab, models, folder, canaries), Ratings(lab.home, folder))


def listed(models: str) -> list[str]:
    """Return names parted by commas."""
    return [name for name in models.split(",") if name]


@router.get("/compare")
def compare(lab: TheLab, writing: str, models: str = "") -> Comparing:
    """Return the prompts, the models there are, and what the chosen ones answered."""
    from cutaway.base.errors import DataError
    from cutaway.voice.canaries import KINDS

    names, choosable = listed(models), models_there_are(lab)
    try:
        found = table(lab, writing, names)
    except DataError as error:
        return Comparing(choosable=choosable, prompts=[], kinds=KINDS, samples=1, wanted=0, sides=[], answers=[],
                         ballots=0, command="", problem=str(error))  # fmt: skip
    prompts, settings = found.canaries.prompts, found.canaries.settings
    return Comparing(
        choosable=choosable,
        prompts=[PromptSaid(name=one.name, kind=one.kind, text=one.text, source=one.source) for one in prompts],
        kinds=KINDS,
        samples=settings.samples,
        wanted=len(prompts) * settings.samples,
        sides=[SideSaid(name=one.name, answers=len(one.answers), weights=one.weights) for one in found.sides],
        answers=[
            AnswerSaid(
                model=side.name,
                prompt=one.name,
                sample=one.sample,
                text=one.text,
                n_tokens=one.n_tokens,
                is_cut=one.stop_reason == "max_tokens",
            )
            for side in found.sides
            for one in side.answers.values()
        ],
        ballots=len(found.ballots(0)),
        command=" ".join(["cutaway", *answer_words(lab, found.writing, names)]) if names else "",
        problem="",
    )


def models_there_are(lab: Lab) -> list[Choosable]:
    """Return what may be compared: tuned runs, what they began with, other runs, folders."""
    from cutaway.base.runs import list_runs
    from cutaway.server.routes.voice import tuned_run

    tuned = {run.name for run in list_runs(lab.home) if tuned_run(run)}
    found: dict[str, Choosable] = {}
    for one in lab.models.list():
        if one.kind != "checkpoint" and not one.problem:
            kind: Any = "folder" if one.kind == "folder" else "tuned" if one.name in tuned else "run"
            found[one.name] = Choosable(name=one.name, kind=kind)
    for name in sorted(bases(lab) - set(found)):
        found[name] = Choosable(name=name, kind="base")
    order = ("tuned", "base", "run", "folder")
    return sorted(found.values(), key=lambda one: order.index(one.kind))


def answer_words(lab: Lab, writing: Path, models: list[str]) -> list[str]:
    """Return the words behind `cutaway` that let models answer."""
    named = [find_named(lab, name).word for name in models]
    return ["voice", "compare", *named, "--writing", str(writing.absolute()), "--answer"]


@router.post("/compare/answer")
def answer(lab: TheLab, asked: AnswerAsked) -> Job:
    """Let models answer the prompts, in a process of its own."""
    from cutaway.voice.canaries import canaries_of

    folder = find_writing(lab.home, asked.writing)
    canaries_of(folder)
    if not asked.models:
        raise UsageError("no model was named; choose one to answer")
    return lab.jobs.submit(answer_words(lab, folder, asked.models), "voice", asked.models[0])


@router.get("/compare/differences")
def differences(lab: TheLab, writing: str, first: str, second: str, prompt: str, sample: int = 0) -> Differences:
    """Return what two answers to a prompt have in common, and what not."""
    from cutaway.voice.word_changes import word_changes

    sides = table(lab, writing, [first, second]).sides
    texts = [one.answers[prompt, sample].text if (prompt, sample) in one.answers else "" for one in sides]
    parts = word_changes(texts[0], texts[1], SHARED_WORDS)
    return Differences(parts=[WordPart(where=part.where, text=part.text) for part in parts])


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
