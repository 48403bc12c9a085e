"""What a model folder says of itself, read without PyTorch; of an adapter's folder, of the model with its corrections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cutaway.base.errors import ConfigError, ModelFormatError
from cutaway.interop.adapter_folder import chain, tokenizer_folder
from cutaway.interop.folder_files import ADAPTER_WEIGHTS, find_layout, read_headers, read_json, tokenizer_kind
from cutaway.interop.own_folder import OWN
from cutaway.interop.safetensors_file import DTYPES, read_header
from cutaway.models.config import ModelConfig


@dataclass(frozen=True)
class FolderFacts:
    """What a model folder says of itself."""

    family: str
    """`gpt2`, `llama`, or for our own kind `gpt`."""
    config: ModelConfig
    dtype: str
    """Precision of the stored weights."""
    size_bytes: int
    """Of the stored weights."""
    tokenizer: str
    """`characters`, `bpe`, or empty where there is none."""


def folder_facts(folder: Path) -> FolderFacts:
    """Return what a model folder says of itself.

    Raises:
        ModelFormatError: it is not a folder this version can load.
    """
    links = chain(folder)
    settings = read_json(links[-1] / "config.json")
    layout = find_layout(settings)
    try:
        config = layout.read_settings(settings)
    except ConfigError as error:
        raise ModelFormatError(f"{links[-1] / 'config.json'} describes a model that cannot be: {error}") from error
    stored = read_headers(links[-1])
    corrections = [tensor for link in links[:-1] for tensor in read_header(link / ADAPTER_WEIGHTS).values()]
    dtypes = {tensor.dtype for tensor in stored.values()}
    dtype = next((name for key, name in DTYPES.items() if key in dtypes), "")
    return FolderFacts(
        family=settings["family"] if layout is OWN else layout.model_type,
        config=config,
        dtype=dtype,
        size_bytes=sum(tensor.n_bytes for tensor in [*stored.values(), *corrections]),
        tokenizer=tokenizer_kind(tokenizer_folder(folder) or folder),
    )
