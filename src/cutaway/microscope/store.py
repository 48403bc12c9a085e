"""A trace as a folder: `graph.json` says what happened, `data.safetensors` holds the numbers (docs/trace_format.md).

Every storage is in the file once, and once more what each overwriting replaced; a view is a place, a line of `graph.json`.
The file is mapped, not read: opening costs what `graph.json` costs; a number is fetched from the disk when it is looked at.

Opening somebody's trace runs no code: `graph_json` and `graph_reader` are all there is to it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch

from cutaway.base.errors import TraceError
from cutaway.base.files import replacing_folder
from cutaway.microscope.graph_json import FORMAT, VERSION, Stored, describe
from cutaway.microscope.graph_reader import Broken, Reader, whole
from cutaway.microscope.trace import Trace

GRAPH, DATA = "graph.json", "data.safetensors"
ALIGNMENT = 64
"""Bytes each tensor in the file begins at a multiple of: mapped numbers then lie as PyTorch's own do, and its kernels give
the same last bit."""

CODES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64", "float16": "F16",
    "bfloat16": "BF16", "float32": "F32", "float64": "F64", "complex64": "F32", "complex128": "F64",
}  # fmt: skip
"""How safetensors calls what a storage holds; all else is stored as bytes, U8."""


def save(trace: Trace, folder: str | Path) -> Path:
    """Write a trace to a folder, whole or not at all, and return the folder.

    Raises:
        TraceError: something that is not a trace is already there.
    """
    folder = Path(folder).absolute()
    if folder.exists() and not (folder / GRAPH).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise TraceError(f"{folder} exists and is not a trace; nothing was written; take another folder")
    graph, tensors = describe(trace)
    with replacing_folder(folder) as aside:
        write_tensors(aside / DATA, tensors)
        (aside / GRAPH).write_text(json.dumps(graph, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")
    return folder


def load_trace(folder: str | Path) -> Trace:
    """Open a stored trace.

    Raises:
        TraceError: it is not there, damaged, altered, from a newer version, or not a trace.
    """
    folder = Path(folder)
    if not (folder / GRAPH).is_file():
        there = "is no trace: it has no graph.json" if folder.is_dir() else "is not there"
        raise TraceError(f"{folder} {there}; `cutaway trace` and trace.save(folder) write traces")
    try:
        graph = _read_graph(folder)
        data = map_tensors(_inside(folder, DATA))
        trace = Reader(graph, data.storage).trace()
        if data.where:
            raise Broken(f"{DATA} has {next(iter(data.where))[:60]!r}, which graph.json does not know")
        return trace
    except OSError as error:
        raise TraceError(f"could not read {folder}: {error.strerror or error}") from error
    except Broken as error:
        raise TraceError(f"{folder} cannot be opened: {error}") from error
    except (ArithmeticError, AttributeError, LookupError, RecursionError, RuntimeError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise TraceError(f"{folder} is damaged or altered ({type(error).__name__}: {said})") from error


# ------------------------------------------------------------------------------------------------------------ writing


def write_tensors(file: Path, tensors: dict[str, Stored]) -> None:
    """Write flat tensors as a safetensors file, one after the other, each filled up with zeros to the alignment."""
    header: dict[str, Any] = {"__metadata__": {"format": FORMAT, "version": str(VERSION)}}
    at = 0
    for name, tensor in tensors.items():
        code = CODES.get(str(tensor.dtype).removeprefix("torch."), "U8")
        itemsize = 1 if code == "U8" else tensor.dtype.itemsize // (2 if tensor.dtype.is_complex else 1)
        size = padded(tensor.size_bytes)
        header[name] = {"dtype": code, "shape": [size // itemsize], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            numbers = tensor.read().detach().cpu().contiguous().view(torch.uint8)
            stream.write(numbers.numpy().data if numbers.numel() else b"")
            stream.write(bytes(padded(tensor.size_bytes) - tensor.size_bytes))


def padded(size: int) -> int:
    """Return a number of bytes rounded up to the alignment."""
    return size + -size % ALIGNMENT


# ------------------------------------------------------------------------------------------------------------ reading


def _inside(folder: Path, name: str) -> Path:
    """Return a file of a folder, which must not be a link to somewhere else."""
    file = folder / name
    if not file.is_file():
        raise Broken(f"it has no {name}; copy or record it again")
    if file.resolve().parent != folder.resolve():
        raise Broken(f"its {name} is a link out of the folder")
    return file


def _read_graph(folder: Path) -> dict[str, Any]:
    """Return graph.json if it is a trace's, of this version."""

    def refuse(word: str) -> None:
        raise Broken(f"graph.json has the number {word}")

    try:
        graph = json.loads(_inside(folder, GRAPH).read_bytes().decode("utf-8"), parse_constant=refuse)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Broken("graph.json is cut off or is not JSON; copy or record it again") from error
    if not isinstance(graph, dict) or graph.get("format") != FORMAT:
        raise Broken("its graph.json is of something else than a trace")
    version = graph.get("version")
    if type(version) is not int or version < 1:
        raise Broken(f"graph.json says version {version!r}, which makes no sense")
    if version > VERSION:
        raise Broken(f"it has trace format {version}, this Cutaway reads up to {VERSION}; install a newer Cutaway")
    return graph


class Mapped(NamedTuple):
    """A mapped file and where its tensors lie in it."""

    file: torch.UntypedStorage
    where: dict[str, tuple[int, int]]

    def storage(self, name: str, size: int) -> torch.UntypedStorage:
        """Return the bytes of one tensor, without what they were filled up with."""
        first, last = self.where.pop(name, (-1, -1))
        if last - first != padded(size) or first < 0:
            raise Broken(
                f"{DATA} and graph.json do not belong together: {name} should be {size} bytes; copy both again"
            )
        return self.file[first : first + size]


def map_tensors(file: Path) -> Mapped:
    """Map a safetensors file into memory; nothing of its numbers is read."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = 8 + int.from_bytes(stream.read(8), "little")
        if size < 8 or start > size:
            raise Broken(f"{DATA} is cut off or is not safetensors; copy or record it again")
        text = stream.read(start - 8)
    try:
        header = json.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Broken(f"the header of {DATA} is not JSON; copy or record it again") from error
    if not isinstance(header, dict):
        raise Broken(f"the header of {DATA} is not a JSON object")
    header.pop("__metadata__", None)
    where, at = {}, 0
    for name, entry in header.items():
        first, last = (whole(number) for number in entry["data_offsets"])
        if first != at or last < first or first % ALIGNMENT or start % ALIGNMENT:
            raise Broken(f"the header of {DATA} was altered: {name} does not follow the tensor before it")
        where[name] = start + first, start + last
        at = last
    if start + at != size:
        raise Broken(f"{DATA} is {size:,} bytes, its header describes {start + at:,}; copy or record it again")
    mapped: Any = torch.UntypedStorage.from_file(os.fspath(file), shared=False, nbytes=size)
    return Mapped(mapped, where)
