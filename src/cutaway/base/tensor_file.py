"""Tensors in a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def save_tensors(tensors: Mapping[str, Tensor], path: Path, notes: Mapping[str, str] | None = None) -> None:
    """Write one safetensors file, which may be read by whom the umask lets, as any other file.

    Raises:
        OSError: it cannot be written; the disk may be full.
    """
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(
            {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, path, dict(notes or {}) or None
        )
    except SafetensorError as error:  # how the library reports a full disk
        raise OSError(str(error)) from error
    path.chmod(mode)  # the library keeps its files to their owner
