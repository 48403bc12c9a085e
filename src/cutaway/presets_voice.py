"""The recipe of a tuned run, from a model and a folder of pairs. Importing this loads nothing heavy."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from cutaway.base.errors import DataError, UsageError
from cutaway.generate.config import SamplingConfig
from cutaway.interop.conversations import read_conversations
from cutaway.models.config import GPTConfig, ModelConfig
from cutaway.recipe import Recipe
from cutaway.text.config import DataConfig
from cutaway.train.config import TrainConfig
from cutaway.tune.config import Method, TuneConfig, default_epochs, default_rate
from cutaway.tune.find_base import base_config, find_base

PREFERENCE_RATE, PREFERENCE_EPOCHS = 0.2, 2.0
"""Of the rate of tuning on answers, and how often the pairs are gone through: preferring goes astray sooner."""
ENDINGS = (".jsonl", ".txt", ".json")


def tuned(
    base: str, writing: str | Path = "voice", method: Method = "lora", runs: Path | None = None, **tune: Any
) -> Recipe:
    """Return the recipe that tunes a model on pairs, with a rate for its width and the method.

    Args:
        base: a run's name, a model folder, or hf:owner/name.
        writing: what `cutaway voice pairs` wrote (train.jsonl, held_out.jsonl), or one file of conversations.
        runs: the folder that holds the runs.
        tune: further fields of `TuneConfig`.

    Raises:
        CutawayError: there is no such model, or there are no pairs.
    """
    train, held_out = pairs_of(Path(writing))
    shape = base_config(find_base(base, runs))
    data = DataConfig(source=str(train), held_out=str(held_out or ""), documents="conversation")
    return tuning(TuneConfig(base=base, method=method, **tune), data, shape, len(read_conversations(train)))


def tuning(tune: TuneConfig, data: DataConfig, shape: ModelConfig, n_pairs: int) -> Recipe:
    """Return the recipe for a base of this shape and so many pairs.

    AdamW with a cosine that warms up for a tenth; measured about fifteen times, ended after four measurements without
    gain. Corrections get no weight decay: it would pull the model back to its base.
    """
    return Recipe(
        name=f"tuned-{tune.method}",
        data=data,
        model=shape,
        train=TrainConfig(
            epochs=default_epochs(tune.method, n_pairs),
            batch_size=4,
            optimizer="adamw",
            learning_rate=default_rate(tune.method, shape.d_model),
            weight_decay=0.0 if tune.has_adapters else 0.1,
            beta2=0.99,
            schedule="cosine",
            warmup_fraction=0.1,
            patience=4,
            compile="off",
        ),
        generate=SamplingConfig(max_tokens=200, temperature=0.8),
        tune=tune,
    )


def example_recipe(method: Method = "lora") -> Recipe:
    """Return the recipe for a base the size of GPT-2 and 300 pairs, before one knows base and pairs."""
    data = DataConfig(source="voice/train.jsonl", held_out="voice/held_out.jsonl", documents="conversation")
    return tuning(TuneConfig(method=method), data, GPTConfig(d_model=768), 300)


def preferring(base: str, pairs: Path, held_out: Path, method: Method = "lora", runs: Path | None = None) -> Recipe:
    """Return the recipe that tunes a model on pairs of answers (DPO), more carefully than on answers alone.

    Args:
        base: the model whose answers are rejected: a tuned run's name, or a model folder.
        pairs: a file of preferences, as `tune/preferences.py` writes them.
        held_out: another one, never trained on.
        runs: the folder that holds the runs.

    Raises:
        CutawayError: there is no such model.
    """
    shape = base_config(find_base(base, runs))
    data = DataConfig(source=str(pairs), held_out=str(held_out), documents="conversation")
    tune = TuneConfig(base=base, method=method, task="preferences", too_long="skip")
    start = tuning(tune, data, shape, 1)
    train = dataclasses.replace(
        start.train,
        epochs=PREFERENCE_EPOCHS,
        learning_rate=float(f"{default_rate(method, shape.d_model) * PREFERENCE_RATE:.2g}"),
        weight_decay=0.0,
        precision="float32",  # a margin is a small difference of large sums
    )
    return dataclasses.replace(start, name="preferred", train=train)


def pairs_of(writing: Path) -> tuple[Path, Path | None]:
    """Return the file to learn and the file held out (None: to be split off).

    Raises:
        DataError: there are no pairs.
        UsageError: there is no such folder.
    """
    if writing.is_file():
        return writing, None
    if not writing.is_dir():
        raise UsageError(f"there is no folder {str(writing)!r}; make one with `cutaway voice import EXPORT`")
    found = {side: _one_of(writing, side) for side in ("train", "held_out")}
    if found["train"] is None:
        raise DataError(f"{writing} has no train.jsonl yet; make it with `cutaway voice pairs {writing}`")
    held = found["held_out"]
    return found["train"], held if held is not None and held.stat().st_size else None


def _one_of(folder: Path, side: str) -> Path | None:
    return next((path for ending in ENDINGS if (path := folder / f"{side}{ending}").is_file()), None)
