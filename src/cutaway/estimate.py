"""What a training will take, before it starts: time from how fast earlier runs of this machine went, memory from the shape.

Importing this loads nothing heavy. An estimate says what it is made from, and where there is nothing to go by it is None:
the run itself measures before it begins.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from cutaway.base.errors import CutawayError
from cutaway.base.runs import RunFolder
from cutaway.models.config import ModelConfig
from cutaway.models.count import count_memory, count_operations, count_parameters
from cutaway.recipe import Recipe
from cutaway.recipe_paint import PaintRecipe
from cutaway.run_facts import read_recipe

PROCESS_BYTES = 360_000_000
"""Python, PyTorch and the text, before there is a model: the peak of a training of 4,544 parameters on Linux was 361 MB."""
COPIES = 1.08
"""Copies and passing temporaries on top of what is counted: with it 421 MB of a training of 1.4 million parameters come out
as 407, and 1,730 MB of one of 36 million as 1,729."""
FEWEST_STEPS, FEWEST_SECONDS = 10, 1.0
"""A run shorter than this says little about speed."""
NEIGHBOURS = 3
MOST_RUNS = 12


@dataclass(frozen=True)
class Estimate:
    """About what a run will take. None: nothing to go by."""

    seconds: float | None
    seconds_from: str
    """What the time is made from, or why there is none, in a few words."""
    memory_bytes: int | None
    memory_from: str


@dataclass(frozen=True)
class Speed:
    """How fast a run of text went."""

    name: str
    parameters: int
    operations_a_second: float


def speeds(runs: Sequence[RunFolder]) -> list[Speed]:
    """Return how fast the last of these runs went, of those that say."""
    found: list[Speed] = []
    for run in reversed(runs):
        if len(found) == MOST_RUNS:
            break
        try:
            summary, recipe = run.summary() or {}, read_recipe(run)
            steps, tokens, seconds = summary["steps"], summary["tokens"], summary["seconds"]
            if (
                isinstance(recipe, PaintRecipe)
                or recipe.start.run
                or recipe.tune
                or steps < FEWEST_STEPS
                or seconds < FEWEST_SECONDS
            ):
                continue
            operations = tokens / recipe.model.context_length * count_operations(recipe.model).training
            found.append(Speed(run.name, count_parameters(recipe.model).total, operations / seconds))
        except (OSError, KeyError, TypeError, ValueError, CutawayError):
            continue  # it has not ended, or says it in another way
    return found


def estimate_of_pictures(recipe: PaintRecipe) -> Estimate:
    """Return about what a recipe of pictures will take: only what it says itself (its run measures before it begins)."""
    unknown = "it is measured when it starts"
    if recipe.train.minutes is not None:
        return Estimate(60 * recipe.train.minutes, "the time it is given", None, unknown)
    return Estimate(None, unknown, None, unknown)


def estimate(recipe: Recipe, vocab_size: int, known: Sequence[Speed]) -> Estimate:
    """Return about what a recipe will take.

    Args:
        vocab_size: about how many tokens there are, where the recipe leaves it to the text.
        known: how fast earlier runs of this machine went.
    """
    model = dataclasses.replace(recipe.model, vocab_size=recipe.model.vocab_size or vocab_size)
    seconds, seconds_from = _time(recipe, model, known)
    if recipe.fit and recipe.train.minutes is not None:
        return Estimate(seconds, seconds_from, None, "the size is chosen when it starts")
    batch = max(1, recipe.train.batch_size // recipe.train.accumulate)
    needed = PROCESS_BYTES + COPIES * count_memory(model, batch).training
    return Estimate(seconds, seconds_from, round(needed), "counted from its shape")


def _time(recipe: Recipe, model: ModelConfig, known: Sequence[Speed]) -> tuple[float | None, str]:
    train = recipe.train
    if train.minutes is not None:
        return 60 * train.minutes, "the time it is given"
    if recipe.tune is not None:
        return None, "how long the pairs are, is known when they are read"
    if train.steps is not None:
        tokens = train.steps * train.batch_size * model.context_length
    elif train.tokens is not None:
        tokens = train.tokens
    else:
        return None, "how long the text is, is known when it is read"
    if not known:
        return None, "no run of this machine to go by yet"
    size = count_parameters(model).total
    near = sorted(known, key=lambda one: abs(math.log(one.parameters / size)))[:NEIGHBOURS]
    speed = statistics.median(one.operations_a_second for one in near)
    seconds = tokens / model.context_length * count_operations(model).training / speed
    names = ", ".join(one.name for one in near)
    return seconds, f"as fast as {names} went here"
