"""The files of a model folder as far as they can be read without PyTorch: its settings, and what its weights hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cutaway.base.errors import ModelFormatError, TokenizerError, suggest
from cutaway.interop.gpt2_folder import GPT2
from cutaway.interop.layout import Layout, refuse, setting
from cutaway.interop.llama_folder import LLAMA
from cutaway.interop.own_folder import OWN
from cutaway.interop.safetensors_file import StoredTensor, read_header

LAYOUTS = {layout.model_type: layout for layout in (GPT2, LLAMA, OWN)}
INDEX = "model.safetensors.index.json"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt")


def tokenizer_kind(folder: Path) -> str:
    """Return the kind of a folder's tokenizer, empty where it has none."""
    from cutaway.text.characters import CharacterTokenizer
    from cutaway.text.tokenizer_files import read_json as read_tokenizer

    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        return ""
    if not (folder / "tokenizer.json").is_file():
        return "bpe"
    try:
        characters = CharacterTokenizer.from_json(read_tokenizer(folder / "tokenizer.json"))
    except TokenizerError as error:
        raise ModelFormatError(str(error)) from error
    return "bpe" if characters is None else "characters"


def find_layout(settings: dict[str, Any]) -> Layout:
    """Return the layout config.json asks for."""
    model_type = setting(settings, "model_type", str)
    if model_type not in LAYOUTS:
        raise ModelFormatError(
            f"models of type {model_type!r} are not supported{suggest(model_type, LAYOUTS)}; "
            f"expected one of {sorted(LAYOUTS)}"
        )
    refuse(settings, "quantization_config", "weights in few bits")
    return LAYOUTS[model_type]


def read_headers(folder: Path) -> dict[str, StoredTensor]:
    """Return all tensors the folder's safetensors files hold, in one file or in shards."""
    single, index = folder / "model.safetensors", folder / INDEX
    if single.is_file():
        return read_header(single)
    if not index.is_file():
        raise no_weights(folder)
    shard_of = setting(read_json(index), "weight_map", dict)
    stored: dict[str, StoredTensor] = {}
    for shard in sorted({str(name) for name in shard_of.values()}):
        if Path(shard).name != shard or not (folder / shard).is_file():
            raise ModelFormatError(f"{index} names the shard {shard!r}, which is not there; download it again")
        stored |= read_header(folder / shard)
    for name, shard in shard_of.items():
        if name not in stored or stored[name].file.name != shard:
            raise ModelFormatError(f"{index} says tensor {name} is in {shard}, but it is not; copy both again")
    return stored


def no_weights(folder: Path) -> ModelFormatError:
    """Return why there is nothing to load, pickled weights above all."""
    pickles = sorted(f.name for f in folder.iterdir() if f.suffix in (".bin", ".pt", ".pth", ".ckpt"))
    if pickles:
        return ModelFormatError(
            f"{folder} has its weights in {pickles[0]}, a pickle, which can run any code when opened; only "
            f"safetensors are read: ask for that version, or convert it where you trust it"
        )
    return ModelFormatError(f"there are no weights in {folder}: expected model.safetensors or {INDEX}")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object a JSON file holds.

    Raises:
        ModelFormatError: it is missing or not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelFormatError(f"there is no {path.name} in {path.parent}, so it is not a model folder") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ModelFormatError(f"{path} is not JSON ({error}); copy or download it again") from error
    if not isinstance(content, dict):
        raise ModelFormatError(f"{path} is not a JSON object; copy or download it again")
    return content
