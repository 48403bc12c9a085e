"""One parameter of a model folder, without loading the model: a matrix of a large one is looked at in little memory."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from cutaway.base.errors import UsageError, suggest
from cutaway.interop.folder_files import find_layout, read_headers, read_json
from cutaway.interop.safetensors_file import DTYPES


def read_parameter(folder: Path, name: str) -> Tensor:
    """Return a parameter by our name for it, in 32 bits.

    Raises:
        UsageError: the model has no such parameter.
        ModelFormatError: the folder cannot be read.
    """
    settings = read_json(folder / "config.json")
    layout = find_layout(settings)
    pieces = {piece.ours: piece for piece in layout.pieces(layout.read_settings(settings))}
    if name not in pieces:
        raise UsageError(f"the model has no parameter {name!r}{suggest(name, pieces)}")
    piece, stored = pieces[name], read_headers(folder)
    tensor = stored.get(piece.stored) or stored.get(piece.stored.removeprefix(layout.prefix))
    if tensor is None or tensor.dtype not in DTYPES:
        raise UsageError(f"the weights of {folder} have no {piece.stored} in floats")
    parts = [part if piece.columns is None else part[..., piece.columns] for _, part in tensor.pieces()]
    whole = torch.cat(parts) if len(parts) > 1 else parts[0]
    return (whole.T if piece.transposed else whole).float().contiguous()
