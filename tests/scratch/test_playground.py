"""The playground as a whole: what it shows, what it learns, and what it refuses."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch

from cutaway.base.errors import CutawayError
from cutaway.scratch.playground import Playground, plain
from cutaway.scratch.small_network_parameters import State
from scratch.playgrounds import Reference, near, one_line, same, small


def test_boundary_and_scores_are_pytorchs() -> None:
    playground = Playground(small(noise=0.3), seeds=(0, 1))
    playground.run(50)
    grid = playground.boundary(11)
    assert grid.output_KYX.shape == (2, 11, 11)
    reference = Reference(playground, 1)
    x1, x2 = np.meshgrid(grid.x1_X, grid.x2_Y)
    reference.losses(np.column_stack([x1.ravel(), x2.ravel()]), np.zeros(121))
    near(grid.output_KYX[1].ravel(), reference.a[-1][:, 0])
    scores, data = playground.scores(), playground.data
    for x, y, loss_K, accuracy_K in (
        (data.x_N2, data.y_N, scores.loss_K, scores.accuracy_K),
        (data.held_out_x_N2, data.held_out_y_N, scores.held_out_loss_K, scores.held_out_accuracy_K),
    ):
        near(loss_K[1], reference.losses(x, y).mean())
        is_right = (reference.a[-1][:, 0] > 0.5) == torch.tensor(y == 1)
        assert accuracy_K[1] == is_right.double().mean().item()


def test_everything_is_strict_json() -> None:
    playground = Playground(small(optimizer="adam", batch_size=6), seeds=(0, 1))
    playground.run(5)
    shown = [
        playground.snapshot(),
        playground.snapshot(point=3),
        playground.formula("gradient", 1, 1, 2),
        playground.path_strengths(),
        playground.boundary(5),
        playground.scores(),
        playground.history(),
        playground.weight_history(1, 1),
        playground.divergence(),
        playground.data,
        playground.edits,
    ]
    for part in shown:
        text = json.dumps(plain(part), allow_nan=False)
        assert plain(part) == json.loads(text)
    state = json.loads(json.dumps(plain(playground.state), allow_nan=False))
    assert set(state) == {"step", "parameters_KP", "memory"}
    back = State(state["step"], np.array(state["parameters_KP"]), {k: np.array(v) for k, v in state["memory"].items()})
    assert same(back, playground.state)
    assert plain([math.inf, -math.inf, math.nan]) == ["Infinity", "-Infinity", "NaN"]


def test_states_cannot_be_changed_from_outside() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Playground().state.parameters_KP[0, 0] = 1.0


def test_most_networks_learn_xor() -> None:
    playground = Playground(seeds=range(12))
    assert playground.scores().accuracy_K.mean() < 0.75
    playground.run(1000)
    scores = playground.scores()
    assert (scores.accuracy_K == 1).sum() >= 11
    assert (scores.held_out_accuracy_K > 0.95).sum() >= 11


def test_own_points_have_none_held_out() -> None:
    playground = Playground(points=[(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)], seeds=range(4))
    playground.run(2000)
    scores = playground.scores()
    assert (scores.accuracy_K == 1).sum() >= 2
    assert scores.held_out_loss_K is scores.held_out_accuracy_K is None
    assert playground.history()["held_out_loss"][-1] is None


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda p: p.seek(-1), "step is -1; expected a whole number from 0 to 1000000"),
        (lambda p: p.seek(1_000_001), "step is 1000001"),
        (lambda p: p.seek(2.5), "step is 2.5"),
        (lambda p: p.run(-1), "the number of steps (a history has at most 1,000,000) is -1"),
        (lambda p: p.set_weight(math.nan, 1, 1, 1), "a weight is nan; expected a finite number"),
        (lambda p: p.set_weight(0, 3, 1, 1), "layer is 3; expected a whole number from 1 to 2"),
        (lambda p: p.set_weight(0, 1, 5, 1), "unit of layer 1 is 5; expected a whole number from 1 to 4"),
        (lambda p: p.set_weight(0, 1, 1, 3), "source of a weight of layer 1 is 3; expected a whole number from 1 to 2"),
        (lambda p: p.set_weight(0, 1, 1, 1.0), "source of a weight of layer 1 is 1.0"),
        (lambda p: p.set_weight(0, 1, 1, 1, network=1), "network is 1; expected a whole number from 0 to 0"),
        (lambda p: p.set_point(20, 0, 0), "point is 20; expected a whole number from 0 to 19"),
        (lambda p: p.set_point(1, math.nan, 0), "point 1 is [nan, 0, "),
        (lambda p: p.set_point(1, 0, 0, 0.5), "point 1 is [0, 0, 0.5]"),
        (lambda p: p.paint_noise(0, 0, -1), "radius is -1"),
        (lambda p: p.paint_noise(0, 0, 1, share=2), "share is 2"),
        (lambda p: p.undo(), "nothing was edited"),
        (lambda p: p.formula("dL/dq"), "there is no formula 'dL/dq' (did you mean"),
        (lambda p: p.formula("m"), "there is no formula 'm'"),
        (lambda p: p.formula("z"), "formula 'z' is of one point; say which with point="),
        (lambda p: p.formula("z", point=99), "point is 99"),
        (lambda p: p.snapshot(point=-1), "point is -1"),
        (lambda p: p.path_strengths(2), "network is 2"),
        (lambda p: p.boundary(1), "the size of the grid is 1; expected a whole number from 2 to 256"),
        (lambda p: Playground(seeds=()), "seeds is (); expected a list of 1 to 12 whole numbers"),
        (lambda p: Playground(seeds=5), "seeds is 5"),
        (lambda p: Playground(seeds=range(13)), "expected a list of 1 to 12"),
        (lambda p: Playground(seeds=[1.5]), "a seed is 1.5"),
        (lambda p: Playground.from_dict([]), "the playground is []; expected an object with config"),
        (lambda p: Playground.from_dict({"config": 3}), "the configuration is 3"),
        (lambda p: Playground.from_dict({"stepp": 3}), "the playground has no 'stepp' (did you mean step or"),
        (lambda p: Playground.from_dict({"step": 4, "last_step": 3}), "step is 4; expected a whole number from 0 to 3"),
        (lambda p: Playground.from_dict({"edits": 3}), "edits is 3; expected a list"),
        (lambda p: Playground.from_dict({"edits": [3]}), "an edit is 3; expected an object"),
        (lambda p: Playground.from_dict({"edits": [{"step": 2}]}), "the step of an edit is 2"),
        (lambda p: Playground.from_dict({"edits": [{"step": 0, "weights": [[0, 1]]}]}), "the edit at step 0 is"),
        (lambda p: Playground.from_dict({"edits": [{"step": 0, "points": [[0, 1, 1]]}]}), "point 0 is [1, 1]"),
    ],
)
def test_bad_requests(act: Any, words: str) -> None:
    playground = Playground(small())
    before = playground.state
    with pytest.raises(CutawayError) as error:
        act(playground)
    one_line(error, words)
    assert same(playground.state, before)
    assert playground.edits == []
