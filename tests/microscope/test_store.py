"""A stored trace is the trace; a broken or hostile one is one clear line."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import resource
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from microscope.zoo import OPTIMIZERS, ZOO, specimen
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from cutaway.base.errors import CutawayError, TraceError, UsageError
from cutaway.microscope import store
from cutaway.microscope.diff import diff
from cutaway.microscope.graph_json import Described
from cutaway.microscope.record import Unseen
from cutaway.microscope.replay import find_safe
from cutaway.microscope.store import load_trace
from cutaway.microscope.trace import Trace
from cutaway.microscope.tracing import trace

Edit = Callable[[Any], Any]


def recorded(name: str, optimizer: str = "AdamW") -> Trace:
    one = specimen(name)
    torch.manual_seed(1)
    return trace(one.model, one.inputs, one.loss, OPTIMIZERS[optimizer](one.model.parameters()))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored trace to take copies of and break."""
    return recorded("cnn").save(tmp_path_factory.mktemp("stored") / "cnn")


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    shutil.copytree(small, tmp_path / "trace")
    return tmp_path / "trace"


def same(mine: torch.Tensor, other: torch.Tensor) -> bool:
    return mine.dtype == other.dtype and mine.shape == other.shape and np.array_equal(bits(mine), bits(other))


def bits(tensor: torch.Tensor) -> Any:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy()


# --------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.slow
def test_loaded_is_saved(name: str, tmp_path: Path) -> None:
    """Every address, number, operation and maker; running it again; and saving it again gives the same two files."""
    found = recorded(name)
    found.notes = {"text": "Hej\n", "tokens": [1, 2.5, None, True, ["a"]]}
    again = load_trace(found.save(tmp_path / "trace"))
    assert (again.addresses(), again.notes, again.failure) == (found.addresses(), found.notes, None)
    assert again.names.results == found.names.results
    assert again.names.source_kinds == found.names.source_kinds
    assert again.operations == found.operations
    assert [cell.makers for cell in again.memory.cells] == [cell.makers for cell in found.memory.cells]
    for address in found:
        assert same(found[address], again[address]), address
    rerun = again.replay(everything=True)
    assert diff(again, rerun) == []
    rerun.save(tmp_path / "rerun")
    again.save(tmp_path / "again")
    for file in (store.GRAPH, store.DATA):
        assert digest(tmp_path / "again" / file) == digest(tmp_path / "trace" / file)
    assert digest(tmp_path / "rerun" / store.GRAPH) == digest(tmp_path / "trace" / store.GRAPH)


@pytest.mark.parametrize("name", ["our_gpt", "gpt2", "cnn", "lstm_cell"])
@pytest.mark.slow
def test_a_loaded_trace_explains_verifies_and_replays_the_same(name: str, tmp_path: Path) -> None:
    found = recorded(name)
    again = load_trace(found.save(tmp_path / "trace"))
    rng = random.Random(0)
    for address in rng.sample(found.addresses(), 60):
        shape = found.place(address).shape
        if 0 not in shape:
            index = tuple(rng.randrange(size) for size in shape)
            assert repr(found.explain(address, index)) == repr(again.explain(address, index)), (address, index)
    assert found.verify().as_dict() == again.verify().as_dict()
    address = rng.choice([a for a in found.addresses() if a.endswith(":out") and found.place(a).numel])
    edits = {(address, (0,) * len(found.place(address).shape)): 3.0}
    assert diff(found, found.replay(edits)) == diff(again, again.replay(edits)) != []


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_file_can_be_read_without_us(tmp_path: Path) -> None:
    """With the safetensors library, NumPy and the page on the format."""
    found = recorded("our_gpt")
    folder = found.save(tmp_path / "trace")
    graph = json.loads((folder / "graph.json").read_text())
    with safe_open(folder / "data.safetensors", framework="np") as file:
        for address, number in graph["addresses"].items():
            storage, version, dtype, shape, stride, offset = graph["places"][number]
            writes = graph["storages"][storage]["writes"]
            if version == len(writes):
                raw = file.get_tensor(f"storage.{storage}")
            elif graph["places"][writes[version]["place"]][2:] == [dtype, shape, stride, offset]:
                raw, offset = file.get_tensor(f"storage.{storage}.before.{version}"), 0
                stride = writes[version]["stride"]
            else:
                continue
            raw = raw.view(np.uint8).view(dtype)
            value = np.lib.stride_tricks.as_strided(raw[offset:], shape, [s * raw.itemsize for s in stride])
            np.testing.assert_array_equal(value, found[address].numpy(), err_msg=address)


class Odd(nn.Module):
    """Arguments and numbers of many kinds."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(5)
        noise = torch.rand(3, 4, generator=generator)
        x = x.masked_fill(noise > 0.5, float("-inf")).clamp(min=float("-inf"), max=3)
        z = torch.complex(noise, noise) * (1 + 2j)
        halves = x.to(torch.bfloat16).transpose(0, 1) + 1
        steps = torch.arange(4, dtype=torch.int16) << 1
        where = torch.empty(0, 3)
        return torch.cat([z.abs().to(torch.float64).flatten(), halves.double().nan_to_num(neginf=0).flatten(), steps,
                          where.sum().reshape(1)])  # fmt: skip


def test_numbers_and_arguments_of_every_kind(tmp_path: Path) -> None:
    found = trace(Odd(), torch.randn(3, 4))
    again = load_trace(found.save(tmp_path / "trace"))
    for address in found:
        assert same(found[address], again[address]), address
    arguments = [value for operation in again.operations for value in operation.args.values()]
    assert float("-inf") in arguments
    assert 1 + 2j in arguments
    assert torch.bfloat16 in arguments
    assert any(isinstance(value, Described) and "seed 5" in repr(value) for value in arguments)
    kinds = {again.place(address).dtype for address in again}
    assert {torch.bool, torch.complex64, torch.bfloat16, torch.float64, torch.int16} <= kinds
    assert diff(again, again.replay(everything=True)) == []


class Sparse(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sparse.mm(x.to_sparse(), x.t())


def test_what_was_not_seen_stays_unseen(tmp_path: Path) -> None:
    found = trace(Sparse(), torch.eye(3))
    again = load_trace(found.save(tmp_path / "trace"))
    assert unseen(again) == unseen(found) != []


def unseen(trace: Trace) -> list[tuple[int, str]]:
    values = [(o.number, value) for o in trace.operations for value in [*o.args.values(), *o.results]]
    return [(number, repr(value)) for number, value in values if isinstance(value, Unseen)]


def test_a_failed_program_is_stored_with_its_failure(tmp_path: Path) -> None:
    with pytest.raises(TraceError) as caught:
        trace(nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 3)), torch.randn(2, 4))
    found: Any = caught.value.trace
    again = load_trace(found.save(tmp_path / "trace"))
    assert again.failure == found.failure
    assert "RuntimeError" in str(again.failure)
    assert again.addresses() == found.addresses()


# --------------------------------------------------------------------------------------------- opening costs little


def test_opening_reads_no_numbers(small: Path, tmp_path: Path) -> None:
    """A storage of a gigabyte (a hole in the file) is opened and looked into in a few megabytes."""
    shutil.copytree(small, tmp_path / "big")
    size = 1 << 30

    def grow(graph: Any) -> None:
        graph["storages"].append({"bytes": size, "source": True, "writes": []})
        graph["places"].append([len(graph["storages"]) - 1, 0, "float32", [1024, 1 << 18], [1 << 18, 1], 0])
        graph["addresses"]["huge"] = len(graph["places"]) - 1

    change_graph(tmp_path / "big", grow)
    number = len(json.loads((tmp_path / "big" / "graph.json").read_text())["storages"]) - 1

    def name(header: Any) -> None:
        end = max(entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__")
        header[f"storage.{number}"] = {"dtype": "F32", "shape": [size // 4], "data_offsets": [end, end + size]}

    change_header(tmp_path / "big", name)
    with (tmp_path / "big" / "data.safetensors").open("r+b") as file:
        file.truncate(file.seek(0, os.SEEK_END) + size)
        file.seek(-8, os.SEEK_END)
        file.write(np.array([1.5, 2.5], np.float32).tobytes())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    huge = load_trace(tmp_path / "big")
    assert huge.slice("huge", [(1022, 1024), ((1 << 18) - 2, 1 << 18)]).tolist() == [[0.0, 0.0], [1.5, 2.5]]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < (100 << 20) // 1024


def test_slices(small: Path) -> None:
    again = load_trace(small)
    rng = random.Random(0)
    for address in again.addresses():
        ranges = []
        for size in again.place(address).shape[: rng.randrange(5)]:
            first = rng.randrange(size + 1)
            ranges.append((first, rng.randrange(first, size + 1)))
        expected = again[address].numpy()[tuple(slice(*one) for one in ranges)]
        np.testing.assert_array_equal(again.slice(address, ranges), expected)
    for wrong in ([(0, 7)], [(-1, 2)], [(3, 2)], [(0, 1)] * 5):
        with pytest.raises(UsageError, match=r"0.weight has shape \[6, 3, 3, 3\]; there is no part"):
            again.slice("0.weight", wrong)


def test_replaying_leaves_the_file_alone(copy: Path) -> None:
    before = digest(copy / store.DATA)
    again = load_trace(copy)
    again.replay({"0.weight": torch.zeros(6, 3, 3, 3)}, everything=True)
    assert digest(copy / store.DATA) == before
    assert not again["0.weight"].eq(0).all()


# --------------------------------------------------------------------------------------------- saving


def test_a_trace_takes_the_place_of_a_trace_and_of_nothing_else(copy: Path, tmp_path: Path) -> None:
    found = recorded("mlp")
    found.save(copy)
    assert load_trace(copy).addresses() == found.addresses()
    load_trace(copy).save(copy)  # onto the file it is mapped from
    assert load_trace(copy).addresses() == found.addresses()
    (tmp_path / "essays").mkdir()
    (tmp_path / "essays" / "one.md").write_text("mine")
    for target in (tmp_path / "essays", tmp_path / "essays" / "one.md", tmp_path):
        with pytest.raises(TraceError, match="exists and is not a trace; nothing was written"):
            found.save(target)
    assert (tmp_path / "essays" / "one.md").read_text() == "mine"


def test_a_full_disk_leaves_the_old_trace(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(copy / store.DATA)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "write_tensors", full)
    with pytest.raises(CutawayError, match="the disk is full"):
        recorded("mlp").save(copy)
    assert digest(copy / store.DATA) == before
    assert os.listdir(copy.parent) == ["trace"]


# --------------------------------------------------------------------------------------------- broken and hostile


def change_graph(folder: Path, edit: Edit) -> None:
    graph = json.loads((folder / "graph.json").read_text())
    edited = edit(graph)
    (folder / "graph.json").write_text(json.dumps(graph if edited is None else edited))


def change_header(folder: Path, edit: Edit) -> None:
    data = (folder / "data.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    edited = edit(header)
    text = json.dumps(header if edited is None else edited).encode()
    text += b" " * (-(8 + len(text)) % 64)
    (folder / "data.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data[start:])


def first(graph: Any, name: str) -> Any:
    return next(operation for operation in graph["operations"] if operation["name"].startswith(name))


def put(*path: Any, value: Any) -> Edit:
    def edit(graph: Any) -> None:
        for key in path[:-1]:
            graph = first(graph, key[1:]) if isinstance(key, str) and key.startswith("@") else graph[key]
        graph[path[-1]] = value

    return edit


def drop(*path: Any) -> Edit:
    def edit(graph: Any) -> None:
        for key in path[:-1]:
            graph = first(graph, key[1:]) if isinstance(key, str) and key.startswith("@") else graph[key]
        del graph[path[-1]]

    return edit


HOSTILE_GRAPHS: dict[str, tuple[Edit, str]] = {
    "a place past the end": (put("places", 0, 5, value=10**6), "ends at byte .* of a storage of .* altered"),
    "strides past the end": (put("places", 0, 4, value=[10**6] * 4), "ends at byte"),
    "a shape past the end": (put("places", 0, 3, value=[10**6] * 4), "ends at byte"),
    "a negative offset": (put("places", 0, 5, value=-1), "'-1' where a whole number below"),
    "a negative stride": (put("places", 0, 4, 0, value=-1), "whole number"),
    "a size that overflows": (put("places", 0, 3, 0, value=2**63), "whole number"),
    "a size that is no number": (put("places", 0, 3, 0, value=True), "whole number"),
    "a size with a fraction": (put("places", 0, 3, 0, value=1.0), "whole number"),
    "an axis too many": (put("places", 0, 3, value=[1] * 9), "9 axes and 4 strides"),
    "a broadcast beyond all memory": (lambda g: g["places"][0].__setitem__(slice(3, 5), [[2**40] * 4, [0] * 4]), "altered"),
    "an unknown dtype": (put("places", 0, 2, value="float31"), "numbers of a kind 'float31'"),
    "a wider dtype": (put("places", 0, 2, value="float64"), "ends at byte"),
    "a storage that is not there": (put("places", 0, 0, value=10**6), "whole number below"),
    "a version that is not there": (put("places", 0, 1, value=99), "whole number below"),
    "a place cut short": (put("places", 0, value=[0, 0]), "damaged"),
    "a larger storage": (put("storages", 0, "bytes", value=10**6), "do not belong together"),
    "a smaller storage": (put("storages", 0, "bytes", value=1), "ends at byte|do not belong together"),
    "a storage too few": (lambda g: g["storages"].pop() and None, "whole number below|does not know"),
    "an overwriting elsewhere": (lambda g: writes_of(g)[0].update(place=0), "is of another place"),
    "an overwriting out of bounds": (lambda g: writes_of(g)[0].update(stride=[10**6] * 4), "ends at byte|axes"),
    "an overwriting too few": (lambda g: writes_of(g).pop() and None, "whole number below"),
    "an argument that leads nowhere": (put("@convolution", "args", "input", value={"place": 10**6}), "whole number"),
    "an argument of an unknown kind": (put("@convolution", "args", "input", value={"pickle": "gA"}), "'pickle'.*not know"),
    "an argument of two kinds": (put("@convolution", "args", "input", value={"place": 0, "float": "inf"}), "damaged"),
    "code for a number": (put("@convolution", "args", "input", value={"float": "__import__('os')"}), "does not know"),
    "an unknown device": (put("@convolution", "args", "input", value={"device": "rm -rf"}), "damaged"),
    "an argument too few": (drop("@convolution", "args", "input"), "lacks its argument 'input'"),
    "an argument too many": (put("@convolution", "args", "file", value="x"), "'file', which it does not take"),
    "a tensor for a flag": (put("@convolution", "args", "transposed", value={"place": 0}), "takes no tensor as transposed"),
    "a write that is hidden": (put("@add_", "writes", value=[]), "writes to its argument 'self'|is no view|is a view"),
    "a write to nothing": (put("@convolution", "writes", value=["everything"]), "cannot write to everything"),
    "a result that calls itself a view": (put("@convolution", "view", value=True), "convolution, is no view"),
    "a view that does not": (put("@view", "view", value=False), "is a view"),
    "a forward operation of the future": (put("@convolution", "forward", value=10**6), "whole number"),
    "a phase that is none": (put("@convolution", "phase", value="sideways"), "phase 'sideways'"),
    "an address that leads nowhere": (put("addresses", "loss", value=10**6), "whole number"),
    "an address without a place": (put("@convolution", "addresses", "0", value="nothing"), "leads nowhere"),
    "an address of no result": (put("@convolution", "addresses", "7", value="loss"), "leads nowhere"),
    "an address that moves the cursor": (put("addresses", "\x1b[2J", value=0), "plain text"),
    "a module that moves the cursor": (put("@convolution", "module", value="\x1b]0;x\x07"), "plain text"),
    "a source without an address": (put("sources", "nothing", value="parameter"), "leads nowhere"),
    "a note that is an object": (put("notes", "text", value={"a": 1}), "note"),
    "another format": (put("format", value="a model"), "of something else than a trace"),
    "a version from the future": (put("version", value=2), "trace format 2, this Cutaway reads up to 1; install a newer"),
    "a version that is none": (put("version", value="one"), "version 'one', which makes no sense"),
    "no places": (drop("places"), "damaged or altered"),
    "no operations": (put("operations", value={}), "as operations"),
    "a list": (lambda g: [g], "of something else than a trace"),
}  # fmt: skip


def writes_of(graph: Any) -> Any:
    return next(storage["writes"] for storage in graph["storages"] if storage["writes"])


@pytest.mark.parametrize("what", HOSTILE_GRAPHS)
def test_a_hostile_graph_is_one_line(copy: Path, what: str) -> None:
    edit, said = HOSTILE_GRAPHS[what]
    change_graph(copy, edit)
    with pytest.raises(TraceError, match=said) as caught:
        load_trace(copy)
    assert str(copy) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


def data(edit: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda folder: change_bytes(folder / "data.safetensors", edit)


def change_bytes(file: Path, edit: Callable[[bytes], bytes]) -> None:
    file.write_bytes(edit(file.read_bytes()))


def link_out(folder: Path) -> None:
    (folder / "data.safetensors").rename(folder.parent / "elsewhere")
    (folder / "data.safetensors").symlink_to("../elsewhere")


HOSTILE_FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a data file cut off": (data(lambda b: b[:-64]), "bytes, its header describes"),
    "a data file too long": (data(lambda b: b + b"x"), "bytes, its header describes"),
    "an empty data file": (data(lambda b: b""), "cut off or is not safetensors"),
    "a header cut off": (data(lambda b: b[:100]), "cut off or is not safetensors"),
    "a header of any length": (data(lambda b: b"\xff" * 8 + b[8:]), "cut off or is not safetensors"),
    "a header that is not JSON": (data(lambda b: b[:8] + b"x" + b[9:]), "header of data.safetensors is not JSON"),
    "a header that is a list": (lambda f: change_header(f, lambda h: []), "not a JSON object"),
    "a header with tensors exchanged": (lambda f: change_header(f, exchanged), "do not belong together|was altered"),
    "a header with a hole": (lambda f: change_header(f, put("storage.0", "data_offsets", value=[64, 128])), "was altered"),
    "a header before its start": (lambda f: change_header(f, put("storage.0", "data_offsets", 0, value=-8)), "whole"),
    "a header without a tensor": (lambda f: change_header(f, drop("storage.1")), "was altered|its header describes"),
    "a header of nonsense": (lambda f: change_header(f, put("storage.0", value=7)), "damaged or altered"),
    "somebody's model": (lambda f: save_file({"w": torch.zeros(16)}, f / "data.safetensors"), "altered|belong together"),
    "no data file": (lambda f: (f / "data.safetensors").unlink(), "it has no data.safetensors"),
    "a data file elsewhere": (link_out, "is a link out of the folder"),
    "a graph cut off": (lambda f: change_bytes(f / "graph.json", lambda b: b[:1000]), "graph.json is cut off"),
    "a graph that is not text": (lambda f: change_bytes(f / "graph.json", lambda b: b"\xff\xfe" + b), "not JSON"),
    "a graph without bottom": (lambda f: change_bytes(f / "graph.json", lambda b: b"[" * 10**6), "RecursionError"),
    "a graph with NaN": (lambda f: change_graph(f, put("notes", "x", value=float("nan"))), "the number NaN"),
    "no graph": (lambda f: (f / "graph.json").unlink(), "it has no graph.json; `cutaway trace`"),
    "nothing": (shutil.rmtree, "is not there"),
}  # fmt: skip


def exchanged(header: Any) -> Any:
    names = [name for name in header if name != "__metadata__"]
    return {name: header[other] for name, other in zip(names, reversed(names), strict=True)}


@pytest.mark.parametrize("what", HOSTILE_FILES)
def test_a_hostile_file_is_one_line(copy: Path, what: str) -> None:
    edit, said = HOSTILE_FILES[what]
    edit(copy)
    with pytest.raises(TraceError, match=said) as caught:
        load_trace(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["os.system", "builtins::eval", "../x", "__class__", "mm.__call__", "aten::mm", "save", "from_file", "_print",
     "profiler::_record_function_enter_new", "debugprims::load_tensor", "", "mm.default.op", "_sparse_coo_tensor_unsafe"],
)  # fmt: skip
def test_a_loaded_trace_runs_nothing_but_arithmetic(small: Path, tmp_path: Path, name: str) -> None:
    """An operation by any other name is shown and never run."""
    assert find_safe(name) is None
    shutil.copytree(small, tmp_path / "trace")
    change_graph(tmp_path / "trace", lambda graph: first(graph, "relu").update(name=name))
    again = load_trace(tmp_path / "trace")
    assert name in [operation.name for operation in again.operations]
    with pytest.raises(TraceError, match="not one a trace from a file may run"):
        again.replay({"0.weight": torch.zeros(6, 3, 3, 3)})
    with pytest.raises(TraceError, match="not one a trace from a file may run"):
        again.replay().replay({"0.weight": torch.zeros(6, 3, 3, 3)})  # a replay of it is no more to be trusted


def test_no_file_is_written_by_a_replay(small: Path, tmp_path: Path) -> None:
    shutil.copytree(small, tmp_path / "trace")
    target = tmp_path / "written"
    arguments = {"filename": str(target), "shared": True, "size": 48}
    change_graph(tmp_path / "trace", lambda graph: first(graph, "relu").update(name="from_file", args=arguments))
    with pytest.raises(TraceError):
        load_trace(tmp_path / "trace").replay(everything=True)
    assert not target.exists()


JUNK: list[Any] = [
    None, True, -1, 0, 1, 7, 2**40, 2**70, -1.5, 1e300, "", "x", "loss", "\x1b[2J", "float64", "mm", [], [0], [[]], [1, 2],
    {}, {"place": 0}, {"place": 5}, {"place": -1}, {"dtype": "int8"}, {"float": "nan"}, {"complex": [1, 2]}, {"a": {}},
]  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.slow
def test_anything_changed_is_refused_or_harmless(small: Path, tmp_path: Path, seed: int) -> None:
    """40 traces, each with a few values of graph.json replaced by junk: one line, or a trace that can be looked at."""
    rng = random.Random(seed)
    said = []
    for _ in range(40):
        shutil.copytree(small, tmp_path / "trace", dirs_exist_ok=True)
        change_graph(tmp_path / "trace", lambda graph: [spoil(graph, rng) for _ in range(rng.randrange(1, 4))] and None)
        try:
            again = load_trace(tmp_path / "trace")
            for address in again:
                if again.place(address).numel < 10**6:
                    again[address]
            again.replay(everything=True)
            again.verify()
        except CutawayError as error:
            said.append(str(error))
    assert said
    assert all(line.isprintable() for line in said)


def spoil(node: Any, rng: random.Random) -> None:
    """Replace one value somewhere inside."""
    while True:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        key = rng.choice(list(keys))
        if isinstance(node[key], (dict, list)) and node[key] and rng.random() < 0.9:
            node = node[key]
        else:
            node[key] = deepcopy(rng.choice(JUNK))
            return
