"""Checkpoints: everything needed to go on as if nothing had happened.

    checkpoints/<step>/model.safetensors       weights
                       optimizer.safetensors   the optimizer's memory, named <parameter>:<what>
                       average.safetensors     the running average of the weights, where there is one (`train/ema.py`)
                       state.json              step, position in the data, best loss; SHA-256 of those files

Random numbers and data need no state: both are pure functions of the seed and the step. A checkpoint is written aside,
flushed and renamed, so a folder with a number for a name is whole; its hashes tell if it was damaged later. Nothing is
unpickled.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from cutaway.base.errors import CheckpointError
from cutaway.base.files import file_hash, replacing_folder
from cutaway.base.tensor_file import save_tensors
from cutaway.train.distributed import like, whole

Tensors = dict[str, Tensor]


@dataclass
class TrainState:
    """Where a run is."""

    step: int = 0
    """Optimizer updates made."""
    tokens: int = 0
    """Tokens trained on."""
    seconds: float = 0.0
    """Time spent training, in all sessions, measurements and samples included."""
    best_step: int = 0
    """The step with the lowest validation loss so far; 0 before the first."""
    best_loss: float = float("inf")
    """That loss in nats a token."""
    since_best: int = 0
    """Measurements made since."""


def state_of(model: nn.Module) -> Tensors:
    """Return what a checkpoint holds of a model, by name: its weights, each shared tensor once, and its buffers.

    Of a model part of which rests (LoRA), only what learns: the rest is where it came from.
    """
    learning: Tensors = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if len(learning) < sum(1 for _ in model.parameters()):
        return learning
    kept = model.state_dict().keys()
    return learning | {name: tensor for name, tensor in model.named_buffers() if name in kept}


def model_tensors(model: nn.Module) -> Tensors:
    """Return what a checkpoint holds of a model, gathered from all ranks."""
    return {name: whole(tensor.detach()) for name, tensor in state_of(model).items()}


def optimizer_tensors(model: nn.Module, optimizers: Iterable[torch.optim.Optimizer]) -> Tensors:
    """Return what the optimizers remember, as `<parameter>:<what>`, gathered from all ranks."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}:{key}": whole(value)
        for optimizer in optimizers
        for parameter, memory in optimizer.state.items()
        for key, value in memory.items()
    }


def restore(model: nn.Module, optimizers: Iterable[torch.optim.Optimizer], weights: Tensors, memories: Tensors) -> None:
    """Put a checkpoint's tensors back in place.

    Raises:
        CheckpointError: names or shapes differ from the model's.
    """
    parameters = dict(model.named_parameters())
    targets = state_of(model)
    if odd := sorted(targets.keys() ^ weights.keys()):
        raise CheckpointError(f"the checkpoint is of another model: {odd[0]!r} is in only one of the two")
    with torch.no_grad():
        for name, target in targets.items():
            if target.shape != weights[name].shape:
                raise CheckpointError(
                    f"the checkpoint is of another model: {name!r} has shape {list(weights[name].shape)} there, "
                    f"{list(target.shape)} here"
                )
            target.copy_(like(weights[name], target))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                optimizer.state.pop(parameter, None)
    owner = {p: optimizer for optimizer in optimizers for g in optimizer.param_groups for p in g["params"]}
    for key, value in memories.items():
        name, _, what = key.rpartition(":")
        if name not in parameters:
            raise CheckpointError(f"the checkpoint is of another model: it remembers {name!r}, which is not here")
        parameter = parameters[name]
        is_spread = value.shape == parameter.shape
        if is_spread:
            # In the parameter's own order of memory (channels may come last): fused optimizers walk through both alike.
            remembered = torch.empty_like(parameter, dtype=value.dtype).copy_(like(value, parameter))
        else:
            remembered = value.clone()
        owner[parameter].state[parameter][what] = remembered


def save_checkpoint(
    folder: Path, state: TrainState, weights: Tensors, memories: Tensors, average: Tensors | None = None
) -> Path:
    """Write `folder/<step>` whole or not at all; return its path."""
    path = folder / str(state.step)
    files = {"model": weights, "optimizer": memories} | ({} if average is None else {"average": average})
    with replacing_folder(path) as aside:
        for name, tensors in files.items():
            save_tensors(tensors, aside / f"{name}.safetensors")
        hashes = {f"{name}.safetensors": file_hash(aside / f"{name}.safetensors") for name in files}
        record = {"format": 1, **dataclasses.asdict(state), "sha256": hashes}
        (aside / "state.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


def load_checkpoint(path: Path) -> tuple[TrainState, Tensors, Tensors]:
    """Read a checkpoint after checking that nothing in it has changed.

    Raises:
        CheckpointError: a file is missing, truncated or altered; an earlier checkpoint is offered.
    """
    try:
        record = json.loads((path / "state.json").read_text(encoding="utf-8"))
        hashes = record.pop("sha256")
        record.pop("format")
        state = TrainState(**record)
        for name, expected in hashes.items():
            if file_hash(path / name) != expected:
                raise CheckpointError(f"{path / name} has changed since it was written (truncated or altered)")
        return state, load_file(path / "model.safetensors"), load_file(path / "optimizer.safetensors")
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {_way_out(path)}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"checkpoint {path} cannot be read ({error}); {_way_out(path)}") from None


def load_weights(path: Path) -> Tensors:
    """Read a checkpoint's weights only, after checking that they have not changed.

    Raises:
        CheckpointError: they are missing, truncated or altered.
    """
    return _load_one(path, "model")


def load_average(path: Path) -> Tensors | None:
    """Read the average of the weights at a checkpoint, after checking that it has not changed; None: there is none.

    Raises:
        CheckpointError: it is truncated or altered.
    """
    return _load_one(path, "average") if (path / "average.safetensors").exists() else None


def _load_one(path: Path, name: str) -> Tensors:
    file = path / f"{name}.safetensors"
    try:
        expected = json.loads((path / "state.json").read_text(encoding="utf-8"))["sha256"][file.name]
        if file_hash(file) != expected:
            raise CheckpointError(f"{file} has changed since it was written (truncated or altered)")
        return load_file(file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"checkpoint {path} cannot be read ({error})") from None


def _way_out(path: Path) -> str:
    earlier = [other for other in list_checkpoints(path.parent) if int(other.name) < int(path.name)]
    if earlier:
        return f"delete that folder to go on from step {earlier[-1].name}"
    return "there is no earlier one, so the run cannot be continued; repeat it from its recipe.toml"


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the whole checkpoints, earliest first (leftovers of a killed process have names that start with a dot)."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


def prune(folder: Path, keep: Iterable[int]) -> None:
    """Delete all checkpoints but those of the steps to keep, and leftovers of killed processes."""
    steps = set(keep)
    for path in folder.iterdir():
        if path.name.startswith(".") or (path.name.isdigit() and int(path.name) not in steps):
            shutil.rmtree(path, ignore_errors=True)
