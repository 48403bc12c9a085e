"""A tuned run with what it came from: its model, its base, and the folder of writing it learned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cutaway.base.errors import RunError, UsageError
from cutaway.base.runs import RunFolder, open_run

if TYPE_CHECKING:
    from cutaway.voice.answers import Speaker
    from cutaway.voice.learned import Learned

PREFERENCES = "preferences-"
"""So begin files of answers preferred to others; what the writing taught is in train.jsonl beside them."""
SMALL = 20_000_000
"""Parameters of a model that one thread serves best."""


@dataclass(frozen=True)
class Tuned:
    """Where everything of a tuned run lies."""

    run: RunFolder
    base: str
    """The model it began with: a run, a folder or a model of the Hub."""
    writing: Path
    method: str = ""
    """`lora`, `full` or `lora4`, where it is known."""
    is_given: bool = False
    """Whether the folder was named, in place of the files the run learned."""

    def learned(self) -> Learned:
        """Return what the run was trained on and what was held out.

        Raises:
            DataError: the files are not there any more, or the sides are not apart.
        """
        from cutaway.run_facts import writing_recipe
        from cutaway.session_tuned import read_writing
        from cutaway.voice.exposure import PLANTED, read_secrets
        from cutaway.voice.learned import both_sides, learned, titles_of

        recipe = writing_recipe(self.run)
        if self.is_given or recipe.tune is None or Path(recipe.data.source).name.startswith(PREFERENCES):
            return learned(self.writing)
        both = read_writing(recipe)
        secrets = read_secrets(self.writing) if Path(recipe.data.source).name == PLANTED else ()
        return both_sides(both.train, both.held_out, titles_of(self.writing), secrets)

    def speaker(self) -> Speaker:
        """Return the run's model, to be asked."""
        return open_speaker(self.run.name, self.run.model_folder)

    def base_speaker(self) -> Speaker:
        """Return its base, to be asked."""
        from cutaway.tune.find_base import find_base

        folder = find_base(self.base)
        return open_speaker(self.base if self.base.startswith("hf:") else short_name(folder), folder)


def find_tuned(name: str, base: str = "", writing: Path | None = None) -> Tuned:
    """Return a run's folder, its base and its writing; what its recipe does not say must be given.

    Raises:
        UsageError: there is no such run, or nothing says what it began with or what it learned.
    """
    from cutaway.run_facts import writing_recipe

    try:
        run = open_run(name)
    except RunError as error:
        raise UsageError(str(error)) from None
    recipe = writing_recipe(run)
    base = base or (recipe.tune.base if recipe.tune else "")
    if not base:
        raise UsageError(f"run {run.name!r} was not tuned from a base; name the model to compare with: --base MODEL")
    if not run.model_folder.is_dir():
        raise RunError(f"run {run.name!r} has no model yet; it is saved at its first measurement")
    source = Path(recipe.data.source).parent if recipe.tune else Path("voice")
    return Tuned(run, base, writing or source, recipe.tune.method if recipe.tune else "", writing is not None)


def short_name(folder: Path) -> str:
    """Return what a model folder is called: a run's by the run."""
    return folder.parent.name if folder.name == "model" else folder.name


def open_speaker(name: str, folder: Path) -> Speaker:
    """Return a folder's model, with the folder its chat template lies in.

    Raises:
        TokenizerError: it has no tokenizer.
    """
    import torch

    from cutaway.base.errors import TokenizerError
    from cutaway.interop.hub_folder import load_folder
    from cutaway.voice.answers import Speaker

    model, tokenizer = load_folder(folder)
    if tokenizer is None:
        raise TokenizerError(f"{folder} has no tokenizer.json, so text cannot become tokens; copy the model's into it")
    if sum(p.numel() for p in model.parameters()) < SMALL:
        torch.set_num_threads(1)
    return Speaker(name, model, tokenizer, folder)
