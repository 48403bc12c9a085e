"""The traces of a lab: which there are, and those that are open.

A trace is named by its path inside the lab's folder, `stdlib-1/traces/1`. Opening maps its numbers and reads only what
happened, so a trace stays open until others push it out. A trace with some numbers changed is a replay: it is found by its
edits, so a what-if is a link, and taking an edit back is a shorter list.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import psutil
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from cutaway.base.errors import TraceError, UsageError
from cutaway.base.files import check_name

if TYPE_CHECKING:
    from cutaway.microscope.trace import Trace
    from cutaway.microscope.users import Readers

GRAPH, DATA = "graph.json", "data.safetensors"
VERIFIED = "verified.json"
"""What verifying found, kept beside the trace; it counts as long as the trace's files do not change."""
MOST_OPEN = 6
"""Recorded traces that stay open: each costs its table of operations, its numbers stay on the disk."""
MOST_REPLAYS, REPLAY_SHARE = 12, 0.25
"""Replays that are kept, and the share of the machine's memory that the numbers they changed may take together."""
Stage = Literal["forward", "backward", "optimizer"]
STAGES: tuple[Stage, ...] = ("forward", "backward", "optimizer")
"""How far a replay goes: an optimizer's step takes longest, and who asks for the loss need not wait for it."""
MOST_EDITS = 64
ANSWERS = 64
"""Answers a trace keeps of each kind that takes long to compute."""

T = TypeVar("T")
_SERIALS = itertools.count()


class Edit(BaseModel):
    """A number, or several, in place of the recorded ones."""

    model_config = ConfigDict(extra="forbid")
    address: str
    index: list[int | None] | None = None
    """Where; null for a whole axis, and null instead of the list for the whole tensor."""
    value: float = Field(allow_inf_nan=True)


_EDITS = TypeAdapter(list[Edit])


def read_edits(text: str) -> list[Edit]:
    """Return the edits a request carries.

    Raises:
        UsageError: the text is no list of edits.
    """
    if not text:
        return []
    try:
        edits = _EDITS.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"edits{f' ({where})' if where else ''}: {first['msg']}; expected a list of "
            '{"address": ..., "index": [...] or null, "value": number}'
        ) from None
    if len(edits) > MOST_EDITS:
        raise UsageError(f"{len(edits)} edits; a replay takes up to {MOST_EDITS}")
    return edits


class Work:
    """Something that takes seconds, in a thread of its own.

    Attributes:
        share: how much is done, 0 to 1.
        result: when it is done.
        reason: why there is none.
    """

    def __init__(self, compute: Callable[[Callable[[float], None]], Any]) -> None:
        self.share = 0.0
        self.result: Any = None
        self.reason = ""
        self._compute = compute
        self._ended = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def state(self) -> Literal["running", "done", "failed"]:
        """Where it is."""
        return "running" if not self._ended.is_set() else "failed" if self.reason else "done"

    def wait(self, seconds: float) -> None:
        """Wait until it has ended, but not for ever."""
        self._ended.wait(seconds)

    def _run(self) -> None:
        def progress(share: float) -> None:
            self.share = share

        try:
            self.result = self._compute(progress)
        except Exception as error:
            self.reason = " ".join(str(error).split()) or type(error).__name__
        finally:
            self.share = 1.0 if not self.reason else self.share
            self._ended.set()


class OpenTrace:
    """An open trace, and what was computed about it.

    Attributes:
        serial: no other trace that was ever open has it.
        origin: the recorded trace if this is a replay, else itself.
    """

    def __init__(self, name: str, trace: Trace, origin: OpenTrace | None = None) -> None:
        self.name, self.trace = name, trace
        self.serial = next(_SERIALS)
        self.origin = origin or self
        self.edits: list[Edit] = []
        self.stage: Stage = "optimizer"  # how far a replay went
        self.size_bytes = 0  # of what it changed
        self._lock = threading.Lock()
        self._answers: dict[str, OrderedDict[Any, Any]] = {}
        self._at_work: dict[Any, threading.Lock] = {}

    def once(self, kind: str, key: Any, compute: Callable[[], T], most: int = ANSWERS) -> T:
        """Return what was computed before for this key, or compute it; two who ask at once wait for one computation."""
        with self._lock:
            known = self._answers.setdefault(kind, OrderedDict())
            if key in known:
                known.move_to_end(key)
                return known[key]
            working = self._at_work.setdefault((kind, key), threading.Lock())
        with working:
            with self._lock:
                if key in known:
                    return known[key]
            try:
                found = compute()
            finally:
                with self._lock:
                    self._at_work.pop((kind, key), None)
            with self._lock:
                known[key] = found
                while len(known) > most:
                    known.popitem(last=False)
            return found

    def work(self, kind: str, key: Any, compute: Callable[[Callable[[float], None]], Any]) -> Work:
        """Return work that goes on in a thread of its own, begun when first asked for.

        Args:
            compute: gets what to tell its progress, from 0 to 1.
        """
        return self.once(kind, key, lambda: Work(compute), most=8)

    def forget(self, kind: str, key: Any) -> None:
        """Let it be computed again."""
        with self._lock:
            self._answers.get(kind, {}).pop(key, None)

    def known(self, kind: str, key: Any) -> Any:
        """Return what was computed before for this key, or None."""
        with self._lock:
            return self._answers.get(kind, {}).get(key)

    @property
    def readers(self) -> Readers:
        """Which operations read which memory: the same for a trace and its replays."""
        from cutaway.microscope.users import Readers

        return self.origin.once("readers", None, lambda: Readers(self.origin.trace))

    def warm(self) -> None:
        """Compute what the first question would have to wait for."""
        from cutaway.microscope.formula import load_formulas

        load_formulas()
        _ = self.readers


class OpenTraces:
    """The traces of a lab's folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, tuple[int, ...]], OpenTrace] = OrderedDict()
        self._replays: OrderedDict[tuple[str, tuple[int, ...], str, Stage], OpenTrace] = OrderedDict()
        self._replay_bytes = int(psutil.virtual_memory().total * REPLAY_SHARE)
        self._at_work: dict[Any, threading.Lock] = {}
        self._facts: dict[tuple[str, tuple[int, ...]], dict[str, Any]] = {}

    def folder(self, name: str) -> Path:
        """Return a trace's folder.

        Raises:
            UsageError: the name cannot be a path inside the lab's folder.
            TraceError: there is no trace, or a link leads out.
        """
        parts = name.split("/")
        path = self.home.joinpath(*(check_name(part, "trace") for part in parts))
        if not (path / GRAPH).is_file():
            there = "is no trace: it has no graph.json" if path.is_dir() else "is not there"
            raise TraceError(f"{name} {there}; record one, or copy a trace's folder into {self.home}")
        inside = self.home.resolve().joinpath(*parts)
        if any((path / file).resolve() != inside / file for file in (GRAPH, DATA)):
            raise TraceError(f"{name} is a link out of {self.home}; the lab does not follow it")
        return path

    def names(self) -> list[str]:
        """Return the names of all traces, the newest first."""
        found = [graph for pattern in ("*", "*/traces/*", "traces/*") for graph in self.home.glob(f"{pattern}/{GRAPH}")]
        found.sort(key=lambda graph: -graph.stat().st_mtime_ns)
        names = []
        for graph in found:
            name = graph.parent.relative_to(self.home).as_posix()
            try:
                self.folder(name)
            except (TraceError, UsageError):
                continue
            names.append(name)
        return names

    def facts(self, name: str) -> dict[str, Any]:
        """Return what graph.json says of a trace as a whole, without opening its numbers."""
        from cutaway.microscope.summary import summary

        folder = self.folder(name)
        key = name, stamp(folder)
        if key not in self._facts:
            self._facts[key] = summary(folder)
        return self._facts[key]

    def open(self, name: str, edits: str = "", stage: Stage = "optimizer") -> OpenTrace:
        """Return a trace, with these numbers changed.

        Args:
            stage: how far the replay must have gone; numbers computed after that are not its own.

        Raises:
            TraceError: it is not there, damaged, of something else, or cannot be run again.
            UsageError: edits that do not fit.
        """
        folder = self.folder(name)
        key = name, stamp(folder)
        found = self._made(self._open, key, lambda: self._load(name, folder))
        with self._lock:
            for old in [k for k in self._open if k[0] == name and k != key]:  # recorded again under this name
                del self._open[old]
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
        listed = read_edits(edits)
        if not listed:
            return found
        said = json.dumps([edit.model_dump() for edit in listed])
        with self._lock:
            done = [one for one in STAGES[STAGES.index(stage) :] if (*key, said, one) in self._replays]
        furthest = done[-1] if done else stage
        replayed = self._made(self._replays, (*key, said, furthest), lambda: _replay(found, listed, furthest))
        with self._lock:
            for earlier in STAGES[: STAGES.index(furthest)]:
                self._replays.pop((*key, said, earlier), None)
            while len(self._replays) > MOST_REPLAYS or (
                len(self._replays) > 1 and sum(one.size_bytes for one in self._replays.values()) > self._replay_bytes
            ):
                self._replays.popitem(last=False)
        return replayed

    def close(self, name: str) -> None:
        """Forget a trace."""
        with self._lock:
            for key in [key for key in self._open if key[0] == name]:
                del self._open[key]
            for replay in [key for key in self._replays if key[0] == name]:
                del self._replays[replay]

    def delete(self, name: str) -> None:
        """Delete a trace's files, and its folder unless it holds something else."""
        folder = self.folder(name)
        self.close(name)
        for file in (GRAPH, DATA, VERIFIED):
            (folder / file).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()

    def _load(self, name: str, folder: Path) -> OpenTrace:
        from cutaway.microscope.store import load_trace

        try:
            trace = load_trace(folder)
        except TraceError as error:
            raise TraceError(str(error).replace(str(folder), name)) from error
        made = OpenTrace(name, trace)
        threading.Thread(target=made.warm, name=f"warm {name}", daemon=True).start()
        return made

    def _made(self, table: OrderedDict[Any, OpenTrace], key: Any, make: Callable[[], OpenTrace]) -> OpenTrace:
        with self._lock:
            if key in table:
                table.move_to_end(key)
                return table[key]
            working = self._at_work.setdefault(key, threading.Lock())
        with working:
            with self._lock:
                if key in table:
                    return table[key]
            try:
                made = make()
            finally:
                with self._lock:
                    self._at_work.pop(key, None)
            with self._lock:
                table[key] = made
            return made


def stamp(folder: Path) -> tuple[int, ...]:
    """Return what changes when a trace is recorded again under the same name."""
    return tuple(part for file in (GRAPH, DATA) for part in _stamp(folder / file))


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _replay(recorded: OpenTrace, edits: list[Edit], stage: Stage) -> OpenTrace:
    """Return a trace with numbers changed and everything downstream recomputed, up to a stage."""
    from cutaway.microscope.replay import replay

    trace = recorded.trace
    until = None
    if stage != "optimizer":
        reached = STAGES[: STAGES.index(stage) + 1]
        until = max((one.number for one in trace.operations if one.phase in reached), default=-1)
    given: dict[Any, float] = {}
    for edit in edits:
        place = trace.place(edit.address)
        if not (place.dtype.is_floating_point or place.dtype.is_complex) and edit.value != int(edit.value):
            raise UsageError(f"{edit.address} holds whole numbers ({place.dtype}); {edit.value} is none")
        key = edit.address if edit.index is None else (edit.address, tuple(edit.index))
        given.pop(key, None)  # a later edit of the same numbers comes last
        given[key] = edit.value
    made = OpenTrace(recorded.name, replay(trace, given, until=until), recorded)
    made.edits, made.stage = edits, stage
    old, new = trace.memory.cells, made.trace.memory.cells
    made.size_bytes = sum(b.storage.nbytes() for a, b in zip(old, new, strict=True) if a is not b)
    return made
