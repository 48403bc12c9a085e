"""Better answers of a tuned run: the best of several, and a new run that prefers one's own; each asked for as a job."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, TypeVar

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cutaway.base.errors import UsageError
from cutaway.base.runs import RunFolder, list_runs
from cutaway.server.jobs import Job
from cutaway.server.lab import Lab, TheLab
from cutaway.server.routes.start import free_name, name_error, refuse_first

router = APIRouter(prefix="/voice/improve")
MOST_PROMPT = 4000
"""Characters of a question."""
One = TypeVar("One", bound=BaseModel)


class ChosenFrom(BaseModel):
    """One of several answers."""

    text: str
    score: float
    """How much it reads like one's own: about 1 for one's own texts, -1 for the model's."""


class BestAnswered(BaseModel):
    """A question that was answered several times."""

    made: str
    """When, UTC."""
    prompt: str
    max_tokens: int
    temperature: float
    seed: int
    best: int
    """Which of the answers was chosen."""
    answers: list[ChosenFrom]


class Ranking(BaseModel):
    """What chooses."""

    sentence: str
    """What it learned from, and how well it tells."""


class RankingGain(BaseModel):
    """What choosing gains, on prompts of held-out pieces."""

    made: str = ""
    sentence: str


class Preferred(BaseModel):
    """A run that began with this one and learned to prefer one's own answers."""

    name: str
    status: str
    accuracy: float | None
    """Share of held-out pairs in which it leans to one's own answer."""
    margin: float | None
    """By how much, in nats."""


class VoiceImproved(BaseModel):
    """What was done so far to get better answers of a run."""

    run: str
    problem: str
    """Why nothing can be done."""
    answered: list[BestAnswered]
    """The newest first."""
    ranking: Ranking | None
    gain: RankingGain | None
    preferred: list[Preferred]
    """The newest first."""


class ToAnswer(BaseModel):
    """A question to answer several times, or what choosing gains to be measured."""

    model_config = ConfigDict(extra="forbid")
    run: str
    prompt: str = Field(default="", max_length=MOST_PROMPT)
    of: int = Field(default=8, ge=2, le=64)
    max_tokens: int = Field(default=200, ge=1, le=4096)
    seed: int = Field(default=0, ge=0, lt=2**31)
    measure: bool = False


class ToPrefer(BaseModel):
    """A run that is to prefer one's own answers."""

    model_config = ConfigDict(extra="forbid")
    run: str
    pairs: int = Field(default=200, ge=1, le=100_000)
    method: Literal["lora", "full", "lora4"] = "lora"
    name: str = ""


@router.get("")
def improved(lab: TheLab, run: str) -> VoiceImproved:
    """Return what was answered and preferred so far."""
    from cutaway.voice.best_kept import kept_best

    folder = lab.run(run)
    lines = kept_best(folder)
    gains = [{"made": line.get("made", ""), **line["gain"]} for line in lines if isinstance(line.get("gain"), dict)]
    return VoiceImproved(
        run=run,
        problem=problem_of(folder),
        answered=read_as(BestAnswered, [line for line in lines if line.get("prompt")]),
        ranking=next(iter(read_as(Ranking, [line.get("ranking") for line in lines])), None),
        gain=next(iter(read_as(RankingGain, gains)), None),
        preferred=[one for other in reversed(list_runs(lab.home)) if (one := preferred_of(other, run))],
    )


@router.post("/best")
def best(lab: TheLab, asked: ToAnswer) -> Job:
    """Answer a question several times and choose, as a job."""
    run = able(lab, asked.run)
    prompt = asked.prompt.strip()
    if not (prompt or asked.measure):
        error = UsageError("there is nothing to answer; write a question")
        error.field = "prompt"
        raise error
    words = ["voice", "best", run.name, "--of", str(asked.of), "--max-tokens", str(asked.max_tokens)]
    words += ["--seed", str(asked.seed)] if asked.seed else []
    words += ["--measure"] if asked.measure else []
    return lab.jobs.submit([*words, "--", prompt] if prompt else words, "best", run.name)


@router.post("/prefer")
def prefer(lab: TheLab, asked: ToPrefer) -> Job:
    """Begin a run that prefers one's own answers: put its command into the queue."""
    run = able(lab, asked.run)
    refuse_first(name_error(lab, asked.name))
    name = asked.name or free_name(lab, "preferred")
    words = ["voice", "prefer", run.name, "--pairs", str(asked.pairs), "--method", asked.method, "--name", name]
    return lab.jobs.submit(words, "train", name)


def able(lab: Lab, name: str) -> RunFolder:
    """Return a run whose answers can be made better.

    Raises:
        UsageError: they cannot.
    """
    run = lab.run(name)
    if problem := problem_of(run):
        raise UsageError(problem)
    return run


def problem_of(run: RunFolder) -> str:
    """Return why a run's answers cannot be made better; empty where they can."""
    if not tuning_of(run):
        return f"run {run.name!r} was not tuned on anybody's writing, so nothing can be held against it"
    if not run.model_folder.is_dir():
        return f"run {run.name!r} has no model yet; it is saved at its first measurement"
    return ""


def tuning_of(run: RunFolder) -> dict[str, Any]:
    """Return the settings of a run's tuning as its recipe has them; empty where it was not tuned."""
    try:
        tune = tomllib.loads(run.recipe_file.read_text(encoding="utf-8")).get("tune")
    except (OSError, tomllib.TOMLDecodeError):
        return {}
    return tune if isinstance(tune, dict) else {}


def preferred_of(run: RunFolder, base: str) -> Preferred | None:
    """Return what a run gained by preferring, if it began with that base for it."""
    tune = tuning_of(run)
    if tune.get("task") != "preferences" or Path(str(tune.get("base", ""))).name != base:
        return None
    found = (run.summary() or {}).get("preference") or {}
    numbers = {key: found.get(key) for key in ("accuracy", "margin")}
    return Preferred(name=run.name, status=run.status(), **numbers)


def read_as(kind: type[One], lines: list[Any]) -> list[One]:
    """Return the lines that say this; others are somebody's, or of another version."""
    found = []
    for line in lines:
        try:
            found.append(kind.model_validate(line))
        except ValidationError:
            continue
    return found
