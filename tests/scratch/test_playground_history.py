"""A history beside a straight walk, bit for bit: replayed, edited, undone, sent through JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.scratch import playground_history
from cutaway.scratch.playground import DataSet, Playground, PlaygroundConfig
from cutaway.scratch.playground_data import Batches
from cutaway.scratch.small_network_parameters import State
from scratch.playgrounds import same, small


def straight_walk(playground: Playground) -> tuple[State, DataSet]:
    """Make the same history in one walk forward, a step at a time; return what it was at the present step."""
    fresh, edits = Playground(playground.config, playground.seeds), playground.edits
    for step in range(playground.state.step + 1):
        if step:
            assert fresh.step()
        for edit in edits:
            if edit.step == step:
                fresh.edit(edit.weights, edit.points)
    return fresh.state, fresh.data


ACTIONS = st.one_of(
    st.tuples(st.just("seek"), st.integers(0, 60)),
    st.tuples(st.just("run"), st.integers(0, 40)),
    st.tuples(st.just("back")),
    st.tuples(st.just("step")),
    st.tuples(st.just("undo")),
    st.tuples(st.just("paint")),
    st.tuples(st.just("blow up")),
    st.tuples(st.just("weight"), st.floats(-3, 3), st.integers(0, 1)),
    st.tuples(st.just("point"), st.floats(-1, 1), st.integers(0, 1)),
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(ACTIONS, max_size=12),
    st.sampled_from(["sgd", "momentum", "adam"]),
    st.sampled_from([None, 19]),
    st.sampled_from([3, 4, 1024]),
)
@pytest.mark.slow
def test_any_walk_ends_where_a_straight_one_does(
    actions: list[tuple], optimizer: str, batch_size: int | None, capacity: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(playground_history, "CAPACITY", capacity)
        playground = Playground(small(optimizer=optimizer, batch_size=batch_size), seeds=(0, 9))
        for name, *args in actions:
            diverged = playground.divergence()[1]
            is_stopped = diverged is not None and diverged.step < playground.state.step
            if name == "weight":
                playground.set_weight(args[0], 1, 1 + args[1], 2, network=0 if is_stopped else args[1])
            elif name == "blow up":
                if not is_stopped:
                    playground.edit(weights=[(1, 1, 1, 1, 1.7e308), (1, 1, 1, 2, 1.7e308)])
                    playground.step()  # as a rule to infinity
            elif name == "point":
                playground.set_point(3 + args[1], args[0], 0.5, args[1])
            elif name == "paint":
                playground.paint_noise(0.6, 0.6, 0.5)
            elif name == "undo" and not playground.edits:
                continue
            else:
                getattr(playground, name)(*args)
            assert playground.history()["step"] == sorted(set(playground.history()["step"]))
            assert len(playground.history()["step"]) <= capacity
        state, data = straight_walk(playground)
        assert same(playground.state, state)
        assert np.array_equal(playground.data.x_N2, data.x_N2)
        assert np.array_equal(playground.data.y_N, data.y_N)
        through_json = Playground.from_dict(json.loads(json.dumps(playground.as_dict(), allow_nan=False)))
        assert same(playground.state, through_json.state)
        assert through_json.as_dict() == playground.as_dict()
        assert through_json.divergence() == playground.divergence()


def test_seek_equals_stepping_everywhere() -> None:
    playground = Playground(small(optimizer="adam", batch_size=6))
    states = [playground.state]
    for _ in range(50):
        playground.step()
        states.append(playground.state)
    for step in (50, 0, 17, 49, 3, 33):
        assert playground.seek(step) == step
        assert same(playground.state, states[step])
    playground.seek(2)
    assert playground.back()
    assert same(playground.state, states[1])
    assert playground.back()
    assert not playground.back()
    assert playground.last_step == 50
    assert not same(states[1], states[2])


def test_a_wrong_replay_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playground_history, "CAPACITY", 4)
    playground = Playground(small(batch_size=6))
    playground.run(20)
    expected = playground.state
    right = Batches.at
    monkeypatch.setattr(Batches, "at", lambda batches, step: right(batches, step + 1))
    playground.seek(19)
    playground.seek(20)
    assert not same(playground.state, expected)


def test_what_is_kept_is_bounded_and_spread() -> None:
    playground = Playground(small())
    playground.run(5 * playground_history.CAPACITY)
    steps = playground.history()["step"]
    assert playground_history.CAPACITY // 2 <= len(steps) <= playground_history.CAPACITY
    assert set(np.diff(steps)) == {8}
    weights = playground.weight_history(2, 1, 3)
    assert weights.shape == (len(steps), 1)
    playground.seek(steps[100])
    assert weights[100, 0] == playground.state.parameters_KP[0, playground.network.position(2, 1, 3)]
    assert playground.history()["loss"][100] == playground.scores().loss_K.tolist()


def test_after_a_cut_every_step_is_kept_again() -> None:
    playground = Playground(small())
    playground.run(3 * playground_history.CAPACITY)
    assert playground.history()["step"][1] == 4
    playground.seek(10)
    playground.set_weight(0.5, 1, 1, 1)
    playground.run(20)
    assert playground.history()["step"] == [0, 4, 8, *range(10, 31)]


@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize(
    ("hidden", "activation", "n_points"), [((4,), "tanh", 100), ((8, 8, 8), "relu", 20), ((1,), "sigmoid", 500)]
)
def test_beside_others_a_network_has_the_numbers_it_has_alone(
    hidden: tuple, activation: str, n_points: int, optimizer: str, batch_size: int | None
) -> None:
    config = PlaygroundConfig(
        hidden=hidden, activation=activation, n_points=n_points, optimizer=optimizer, batch_size=batch_size
    )
    together = Playground(config, seeds=range(9))
    together.run(40)
    for k in (0, 4, 8):
        alone = Playground(config, seeds=[k])
        alone.run(40)
        assert alone.state.parameters_KP[0].tobytes() == together.state.parameters_KP[k].tobytes()
        assert alone.scores().loss_K[0] == together.scores().loss_K[k]
        assert np.array_equal(alone.boundary(20).output_KYX[0], together.boundary(20).output_KYX[k])


def test_an_edit_cuts_off_the_future_and_undo_takes_it_back() -> None:
    playground = Playground(small())
    playground.run(30)
    untouched = playground.state
    playground.seek(10)
    for value in (0.1, 0.2, 0.3):  # a drag
        playground.set_weight(value, 1, 1, 1)
    assert playground.last_step == 10
    assert playground.state.parameters_KP[0, 0] == 0.3
    assert len(playground.edits) == 1
    playground.run(20)
    assert not same(playground.state, untouched)
    playground.seek(10)
    assert playground.state.parameters_KP[0, 0] == 0.3
    assert playground.undo().weights == ((0, 1, 1, 1, 0.3),)
    playground.run(20)
    assert same(playground.state, untouched)


def test_a_dragged_point_is_there_from_its_step_on_only() -> None:
    playground = Playground(small())
    playground.run(5)
    first = playground.data.x_N2[3].tolist()
    playground.set_point(3, 0.9, -0.9)
    playground.run(5)
    assert playground.data.x_N2[3].tolist() == [0.9, -0.9]
    playground.seek(4)
    assert playground.data.x_N2[3].tolist() == first
    playground.seek(5)
    assert playground.data.x_N2[3].tolist() == [0.9, -0.9]


def test_painted_noise_flips_labels_under_the_brush_only() -> None:
    playground = Playground(PlaygroundConfig(n_points=500))
    before = playground.data
    count = playground.paint_noise(0.6, 0.6, 0.4, share=0.5)
    is_near = np.hypot(*(before.x_N2 - 0.6).T) <= 0.4
    flipped = before.y_N != playground.data.y_N
    assert flipped.sum() == count
    assert not (flipped & ~is_near).any()
    assert 0.35 < flipped.sum() / is_near.sum() < 0.65
    assert playground.paint_noise(5, 5, 0.1) == 0
