"""What the playground screen is told, against the Python API and PyTorch."""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from cutaway.scratch.playground import Playground, PlaygroundConfig
from cutaway.scratch.playground_frames import film
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.server.playgrounds import KEPT_AT_MOST, Change, Playgrounds, Situation, settled

BIG = {"hidden": [8, 8], "data": "spiral", "optimizer": "adam", "learning_rate": 0.05, "batch_size": 10}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    return TestClient(create_app(Lab(tmp_path_factory.mktemp("home"))))


def ask(client: TestClient, what: str, **body: Any) -> Any:
    answer = client.post(f"/api/playground/{what}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ask_arrays(client: TestClient, what: str, **body: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    answer = client.post(f"/api/playground/{what}", json=body)
    assert answer.status_code == 200, answer.text
    size = int.from_bytes(answer.content[4:8], "little")
    header = json.loads(answer.content[8 : 8 + size])
    found = {}
    for one in header["arrays"]:
        numbers = np.frombuffer(
            answer.content, one["dtype"], int(np.prod(one["shape"])), offset=8 + size + one["offset"]
        )
        found[one["name"]] = numbers.reshape(one["shape"])
    return header["meta"], found


@pytest.mark.slow
def test_frames_are_the_playgrounds(client: TestClient) -> None:
    situation = {"config": BIG, "seeds": [3]}
    meta, found = ask_arrays(client, "frames", situation=situation, start=7, count=5, stride=3, point=4, unit_grid=9)
    playground = Playground(PlaygroundConfig.from_dict(BIG), seeds=[3])
    assert found["step"].tolist() == [7, 10, 13, 16, 19]
    assert meta["sizes"] == [2, 8, 8, 1]
    for row, step in enumerate(found["step"].tolist()):
        playground.seek(step)
        whole, one = playground.snapshot(), playground.snapshot(point=4)
        assert np.array_equal(found["parameters"][row], playground.state.parameters_KP[0])
        gradients = [
            whole.backward[f"dL/d{kind}{layer}"].reshape(1, -1)[0] for layer in (1, 2, 3) for kind in ("W", "b")
        ]
        assert np.array_equal(found["gradients"][row], np.concatenate(gradients))
        a = np.concatenate([one.forward[f"a{layer}"][0, 0] for layer in range(4)])
        assert np.array_equal(found["activations"][row], a)
        deltas = np.concatenate([one.backward[f"dL/dz{layer}"][0, 0] for layer in (1, 2, 3)])
        assert np.array_equal(found["deltas"][row][2:], deltas)
        scores = playground.scores()
        assert found["loss"][row] == scores.loss_K[0]
        assert found["held_out_accuracy"][row] == scores.held_out_accuracy_K[0]
        assert np.array_equal(found["boundary"][row], playground.boundary(50).output_KYX[0].astype(np.float32))
        assert np.array_equal(found["maps"][row][-1], playground.boundary(9).output_KYX[0].astype(np.float32))
        slopes = np.concatenate([whole.backward[f"da/dz{layer}"][0].mean(axis=0) for layer in (1, 2, 3)])
        assert np.allclose(found["slopes"][row][2:], slopes, rtol=1e-14, atol=0)
        playground.step()
        assert found["loss_after"][row] == pytest.approx(playground.scores().loss_K[0], rel=1e-14)


def test_first_step_is_pytorchs(client: TestClient) -> None:
    """Gradients and new weights of random cells, from PyTorch's float64 autograd and its Adam."""
    config = BIG | {"batch_size": None}
    _, found = ask_arrays(client, "frames", situation={"config": config}, start=0, count=2)
    points = torch.tensor(found["points"][0].copy())
    parts, start = [], 0
    for inputs, units in ((2, 8), (8, 8), (8, 1)):
        for shape in ((units, inputs), (units,)):
            size = int(np.prod(shape))
            parts.append(torch.tensor(found["parameters"][0][start : start + size].reshape(shape)).requires_grad_())
            start += size
    a = points[:, :2]
    for layer in range(3):
        z = a @ parts[2 * layer].T + parts[2 * layer + 1]
        a = torch.tanh(z) if layer < 2 else z
    loss = torch.nn.functional.binary_cross_entropy_with_logits(a[:, 0], points[:, 2])
    loss.backward()
    optimizer = torch.optim.Adam(parts, lr=0.05)
    optimizer.step()
    gradients = torch.cat([part.grad.ravel() for part in parts if part.grad is not None]).numpy()
    weights = torch.cat([part.detach().ravel() for part in parts]).numpy()
    assert found["loss"][0] == pytest.approx(loss.item(), rel=1e-12)
    for p in random.Random(0).sample(range(len(weights)), 25):
        assert found["gradients"][0][p] == pytest.approx(gradients[p], rel=1e-9, abs=1e-15)
        assert found["parameters"][1][p] == pytest.approx(weights[p], rel=1e-9, abs=1e-12)


def test_edits_are_history(client: TestClient) -> None:
    config = {"hidden": [3]}
    changes = [
        {"step": 5, "weights": [[1, 2, None, 0.7]]},
        {"step": 5, "points": [[3, 0.1, -0.2, 1]]},
        {"step": 9, "flips": [0, 7]},
    ]
    _, found = ask_arrays(client, "frames", situation={"config": config, "changes": changes}, start=20)
    playground = Playground(PlaygroundConfig.from_dict(config))
    playground.seek(5)
    playground.set_weight(0.7, 1, 2)
    playground.set_point(3, 0.1, -0.2, 1)
    playground.seek(9)
    data = playground.data
    playground.edit(points=[(p, *data.x_N2[p], 1 - data.y_N[p]) for p in (0, 7)])
    playground.seek(20)
    assert np.array_equal(found["parameters"][0], playground.state.parameters_KP[0])
    assert np.array_equal(found["points"][0][:, 2], playground.data.y_N)
    # before the edits, the points are as they were
    _, found = ask_arrays(
        client, "frames", situation={"config": config, "changes": changes}, start=4, count=2, stride=6
    )
    assert found["version"].tolist() == [0, 1]
    assert found["points"][0][3].tolist() != found["points"][1][3].tolist()


@pytest.mark.slow
def test_any_order_of_situations_gives_the_same_numbers(client: TestClient) -> None:
    """A kept playground is taken from one situation to the next: drags, undo, other edits, back again."""
    rng = random.Random(1)
    lists: list[list[dict[str, Any]]] = [[]]
    for _ in range(120):
        changes = [dict(one) for one in rng.choice(lists)]
        kind = rng.random()
        if kind < 0.3 and changes:
            changes.pop()
        elif kind < 0.5 and changes and "weights" in changes[-1]:
            changes[-1] = {**changes[-1], "weights": [[1, 1, 1, round(rng.uniform(-2, 2), 2)]]}
        else:
            step = rng.randint(changes[-1]["step"] if changes else 0, 12)
            made: list[dict[str, Any]] = [
                {"flips": sorted(rng.sample(range(3), rng.randint(1, 2)))},
                {"points": [[rng.randint(0, 2), round(rng.uniform(-1, 1), 2), 0.5, rng.randint(0, 1)]]},
                {"weights": [[1, 1, 1, round(rng.uniform(-2, 2), 2)]]},
            ]
            changes.append({"step": step, **rng.choice(made)})
        lists.append(changes)
        step = rng.randint(0, 15)
        situation = {"config": {"n_points": 20}, "changes": changes}
        _, found = ask_arrays(client, "frames", situation=situation, start=step)
        fresh = Playground(PlaygroundConfig(n_points=20))
        for one in changes:
            fresh.seek(one["step"])
            data = fresh.data
            flips = [(p, *data.x_N2[p], 1 - data.y_N[p]) for p in one.get("flips", ())]
            weights = [(0, *weight) for weight in one.get("weights", ())]
            fresh.edit(weights, [*map(tuple, one.get("points", ())), *flips], is_new=True)
        fresh.seek(step)
        assert np.array_equal(found["parameters"][0], fresh.state.parameters_KP[0]), changes
        assert np.array_equal(found["points"][-1], np.column_stack([fresh.data.x_N2, fresh.data.y_N])), changes


def test_flips_of_one_step_cancel() -> None:
    assert settled([Change(3, flips=(1, 2)), Change(3, flips=(2,))]) == (Change(3, flips=(1,)),)
    assert settled([Change(3, flips=(1,)), Change(3, flips=(1,))]) == ()
    assert len(settled([Change(3, flips=(1,)), Change(4, flips=(1,))])) == 2


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_explanation_of_a_weight(client: TestClient, optimizer: str) -> None:
    config = {"optimizer": optimizer, "hidden": [3, 2], "batch_size": 7}
    found = ask(
        client, "explain", situation={"config": config}, step=6, point=2, layer=2, unit=1, source=3, is_weight=True
    )
    playground = Playground(PlaygroundConfig.from_dict(config))
    playground.seek(6)
    for one in found["at_point"]:
        source = 3 if one["kind"] == "gradient" else None
        assert one["value"] == playground.formula(one["kind"], 2, 1, source, point=2).value
    for one in found["at_batch"]:
        assert one["value"] == playground.formula(one["kind"], 2, 1, 3).value
        assert one["is_equal"]
    table = {one["name"]: one["value"] for one in found["table"]}
    p = playground.network.position(2, 1, 3)
    before = playground.state.parameters_KP[0, p]
    playground.step()
    assert table["before"] == before
    assert table["new_value"] == playground.state.parameters_KP[0, p]
    for name, array_KP in playground.state.memory.items():
        assert table[name] == array_KP[0, p]
    assert found["check"]["difference"] < 1e-8
    assert found["check"]["exact"] == table["gradient"]


def test_explanation_of_a_unit(client: TestClient) -> None:
    found = ask(client, "explain", situation={}, step=3, point=1, layer=2, unit=1)
    playground = Playground()
    playground.seek(3)
    assert [one["kind"] for one in found["at_point"]] == ["z", "a", "loss", "da/dz", "dL/da", "dL/dz"]
    for one in found["at_point"]:
        assert one["value"] == playground.formula(one["kind"], 2, 1, point=1).value
        assert one["is_equal"]


def test_a_formula_that_does_not_say_what_was_done_shows(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from cutaway.scratch import small_network_functions as functions

    wrong = replace(functions.ACTIVATIONS["tanh"], da_dz_text="1 - {a}")
    monkeypatch.setitem(functions.ACTIVATIONS, "tanh", wrong)
    found = ask(client, "by-hand", situation={}, step=3, point=1)
    assert found["n_equal"] == found["n_lines"] - 4


def test_by_hand(client: TestClient) -> None:
    config = {"activation": "relu", "loss": "squared_error", "optimizer": "momentum", "confidence_penalty": 0.2}
    found = ask(client, "by-hand", situation={"config": config}, step=4, point=9)
    playground = Playground(PlaygroundConfig.from_dict(config))
    playground.seek(4)
    assert found["n_equal"] == found["n_lines"] == sum(len(one["formulas"]) for one in found["lines"])
    assert [(one["phase"], one["layer"]) for one in found["lines"]] == [
        ("forward", 1), ("forward", 2), ("loss", 2), ("backward", 2), ("gradients", 2), ("backward", 1),
        ("gradients", 1), ("update", 1), ("update", 2),
    ]  # fmt: skip
    one = playground.snapshot(point=9)
    z1 = [line["value"] for line in found["lines"][0]["formulas"] if line["name"].startswith("z")]
    assert z1 == one.forward["z1"][0, 0].tolist()
    assert found["batch_loss"] == float(playground.snapshot().loss["mean"][0])
    assert found["is_close"]
    assert len(found["checks"]) == 17
    gradients = playground.snapshot().update["W1"]["gradient"][0].ravel().tolist()
    assert [check["exact"] for check in found["checks"][:8]] == gradients


def test_a_wrong_derivative_fails_the_gradient_check(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from cutaway.scratch import small_network_functions as functions

    wrong = replace(functions.ACTIVATIONS["tanh"], da_dz=lambda z, a: 1 - a)
    monkeypatch.setitem(functions.ACTIVATIONS, "tanh", wrong)
    fresh = TestClient(create_app(Lab(client.app.state.lab.home)))  # type: ignore[attr-defined]
    assert not ask(fresh, "by-hand", situation={}, step=3)["is_close"]


def test_history(client: TestClient) -> None:
    situation = {"config": {"hidden": [2]}, "seeds": [5]}
    ask_arrays(client, "frames", situation=situation, start=30)
    meta, found = ask_arrays(client, "history", situation=situation, weights=[[1, 2, 1], [2, 1, None]])
    playground = Playground(PlaygroundConfig(hidden=(2,)), seeds=[5])
    playground.run(31)  # one step further than was asked for: whether it stops there
    history = playground.history()
    assert meta["last_step"] == 31
    assert found["step"].tolist() == history["step"]
    assert found["loss"].tolist() == [row[0] for row in history["loss"]]
    assert found["weights"][0].tolist() == playground.weight_history(1, 2, 1)[:, 0].tolist()
    assert found["weights"][1].tolist() == playground.weight_history(2, 1)[:, 0].tolist()


def test_many_seeds_and_rates(client: TestClient) -> None:
    situation = {"config": {"hidden": [2]}, "changes": [{"step": 2, "weights": [[1, 1, 1, 9.0]]}]}
    while True:
        meta, found = ask_arrays(client, "crowd", situation=situation, values=[0, 1, 2], step=400, grid=8)
        if meta["reached"] == 400:
            break
    playground = Playground(PlaygroundConfig(hidden=(2,)), seeds=[0, 1, 2])  # an edited weight is one network's
    playground.seek(400)
    assert np.array_equal(found["boundary"], playground.boundary(8).output_KYX.astype(np.float32))
    assert found["accuracy"][:, -1].tolist() == playground.scores().accuracy_K.tolist()
    assert meta["solved_at"][1] is None
    solved = meta["solved_at"][0]
    alone = Playground(PlaygroundConfig(hidden=(2,)))
    alone.seek(solved - 1)
    assert alone.scores().accuracy_K[0] < 1
    alone.seek(solved)
    assert alone.scores().accuracy_K[0] == 1
    meta, found = ask_arrays(client, "crowd", situation={}, vary="learning_rate", values=[0.01, 0.5], step=80)
    assert meta["solved_at"] == [None, 75]


def test_why_it_stopped(client: TestClient) -> None:
    situation = {
        "config": {"activation": "relu"},
        "changes": [{"step": 40, "weights": [[2, 1, 2, 1e200]]}],
    }
    meta, found = ask_arrays(client, "frames", situation=situation, start=38, count=20)
    assert found["step"].tolist() == [38, 39, 40, 41]
    assert meta["stop"]["step"] == 41
    assert meta["stop"]["value"] == "inf"
    cause = meta["stop"]["cause"]
    assert cause["step"] == 40
    assert cause["times"] == pytest.approx(abs(cause["update"] / cause["weight"]))
    assert cause["times"] > 1e190
    # known at the step itself, and asked for beyond it: the last frame there is
    fresh = TestClient(create_app(Lab(client.app.state.lab.home)))  # type: ignore[attr-defined]
    assert ask_arrays(fresh, "frames", situation=situation, start=41)[0]["stop"]["step"] == 41
    assert ask_arrays(client, "frames", situation=situation, start=500)[1]["step"].tolist() == [41]
    _, curves = ask_arrays(client, "history", situation=situation)
    assert len(curves["loss"]) == 42


@pytest.mark.slow
def test_a_far_step_is_reached_in_parts(client: TestClient) -> None:
    situation = {"config": {"hidden": [8, 8]}, "seeds": [77]}
    longest, n = 0.0, 0
    while True:
        started = time.perf_counter()
        meta, found = ask_arrays(client, "frames", situation=situation, start=8000)
        longest, n = max(longest, time.perf_counter() - started), n + 1
        if meta["n_frames"]:
            break
        assert 0 < meta["reached"] < 8000
    assert n > 1
    assert longest < 5
    assert found["step"].tolist() == [8000]


@pytest.mark.parametrize(
    ("situation", "said"),
    [
        ({"config": {"data": "xo"}}, "did you mean xor"),
        ({"config": {"learning_rate": 9}}, "expected a finite number from 0.01 to 5"),
        ({"config": {"hidden": [9]}}, "expected a whole number from 1 to 8"),
        ({"config": {"speed": 1}}, "the configuration has no 'speed'"),
        ({"seeds": [1.5]}, "valid integer"),
        ({"seeds": []}, "expected a list of 1 to 12"),
        ({"points": [[0, 0, 2], [1, 1, 1]]}, "label of 0 or 1"),
        ({"changes": [{"step": 3, "weights": [[1, 9, 1, 0.0]]}]}, "unit of layer 1 is 9"),
        ({"changes": [{"step": 3, "flips": [1000]}]}, "there is no point 1000"),
        ({"changes": [{"step": 5, "flips": [1]}, {"step": 3, "flips": [1]}]}, "order them"),
        ({"changes": [{"step": -1}]}, "the step of an edit is -1"),
    ],
)
def test_bad_situations_are_refused_in_a_line(client: TestClient, situation: Any, said: str) -> None:
    answer = client.post("/api/playground/frames", json={"situation": situation})
    assert answer.status_code in (400, 422)
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_refused_requests_leave_nothing_wrong_behind(client: TestClient) -> None:
    good = {"config": {"hidden": [1]}}
    before = ask_arrays(client, "frames", situation=good, start=3)[1]["parameters"]
    bad = good | {"changes": [{"step": 1, "flips": [0]}, {"step": 2, "weights": [[1, 5, 1, 0.0]]}]}
    assert client.post("/api/playground/frames", json={"situation": bad}).status_code == 400
    assert np.array_equal(ask_arrays(client, "frames", situation=good, start=3)[1]["parameters"], before)


def test_kept_playgrounds_are_bounded() -> None:
    kept = Playgrounds()
    for seed in range(2 * KEPT_AT_MOST):
        with kept.at(Situation(PlaygroundConfig(), (seed,))) as playground:
            assert playground.seeds == (seed,)
    assert len(kept._slots) <= KEPT_AT_MOST
    big = PlaygroundConfig(hidden=(8, 8, 8), optimizer="adam")
    for seed in range(4):
        with kept.at(Situation(big, tuple(range(seed, seed + 12)))):
            pass
    assert sum(slot.size() for slot in kept._slots.values()) <= 16_000_000


PRESETS = Path(__file__).parents[2] / "web/src/views/playground/presets.ts"
SETTINGS = {
    "points": "n_points", "activation": "activation", "data": "data", "optimizer": "optimizer", "rate": "learning_rate",
    "batch": "batch_size", "noise": "noise", "hidden": "hidden",
}  # fmt: skip


def preset(name: str) -> tuple[dict[str, Any], int, int]:
    """Return a preset's settings, seed and the step it leads to, as its file says."""
    text = PRESETS.read_text(encoding="utf-8")
    found = re.search(rf"name: '{name}'.*?until: (\d+), address: '([^']*)'", text)
    assert found, name
    given = dict(parse_qsl(found[2]))
    read = {"n_points": int, "batch_size": int, "noise": float, "learning_rate": float}
    config: dict[str, Any] = {}
    for key, setting in SETTINGS.items():
        if key in given:
            config[setting] = read.get(setting, str)(given[key])
    if "hidden" in config:
        config["hidden"] = [int(width) for width in config["hidden"].split("-")]
    return config, int(given.get("seed", 0)), int(found[1])


def learnt(name: str, step: int | None = None, **other: Any) -> Playground:
    config, seed, until = preset(name)
    playground = Playground(PlaygroundConfig.from_dict(config | other), seeds=[seed])
    playground.seek(until if step is None else step)
    return playground


def right(playground: Playground) -> float:
    return float(playground.scores().accuracy_K[0])


@pytest.mark.slow
def test_presets_do_what_their_words_say() -> None:
    assert right(learnt("xor", 74)) < 1
    assert right(learnt("xor", 75)) == right(learnt("xor")) == 1
    assert right(learnt("line")) == 1
    assert right(learnt("small")) == right(learnt("small", 3000)) == 0.75
    assert right(learnt("luck")) < 0.75
    assert right(learnt("slow", 400)) < 0.6
    assert 0.65 < right(learnt("leaps")) < 0.75
    assert film(learnt("leaps", 0), 0, 20, grid=0)["times"].max() > 30
    slopes = film(learnt("leaps"), 200, 1, grid=0)["slopes"][0][2:-1]
    assert (slopes == 0).mean() > 0.5
    assert right(learnt("dead")) == 0.75
    assert (film(learnt("dead"), 200, 1, grid=0)["slopes"][0][2:-1] == 0).any()
    assert learnt("flat").scores().loss_K[0] == pytest.approx(0.693, abs=0.001)
    assert right(learnt("flat", 400, activation="tanh")) == 1
    early, late = learnt("noise", 50).scores(), learnt("noise").scores()
    assert late.accuracy_K[0] > 0.9
    assert late.held_out_accuracy_K is not None
    assert early.held_out_accuracy_K is not None
    assert late.held_out_accuracy_K[0] < early.held_out_accuracy_K[0]
    spiral = learnt("spiral").scores()
    assert spiral.accuracy_K[0] == 0.995
    assert spiral.held_out_accuracy_K is not None
    assert spiral.held_out_accuracy_K[0] > 0.95
    assert right(learnt("spiral-sgd")) == pytest.approx(0.62, abs=0.01)
    assert right(learnt("spiral-sgd", 3000, learning_rate=0.5)) > 0.9
    assert right(learnt("one")) == 1
