"""What the Tune tab asks: which bases there are, the form of a tuning, a look at what would be learned, and to start."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from cutaway.base.errors import CutawayError
from cutaway.form import FormGroup, form
from cutaway.form_values import Filled, fill
from cutaway.recipe import Recipe
from cutaway.server.jobs import Job
from cutaway.server.lab import Lab, TheLab
from cutaway.server.routes.start import free_name, name_error, refuse_first
from cutaway.server.voice_folders import find_writing
from cutaway.server.voice_sides import find_named

router = APIRouter(prefix="/voice")

SHOWN_GROUPS = ("tune", "train", "generate")
DECIDED = {"tune.base", "tune.method"}
"""Settings the tab asks for elsewhere."""
OF_LORA = {"tune.rank", "tune.alpha", "tune.projections", "tune.lora-dropout"}

Method = Literal["lora", "full", "lora4"]


class TuneAsked(BaseModel):
    """A tuning as far as it was filled in."""

    writing: str
    base: str
    method: Method = "lora"
    values: dict[str, str] = {}
    """Text by the setting's path; what is left out stays as it suits base, method and pairs."""
    name: str = ""


class Base(BaseModel):
    """A model to begin with."""

    name: str
    kind: str
    """`run` or `folder`."""
    is_tuned: bool
    """Whether it was tuned on some writing already."""
    parameters: int
    context_length: int
    tokenizer: str


class Bases(BaseModel):
    """The models to begin with, runs first."""

    bases: list[Base]


class TuneForm(BaseModel):
    """A tuning as a form."""

    groups: list[FormGroup]
    main: list[str]
    """The settings most people change."""


class MemorySaid(BaseModel):
    """About what a tuning takes in memory at most, counted before anything is loaded."""

    needed: int
    """Bytes."""
    free: int
    parts: dict[str, int]
    """By what they hold."""
    fits: bool
    advice: str
    """Which settings would make it fit."""


class TuneCheck(BaseModel):
    """What is wrong with a filled form, and what it amounts to."""

    errors: dict[str, str]
    command: str
    name: str
    memory: MemorySaid | None
    """Not computed where the pairs or the base cannot be read."""


class Stretch(BaseModel):
    """A piece of an example."""

    text: str
    is_learned: bool


class ShownExample(BaseModel):
    """A pair as the model reads it."""

    name: str
    stretches: list[Stretch]


class LookSaid(BaseModel):
    """The pairs as a base would read them."""

    examples: list[ShownExample]
    learned: list[int]
    """Tokens of each pair to learn."""
    held_out: list[int]
    n_learned: int
    context: int
    too_long: int
    """Pairs to learn that do not fit."""
    has_template: bool
    problems: list[str]


@router.get("/tune/bases")
def bases(lab: TheLab) -> Bases:
    """Return the models there are to begin with."""
    from cutaway.server.routes.voice import tuned_run

    return Bases(
        bases=[
            Base(
                name=one.name,
                kind="folder" if one.kind == "folder" else "run",
                is_tuned=one.kind == "run" and tuned_run(lab.run(one.name)) is not None,
                parameters=one.parameters,
                context_length=one.context_length,
                tokenizer=one.tokenizer,
            )
            for one in lab.models.list()
            if one.kind != "checkpoint" and not one.problem
        ]
    )


@router.get("/tune/form")
def tune_form(lab: TheLab, writing: str, base: str, method: Method = "lora") -> TuneForm:
    """Return the settings of a tuning, as they suit the base, the method and the number of pairs."""
    groups = form(start_recipe(lab, writing, base, method))
    shown = [group for name in SHOWN_GROUPS for group in groups if group.name == name]
    for group in shown:
        hidden = DECIDED | (OF_LORA if method == "full" else set())
        group.fields[:] = [field for field in group.fields if field.path not in hidden]
    own = ["tune.rank"] if method != "full" else []
    return TuneForm(
        groups=shown, main=["train.epochs", "train.learning-rate", *own, "train.batch-size", "train.patience"]
    )


@router.post("/tune/check")
def check(lab: TheLab, asked: TuneAsked) -> TuneCheck:
    """Say what is wrong with a filled form, before anything starts."""
    said, errors, name = checked(lab, asked)
    return TuneCheck(
        errors=errors,
        command=shlex.join(["cutaway", *words_of(lab, asked, said, asked.name)]),
        name=name,
        memory=memory_of(lab, asked, said.recipe) if isinstance(said.recipe, Recipe) else None,
    )


@router.post("/tune")
def start(lab: TheLab, asked: TuneAsked) -> Job:
    """Start a tuning: put its command into the queue."""
    said, errors, name = checked(lab, asked)
    refuse_first(errors)
    return lab.jobs.submit(words_of(lab, asked, said, name), "train", name)


@router.get("/tune/look")
def look(lab: TheLab, writing: str, base: str, context: int | None = None) -> LookSaid:
    """Return what a base would learn from a folder's pairs: examples with the tokens that count, and all lengths."""
    from cutaway.presets_voice import pairs_of
    from cutaway.server.voice_look import look
    from cutaway.tune.find_base import find_base

    train, held_out = pairs_of(find_writing(lab.home, writing))
    found = look(train, held_out, find_base(word_of(lab, base), lab.home), context)
    return LookSaid(
        examples=[
            ShownExample(name=name, stretches=[Stretch(text=text, is_learned=counts) for text, counts in stretches])
            for name, stretches in found.shown
        ],
        learned=found.learned,
        held_out=found.held_out,
        n_learned=found.n_learned,
        context=found.context,
        too_long=sum(count - 1 > found.context for count in found.learned),
        has_template=found.has_template,
        problems=found.problems,
    )


def word_of(lab: Lab, base: str) -> str:
    """Return a base as a command names it."""
    return find_named(lab, base).word


def start_recipe(lab: Lab, writing: str, base: str, method: Method) -> Recipe:
    """Return the recipe a form begins with.

    Raises:
        CutawayError: there is no such base, or there are no pairs.
    """
    from cutaway.presets_voice import tuned

    return tuned(word_of(lab, base), find_writing(lab.home, writing).absolute(), method, runs=lab.home)


def memory_of(lab: Lab, asked: TuneAsked, recipe: Recipe) -> MemorySaid | None:
    """Return about what a tuning takes, by its longest pair; nothing where that cannot be known."""
    from cutaway.interop.folder_facts import folder_facts
    from cutaway.presets_voice import pairs_of
    from cutaway.server.voice_look import look
    from cutaway.tune.find_base import find_base
    from cutaway.tune.fit_memory import fit, free_memory
    from cutaway.tune.memory import Tuning

    assert recipe.tune is not None
    try:
        base = find_base(word_of(lab, asked.base), lab.home)
        facts = folder_facts(base)
        found = look(*pairs_of(find_writing(lab.home, asked.writing)), base)
    except (CutawayError, OSError):
        return None
    longest = min(max(found.learned), facts.config.context_length)
    learned = min(longest, round(found.n_learned / len(found.learned)))
    dtype = facts.dtype if recipe.tune.has_adapters and facts.dtype == "bfloat16" else "float32"
    fitted = fit(Tuning(facts.config, recipe.tune, recipe.train, longest, learned, dtype), free_memory("cpu"))
    return MemorySaid(
        needed=fitted.needed.total,
        free=fitted.free_bytes,
        parts=dict(vars(fitted.needed)),
        fits=fitted.fits,
        advice="" if fitted.fits else fitted.advice(),
    )


def checked(lab: Lab, asked: TuneAsked) -> tuple[Filled, dict[str, str], str]:
    """Return what a form says, what is wrong with it, and what its run will be called."""
    said = fill(start_recipe(lab, asked.writing, asked.base, asked.method), asked.values)
    return said, said.errors | name_error(lab, asked.name), asked.name or free_name(lab, said.recipe.name)


def words_of(lab: Lab, asked: TuneAsked, said: Filled, name: str) -> list[str]:
    """Return the words behind `cutaway` that do the same."""
    folder: Path = find_writing(lab.home, asked.writing).absolute()
    named = ["--name", name] if name else []
    return [
        "voice",
        "tune",
        str(folder),
        "--base",
        word_of(lab, asked.base),
        "--method",
        asked.method,
        *named,
        *said.words,
    ]
