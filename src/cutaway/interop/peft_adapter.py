"""LoRA adapters as `peft` keeps them, both ways: adapter_config.json and adapter_model.safetensors.

A and B lie as peft holds them, A: R x inputs, B: outputs x R, whichever way round the matrix beside them is stored
(`fan_in_fan_out` is about that matrix). GPT-2 has query, key and value in one matrix and so one A for the three:

- reading, the three parts share that A and each takes its rows of B;
- writing three that share A is that in reverse. Three with an A each become one of three times the rank,
  A = [A_q; A_k; A_v] and B with a block for each: the same correction exactly. A note in the file has the blocks
  read back as three.

A setting that would change the numbers and is not known here is refused.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cutaway.base.errors import ModelFormatError, UsageError
from cutaway.base.files import replacing_folder
from cutaway.base.tensor_file import save_tensors
from cutaway.interop.folder_files import read_json
from cutaway.interop.hub_folder import choose_layout
from cutaway.interop.layout import Piece, setting
from cutaway.interop.safetensors_file import DTYPES, StoredTensor, read_header
from cutaway.models.config import ModelConfig

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
PREFIX = "base_model.model."
NOTE = "cutaway_apart"
"""Metadata: the parts of a matrix that have an A each, with commas between."""

BASE_NOTE = "cutaway_base"
"""Metadata: the hash of the model it was trained on."""

FOLLOWED = {"peft_type", "r", "lora_alpha", "lora_dropout", "rank_pattern", "alpha_pattern", "use_rslora", "bias"}
WITHOUT_EFFECT = {
    "auto_mapping",
    "base_model_name_or_path",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "target_modules",
    "task_type",
}
"""They say where adapters go, which the tensors' names say too, or nothing about the numbers."""


@dataclass(frozen=True)
class Factors:
    """One layer's correction, scale * B A."""

    A: Float[Tensor, "R I"]
    B: Float[Tensor, "O R"]
    scale: float


Shapes = dict[str, torch.Size]


def read_adapter(folder: Path, config: ModelConfig, shapes: Shapes) -> tuple[dict[str, Factors], float]:
    """Return the corrections by our layers' names, and the share of dropout.

    Layers that share one A have the same tensor.

    Args:
        config: of the model they are for.
        shapes: of its layers' weights, by our names.

    Raises:
        ModelFormatError: there is nothing to load, or it cannot be loaded faithfully for this model.
    """
    if not folder.is_dir():
        raise ModelFormatError(f"there is no folder {folder.absolute()}; expected one with {CONFIG} and {WEIGHTS}")
    file = folder / WEIGHTS
    if not file.is_file():
        if (folder / PICKLE).is_file():
            raise ModelFormatError(
                f"{folder} has its adapter in {PICKLE}, a pickle, which can run any code when opened; only "
                f"safetensors are read: ask for that version, or convert it where you trust it"
            )
        raise ModelFormatError(f"there is no adapter in {folder}: expected {WEIGHTS}")
    try:
        settings = read_settings(read_json(folder / CONFIG))
        stored, apart = read_header(file), read_note(file)
        factors = read_factors(config, shapes, settings, stored, apart)
    except ModelFormatError as error:
        if str(folder) in str(error):
            raise
        raise ModelFormatError(f"cannot load the adapter {folder}: {error}") from error
    except (OSError, SafetensorError) as error:
        raise ModelFormatError(f"cannot read the adapter {folder}: {error}") from error
    return factors, settings.dropout


@dataclass(frozen=True)
class Settings:
    """What adapter_config.json says that matters for the numbers."""

    rank: int
    alpha: float
    dropout: float
    ranks: dict[str, Any]
    alphas: dict[str, Any]
    by_root: bool
    """Whether alpha is divided by the root of the rank (Kalajdzievski 2023, arXiv:2312.03732)."""

    def scale(self, name: str, rank: int) -> float:
        """Return the factor of one layer's B A."""
        alpha = matching(self.alphas, name, self.alpha)
        return alpha / rank**0.5 if self.by_root else alpha / rank


def matching(pattern: dict[str, Any], name: str, default: Any) -> Any:
    """Return the first entry whose key, a regular expression, ends the name; peft's rule."""
    for key, value in pattern.items():
        try:
            if re.match(rf"(.*\.)?({key})$", name):
                return value
        except re.error as error:
            raise ModelFormatError(f"{CONFIG} has the pattern {key!r}, which is none ({error})") from error
    return default


def read_settings(content: dict[str, Any]) -> Settings:
    """Return the settings, refusing those that ask for another kind of correction."""
    kind = setting(content, "peft_type", str)
    if kind != "LORA":
        raise ModelFormatError(f"{CONFIG} says peft_type = {kind!r}; expected 'LORA'")
    if content.get("bias", "none") != "none":
        raise ModelFormatError(f"{CONFIG} says bias = {content['bias']!r}; only 'none' is supported")
    if content.get("init_lora_weights", True) not in (True, False, None, "gaussian"):
        raise ModelFormatError(
            f"{CONFIG} says init_lora_weights = {content['init_lora_weights']!r}, which may change the base's weights "
            f"too; convert it to a plain LoRA when saving (peft: path_initial_model_for_weight_conversion)"
        )
    for name, value in content.items():
        if name not in FOLLOWED | WITHOUT_EFFECT | {"init_lora_weights"} and value not in (None, False, [], {}):
            raise ModelFormatError(f"{CONFIG} says {name} = {value!r}, which is not supported")
    return Settings(
        rank=setting(content, "r", int, 8),
        alpha=setting(content, "lora_alpha", float, 8.0),
        dropout=setting(content, "lora_dropout", float, 0.0),
        ranks=setting(content, "rank_pattern", dict, {}),
        alphas=setting(content, "alpha_pattern", dict, {}),
        by_root=setting(content, "use_rslora", bool, False),
    )


def read_note(file: Path) -> list[str]:
    """Return which parts of one matrix have an A each."""
    with safe_open(file, framework="pt") as opened:
        note = (opened.metadata() or {}).get(NOTE, "")
    return note.split(",") if note else []


def read_factors(
    config: ModelConfig, shapes: Shapes, settings: Settings, stored: dict[str, StoredTensor], apart: list[str]
) -> dict[str, Factors]:
    """Return the corrections, after checking that each tensor has a place and fits it."""
    layout = choose_layout(config, None)
    matrices = matrices_of(config)
    names = {name: name for name in matrices}
    if not any(name.startswith(PREFIX + layout.prefix) for name in stored):
        names = {name.removeprefix(layout.prefix): name for name in matrices}
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in stored.items():
        path, _, factor = name.removeprefix(PREFIX).rpartition(".lora_")
        if path not in names or factor not in ("A.weight", "B.weight"):
            there = ", ".join(dict.fromkeys(_short(matrix) for matrix in matrices))
            raise ModelFormatError(f"it has {name}, for which the model has no place; the model has {there}")
        if tensor.dtype not in DTYPES or len(tensor.shape) != 2:
            raise ModelFormatError(f"{name} is {tensor.dtype} of shape {tensor.shape}; expected a matrix of floats")
        rows = [part for _, part in tensor.pieces()]
        found.setdefault(names[path], {})[factor[0]] = torch.cat(rows) if rows else torch.empty(tensor.shape)
    if not found:
        raise ModelFormatError(f"{WEIGHTS} is empty; save the adapter again")
    factors: dict[str, Factors] = {}
    for name, pair in ((name, found[name]) for name in matrices if name in found):
        if missing := {"A", "B"} - set(pair):
            raise ModelFormatError(f"it has only one half of the correction of {name}: lora_{missing.pop()} is missing")
        parts = matrices[name]
        heights = [shapes[_layer(part)][0] for part in parts]
        rank, width, height = pair["A"].shape[0], shapes[_layer(parts[0])][1], sum(heights)
        if rank != (said := matching(settings.ranks, name, settings.rank)) or rank == 0:
            raise ModelFormatError(f"lora_A of {name} has rank {rank}, but {CONFIG} says {said}")
        for factor, shape in (("A", (rank, width)), ("B", (height, rank))):
            if tuple(pair[factor].shape) != shape:
                raise ModelFormatError(
                    f"lora_{factor} of {name} has shape {tuple(pair[factor].shape)}, but the model makes it {shape}; "
                    f"it is an adapter of another model"
                )
        scale = settings.scale(name, rank)
        split = [Factors(pair["A"], B, scale) for B in pair["B"].split(heights)]
        if len(parts) > 1 and apart:
            split = _blocks(split, [_layer(part).rpartition(".")[2] in apart for part in parts])
        factors |= {_layer(part): factor for part, factor in zip(parts, split, strict=True) if factor.A.numel()}
    return factors


def _blocks(fused: list[Factors], has_own: list[bool]) -> list[Factors]:
    """Return each part with its own rows of the common A (none where it has none), or all as they are where
    the blocks are no longer blocks."""
    A, n_own = fused[0].A, sum(has_own)
    if n_own == 0 or len(A) % n_own:
        return fused
    rank, split, first = len(A) // n_own, [], 0
    for factor, own in zip(fused, has_own, strict=True):
        last = first + rank if own else first
        outside = torch.cat([factor.B[:, :first], factor.B[:, last:]], dim=1)
        if outside.any():
            return fused
        split.append(Factors(A[first:last].clone(), factor.B[:, first:last].contiguous(), factor.scale))
        first = last
    return split


def write_adapter(
    path: Path,
    config: ModelConfig,
    factors: dict[str, Factors],
    dropout: float,
    base: str | None,
    base_hash: str = "",
) -> None:
    """Write corrections, by our layers' names, as a folder that `peft` loads beside the model's own folder.

    Args:
        base_hash: what `adapter_folder.hash_base` says of the base, to notice when it is another one later.
    """
    stored: dict[str, Factors] = {}
    apart: dict[str, None] = {}
    for name, parts in matrices_of(config).items():
        layers = [_layer(part) for part in parts if _layer(part) in factors]
        own = [factors[layer] for layer in layers]
        if len(parts) == 1 and own:
            stored[name] = own[0]
        elif own and len(own) == len(parts) and all(factor.A is own[0].A for factor in own):
            stored[name] = Factors(own[0].A, torch.cat([factor.B for factor in own]), own[0].scale)
        elif own:
            if len({(factor.scale, factor.B.shape[1]) for factor in own}) > 1:
                raise UsageError(f"the parts of {name} have corrections of different rank or scale; give them the same")
            columns = {_layer(part): part.columns for part in parts}
            B = own[0].B.new_zeros(_height(parts), sum(len(factor.A) for factor in own))
            first = 0
            for layer, factor in zip(layers, own, strict=True):
                B[columns[layer], first : first + len(factor.A)] = factor.B
                first += len(factor.A)
                apart[layer.rpartition(".")[2]] = None
            stored[name] = Factors(torch.cat([factor.A for factor in own]), B, own[0].scale)
    settings = write_settings(config, stored, dropout, base)
    tensors = {
        f"{PREFIX}{name}.lora_{half}.weight": matrix.detach().contiguous()
        for name, factor in stored.items()
        for half, matrix in (("A", factor.A), ("B", factor.B))
    }
    note = ({NOTE: ",".join(apart)} if apart else {}) | ({BASE_NOTE: base_hash} if base_hash else {})
    with replacing_folder(path) as folder:
        (folder / CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        save_tensors(tensors, folder / WEIGHTS, {"format": "pt", **note})


def write_settings(config: ModelConfig, stored: dict[str, Factors], dropout: float, base: str | None) -> dict[str, Any]:
    """Return adapter_config.json's content; layers whose rank or scale differ from most are named."""
    complete: dict[str, list[str]] = {}
    for name in stored:
        complete.setdefault(_short(name), []).append(name)
    targets = [
        target for short, names in complete.items() for target in ([short] if len(names) == config.n_layers else names)
    ]
    pairs = [(len(factor.A), _alpha(factor)) for factor in stored.values()]
    rank, alpha = max(dict.fromkeys(pairs), key=pairs.count)
    ranks: dict[str, int] = {}
    alphas: dict[str, float] = {}
    for short, names in complete.items():
        same = len({(len(stored[name].A), _alpha(stored[name])) for name in names}) == 1
        for key, name in [(re.escape(short), names[0])] if same else [(re.escape(name), name) for name in names]:
            if (len(stored[name].A), _alpha(stored[name])) != (rank, alpha):
                ranks[key], alphas[key] = len(stored[name].A), _alpha(stored[name])
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "target_modules": targets,
        "rank_pattern": ranks,
        "alpha_pattern": alphas,
        "bias": "none",
        "fan_in_fan_out": choose_layout(config, None).model_type == "gpt2",
        "init_lora_weights": True,
        "use_rslora": False,
        "use_dora": False,
    }


def matrices_of(config: ModelConfig) -> dict[str, list[Piece]]:
    """Return the matrices of the blocks by their names in a folder, with the layers of ours each holds."""
    found: dict[str, list[Piece]] = {}
    for piece in choose_layout(config, None).pieces(config):
        if piece.ours.startswith("blocks.") and piece.ours.endswith("_proj.weight"):
            found.setdefault(piece.stored.removesuffix(".weight"), []).append(piece)
    return found


def _layer(piece: Piece) -> str:
    return piece.ours.removesuffix(".weight")


def _height(parts: list[Piece]) -> int:
    return max(part.columns.stop for part in parts if part.columns is not None)


def _short(name: str) -> str:
    """Return a matrix's name within its block, as attn.c_proj."""
    return ".".join(name.split(".")[-2:])


def _alpha(factor: Factors) -> float:
    alpha = factor.scale * len(factor.A)
    return round(alpha) if abs(alpha - round(alpha)) < 1e-9 else alpha
