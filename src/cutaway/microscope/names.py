"""Every number gets an address a person can read and type.

    transformer.h.0.attn.c_attn.weight          a parameter, before the step;  ...weight:new  after it
    transformer.h.0.attn:out                    what a module returned
    blocks.0.attn.scores                        what a model of ours calls it (`base.tap`)
    transformer.h.0.attn.softmax                the result of an operation in a module; the second one is ...softmax#2
    transformer.h.0.attn.softmax:grad           d loss / d that
    transformer.h.0.attn.softmax:backward.mul   a number on the way to it
    lm_head.weight:grad, :exp_avg, :update.div  a parameter's gradient, the optimizer's state, numbers on its way
    loss, input.input_ids

Addresses depend only on what the program does, so they are the same in every run of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from cutaway.microscope.record import Index, Memory, Operation, Place, is_empty
from cutaway.microscope.recorder import Mark

Result = tuple[int, int]
"""An operation's number and which of its results."""


SUFFIX = {"tap": "", "out": "", "loss": "", "loss gradient": ":grad", "grad": ":grad", "state": "", "new": ":new"}
"""Kinds of marks that give an address, and what stands behind the name."""
RANK = {"loss": 0, "loss gradient": 0, "grad": 0, "state": 0, "new": 0, "tap": 1, "out": 2}
"""Which name a result is known by when it has several: the smallest."""


class Names:
    """Addresses of a finished recording.

    Attributes:
        places: address -> place, in the order of the program.
        results: (operation, which) -> the address of that result.
    """

    def __init__(self, operations: Sequence[Operation], memory: Memory, marks: Iterable[Mark]) -> None:
        self.memory, self.operations = memory, operations
        self.places: dict[str, Place] = {}
        self.results: dict[Result, str] = {}
        self._sources: dict[int, list[str]] = {}  # storage -> addresses of what was there before
        self._counts: dict[str, int] = {}
        self._kinds: dict[str, str] = {}  # address of a source -> parameter, input, ...
        self._phases: dict[str, str] | None = None
        self._parameters: dict[int, str] = {}  # storage -> the parameter whose step it belongs to
        marks = list(marks)
        for mark in marks:
            if mark.kind in ("param", "buffer"):
                self._add_source(mark.name, mark.place, "parameter" if mark.kind == "param" else "buffer")
        self._views: dict[int, str] = {}  # a view's operation -> the address of what it looks at
        self._gradients: dict[tuple[int, int], list[Mark]] = {}
        for mark in marks:
            if mark.kind == "gradient":
                self._gradients.setdefault((mark.place.storage, mark.place.version), []).append(mark)
        named = self._addresses_of(marks)
        self._reserved = {address for _, address in named}
        self._given = self._named_results(named)
        for mark in marks:
            if mark.kind in ("grad", "state", "old state"):
                self._parameters[mark.place.storage] = mark.name.partition(":")[0]
            elif mark.kind == "input":
                self._add_source(f"input.{mark.name}" if mark.name else "input", mark.place, "input")
            elif mark.kind == "param":
                self._parameters.setdefault(mark.place.storage, mark.name)
            if mark.kind == "old state" and memory.cells[mark.place.storage].is_source:
                self._add_source(f"{mark.name}:before", mark.place, "optimizer state")
        for operation in operations:
            self._name_operation(operation)
        for mark, address in named:  # what was not the whole of a result, or has two names
            self.places.setdefault(address, mark.place)
        known = set(self.places.values())
        for mark in marks:
            if mark.kind == "gradient":
                self._name_gradient(mark, known)
        for operation in operations:
            for _, place in operation.operands():
                if place.numel and memory.cells[place.storage].is_source:
                    self.of(place, (0,) * len(place.shape))  # names what has no name yet: a constant

    @classmethod
    def known(
        cls,
        operations: Sequence[Operation],
        memory: Memory,
        places: dict[str, Place],
        results: dict[Result, str],
        sources: Mapping[str, str],
    ) -> Names:
        """Return a table of addresses that was made before."""
        names = cls((), memory, ())
        names.operations, names.results = operations, results
        for address, kind in sources.items():
            names._add_source(address, places[address], kind)
        names.places = places
        return names

    @property
    def source_kinds(self) -> Mapping[str, str]:
        """Address -> kind of every tensor that was there before the recording and has a name."""
        return self._kinds

    def of(self, place: Place, index: Index) -> tuple[str, Index]:
        """Return the address and index by which a number is known: that of the operation that computed it, or of the
        parameter or input it belongs to."""
        made = self.memory.maker(place, index)
        position = place.position(index)
        if made is not None:
            operation, which, found = made
            address = self.results[operation, which]
            return address, self.places[address].index_of(position) or found
        for address in self._sources.get(place.storage, ()):
            source = self.places[address]
            inside = source.index_of(position) if source.dtype == place.dtype else None
            if inside is not None:
                return address, inside
        address = f"constant.{place.storage}"
        if address not in self.places:
            size = self.memory.cells[place.storage].storage.nbytes() // place.dtype.itemsize
            self.places[address] = Place(place.storage, place.version, place.dtype, (size,), (1,), 0)
        return address, (position,)

    def kind_of_source(self, address: str) -> str:
        """Return what a number is that nobody computed: parameter, input or constant."""
        return self._kinds.get(address, "constant")

    def sources(self) -> Iterator[tuple[str, Place]]:
        """Yield the address and place of everything with a name that was there before."""
        for address in self._kinds:
            yield address, self.places[address]

    def parameters(self) -> list[str]:
        """Return the names of the parameters, a shared one once."""
        seen: dict[Place, str] = {}
        for address, kind in self._kinds.items():
            if kind == "parameter":
                seen.setdefault(self.places[address], address)
        return list(seen.values())

    def phase_of(self, address: str) -> str:
        """Return the phase in which the tensor with this address was computed, "" for one that was there before."""
        if self._phases is None:
            self._phases = {a: self.operations[n].phase for (n, _), a in self.results.items()}
        return self._phases.get(address, "")

    def _add_source(self, address: str, place: Place, kind: str) -> None:
        if address not in self.places:
            self._kinds[address] = kind
            self.places[address] = place
            self._sources.setdefault(place.storage, []).append(address)

    def _addresses_of(self, marks: Iterable[Mark]) -> list[tuple[Mark, str]]:
        """Return the marks that give addresses, and those: the second tensor of a name is name#2."""
        found: list[tuple[Mark, str]] = []
        latest: dict[str, tuple[Place, int]] = {}
        for mark in marks:
            address = f"{mark.name}{SUFFIX[mark.kind]}" if mark.kind in SUFFIX else ""
            if not address:
                continue
            place, n = latest.get(address, (None, 0))
            if place != mark.place:
                n += 1
                latest[address] = mark.place, n
            found.append((mark, address if n == 1 else f"{address}#{n}"))
        return found

    def _named_results(self, named: Iterable[tuple[Mark, str]]) -> dict[Result, tuple[str, Place]]:
        """Return the names that results get from marks: a tap's before a module's, an inner module's before an outer's."""
        given: dict[Result, tuple[int, str, Place]] = {}
        for mark, address in named:
            made, rank = self._whole_maker(mark.place), RANK[mark.kind]
            if made is not None and (made not in given or rank < given[made][0]):
                given[made] = rank, address, mark.place
        return {made: (address, place) for made, (_, address, place) in given.items()}

    def _whole_maker(self, place: Place) -> Result | None:
        """Return the result that a place is the whole of, perhaps in other axes."""
        for made, operation, which in reversed(self.memory.cells[place.storage].makers):
            if made.version == place.version:
                return (operation, which) if made.numel == place.numel else None
        return None

    def _name_operation(self, operation: Operation) -> None:
        if is_empty(operation.name):
            return
        if operation.is_view:
            _, looked_at = next(operation.operands())
            self._views[operation.number] = self._whole(looked_at)
            return
        short = operation.name.partition(".")[0].strip("_")
        for which, made in operation.outputs():
            address, place = self._given.get((operation.number, which), ("", made))
            if not address and operation.phase == "backward":
                address = self._gradient_address(made)
                address = self._unique(address) if address else ""
            if not address:
                address = self._unique(self._stem(operation) + short + (f".{which}" if which else ""))
            self.results[operation.number, which] = address
            self.places[address] = place
            if operation.phase == "optimizer" and (owner := self._owner(operation)):
                self._parameters.setdefault(made.storage, owner)

    def _whole(self, place: Place) -> str:
        """Return the address of the result, parameter or input a view looks at."""
        made = self._whole_maker(place) or next(
            ((n, which) for _, n, which in reversed(self.memory.cells[place.storage].makers)), None
        )
        if made is not None and made in self.results:
            return self.results[made]
        return next(iter(self._sources.get(place.storage, ())), "")

    def _of(self, operation: int, which: int = 0) -> str:
        """Return the address of a result, also of an operation that made only a view."""
        return self.results.get((operation, which)) or self._views.get(operation, "")

    def _gradient_address(self, made: Place) -> str:
        for mark in self._gradients.get((made.storage, made.version), ()):
            of = self.results.get((mark.operation, mark.which))
            if of and mark.place.numel == made.numel:
                return f"{of}:grad"
        return ""

    def _stem(self, operation: Operation) -> str:
        if operation.phase == "optimizer":
            owner = self._owner(operation)
            return f"{owner}:update." if owner else "optimizer."
        if operation.phase == "backward":
            of = self._of(operation.forward) if operation.forward is not None else ""
            return f"{of}:backward." if of else "backward."
        return f"{operation.module}." if operation.module else ""

    def _owner(self, operation: Operation) -> str:
        """Return the parameter an operation of the optimizer is about."""
        for _, place in operation.operands():
            owner = self._parameters.get(place.storage)
            if owner:
                return owner
        return ""

    def _unique(self, address: str) -> str:
        n = self._counts[address] = self._counts.get(address, 0) + 1
        unique = address if n == 1 else f"{address}#{n}"
        return unique if unique not in self.places and unique not in self._reserved else self._unique(address)

    def _name_gradient(self, mark: Mark, known: set[Place]) -> None:
        """Give a gradient that reached a result through views its name."""
        of = self._of(mark.operation, mark.which)
        if of and f"{of}:grad" not in self.places and mark.place not in known:
            self.places[f"{of}:grad"] = mark.place
            known.add(mark.place)


def nearest(address: str, known: Mapping[str, Place]) -> str:
    """Return the addresses most like one that is not there, for an error message."""
    from cutaway.base.errors import suggest

    ending = [name for name in known if name.endswith(address) or address in name][:3]
    return f" (did you mean {' or '.join(ending)}?)" if ending else suggest(address, known)
