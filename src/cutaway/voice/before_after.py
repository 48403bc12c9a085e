"""A tuned model and the model it began with, opened side by side.

The base is what the run's recipe says, or what the adapter was made for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cutaway.base.errors import DataError, RunError, UsageError
from cutaway.base.runs import RunFolder
from cutaway.interop.adapter_folder import find_adapter_base, is_adapter
from cutaway.interop.conversations import read_conversations
from cutaway.interop.hub_folder import load_folder
from cutaway.interop.peft_adapter import Factors, read_adapter
from cutaway.models.decoder import Decoder
from cutaway.text.tokenizer import Tokenizer
from cutaway.tune.chat_form import chat_form
from cutaway.tune.examples import Example, make_examples
from cutaway.tune.find_base import find_base
from cutaway.voice.tuned_run import read_recipe, tune_settings


@dataclass(frozen=True)
class BeforeAfter:
    """Both models."""

    base: Decoder
    tuned: Decoder
    tokenizer: Tokenizer
    factors: dict[str, Factors] | None
    """Of a LoRA: its corrections by layer."""
    folder: Path
    """The tuned model's, where its chat template lies."""
    base_folder: Path


def open_both(folder: Path, base_folder: Path | None = None) -> BeforeAfter:
    """Open a model folder, or an adapter's, and the model it began with.

    Args:
        base_folder: left out: the one the adapter is for.

    Raises:
        UsageError: nothing says what it began with.
        TokenizerError: it has no tokenizer.
    """
    is_lora = is_adapter(folder)
    if base_folder is None and not is_lora:
        raise UsageError(f"{folder} does not say which model it was tuned from; name it with --base")
    base_folder = base_folder or find_adapter_base(folder)
    base, _ = load_folder(base_folder)
    tuned, words = load_folder(folder)
    factors = None
    if is_lora:
        shapes = {name.removesuffix(".weight"): parameter.shape for name, parameter in base.named_parameters()}
        factors, _ = read_adapter(folder, base.config, shapes)
    if words is None:
        raise UsageError(f"{folder} has no tokenizer.json, so text cannot become tokens; copy the model's into it")
    return BeforeAfter(base, tuned, words, factors, folder, base_folder)


def open_tuned(run: RunFolder, base: str = "") -> BeforeAfter:
    """Open a tuned run's model and its base.

    Args:
        base: left out: what the recipe says.

    Raises:
        RunError: it has no model yet, or was not tuned from another.
    """
    if not run.model_folder.is_dir():
        raise RunError(f"run {run.name!r} has no model yet; it is saved at its first measurement")
    named = base or str(tune_settings(run).get("base", ""))
    if not named and not is_adapter(run.model_folder):
        raise RunError(f"run {run.name!r} was not tuned from another model; name one to compare with: --base MODEL")
    return open_both(run.model_folder, find_base(named, run.path.parent) if named else None)


def held_out_examples(run: RunFolder, both: BeforeAfter) -> tuple[list[Example], bool]:
    """Return the pairs a run was measured on, and whether they were held out (else it learned them).

    Raises:
        DataError: they are not there any more.
    """
    recipe = read_recipe(run)
    data = recipe.get("data", {})
    for side in ("held_out", "source"):
        named = str(data.get(side) or "")
        places = [Path(named), run.path.absolute().parents[1] / named]  # as typed beside the folder of runs
        if named and (path := next((place for place in places if place.is_file()), None)):
            form = chat_form(both.folder, both.tokenizer)
            limit = both.tuned.config.context_length
            return make_examples(read_conversations(path), form, limit, "skip", path.name).kept, side == "held_out"
    raise DataError(f"the pairs run {run.name!r} learned ({data.get('source')}) are not there; give a text with --file")
