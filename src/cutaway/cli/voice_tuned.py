"""A tuned run with what it came from: its model, its base, and the folder of writing it learned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cutaway.base.errors import RunError, UsageError
from cutaway.base.runs import RunFolder, open_run
from cutaway.cli.generate import check_exists

if TYPE_CHECKING:
    from cutaway.voice.answers import Speaker


@dataclass(frozen=True)
class Tuned:
    """Where everything of a tuned run lies."""

    run: RunFolder
    base: str
    """The model it began with: a run, a folder or a model of the Hub."""
    writing: Path

    def speaker(self) -> Speaker:
        """Return the run's model, to be asked."""
        return open_speaker(str(self.run.path))

    def base_speaker(self) -> Speaker:
        """Return its base, to be asked."""
        check_exists(self.base)
        return open_speaker(self.base)


def find_tuned(name: str, base: str = "", writing: Path | None = None) -> Tuned:
    """Return a run's folder, its base and its writing; what its recipe does not say must be given.

    Raises:
        UsageError: there is no such run, or nothing says what it began with or what it learned.
    """
    from cutaway.run_facts import read_recipe

    try:
        run = open_run(name)
    except RunError as error:
        raise UsageError(str(error)) from None
    recipe = read_recipe(run)
    tune = getattr(recipe, "tune", None)
    base = base or (tune.base if tune else "")
    if not base:
        raise UsageError(f"run {run.name!r} was not tuned from a base; name the model to compare with: --base MODEL")
    if writing is None:
        source = Path(recipe.data.source)
        writing = source.parent if source.name == "train.jsonl" else Path("voice")
    return Tuned(run, base, writing)


def open_speaker(name: str) -> Speaker:
    """Return a run's or a folder's model with the folder its chat template lies in."""
    from cutaway.cli.lens_model import open_model
    from cutaway.interop.fetch import find_folder
    from cutaway.voice.answers import Speaker

    model, tokenizer = open_model(name)
    if not name.startswith("hf:") and not (Path(name) / "config.json").is_file():
        run = open_run(name)
        return Speaker(run.name, model, tokenizer, run.model_folder)
    return Speaker(name, model, tokenizer, find_folder(name))
