"""Read graph.json of a stored trace, believing nothing: it may come from a stranger.

Every place is checked to lie inside its storage before anything looks at it, every operation against PyTorch's own
description of the operation of that name. Names are only compared and shown; which of them a replay may run,
`replay.find_safe` says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from cutaway.microscope.graph_json import DTYPES, LAYOUTS, MEMORY_FORMATS, Described
from cutaway.microscope.names import Names
from cutaway.microscope.record import PHASES, Cell, Memory, Operation, Place, Unseen, Write, places_in
from cutaway.microscope.replay import find_safe
from cutaway.microscope.trace import Trace

LARGEST_NUMBER = 2**44
"""Beyond any tensor: sizes, strides and positions stay below it, so that no product of theirs overflows."""
T = TypeVar("T")

Fetch = Callable[[str, int], torch.UntypedStorage]
"""Gives the bytes of a tensor of the data file: its name, how many bytes it must have."""


class Broken(Exception):
    """What is wrong with a stored trace."""


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


class Reader:
    """Makes a trace of graph.json, believing nothing."""

    def __init__(self, graph: dict[str, Any], fetch: Fetch) -> None:
        self.graph, self.fetch, self.memory = graph, fetch, Memory()

    def trace(self) -> Trace:
        """Return the trace."""
        graph = self.graph
        self.n_operations = len(check(graph["operations"], list, "operations"))
        stored = check(graph["storages"], list, "storages")
        self.sizes = [whole(one["bytes"]) for one in stored]
        self.n_versions = [len(check(one["writes"], list, "writes")) for one in stored]
        self.places = [self.place(one) for one in check(graph["places"], list, "places")]
        for i, one in enumerate(stored):
            storage = self.fetch(f"storage.{i}", self.sizes[i])
            cell = Cell(storage, check(one["source"], bool, "source"))
            cell.writes.extend(self.write(i, version, write) for version, write in enumerate(one["writes"]))
            self.memory.cells.append(cell)
        operations = [self.operation(i, one) for i, one in enumerate(graph["operations"])]
        trace = Trace(operations, self.memory, is_linked=True)
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
        before = dense.look(self.fetch(f"storage.{storage}.before.{version}", size))
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
        if kind == "unseen":
            return Unseen(text(said))
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
