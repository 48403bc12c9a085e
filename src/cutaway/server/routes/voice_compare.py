"""What the Compare tab asks first: prompts, the models there are, their answers side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel

from cutaway.base.errors import UsageError
from cutaway.server.jobs import Job
from cutaway.server.lab import Lab, TheLab
from cutaway.server.routes.voice_writing import WordPart
from cutaway.server.voice_folders import find_writing
from cutaway.server.voice_sides import bases, find_named
from cutaway.server.voice_table import listed, table

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


class AnswerAsked(BaseModel):
    """Models that are to answer."""

    writing: str
    models: list[str]


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
