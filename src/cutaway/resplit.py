"""Train a tuned run again, a few times, with other texts held out: what one split alone cannot say.

Settings and number of steps are the run's own; only which documents are held out differs (`voice/resplits.py`). What a
training leaves is its losses, in splits/<seed>.json of the run's folder; its weights are thrown away. A split that is done
is not done again, so a command that was stopped goes on where it was.

Each training keeps the weights that were best on its own held-out texts, as the run did; so the held-out losses of all of
them are a little too good.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from cutaway.base.errors import RunError, UsageError
from cutaway.base.files import write_text
from cutaway.base.runs import RunFolder
from cutaway.interop.conversations import write_conversations
from cutaway.recipe import Recipe, StartConfig
from cutaway.run_facts import writing_recipe
from cutaway.session_tuned import read_writing
from cutaway.train.watch import Watcher
from cutaway.tune.find_base import find_base
from cutaway.voice.resplits import Resplit, SplitLosses, read_splits, resplit, splits_folder
from cutaway.workbench import train

USUAL_SPLITS = 5


def resplit_run(
    run: RunFolder,
    k: int = USUAL_SPLITS,
    watcher: Watcher | None = None,
    on_split: Callable[[int, SplitLosses], None] | None = None,
) -> list[SplitLosses]:
    """Train a tuned run k times with other texts held out and return what came of it, finished splits included.

    Args:
        on_split: called with the number of splits done, after each.

    Raises:
        UsageError: fewer than one split.
        RunError: the run was not tuned on conversations, or has not finished.
        DataError: the conversations are gone, or too few.
    """
    if k < 1:
        raise UsageError(f"asked for {k} splits; expected 1 or more, as {USUAL_SPLITS}")
    recipe = writing_recipe(run)
    if recipe.tune is None:
        raise RunError(f"run {run.name!r} was not tuned on conversations; only such runs hold documents out by pieces")
    if run.status() != "finished":
        raise RunError(f"run {run.name!r} is {run.status()}; finish it first: cutaway train {run.path}")
    writing = read_writing(recipe)
    done = {one.seed: one for one in read_splits(run)}
    for seed in range(1, k + 1):
        if seed not in done:
            parted = resplit(writing.train, writing.held_out, seed)
            done[seed] = _train_split(run, recipe, parted, watcher)
            text = json.dumps(dataclasses.asdict(done[seed]), indent=1) + "\n"
            write_text(splits_folder(run) / f"{seed}.json", text)
        if on_split is not None:
            on_split(seed, done[seed])
    return [done[seed] for seed in range(1, k + 1)]


def _train_split(run: RunFolder, recipe: Recipe, parted: Resplit, watcher: Watcher | None) -> SplitLosses:
    """Train once, in a folder that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="cutaway-split-") as name:
        place = Path(name)
        files = place / "train.jsonl", place / "held_out.jsonl"
        write_conversations(files[0], parted.train)
        write_conversations(files[1], parted.held_out)
        again = train(with_split(recipe, *files, run.path.parent), name="split", watcher=watcher, runs=place / "runs")
        summary = again.summary() or {}
        if summary.get("status") != "finished":
            raise RunError(f"split {parted.seed} of run {run.name!r} was stopped; the same command goes on with it")
        before, after = summary["before"], summary["after"]
        return SplitLosses(
            parted.seed,
            parted.held_out_sources,
            parted.held_out_share,
            summary["steps"],
            before["held_out"]["bits_per_byte"],
            after["held_out"]["bits_per_byte"],
            after["train"]["loss"],
            after["held_out"]["loss"],
        )


def with_split(recipe: Recipe, train_file: Path, held_out_file: Path, runs: Path) -> Recipe:
    """Return a run's recipe on other files, with nothing written on the way.

    Args:
        runs: where the base is looked for.
    """
    assert recipe.tune is not None
    base = recipe.tune.base
    data = dataclasses.replace(recipe.data, source=str(train_file), held_out=str(held_out_file), text_hash=None)
    settings = dataclasses.replace(recipe.train, sample_every=0, keep_checkpoints="few")
    tune = dataclasses.replace(recipe.tune, base=base if base.startswith("hf:") else str(find_base(base, runs)))
    return dataclasses.replace(recipe, data=data, train=settings, tune=tune, start=StartConfig())
