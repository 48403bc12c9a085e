"""What graph.json of a stored trace says (docs/trace_format.md); `graph_reader` reads it.

What JSON has no word for is an object with one key that says what it is: {"place": 12}, {"float": "inf"},
{"dtype": "int64"}.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cutaway.base.errors import TraceError
from cutaway.microscope.record import Cell, Place, Unseen, Write
from cutaway.microscope.trace import Trace

FORMAT, VERSION = "cutaway trace", 1
DTYPES: dict[str, torch.dtype] = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32,
        torch.uint64, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex32, torch.complex64,
        torch.complex128, torch.float8_e4m3fn, torch.float8_e5m2,
    )
}  # fmt: skip
LAYOUTS = {"strided": torch.strided, "sparse_coo": torch.sparse_coo, "sparse_csr": torch.sparse_csr}
MEMORY_FORMATS = {
    name: getattr(torch, name) for name in ("contiguous_format", "preserve_format", "channels_last", "channels_last_3d")
}


class Described:
    """An argument that cannot be stored, such as a random generator: what it was, in words."""

    def __init__(self, said: str) -> None:
        self.said = said

    def __repr__(self) -> str:
        return self.said


class Stored(NamedTuple):
    """A flat tensor of the data file, which is not in memory until it is read."""

    dtype: torch.dtype
    size_bytes: int
    read: Callable[[], Tensor]


def describe(trace: Trace) -> tuple[dict[str, Any], dict[str, Stored]]:
    """Return the content of graph.json, and the tensors of the data file by name.

    The strides of what was overwritten are in graph.json once the tensors have been read.
    """
    places: dict[Place, int] = {}

    def number(place: Place) -> int:
        return places.setdefault(place, len(places))

    operations: list[dict[str, Any]] = [
        {
            "name": o.name,
            "args": {name: encode(value, number) for name, value in o.args.items()},
            "results": [encode(result, number) for result in o.results],
            "phase": o.phase,
            "module": o.module,
            "source": o.source,
            "forward": o.forward,
            "view": o.is_view,
            "writes": list(o.writes),
            "addresses": {},
        }
        for o in trace.operations
    ]
    for (operation, which), address in trace.names.results.items():
        operations[operation]["addresses"][str(which)] = address
    addresses = {address: number(place) for address, place in trace.names.places.items()}
    storages: list[dict[str, Any]] = []
    tensors: dict[str, Stored] = {}
    for i, cell in enumerate(trace.memory.cells):
        storage = cell.last()
        writes: list[dict[str, Any]] = []
        for version, write in enumerate(cell.writes):
            place = write.place
            writes.append({"place": number(place), "stride": [], "operation": write.operation})
            read = functools.partial(read_before, write, writes[-1])
            tensors[f"storage.{i}.before.{version}"] = Stored(place.dtype, place.numel * place.dtype.itemsize, read)
        storages.append({"bytes": storage.nbytes(), "source": cell.is_source, "writes": writes})
    dtypes: dict[int, set[torch.dtype]] = {}
    for place in places:
        dtypes.setdefault(place.storage, set()).add(place.dtype)
    for i, cell in enumerate(trace.memory.cells):
        kinds, size = dtypes.get(i, set()), cell.storage.nbytes()
        kind = kinds.pop() if len(kinds) == 1 else torch.uint8
        if size % kind.itemsize:
            kind = torch.uint8
        tensors[f"storage.{i}"] = Stored(kind, size, functools.partial(read_storage, cell))
    graph = {
        "format": FORMAT,
        "version": VERSION,
        "torch": torch.__version__,
        "failure": trace.failure and "".join(c if c.isprintable() else "?" for c in trace.failure),
        "notes": trace.notes,
        "storages": storages,
        "places": [[p.storage, p.version, name_of(p.dtype), list(p.shape), list(p.stride), p.offset] for p in places],
        "operations": operations,
        "addresses": addresses,
        "sources": trace.names.source_kinds,
    }
    return graph, tensors


def read_storage(cell: Cell) -> Tensor:
    """Return a storage as bytes."""
    storage = cell.last()
    return torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)


def read_before(write: Write, said: dict[str, Any]) -> Tensor:
    """Return what was overwritten, and say in graph.json how it lies."""
    numbers, said["stride"] = flat(write.computed())
    return numbers


def flat(tensor: Tensor) -> tuple[Tensor, list[int]]:
    """Return a dense tensor's numbers in the order they lie in, and its strides."""
    order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
    ordered = tensor.permute(order)
    if not ordered.is_contiguous():
        return tensor.contiguous().flatten(), list(tensor.contiguous().stride())
    return ordered.flatten(), list(tensor.stride())


def name_of(dtype: torch.dtype) -> str:
    """Return a dtype's name.

    Raises:
        TraceError: the format has no such numbers.
    """
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise TraceError(f"this trace holds {name} numbers, which a stored trace cannot")
    return name


def encode(value: Any, number: Callable[[Place], int]) -> Any:
    """Return an argument as JSON; what JSON has no word for is an object with one key that says what it is."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Place):
        return {"place": number(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, (list, tuple)):
        return [encode(one, number) for one in value]
    if isinstance(value, complex):
        return {"complex": [encode(value.real, number), encode(value.imag, number)]}
    if isinstance(value, torch.dtype):
        name = str(value).removeprefix("torch.")
        return {"dtype": name} if name in DTYPES else {"described": name}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    for kind, known in (("layout", LAYOUTS), ("memory_format", MEMORY_FORMATS)):
        for name, one in known.items():
            if value is one:
                return {kind: name}
    if isinstance(value, Unseen):
        return {"unseen": repr(value)}
    if isinstance(value, torch.Generator):
        return {"described": f"random generator on {value.device}, seed {value.initial_seed()}"}
    said = repr(value)
    return {"described": type(value).__name__ if " at 0x" in said else said}
