"""Whether a tuned run fits into memory: said before its base is loaded, and which smaller settings there are."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

from cutaway.base.errors import ConfigError, DataError, TokenizerError
from cutaway.base.memory import give_back_freed_memory
from cutaway.interop.adapter_folder import tokenizer_folder
from cutaway.interop.conversations import Conversation
from cutaway.interop.folder_facts import folder_facts
from cutaway.recipe import Recipe
from cutaway.text.tokenizer import load_tokenizer
from cutaway.train.distributed import World
from cutaway.train.watch import Watcher
from cutaway.tune.chat_form import chat_form
from cutaway.tune.examples import make_example
from cutaway.tune.find_base import find_base
from cutaway.tune.fit_memory import fit, free_memory
from cutaway.tune.memory import Tuning

ROOM_TO_KEEP = 1.7
"""Freed memory is kept for speed where so many times what is needed is free: keeping leaves holes between arrays."""


def check_memory(
    recipe: Recipe, train: list[Conversation], world: World, watcher: Watcher, runs: Path | None
) -> Tuning:
    """Say what a tuned run will take, and refuse one that does not fit; return what that depends on.

    Raises:
        ConfigError: it does not fit; it says which settings would.
    """
    assert recipe.tune is not None
    tuning = tuning_of(recipe, train, world, runs)
    found = fit(tuning, free_memory(world.device.type))
    if world.is_first:
        watcher.say(found.describe())
    if not found.fits and not recipe.tune.anyway:
        raise ConfigError(
            f"{found.describe()}, which is too little: {found.advice()}; or begin all the same with --anyway"
        )
    if world.device.type == "cpu" and found.needed.total * ROOM_TO_KEEP > found.free_bytes:
        give_back_freed_memory()
    return tuning


def tuning_of(recipe: Recipe, train: list[Conversation], world: World, runs: Path | None) -> Tuning:
    """Return what the memory depends on, from files alone: the base's settings and the longest conversations."""
    tune = recipe.tune
    assert tune is not None
    folder = find_base(tune.base, runs)
    facts = folder_facts(folder)
    home = tokenizer_folder(folder)
    n_tokens, n_learned = facts.config.context_length, facts.config.context_length
    at_once = max(1, recipe.train.batch_size // world.size // recipe.train.accumulate)
    with contextlib.suppress(DataError, TokenizerError):  # said with their names when all are read
        if home is not None:
            form = chat_form(home, load_tokenizer(home))
            longest = sorted(train, key=lambda one: sum(len(text["content"]) for text in one.plain()))[-at_once:]
            made = [make_example(one, form) for one in longest]
            n_tokens = max(1, sum(len(one.tokens) for one in made) // len(made))
            n_learned = sum(one.n_learned for one in made) // len(made)
    n_tokens = min(n_tokens, facts.config.context_length)
    if recipe.objective.task == "dpo":  # each is two answers
        n_tokens, n_learned = 2 * n_tokens, 2 * n_learned
    dtype = facts.dtype if tune.has_adapters and facts.dtype == "bfloat16" else "float32"
    share = dataclasses.replace(recipe.train, batch_size=at_once * recipe.train.accumulate)
    return Tuning(facts.config, tune, share, n_tokens, min(n_learned, n_tokens), dtype)
