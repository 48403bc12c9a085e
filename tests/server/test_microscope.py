"""What the microscope screen is told: the Python API's numbers, which are PyTorch's; one line for every wrong request."""

from __future__ import annotations

import json
import math
import random
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from microscope.zoo import specimen
from torch import nn

import cutaway
from cutaway.cli.main import main
from cutaway.microscope.diff import diff
from cutaway.microscope.store import load_trace
from cutaway.microscope.trace import Trace
from cutaway.server.app import create_app
from cutaway.server.lab import Lab

SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class Page:
    """Asks as the page does."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.lab = Lab(home)
        self.client = TestClient(create_app(self.lab))

    def get(self, what: str, trace: str = "traces/gpt", **query: Any) -> Any:
        answer = self.client.get(f"/api/microscope/{what}", params={"trace": trace, **query})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def tensor(self, address: str, trace: str = "traces/gpt", **query: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what is said of a tensor, and its arrays."""
        answer = self.client.get("/api/microscope/tensor", params={"trace": trace, "address": address, **query})
        assert answer.status_code == 200, answer.text
        content = answer.content
        size = int.from_bytes(content[4:8], "little")
        header = json.loads(content[8 : 8 + size])
        arrays = {
            one["name"]: np.frombuffer(
                content, one["dtype"], math.prod(one["shape"]), 8 + size + one["offset"]
            ).reshape(one["shape"])
            for one in header["arrays"]
        }
        return header["meta"], arrays

    def diff(self, **query: Any) -> Any:
        """Return how two traces differ, when that is known."""
        until = time.monotonic() + 30
        while (told := self.get("diff", **query))["state"] == "running":
            assert time.monotonic() < until
        return told

    def refused(self, what: str, trace: str = "traces/gpt", **query: Any) -> tuple[int, str]:
        """Return the status and the one line of a refusal."""
        answer = self.client.get(f"/api/microscope/{what}", params={"trace": trace, **query})
        assert 400 <= answer.status_code < 500, answer.text
        said = answer.json()["error"]
        assert said
        assert "\n" not in said
        assert str(self.home) not in said or "runs" in said or "copy" in said or "link" in said
        return answer.status_code, said


def step(seed: int = 0) -> Trace:
    one = specimen("our_gpt")
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in one.model.parameters():
            parameter.add_(seed * 0.01 * torch.randn_like(parameter))
    optimizer = torch.optim.AdamW(one.model.parameters(), lr=0.01)
    return cutaway.trace(one.model, one.inputs, one.loss, optimizer)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("lab")
    trace = step()
    trace.notes |= {"model": "our gpt", "text": "abc", "tokens": ["a", "b", "c"]}
    trace.save(home / "traces" / "gpt")
    step(1).save(home / "traces" / "later")
    specimen_cnn = specimen("cnn")
    cutaway.trace(specimen_cnn.model, specimen_cnn.inputs, specimen_cnn.loss).save(home / "cnn")
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    with torch.no_grad():
        model[0].weight[0, 0], model[0].weight[1, 1] = torch.inf, torch.nan
    cutaway.trace(model, torch.randn(4, 3), lambda out: out.sum()).save(home / "traces" / "broken numbers")
    return home


@pytest.fixture
def page(made: Path, tmp_path: Path) -> Page:
    shutil.copytree(made, tmp_path / "lab")
    return Page(tmp_path / "lab")


@pytest.fixture(scope="module")
def seen(made: Path) -> Page:
    """A page on traces that no test changes."""
    return Page(made)


@pytest.fixture(scope="module")
def trace(made: Path) -> Trace:
    return load_trace(made / "traces" / "gpt")


def number(sent: Any) -> float:
    return SPECIAL[sent] if isinstance(sent, str) else sent


def same(sent: Any, value: float) -> bool:
    return number(sent) == value or (math.isnan(number(sent)) and math.isnan(value))


def cells(trace: Trace, n: int, seed: int = 0) -> list[tuple[str, tuple[int, ...]]]:
    """Return random numbers of random tensors."""
    generator = random.Random(seed)
    addresses = [address for address in trace if trace.place(address).numel]
    return [
        (address, tuple(generator.randrange(size) for size in trace.place(address).shape))
        for address in generator.choices(addresses, k=n)
    ]


def asked(address: str, index: tuple[int, ...]) -> dict[str, str]:
    return {"address": address, "index": ",".join(map(str, index))}


# ------------------------------------------------------------------------------------------------------ numbers


@pytest.mark.slow
def test_an_explanation_is_the_api_s(seen: Page, trace: Trace) -> None:
    for address, index in cells(trace, 120):
        told = seen.get("explain", **asked(address, index), most=7)
        own = trace.explain(address, index)
        assert (told["address"], told["index"], told["kind"]) == (own.address, list(own.index), own.kind)
        assert same(told["value"], own.value)
        assert told["text"] == repr(own.value)
        assert (told["formula"], told["latex"], told["numbers"]) == (own.formula, own.latex, own.numbers)
        assert (told["verdict"], told["n_terms"]) == (own.verdict, max(own.n_terms, len(own.terms)))
        assert [(t["address"], tuple(t["index"])) for t in told["terms"]] == [
            (t.address, t.index) for t in own.terms[:7]
        ]
        assert all(same(t["value"], o.value) for t, o in zip(told["terms"], own.terms, strict=False))
        listed = sum(number(t["value"]) for t in told["terms"])
        if own.kind == "computed" and math.isfinite(own.rest):
            assert number(told["rest"]) == pytest.approx(own.rest + sum(t.value for t in own.terms[7:]), abs=1e-9)
            whole = listed + number(told["rest"])
            assert whole == pytest.approx(own.rest + sum(t.value for t in own.terms), rel=1e-9, abs=1e-9)
        for term in told["terms"]:
            there = trace[term["address"]][tuple(term["index"])].item()
            assert same(term["number"], there)


def test_numbers_are_pytorch_s() -> None:
    """A model on this page, its step by PyTorch alone, the same numbers over the wire."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    x, y = torch.randn(6, 5), torch.randn(6, 3)
    again = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    again.load_state_dict(model.state_dict())
    optimizers = [torch.optim.Adam(one.parameters(), lr=0.01) for one in (model, again)]
    home = Path(__import__("tempfile").mkdtemp())
    cutaway.trace(model, x, lambda out: (out - y).square().mean(), optimizers[0]).save(home / "traces" / "gpt")
    page = Page(home)
    hidden = again[1](again[0](x))
    hidden.retain_grad()
    loss = (again[2](hidden) - y).square().mean()
    loss.backward()
    before = again[0].weight.detach().clone()
    optimizers[1].step()
    state = optimizers[1].state[again[0].weight]
    expected = {
        "loss": loss.detach(), "1:out": hidden.detach(), "1:out:grad": hidden.grad, "0.weight": before,
        "0.weight:grad": again[0].weight.grad, "0.weight:new": again[0].weight.detach(),
        "0.weight:exp_avg": state["exp_avg"], "0.weight:exp_avg_sq": state["exp_avg_sq"],
    }  # fmt: skip
    for address, tensor in expected.items():
        _, arrays = page.tensor(address)
        assert np.array_equal(arrays["values"].reshape(tensor.shape), tensor.numpy()), address
        for _ in range(4):
            index = tuple(random.randrange(size) for size in tensor.shape)
            assert page.get("explain", **asked(address, index))["value"] == tensor[index].item()
    told = {one["role"]: one["value"] for one in page.get("across", address="0.weight", index="2,3")["numbers"]}
    assert told["gradient"] == again[0].weight.grad[2, 3].item()
    assert told["exp_avg after"] == state["exp_avg"][2, 3].item()
    assert told["step after"] == 1
    assert told["update"] == again[0].weight[2, 3].item() - before[2, 3].item()
    assert told["new value"] == again[0].weight[2, 3].item()
    shutil.rmtree(home)


def test_terms_come_in_pages(seen: Page, trace: Trace) -> None:
    own = trace.explain("lm_head.weight:grad", (3, 4))
    assert own.n_terms > 8
    pages = [seen.get("explain", address="lm_head.weight:grad", index="3,4", start=n, most=4) for n in (0, 4)]
    values = [term["value"] for page in pages for term in page["terms"]]
    assert values == [term.value for term in own.terms[:8]]
    assert pages[1]["start"] == 4
    rest = sum(term.value for term in own.terms[8:])
    assert pages[1]["rest"] == pytest.approx(rest, abs=1e-9)


def test_the_formula_as_a_tree(seen: Page) -> None:
    told = seen.get("explain", address="lm_head.weight:grad", index="3,4", tree=True)
    assert told["tree"][0]["target"] == "out"
    assert seen.get("explain", address="lm_head.weight:grad", index="3,4")["tree"] is None


@pytest.mark.slow
def test_users_across_why_and_path_are_the_api_s(seen: Page, trace: Trace) -> None:
    for address, index in cells(trace, 40, seed=1):
        told = seen.get("users", **asked(address, index), most=5)["uses"]
        own = trace.used_by(address, index, most=5)
        assert [(u["operation"], u["address"], u["count"]) for u in told] == [
            (u.operation, u.address, u.count) for u in own
        ]
        assert [[tuple(i) for i in u["first"]] for u in told] == [u.first for u in own]
        for use in told:
            if use["first"]:
                assert same(use["value"], trace[use["address"]][tuple(use["first"][0])].item())
        for one in seen.get("across", **asked(address, index))["numbers"]:
            if one["address"]:
                assert same(one["value"], trace[one["address"]][tuple(one["index"])].item())
    nodes = seen.get("why", address="lm_head.weight:grad", index="3,4", depth=2, most=2)["nodes"]
    reason = trace.why("lm_head.weight:grad", (3, 4), depth=2, most=2)
    assert nodes[0]["parent"] == -1
    assert [n["address"] for n in nodes if n["parent"] == 0] == [p.explanation.address for p in reason.parts]
    assert nodes[1]["share"] == reason.parts[0].share
    links = seen.get("gradient_path", address="lm_head.weight:grad", index="3,4")["links"]
    assert [(one["address"], one["value"]) for one in links] == [
        (one.address, one.value) for one in trace.gradient_path("lm_head.weight:grad", (3, 4))
    ]


def test_a_gradient_s_own_family(seen: Page) -> None:
    roles = [one["role"] for one in seen.get("across", address="lm_head.weight:grad", index="0,0")["numbers"]]
    assert roles[:2] == ["value", "gradient"]
    assert "update" in roles
    assert roles[-1] == "new value"
    meta, _ = seen.tensor("blocks.0.attn.pattern")
    assert ("gradient", "blocks.0.attn.pattern:grad") in {(one["role"], one["address"]) for one in meta["related"]}


# ------------------------------------------------------------------------------------------------------ tensors


@pytest.mark.slow
def test_a_part_of_a_tensor_is_the_tensor_s(seen: Page, trace: Trace) -> None:
    generator = random.Random(2)
    for address, at in cells(trace, 80, seed=2):
        tensor = trace[address]
        axes = list(range(tensor.ndim))
        generator.shuffle(axes)
        rows, columns = [*axes, -1, -1][:2]
        query: dict[str, Any] = {"rows": rows, "columns": columns, "at": ",".join(map(str, at))}
        where: list[Any] = list(at)
        for name, axis in (("row", rows), ("column", columns)):
            if axis >= 0:
                first = generator.randrange(tensor.shape[axis])
                last = generator.randrange(first, tensor.shape[axis]) + 1
                query |= {f"first_{name}": first, f"last_{name}": last}
                where[axis] = slice(first, last)
        meta, arrays = seen.tensor(address, **query)
        expected = tensor[tuple(where)].numpy()
        if rows > columns >= 0:
            expected = expected.T
        assert meta["shape"] == list(tensor.shape)
        assert (meta["block_rows"], meta["shown"]) == (1, "values")
        assert arrays["values"].size == expected.size
        assert np.array_equal(arrays["values"].ravel(), expected.ravel(), equal_nan=True), address
        assert arrays["values"].shape == (
            1 if rows < 0 else expected.shape[0],
            1 if columns < 0 else expected.shape[-1],
        )


def test_blocks_say_the_smallest_the_largest_and_the_mean(seen: Page, trace: Trace) -> None:
    tensor = trace["lm_head.weight"].double().numpy()
    meta, arrays = seen.tensor("lm_head.weight", most=30)
    height, width = meta["block_rows"], meta["block_columns"]
    assert height > 1
    assert arrays["mean"].size <= 30
    for i, j in np.ndindex(*arrays["mean"].shape):
        block = tensor[i * height : (i + 1) * height, j * width : (j + 1) * width]
        assert arrays["mean"][i, j] == pytest.approx(block.mean(), rel=1e-12)
        assert (arrays["low"][i, j], arrays["high"][i, j]) == (block.min(), block.max())
    assert not arrays["strange"].any()


def test_blocks_do_not_hide_what_is_infinite(seen: Page) -> None:
    _, arrays = seen.tensor("0.weight", "traces/broken numbers", most=1)
    assert arrays["strange"].tolist() == [[2]]
    assert np.isfinite(arrays["mean"]).all()
    meta, arrays = seen.tensor("0.weight", "traces/broken numbers")
    assert np.isinf(arrays["values"][0, 0])
    assert np.isnan(arrays["values"][1, 1])
    assert (meta["statistics"]["infinite"], meta["statistics"]["undefined"], meta["statistics"]["finite"]) == (1, 1, 4)
    told = seen.get("explain", "traces/broken numbers", address="0.weight", index="1,1")
    assert (told["value"], told["text"]) == ("nan", "nan")
    assert seen.get("explain", "traces/broken numbers", address="0.weight", index="0,0")["value"] == "inf"


def test_statistics_are_numpy_s(seen: Page, trace: Trace) -> None:
    for address, _ in cells(trace, 60, seed=3):
        told = seen.get("statistics", address=address)
        values = trace[address].double().numpy().ravel()
        finite = values[np.isfinite(values)]
        assert (told["count"], told["finite"], told["zeros"]) == (values.size, finite.size, (values == 0).sum())
        if not finite.size:
            assert told["mean"] is None
            continue
        assert (told["minimum"], told["maximum"]) == (finite.min(), finite.max())
        assert told["mean"] == pytest.approx(finite.mean(), rel=1e-9, abs=1e-12)
        assert told["deviation"] == pytest.approx(finite.std(), rel=1e-9, abs=1e-12)
        assert told["norm"] == pytest.approx(np.sqrt((finite**2).sum()), rel=1e-9)
        shares = [0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1]
        assert told["quantiles"] == pytest.approx(np.quantile(finite, shares).tolist(), rel=1e-9, abs=1e-12)
        assert sum(told["counts"]) == finite.size
        assert len(told["edges"]) == len(told["counts"]) + 1


def test_axes_have_the_model_s_names(seen: Page) -> None:
    meta, _ = seen.tensor("blocks.0.attn.pattern")
    assert [axis["letter"] for axis in meta["axes"]] == ["B", "H", "T", "S"]
    assert meta["axes"][1]["meaning"] == "query heads"
    meta, _ = seen.tensor("lm_head.weight")
    assert [axis["letter"] for axis in meta["axes"]] == ["", ""]


def test_where_a_tensor_came_from(seen: Page, trace: Trace) -> None:
    meta, _ = seen.tensor("blocks.0.attn.pattern")
    assert (meta["kind"], meta["phase"], meta["operation"], meta["module"]) == (
        "computed", "forward", "_softmax", "blocks.0.attn",
    )  # fmt: skip
    assert meta["operands"] == ["blocks.0.attn.scores"]
    assert seen.tensor("lm_head.weight")[0]["kind"] == "parameter"


# ------------------------------------------------------------------------------------------------------ overview


def test_the_overview_is_the_trace(seen: Page, trace: Trace) -> None:
    told = seen.get("overview")
    operations = [o for o in trace.operations if not o.is_view and not o.name.startswith(("empty", "new_empty"))]
    columns = told["operations"]
    assert columns["number"] == [o.number for o in operations]
    assert [told["names"][n] for n in columns["name"]] == [o.name for o in operations]
    assert [["forward", "backward", "optimizer"][n] for n in columns["phase"]] == [o.phase for o in operations]
    assert [told["sources"][n] for n in columns["source"]] == [o.source for o in operations]
    for o, outputs in zip(operations, columns["outputs"], strict=True):
        assert [told["addresses"][n] for n in outputs] == [
            trace.names.results[o.number, which] for which, _ in o.outputs()
        ]
    assert told["addresses"] == list(trace)
    assert [tuple(shape) for shape in told["shapes"]] == [trace.place(a).shape for a in trace]
    made = {}  # what an operation reads was there before or made earlier
    for n, (outputs, operands) in enumerate(zip(columns["outputs"], columns["operands"], strict=True)):
        for one in operands:
            assert told["kinds"][one] != "computed" or one in made, told["addresses"][one]
        made |= dict.fromkeys(outputs, n)
    numbers = set(columns["number"])
    for phase, forward in zip(columns["phase"], columns["forward"], strict=True):
        assert forward == -1 or (phase == 1 and forward in numbers)
    assert sum(forward >= 0 for forward in columns["forward"]) > len(operations) / 8


def test_modules_are_those_of_the_model(seen: Page, trace: Trace) -> None:
    model = specimen("our_gpt").model
    rows = {row["path"]: row for row in seen.get("overview")["modules"]}
    told = seen.get("overview")
    for path, module in model.named_modules():
        if path in rows:
            assert rows[path]["kind"] == type(module).__name__
            assert rows[path]["parameter_count"] == sum(p.numel() for p in module.parameters())
            assert [told["addresses"][n] for n in rows[path]["parameters"]] == [
                f"{path}.{name}" if path else name
                for name, _ in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
            ]
    assert {path for path, module in model.named_modules() if list(module.parameters(recurse=False))} <= set(rows)
    out = trace["blocks.0:out"] if "blocks.0:out" in trace else trace[told["addresses"][rows["blocks.0"]["out"][0]]]
    assert rows["blocks.0"]["size_out"] == pytest.approx(out.double().square().mean().sqrt().item(), rel=1e-5)
    counts = np.array([row["counts"] for row in rows.values()]).sum(axis=0)
    phases = np.array(told["operations"]["phase"])
    assert (counts >= np.bincount(phases, minlength=3)).all()


def test_a_search_finds_what_one_types(seen: Page) -> None:
    def found(query: str, **more: Any) -> list[str]:
        return [one["address"] for one in seen.get("addresses", query=query, **more)["found"]]

    assert found("lm_head.weight")[0] == "lm_head.weight"
    assert found("attn pattern")[0] == "blocks.0.attn.pattern"
    assert all("pattern" in address for address in found("attn pattern"))
    assert "lm_head.weight:grad" in found("lmhead wgt:grd")  # letters in their order
    assert found("lm_haed.weight")  # a mistake
    assert found("nothing like this at all 999") == []
    assert all(a.startswith("blocks.1") for a in found("", module="blocks.1", limit=500))
    assert all(seen.get("addresses", phase="backward")["found"][n]["phase"] == "backward" for n in range(5))
    assert {one["kind"] for one in seen.get("addresses", phase="before")["found"]} <= {
        "parameter", "buffer", "input", "constant", "optimizer state",
    }  # fmt: skip
    answer = seen.get("addresses", limit=3)
    assert (len(answer["found"]), answer["total"]) == (3, len(seen.get("overview")["addresses"]))


# ------------------------------------------------------------------------------------------------------- what if


def edits(*some: tuple[str, Any, Any]) -> str:
    return json.dumps([{"address": address, "index": index, "value": value} for address, index, value in some])


def test_a_replay_is_the_api_s(seen: Page, trace: Trace) -> None:
    changed = trace.replay({("lm_head.weight", (3, 4)): 2.5})
    asked_for = edits(("lm_head.weight", [3, 4], 2.5))
    assert seen.get("explain", address="loss", edits=asked_for)["value"] == changed["loss"].item()
    assert seen.get("explain", address="loss")["value"] == trace["loss"].item()
    for address, index in cells(trace, 25, seed=5):
        told = seen.get("explain", **asked(address, index), edits=asked_for)
        assert same(told["value"], changed[address][index].item())


def test_a_head_and_a_row_are_silenced(seen: Page, trace: Trace) -> None:
    silenced = edits(("blocks.0.attn.z", [None, None, 1, None], 0))
    _, arrays = seen.tensor("blocks.0.attn.z", edits=silenced, rows=1, columns=3, at="0,0,1,0")
    assert not arrays["values"].any()
    own = trace.place("blocks.0.attn.z")
    z = trace["blocks.0.attn.z"]
    z[:, :, 1] = 0
    assert own.shape == tuple(z.shape)
    assert (
        seen.get("explain", address="loss", edits=silenced)["value"]
        == trace.replay({"blocks.0.attn.z": z})["loss"].item()
    )
    row = edits(("lm_head.weight", [2, None], 0), ("lm_head.weight", [2, 1], 5), ("lm_head.weight", None, 0))
    assert not seen.tensor("lm_head.weight", edits=row)[1]["values"].any()  # the last one counts
    row = edits(("lm_head.weight", None, 0), ("lm_head.weight", [2, 1], 5))
    assert seen.tensor("lm_head.weight", edits=row)[1]["values"].sum() == 5
    row = edits(("lm_head.weight", [2, 1], 5), ("lm_head.weight", [2, None], 0), ("lm_head.weight", [2, 1], 7))
    assert seen.tensor("lm_head.weight", edits=row)[1]["values"][2].sum() == 7


def test_what_moved_is_the_api_s(seen: Page, trace: Trace) -> None:
    asked_for = edits(("blocks.0.attn.pattern", [0, 1, 2, 0], 0.5))
    own = diff(trace, trace.replay({("blocks.0.attn.pattern", (0, 1, 2, 0)): 0.5}))
    told = seen.diff(other="traces/gpt", other_edits=asked_for, limit=1000)
    assert told["state"] == "done"
    assert [(one["address"], number(one["largest"]), tuple(one["index"])) for one in told["moved"]] == [
        (one.address, one.largest, one.index) for one in own
    ]
    phases = {one["phase"] for one in told["moved"]}
    assert {"forward", "backward", "optimizer"} <= phases  # gradients and update too
    first = told["moved"][0]
    assert abs(first["after"] - first["before"]) == first["largest"]
    before, after = trace["lm_head.weight:grad"], trace.replay({("blocks.0.attn.pattern", (0, 1, 2, 0)): 0.5})
    meta, arrays = seen.tensor("lm_head.weight:grad", other="traces/gpt", other_edits=asked_for)
    assert meta["shown"] == "difference"
    assert np.array_equal(arrays["values"], (after["lm_head.weight:grad"].double() - before.double()).numpy())
    of_backward = seen.diff(other="traces/gpt", other_edits=asked_for, phase="backward", order="program")
    order = list(trace)
    places = [order.index(one["address"]) for one in of_backward["moved"]]
    assert places == sorted(places)


def test_two_traces_and_two_models(seen: Page, trace: Trace) -> None:
    other = load_trace(seen.home / "traces" / "later")
    told = seen.diff(other="traces/later", limit=20000)
    assert told["only_before"] == told["only_after"] == []
    for one in told["moved"][::17]:
        change = (other[one["address"]].double() - trace[one["address"]].double()).abs()
        assert one["largest"] == change.max().item()
        assert one["mean"] == pytest.approx(change.mean().item(), rel=1e-5)
        assert one["changed"] == int((change > 0).sum())
        assert one["scale"] == pytest.approx(trace[one["address"]].abs().max().item())
    model = seen.diff(other="cnn")
    assert "lm_head.weight" in model["only_before"]
    assert "0.weight" in model["only_after"]
    status, said = seen.refused("tensor", address="lm_head.weight", other="cnn")
    assert (status, "lm_head.weight" in said) == (400, True)


@pytest.mark.slow
def test_a_replay_goes_as_far_as_it_must(page: Page, trace: Trace) -> None:
    """Whatever is asked first, every number is that of the whole replay."""
    changed = trace.replay({("blocks.0.attn.pattern", (0, 1, 2, 0)): 0.5, ("lm_head.weight", (2, 2)): 3.0})
    asked_for = edits(("blocks.0.attn.pattern", [0, 1, 2, 0], 0.5), ("lm_head.weight", [2, 2], 3.0))
    questions = [*cells(trace, 30, seed=9), ("loss", ()), ("lm_head.weight:new", (2, 2)), ("lm_head.weight", (2, 2))]
    for seed in range(3):
        page.lab.traces.close("traces/gpt")
        random.Random(seed).shuffle(questions)
        for address, index in questions:
            told = page.get("explain", **asked(address, index), edits=asked_for)
            own = changed.explain(address, index)
            assert same(told["value"], own.value), address
            assert told["verdict"] == own.verdict
            page.get("users", **asked(address, index), edits=asked_for)
            for one in page.get("across", **asked(address, index), edits=asked_for)["numbers"]:
                if one["address"]:
                    assert same(one["value"], changed[one["address"]][tuple(one["index"])].item()), one
    page.lab.traces.close("traces/gpt")
    page.get("explain", address="loss", edits=asked_for)
    (made,) = page.lab.traces._replays.values()
    assert made.stage == "forward"
    page.get("overview", edits=asked_for)
    (made,) = page.lab.traces._replays.values()
    assert made.stage == "backward"
    page.get("explain", address="lm_head.weight:new", index="0,0", edits=asked_for)
    page.get("explain", address="loss", edits=asked_for)
    (made,) = page.lab.traces._replays.values()
    assert made.stage == "optimizer"


def test_the_same_replay_is_made_once(seen: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    from cutaway.server import traces

    made = []
    replay = traces._replay
    monkeypatch.setattr(traces, "_replay", lambda *given: made.append(1) or time.sleep(0.1) or replay(*given))
    asked_for = edits(("lm_head.weight", [0, 0], 0.125))
    threads = [threading.Thread(target=lambda: seen.get("explain", address="loss", edits=asked_for)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


# -------------------------------------------------------------------------------------------------------- checks


def test_findings_are_links(seen: Page) -> None:
    (first, *_) = seen.get("findings", "traces/broken numbers")["findings"]
    assert (first["kind"], first["address"], first["index"]) == ("non-finite", "0.weight", [0, 0])
    seen.get("explain", "traces/broken numbers", address=first["address"], index="0,0")


@pytest.mark.slow
def test_verifying_in_the_background(page: Page) -> None:
    assert page.get("verify")["state"] == "not started"
    page.client.post("/api/microscope/verify", params={"trace": "traces/gpt"})
    until = time.monotonic() + 30
    while (told := page.get("verify"))["state"] == "running" and time.monotonic() < until:
        time.sleep(0.01)
    own = load_trace(page.home / "traces" / "gpt").verify()
    assert told["state"] == "done"
    report = told["report"]
    assert (report["ok"], report["values_checked"], report["operations"]) == (True, own.values_checked, own.operations)
    assert report["worst_error"] == own.worst_error
    assert Page(page.home).get("verify")["report"] == report  # kept beside the trace
    data = page.home / "traces" / "gpt" / "data.safetensors"
    numbers = bytearray(data.read_bytes())
    numbers[len(numbers) // 2] ^= 0x40
    data.write_bytes(numbers)
    assert Page(page.home).get("verify")["state"] == "not started"  # of other numbers


def test_a_changed_number_is_found(page: Page) -> None:
    """A fault planted in a stored activation is told at its address."""
    folder = page.home / "traces" / "gpt"
    trace = load_trace(folder)
    graph = json.loads((folder / "graph.json").read_text())
    place = graph["places"][graph["addresses"]["blocks.0.attn.pattern"]]
    data = bytearray((folder / "data.safetensors").read_bytes())
    size = int.from_bytes(data[:8], "little")
    begin = 8 + size + json.loads(data[8 : 8 + size])[f"storage.{place[0]}"]["data_offsets"][0]
    data[begin : begin + 4] = np.float32(trace["blocks.0.attn.pattern"].ravel()[0].item() + 0.25).tobytes()
    (folder / "data.safetensors").write_bytes(data)
    page.client.post("/api/microscope/verify", params={"trace": "traces/gpt"})
    until = time.monotonic() + 30
    while (told := page.get("verify"))["state"] == "running" and time.monotonic() < until:
        time.sleep(0.01)
    assert not told["report"]["ok"]
    assert "blocks.0.attn.pattern" in told["report"]["wrong"]
    assert page.get("explain", address="blocks.0.attn.pattern", index="0,0,0,0")["verdict"] == "DIFFERS"


# ------------------------------------------------------------------------------------------------------ the list


def test_the_list_of_traces(page: Page, trace: Trace) -> None:
    told = {one["name"]: one for one in page.client.get("/api/traces").json()}
    assert set(told) == {"traces/gpt", "traces/later", "traces/broken numbers", "cnn"}
    one = told["traces/gpt"]
    assert one["loss"] == trace["loss"].item()
    assert (one["text"], one["tokens"], one["model"]) == ("abc", ["a", "b", "c"], "our gpt")
    assert sum(one["operations"].values()) == len(trace.operations)
    assert one["addresses"] == len(trace.addresses())
    assert one["size_bytes"] == sum(f.stat().st_size for f in (page.home / "traces" / "gpt").iterdir())
    assert number(told["traces/broken numbers"]["loss"]) != number(told["traces/broken numbers"]["loss"])
    assert page.client.delete("/api/traces/traces/later").status_code == 200
    assert "traces/later" not in {one["name"] for one in page.client.get("/api/traces").json()}
    assert not (page.home / "traces" / "later").exists()
    (page.home / "cnn" / "recipe.toml").write_text("")  # what is not the trace's stays
    assert page.client.delete("/api/traces/cnn").status_code == 200
    assert [file.name for file in (page.home / "cnn").iterdir()] == ["recipe.toml"]


@pytest.mark.slow
def test_a_list_does_not_wait_for_torch(made: Path) -> None:
    import subprocess

    code = (
        "import sys; from pathlib import Path; from fastapi.testclient import TestClient\n"
        "from cutaway.server.app import create_app; from cutaway.server.lab import Lab\n"
        f"page = TestClient(create_app(Lab(Path({str(made)!r}))))\n"
        "assert len(page.get('/api/traces').json()) == 4\n"
        "assert 'torch' not in sys.modules\n"
        "assert page.post('/api/warm').status_code == 200\n"
        "import threading\n"
        "[one.join() for one in threading.enumerate() if one.name == 'warm']\n"
        "assert {'cutaway.microscope.trace', 'cutaway.workbench', 'cutaway.lens'} <= set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_recorded_again_under_the_same_name(page: Page) -> None:
    before = page.get("explain", address="loss")["value"]
    shutil.rmtree(page.home / "traces" / "gpt")
    shutil.copytree(page.home / "traces" / "later", page.home / "traces" / "gpt")
    assert page.get("explain", address="loss")["value"] != before


# ------------------------------------------------------------------------------------------------------ bad input


WRONG = [
    ("explain", {"address": "lm_haed.weight", "index": "0,0"}, 400, "did you mean"),
    ("explain", {"address": "lm_head.weight", "index": "0"}, 400, "there is no number at [0]"),
    ("explain", {"address": "lm_head.weight", "index": "0,99999"}, 400, "there is no number at [0, 99999]"),
    ("explain", {"address": "lm_head.weight", "index": "a,b"}, 400, "expected whole numbers"),
    ("explain", {"address": "lm_head.weight", "index": "0,0", "most": 10**6}, 400, "most"),
    ("tensor", {"address": "nothing"}, 400, "this trace has no 'nothing'"),
    ("tensor", {"address": "lm_head.weight", "rows": 2}, 400, "there is no axis 2"),
    ("tensor", {"address": "lm_head.weight", "rows": 1, "columns": 1}, 400, "both axis 1"),
    ("tensor", {"address": "lm_head.weight", "last_row": 10**9}, 400, "there is no part 0 to 1000000000"),
    ("tensor", {"address": "lm_head.weight", "first_row": -1}, 400, "there is no part -1"),
    ("tensor", {"address": "blocks.0.attn.pattern", "at": "0,99,0,0"}, 400, "there is no index 99 on axis 1"),
    ("tensor", {"address": "blocks.0.attn.pattern", "at": "0"}, 400, "at= needs 4 indices and has 1"),
    ("gradient_path", {"address": "lm_head.weight", "index": "0,0"}, 400, "lm_head.weight is not a gradient"),
    ("why", {"address": "loss", "depth": 9, "most": 9}, 400, "ask for fewer"),
    ("diff", {"other": "nobody"}, 404, "nobody is not there"),
    ("overview", {"edits": "nonsense"}, 400, "edits: "),
    ("overview", {"edits": "{}"}, 400, "edits: "),
    ("overview", {"edits": edits(("loss", [], "much"))}, 400, "edits (0.value)"),
    ("overview", {"edits": json.dumps([{"address": "loss", "value": 1, "pickle": 2}])}, 400, "edits (0.pickle)"),
    ("overview", {"edits": edits(*[("loss", [], 1)] * 65)}, 400, "65 edits"),
    ("overview", {"edits": edits(("nothing", [], 1))}, 400, "this trace has no 'nothing'"),
    ("overview", {"edits": edits(("lm_head.weight", [1], 1))}, 400, "there is no number at [1]"),
    ("overview", {"edits": edits(("lm_head.weight", [None, 9999], 1))}, 400, "there is no number at [all, 9999]"),
    ("overview", {"edits": edits(("input.tokens", [0, 0], 0.5))}, 400, "holds whole numbers"),
    ("overview", {"edits": edits(("input.tokens", [0, 0], 10**6))}, 404, "cannot run again"),
    ("overview", {"trace": "nobody"}, 404, "nobody is not there"),
    ("overview", {"trace": "traces"}, 404, "is no trace"),
    ("overview", {"trace": "../lab/traces/gpt"}, 400, "cannot be a folder's name"),
    ("overview", {"trace": "/etc"}, 400, "cannot be a folder's name"),
    ("overview", {"trace": ""}, 400, "cannot be a folder's name"),
    ("overview", {"trace": "traces/.hidden"}, 400, "cannot be a folder's name"),
]


@pytest.mark.parametrize(("what", "query", "status", "line"), WRONG, ids=lambda value: str(value)[:50])
def test_one_line(seen: Page, what: str, query: dict[str, Any], status: int, line: str) -> None:
    found, said = seen.refused(what, **{"trace": "traces/gpt"} | query)
    assert line in said
    assert found == status


def test_foreign_and_damaged_traces(page: Page, tmp_path: Path) -> None:
    for name, content in (("broken", '{"format": "cutaway tr'), ("foreign", '{"nodes": []}')):
        (page.home / name).mkdir()
        (page.home / name / "graph.json").write_text(content)
        status, said = page.refused("overview", trace=name)
        assert status == 404
        assert f"{name} cannot be opened" in said
    shutil.copytree(page.home / "cnn", page.home / "cut")
    data = page.home / "cut" / "data.safetensors"
    data.write_bytes(data.read_bytes()[:-100])
    assert "cut cannot be opened" in page.refused("overview", trace="cut")[1]
    listed = {one["name"]: one["problem"] for one in page.client.get("/api/traces").json()}
    assert listed["broken"]
    assert listed["foreign"]
    shutil.move(page.home / "cnn", tmp_path / "elsewhere")
    (page.home / "link").symlink_to(tmp_path / "elsewhere")
    assert "is a link out of" in page.refused("overview", trace="link")[1]
    (page.home / "half").mkdir()
    shutil.copy(tmp_path / "elsewhere" / "graph.json", page.home / "half")
    (page.home / "half" / "data.safetensors").symlink_to(tmp_path / "elsewhere" / "data.safetensors")
    assert "is a link out of" in page.refused("overview", trace="half")[1]
    assert not {"link", "half"} & {one["name"] for one in page.client.get("/api/traces").json()}
    assert page.client.delete("/api/traces/link").status_code == 404
    assert page.client.delete("/api/traces/traces").status_code == 404
    assert (tmp_path / "elsewhere" / "graph.json").exists()


# ------------------------------------------------------------------------------------------------------ recording


TINY = [
    "--model.d-model", "24", "--model.n-layers", "2", "--model.n-heads", "4", "--model.context-length", "16",
    "--train.batch-size", "8", "--train.threads", "1", "--train.precision", "float32", "--train.compile", "off",
    "--train.sample-every", "0", "--train.steps", "6", "--train.validate-every", "3", "--name", "fox",
]  # fmt: skip


@pytest.mark.slow
def test_record_a_step_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog; " * 60)
    monkeypatch.setenv("CUTAWAY_RUNS", str(home))
    assert main(["train", "stdlib", "--data.source", str(tmp_path / "text.txt"), *TINY]) == 0
    page = Page(home)
    (last,) = page.client.get("/api/microscope/checkpoints", params={"run": "fox"}).json()[-1:]
    wanted = {"run": "fox", "text": "the quick", "checkpoint": last}
    job = page.client.post("/api/microscope/record", json=wanted).json()
    assert job["command"] == f"cutaway trace fox '--text=the quick' --seed=0 --checkpoint={last}"
    until = time.monotonic() + 60
    while (told := page.client.get("/api/microscope/recorded", params={"job": job["id"]}).json())["state"] in (
        "queued", "running",
    ):  # fmt: skip
        assert time.monotonic() < until
        time.sleep(0.05)
    assert told == {"state": "done", "reason": "", "trace": "fox/traces/1"}
    (listed,) = page.client.get("/api/traces", params={"run": "fox"}).json()
    assert (listed["text"], listed["checkpoint"], listed["run"]) == ("the quick", last, "fox")
    assert page.get("explain", "fox/traces/1", address="loss")["verdict"] == "agrees"
    for wrong, line in (
        ({"run": "nobody", "text": "x"}, "there is no run 'nobody'"),
        ({"run": "fox", "text": "  "}, "there is no text"),
        ({"run": "fox", "text": "x" * 20_001}, "takes up to 20,000"),
        ({"run": "fox", "text": "x", "checkpoint": 4}, "no checkpoint of step 4; it has"),
        ({"run": "fox", "text": "x", "lr": 0}, "the learning rate is 0.0"),
        ({"run": "../fox", "text": "x"}, "cannot be a folder's name"),
        ({"run": "fox"}, "Field required"),
    ):
        answer = page.client.post("/api/microscope/record", json=wrong)
        assert 400 <= answer.status_code < 500
        assert line in answer.json()["error"]
    page.lab.jobs.close()
