"""Read a safetensors file a few megabytes at a time.

The format is simple enough to read in the open: 8 bytes with the length of the header, the header as JSON
(for each tensor its precision, shape and where its bytes lie), then the numbers. Reading pieces of rows in
place of mapping the file keeps the memory needed at the model's own size plus one piece. Every claim of the
header is checked before a number is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cutaway.base.errors import ModelFormatError
from cutaway.models.count import BYTES

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""PyTorch's names of the precisions that can be read."""
LARGEST_HEADER_BYTES = 100_000_000
PIECE_BYTES = 4 << 20


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies in a file."""

    name: str
    file: Path
    dtype: str
    shape: tuple[int, ...]
    first_byte: int
    n_bytes: int

    def pieces(self) -> Iterator[tuple[int, Tensor]]:
        """Yield (number of the first row, a few rows as a tensor) to the last row; a vector comes whole."""
        import torch  # not before: what a file holds is told without it

        dtype = getattr(torch, DTYPES[self.dtype])
        n_rows, row_shape = (self.shape[0], self.shape[1:]) if len(self.shape) > 1 else (1, self.shape)
        row_bytes = self.n_bytes // max(n_rows, 1)
        rows_per_piece = max(1, PIECE_BYTES // max(row_bytes, 1))
        with self.file.open("rb") as file:
            file.seek(self.first_byte)
            for first in range(0, n_rows, rows_per_piece):
                count = min(rows_per_piece, n_rows - first)
                data = bytearray(count * row_bytes)
                if file.readinto(data) != len(data):
                    raise ModelFormatError(f"{self.file} ends within tensor {self.name}; copy or download it again")
                rows = torch.frombuffer(data, dtype=dtype)
                yield first, rows.view(count, *row_shape) if len(self.shape) > 1 else rows.view(row_shape)


def read_header(file: Path) -> dict[str, StoredTensor]:
    """Return what the file says it holds, by name.

    Raises:
        ModelFormatError: the file is truncated, altered or not safetensors at all.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, LARGEST_HEADER_BYTES):
            raise damaged(file, f"its header should be {length} bytes but the file has {size}")
        text = stream.read(length)
    try:
        header = json.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise damaged(file, "its header is not JSON") from error
    if not isinstance(header, dict):
        raise damaged(file, "its header is not a JSON object")
    header.pop("__metadata__", None)
    tensors = {name: _stored_tensor(file, name, entry, 8 + length) for name, entry in header.items()}
    end = 8 + length
    for tensor in sorted(tensors.values(), key=lambda tensor: (tensor.first_byte, tensor.n_bytes)):
        if tensor.first_byte != end:
            raise damaged(file, f"the bytes of {tensor.name} do not follow the tensor before it")
        end += tensor.n_bytes
    if end != size:
        raise damaged(file, f"its header describes {end} bytes but the file has {size}")
    return tensors


def _stored_tensor(file: Path, name: str, entry: object, data_start: int) -> StoredTensor:
    try:
        assert isinstance(entry, dict)
        dtype, shape, (start, stop) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        assert isinstance(dtype, str)
        assert all(type(number) is int and number >= 0 for number in (*shape, start, stop))
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise damaged(file, f"its entry for tensor {name} makes no sense") from error
    if dtype in DTYPES and stop - start != math.prod(shape) * BYTES[DTYPES[dtype]]:
        raise damaged(file, f"tensor {name} of shape {shape} in {dtype} cannot be {stop - start} bytes")
    return StoredTensor(name, file, dtype, shape, data_start + start, stop - start)


def damaged(file: Path, why: str) -> ModelFormatError:
    """Return the error for a file that is not what it should be."""
    return ModelFormatError(f"{file} is truncated or altered: {why}; copy or download it again")
