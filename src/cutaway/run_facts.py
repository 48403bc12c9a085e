"""What there is to say about runs, read from their folders without torch: facts, reasons, differences of recipes."""

from __future__ import annotations

import dataclasses
import math
import re
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cutaway.base.columns import JsonColumns
from cutaway.base.errors import RunError, UsageError
from cutaway.base.runs import RunFolder
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.interop.adapter_folder import holds_model
from cutaway.models.count import count_parameters
from cutaway.recipe import Recipe
from cutaway.recipe_paint import PaintRecipe, read_recipe_file, recipe_kind

PAINTER = "painter.json"
"""In a run's model folder: it paints."""


@dataclass(frozen=True)
class RunFacts:
    """The facts of one run. None: not known (yet)."""

    name: str
    kind: str
    """What is trained: `text`, or of pictures `unet`, `dit`, `contrastive` or `vae`."""
    status: str
    """`running`, `finished`, `failed` or `stopped` (can be continued)."""
    steps: int
    """Optimizer updates made."""
    total_steps: int | None
    """Updates its recipe asks for."""
    tokens: int
    """Tokens trained on; of pictures: pictures."""
    loss: float | None
    """Of the last step: in nats a token, of pictures in the unit of their objective."""
    validation_loss: float | None
    """Of the best weights."""
    bits_per_byte: float | None
    """Of the best weights; None: not of text."""
    best_step: int | None
    """The step with the lowest validation loss."""
    seconds: float
    """Time trained."""
    parameters: int | None
    created: str
    """UTC, ISO 8601."""
    ended: str | None
    reason: str | None
    """Why it failed or ended early, in one line."""
    advice: str | None
    """What to do about it."""
    source: str | None
    """The text or the pictures it learns from."""
    has_model: bool
    """Whether weights were saved that can write and be recorded."""
    can_paint: bool
    """Whether weights were saved that can paint."""
    checkpoints: list[int]
    """Steps of the checkpoints there are."""
    traces: list[str]
    """Names of the recordings of its steps."""
    parent: str | None
    """The run it branched from."""
    parent_step: int | None
    """The step at which it branched."""


def facts(run: RunFolder, columns: JsonColumns | None = None, told: str | None = None) -> RunFacts:
    """Return the facts of one run.

    Args:
        columns: of its metrics.jsonl, up to date, when they were read already.
        told: why it ended, as somebody else knows, should its folder not say so.
    """
    columns = columns or JsonColumns(run.path / "metrics.jsonl").refresh()
    status, summary = run.status(), run.summary() or {}
    if status == "running":
        summary = {}  # that of an earlier session
    try:
        recipe: Recipe | PaintRecipe | None = read_recipe(run)
    except RunError:
        recipe = None
    steps = int(columns.last("step") or 0)
    total = recipe.train.steps if recipe else None
    reason = summary.get("reason") or _silent_end(status, summary, steps, total, told)
    best_step, validation_loss, bits_per_byte = _best(columns)
    start = recipe.start if recipe else None
    return RunFacts(
        name=run.name,
        kind=kind_of(recipe) if recipe else "text",
        status=status,
        steps=steps,
        total_steps=total,
        tokens=int(columns.last("tokens") or 0),
        loss=finite(columns.last("loss")),
        validation_loss=finite(summary.get("validation_loss", validation_loss)),
        bits_per_byte=finite(summary.get("bits_per_byte", bits_per_byte)),
        best_step=best_step,
        seconds=columns.last("seconds") or 0.0,
        parameters=summary.get("parameters") or _parameters(recipe),
        created=_created(run),
        ended=summary.get("ended"),
        reason=reason,
        advice=advice(run, status, reason),
        source=source_of(recipe) if recipe else None,
        has_model=holds_model(run.model_folder),
        can_paint=isinstance(recipe, PaintRecipe) and recipe.paints and (run.model_folder / PAINTER).is_file(),
        checkpoints=checkpoint_steps(run),
        traces=trace_names(run),
        parent=run_name(start.run) if start and start.run else None,
        parent_step=start.step if start and start.run else None,
    )


def finite(value: float | None) -> float | None:
    """Return the number, or None where it is none (JSON has no word for those)."""
    return value if value is not None and math.isfinite(value) else None


def run_name(path: str) -> str:
    """Return the name of the run in a folder."""
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def _best(columns: JsonColumns) -> tuple[int | None, float | None, float | None]:
    rows, losses = columns.measured("validation_loss")
    if not len(rows) or not (losses == losses).any():
        return None, None, None
    best = min(range(len(losses)), key=lambda i: losses[i] if losses[i] == losses[i] else math.inf)
    step, bits = (_value_at(columns, name, int(rows[best])) for name in ("step", "bits_per_byte"))
    return None if step is None else int(step), float(losses[best]), bits


def _value_at(columns: JsonColumns, name: str, row: int) -> float | None:
    """Return a value, or None where it is not (any more: the file may be written anew while we read)."""
    rows, values = columns.measured(name)
    at = int(rows.searchsorted(row))
    return float(values[at]) if at < len(rows) and rows[at] == row else None


def kind_of(recipe: Recipe | PaintRecipe) -> str:
    """Return what a recipe trains: `text`, or the kind of a model of pictures."""
    return recipe.model.toml_kind if isinstance(recipe, PaintRecipe) else "text"


LOSS_UNITS = {
    "text": "nats a token",
    "unet": "mean squared error",
    "dit": "mean squared error",
    "contrastive": "nats a picture",
    "vae": "",
}
"""Of the losses, by what a run trains; a VAE's is a weighted sum of several."""


def kind_in(run: RunFolder) -> str:
    """Return what a run trains; `text` where its recipe cannot be read."""
    try:
        return kind_of(read_recipe(run))
    except RunError:
        return "text"


def source_of(recipe: Recipe | PaintRecipe) -> str:
    """Return the text or the pictures a recipe learns from."""
    return recipe.pictures.source if isinstance(recipe, PaintRecipe) else recipe.data.source


def _parameters(recipe: Recipe | PaintRecipe | None) -> int | None:
    if not isinstance(recipe, Recipe) or recipe.model.vocab_size is None:
        return None
    return count_parameters(recipe.model).total


def _created(run: RunFolder) -> str:
    """Return when the run started: its recipe says so in its first line, else the file's time."""
    with run.recipe_file.open(encoding="utf-8", errors="replace") as file:
        if found := re.search(r"started (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)", file.readline()):
            return found[1]
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(run.recipe_file.stat().st_mtime))


def checkpoint_steps(run: RunFolder) -> list[int]:
    """Return the steps of the whole checkpoints, earliest first."""
    if not run.checkpoints_folder.is_dir():
        return []
    return sorted(int(path.name) for path in run.checkpoints_folder.iterdir() if path.name.isdigit())


def trace_names(run: RunFolder) -> list[str]:
    """Return the names of the recordings in a run's folder."""
    folder = run.path / "traces"
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _silent_end(status: str, summary: dict[str, Any], steps: int, total: int | None, told: str | None) -> str | None:
    if status != "stopped" or summary or (total is not None and steps >= total):
        return None
    return told or "the process was killed (out of memory?) or the machine went off: it left no word"


ADVICE = (
    (
        "not a finite number",
        "branch from the last good checkpoint with a lower train.learning-rate or train.muon-learning-rate",
    ),
    ("disk is full", "free some room, then resume: nothing of the last checkpoint is lost"),
    ("was killed", "resume it; if memory ran out, a smaller train.batch-size or a larger train.accumulate needs less"),
    ("out of memory", "start it again with a smaller train.batch-size, a larger train.accumulate or a smaller model"),
    ("has changed since the run started", "put the text back as it was, or start a new run with the same recipe"),
    ("checkpoint", "remove the checkpoint that it names, then resume from the one before"),
)


def advice(run: RunFolder, status: str, reason: str | None) -> str | None:
    """Return what to do about a run that did not finish."""
    if status not in ("failed", "stopped"):
        return None
    for sign, what_to_do in ADVICE:
        if reason and sign in reason:
            return what_to_do
    if checkpoint_steps(run):
        return "resume it: it goes on from its last checkpoint exactly as if it had not stopped"
    return "resume it: it has no checkpoint yet and begins again"


def read_recipe(run: RunFolder) -> Recipe | PaintRecipe:
    """Return a run's recipe, of text or of pictures.

    Raises:
        RunError: it cannot be read.
    """
    try:
        return _recipe_in(run.recipe_file, run.recipe_file.stat().st_mtime_ns)
    except (UsageError, OSError) as error:
        raise RunError(f"the recipe of run {run.name!r} cannot be read: {error}") from None


def check_writes(run: RunFolder) -> None:
    """Check that a run's model writes text.

    Raises:
        RunError: the run has to do with pictures.
    """
    if recipe_kind(run.recipe_file) is PaintRecipe:
        recipe = read_recipe(run)
        raise RunError(
            f"run {run.name!r} has to do with pictures and writes no text (a {kind_of(recipe)} model of "
            f"{source_of(recipe)!r}); see `cutaway paint`"
        )


def writing_recipe(run: RunFolder) -> Recipe:
    """Return the recipe of a run whose model writes text.

    Raises:
        RunError: it cannot be read, or the run has to do with pictures.
    """
    check_writes(run)
    recipe = read_recipe(run)
    assert isinstance(recipe, Recipe)
    return recipe


@lru_cache(maxsize=1024)
def _recipe_in(path: Path, written_ns: int) -> Recipe | PaintRecipe:
    return read_recipe_file(path)


def differences(runs: list[RunFolder]) -> dict[str, list[Any]]:
    """Return the settings in which the runs' recipes differ, with each run's value."""
    flat = [flatten(dataclasses.asdict(read_recipe(run))) for run in runs]
    names = sorted(set().union(*flat))
    return {
        name: [settings.get(name) for settings in flat]
        for name in names
        if len({repr(settings.get(name)) for settings in flat}) > 1
    }


def flatten(settings: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Return nested settings by their dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        place = f"{path}.{name}" if path else name
        flat |= flatten(value, place) if isinstance(value, dict) else {place: value}
    return flat


def painter_of(run: RunFolder) -> tuple[Path, PaintSamplingConfig]:
    """Return a run's painter and how its samples are drawn.

    Raises:
        RunError: it does not paint, or not yet.
    """
    recipe = read_recipe(run)
    if not isinstance(recipe, PaintRecipe) or not recipe.paints:
        kind = kind_of(recipe)
        raise RunError(f"run {run.name!r} does not paint (it trains a model of kind {kind!r}); see `cutaway paint`")
    if not (run.model_folder / PAINTER).is_file():
        raise RunError(f"run {run.name!r} has no model yet; it is saved at the first measurement")
    return run.model_folder, recipe.sampling
