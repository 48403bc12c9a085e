"""A trace as a folder: `graph.json` says what happened, `data.safetensors` holds the numbers (docs/trace_format.md).

Every storage is in the file once, and once more what each overwriting replaced; a view is a place, a line of `graph.json`.
The file is mapped, not read: opening costs what `graph.json` costs; a number is fetched from the disk when it is looked at.

A trace may come from a stranger. Reading one runs no code: arguments are tagged JSON, every place is checked to lie inside
its storage, every operation against PyTorch's own description of it, before anything is computed with them.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from cutaway.base.errors import TraceError
from cutaway.base.files import replacing_folder
from cutaway.microscope.names import Names
from cutaway.microscope.record import PHASES, Cell, Memory, Operation, Place, Write, places_in
from cutaway.microscope.trace import Trace

FORMAT, VERSION = "cutaway trace", 1
GRAPH, DATA = "graph.json", "data.safetensors"
ALIGNMENT = 64
"""Bytes each tensor in the file begins at a multiple of: mapped numbers then lie as PyTorch's own do, and its kernels give
the same last bit."""
LARGEST_NUMBER = 2**62
T = TypeVar("T")

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
CODES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64", "float16": "F16",
    "bfloat16": "BF16", "float32": "F32", "float64": "F64", "complex64": "F32", "complex128": "F64",
}  # fmt: skip
"""How safetensors calls what a storage holds; all else is stored as bytes, U8."""


class Described:
    """An argument that cannot be stored (a random generator, a sparse tensor): what it was, in words."""

    def __init__(self, said: str) -> None:
        self.said = said

    def __repr__(self) -> str:
        return self.said


class Broken(Exception):
    """What is wrong with a stored trace."""


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
        (aside / GRAPH).write_text(json.dumps(graph, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")
        write_tensors(aside / DATA, tensors)
    return folder


def load(folder: str | Path) -> Trace:
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
        return _Reader(graph, map_tensors(_inside(folder, DATA))).trace()
    except OSError as error:
        raise TraceError(f"could not read {folder}: {error.strerror or error}") from error
    except Broken as error:
        raise TraceError(f"{folder} cannot be opened: {error}") from error
    except (ArithmeticError, AttributeError, LookupError, RecursionError, RuntimeError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise TraceError(f"{folder} is damaged or altered ({type(error).__name__}: {said})") from error


# ------------------------------------------------------------------------------------------------------------ writing


def describe(trace: Trace) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the content of graph.json, and the tensors by their names in the data file, flat."""
    from cutaway import __version__

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
    storages, tensors = [], {}
    for i, cell in enumerate(trace.memory.cells):
        storage = cell.last()
        writes = []
        for version, write in enumerate(cell.writes):
            before, stride = flat(write.before)
            writes.append({"place": number(write.place), "stride": stride, "operation": write.operation})
            tensors[f"storage.{i}.before.{version}"] = before
        storages.append({"bytes": storage.nbytes(), "source": cell.is_source, "writes": writes})
        tensors[f"storage.{i}"] = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
    kinds: dict[int, set[torch.dtype]] = {}
    for place in places:
        kinds.setdefault(place.storage, set()).add(place.dtype)
    for i, dtypes in kinds.items():
        one = min(dtypes, key=str)
        if len(dtypes) == 1 and tensors[f"storage.{i}"].numel() % one.itemsize == 0:
            tensors[f"storage.{i}"] = tensors[f"storage.{i}"].view(one)
    graph = {
        "format": FORMAT,
        "version": VERSION,
        "cutaway": __version__,
        "torch": torch.__version__,
        "failure": trace.failure,
        "notes": trace.notes,
        "storages": storages,
        "places": [[p.storage, p.version, name_of(p.dtype), list(p.shape), list(p.stride), p.offset] for p in places],
        "operations": operations,
        "addresses": addresses,
        "sources": trace.names.sources,
    }
    return graph, tensors


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
    if isinstance(value, torch.Generator):
        return {"described": f"random generator on {value.device}, seed {value.initial_seed()}"}
    said = repr(value)
    return {"described": type(value).__name__ if " at 0x" in said else said}


def write_tensors(file: Path, tensors: dict[str, Tensor]) -> None:
    """Write flat tensors as a safetensors file, one after the other, each filled up with zeros to the alignment."""
    header: dict[str, Any] = {"__metadata__": {"format": FORMAT, "version": str(VERSION)}}
    at = 0
    for name, tensor in tensors.items():
        code = CODES.get(str(tensor.dtype).removeprefix("torch."), "U8")
        itemsize = 1 if code == "U8" else tensor.element_size() // (2 if tensor.is_complex() else 1)
        size = padded(tensor.nbytes)
        header[name] = {"dtype": code, "shape": [size // itemsize], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            if tensor.nbytes:
                stream.write(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
                stream.write(bytes(padded(tensor.nbytes) - tensor.nbytes))


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


def whole(value: Any, below: int = LARGEST_NUMBER) -> int:
    """Return a whole number from 0."""
    if type(value) is not int or not 0 <= value < below:
        raise Broken(f"graph.json has {str(value)[:60]!r} where a whole number below {below:,} belongs")
    return value


def text(value: Any, extra: str = "") -> str:
    """Return a text that does no harm to a terminal."""
    if type(value) is not str or not (value.isprintable() or all(c.isprintable() or c in extra for c in value)):
        raise Broken(f"graph.json has {str(value)[:60]!r} where a plain text belongs")
    return value


def check(value: Any, kind: type[T], what: str) -> T:
    """Return a value of a kind of JSON."""
    if type(value) is not kind:
        raise Broken(f"graph.json has {str(value)[:60]!r} as {what}")
    return value


class _Reader:
    """Makes a trace of graph.json, believing nothing."""

    def __init__(self, graph: dict[str, Any], data: Mapped) -> None:
        self.graph, self.data, self.memory = graph, data, Memory()

    def trace(self) -> Trace:
        """Return the trace."""
        graph = self.graph
        self.n_operations = len(check(graph["operations"], list, "operations"))
        stored = check(graph["storages"], list, "storages")
        self.sizes = [whole(one["bytes"]) for one in stored]
        self.n_versions = [len(check(one["writes"], list, "writes")) for one in stored]
        self.places = [self.place(one) for one in check(graph["places"], list, "places")]
        for i, one in enumerate(stored):
            storage = self.data.storage(f"storage.{i}", self.sizes[i])
            cell = Cell(storage, check(one["source"], bool, "source"))
            cell.writes.extend(self.write(i, version, write) for version, write in enumerate(one["writes"]))
            self.memory.cells.append(cell)
        if self.data.where:
            raise Broken(f"{DATA} has {next(iter(self.data.where))[:60]!r}, which graph.json does not know")
        operations = [self.operation(i, one) for i, one in enumerate(graph["operations"])]
        trace = Trace(operations, self.memory)
        trace.is_loaded = True
        trace.failure = None if graph["failure"] is None else text(graph["failure"])
        trace.notes = {text(name): self.note(value) for name, value in check(graph["notes"], dict, "notes").items()}
        trace.take_names(self.names(operations))
        return trace

    def place(self, stored: Any) -> Place:
        """Return a place that lies inside its storage."""
        storage, version, dtype_name, shape, stride, offset = check(stored, list, "a place")
        whole(storage, len(self.sizes))
        place = Place(
            storage,
            whole(version, self.n_versions[storage] + 1),
            self.dtype(dtype_name),
            tuple(whole(size) for size in check(shape, list, "a shape")),
            tuple(whole(step) for step in check(stride, list, "strides")),
            whole(offset),
        )
        check_inside(place, self.sizes[storage])
        return place

    def write(self, storage: int, version: int, stored: Any) -> Write:
        """Return an overwriting, with what was there before."""
        place = self.places[whole(stored["place"], len(self.places))]
        if (place.storage, place.version) != (storage, version):
            raise Broken(f"overwriting {version} of storage {storage} is of another place")
        stride = tuple(whole(step) for step in check(stored["stride"], list, "strides"))
        size = place.numel * place.dtype.itemsize
        dense = place._replace(stride=stride, offset=0)
        check_inside(dense, size)
        before = dense.look(self.data.storage(f"storage.{storage}.before.{version}", size))
        return Write(place, before, whole(stored["operation"], self.n_operations))

    def operation(self, number: int, stored: Any) -> Operation:
        """Return an operation that its PyTorch, if it has it, could have run."""
        phase = text(stored["phase"])
        forward = stored["forward"]
        operation = Operation(
            number,
            text(stored["name"]),
            {text(name): self.decode(value) for name, value in check(stored["args"], dict, "arguments").items()},
            [self.decode(value) for value in check(stored["results"], list, "results")],
            phase,
            text(stored["module"]),
            text(stored["source"]),
            None if forward is None else whole(forward, number),
            check(stored["view"], bool, "view"),
            tuple(text(name) for name in check(stored["writes"], list, "writes")),
        )
        if phase not in PHASES:
            raise Broken(f"operation {number} is in a phase {phase!r}; there are {', '.join(PHASES)}")
        if self.memory.note_makers(operation) != operation.is_view:
            raise Broken(f"operation {number}, {operation.name}, is {'no' if operation.is_view else 'a'} view")
        check_schema(operation)
        return operation

    def names(self, operations: list[Operation]) -> Names:
        """Return the table of addresses."""
        stored = check(self.graph["addresses"], dict, "addresses")
        places = {text(address): self.places[whole(n, len(self.places))] for address, n in stored.items()}
        results = {}
        for operation, one in zip(operations, self.graph["operations"], strict=True):
            outputs = {which for which, _ in operation.outputs()}
            for which, address in check(one["addresses"], dict, "addresses").items():
                if address not in places or not which.isdecimal() or int(which) not in outputs:
                    raise Broken(
                        f"operation {operation.number} has an address {str(address)[:60]!r} that leads nowhere"
                    )
                results[operation.number, int(which)] = address
        sources = {text(a): text(kind) for a, kind in check(self.graph["sources"], dict, "sources").items()}
        if not sources.keys() <= places.keys():
            raise Broken("a source has an address that leads nowhere")
        return Names.known(operations, self.memory, places, results, sources)

    def decode(self, value: Any) -> Any:
        """Return an argument; see `encode`."""
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, str):
            return text(value)
        if isinstance(value, list):
            return [self.decode(one) for one in value]
        ((kind, said),) = check(value, dict, "an argument").items()
        if kind == "place":
            return self.places[whole(said, len(self.places))]
        if kind == "float" and said in ("inf", "-inf", "nan"):
            return float(said)
        if kind == "complex":
            real, imaginary = said
            return complex(self.decode(real), self.decode(imaginary))
        if kind == "dtype":
            return self.dtype(said)
        if kind == "device":
            return torch.device(text(said))
        if kind == "layout" and said in LAYOUTS:
            return LAYOUTS[said]
        if kind == "memory_format" and said in MEMORY_FORMATS:
            return MEMORY_FORMATS[said]
        if kind == "described":
            return Described(text(said))
        raise Broken(f"graph.json has an argument {str(value)[:60]!r} that this version does not know")

    def note(self, value: Any) -> Any:
        """Return a note: a text, a number, or a list of them."""
        if isinstance(value, list):
            return [self.note(one) for one in value]
        if isinstance(value, str):
            return text(value, extra="\n\t")
        if value is None or isinstance(value, (bool, int, float)):
            return value
        raise Broken(f"graph.json has a note {str(value)[:60]!r}")

    @staticmethod
    def dtype(name: Any) -> torch.dtype:
        """Return the dtype of a name."""
        if not isinstance(name, str) or name not in DTYPES:
            raise Broken(f"graph.json has numbers of a kind {str(name)[:60]!r}")
        return DTYPES[name]


def check_inside(place: Place, size_bytes: int) -> None:
    """Refuse a place that reaches outside its storage."""
    if len(place.shape) != len(place.stride):
        raise Broken(f"a place has {len(place.shape)} axes and {len(place.stride)} strides")
    last = place.offset + sum((size - 1) * step for size, step in zip(place.shape, place.stride, strict=True))
    end = (last + 1 if place.numel else place.offset) * place.dtype.itemsize
    if end > size_bytes or place.numel > LARGEST_NUMBER:
        raise Broken(
            f"a tensor of shape {list(place.shape)} ends at byte {end:,} of a storage of {size_bytes:,} bytes: altered"
        )


def check_schema(operation: Operation) -> None:
    """Refuse an operation whose arguments are not those of PyTorch's operation of that name."""
    from cutaway.microscope.replay import find_safe

    function = find_safe(operation.name)
    if function is None:  # another PyTorch's, or another library's: shown, never run
        return
    where = f"operation {operation.number}, {operation.name}"
    schema = {argument.name: argument for argument in function._schema.arguments}
    for name, value in operation.args.items():
        if name not in schema:
            raise Broken(f"{where}, has an argument {name!r}, which it does not take")
        if any(True for _ in places_in(value)) and "Tensor" not in str(schema[name].type):
            raise Broken(f"{where}, takes no tensor as {name}")
    for name, argument in schema.items():
        if name not in operation.args and not argument.has_default_value():
            raise Broken(f"{where}, lacks its argument {name!r}")
        if argument.alias_info is not None and argument.alias_info.is_write and name not in operation.writes:
            raise Broken(f"{where}, writes to its argument {name!r}, which graph.json does not say")
    if not set(operation.writes) <= schema.keys():
        raise Broken(f"{where}, cannot write to {', '.join(set(operation.writes) - schema.keys())}")
