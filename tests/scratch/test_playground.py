"""The playground beside PyTorch, central differences, and itself: alone, replayed, sent through JSON."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.base.errors import CutawayError, DataError, UsageError
from cutaway.scratch import playground as engine
from cutaway.scratch import small_network
from cutaway.scratch.playground import DataSet, Playground, PlaygroundConfig, draw_data, plain
from cutaway.scratch.small_network import ACTIVATIONS, LOSSES, OPTIMIZERS, UNIT_KINDS, State

SIZES = [(1,), (4,), (8, 3), (5, 8, 2)]
KINDS = list(itertools.product(SIZES, ["sigmoid", "tanh", "relu"], ["cross_entropy", "squared_error"], [0.0, 0.3]))


def small(**changed: Any) -> PlaygroundConfig:
    return replace(PlaygroundConfig(n_points=20, noise=0.1), **changed)


def same(one: State, other: State) -> bool:
    """Bit for bit."""
    arrays, others = ([state.parameters_KP, *state.memory.values()] for state in (one, other))
    pairs = zip(arrays, others, strict=True)
    return one.step == other.step and all(a.tobytes() == b.tobytes() for a, b in pairs)


# --- derivatives and updates -------------------------------------------------------------------------------------------


class Reference:
    """One network and its loss in PyTorch, float64, by its own losses and entropies."""

    def __init__(self, playground: Playground, network: int) -> None:
        self.config = playground.config
        layers = playground.network.layers(playground.state.parameters_KP)
        self.weights = [(torch.tensor(W[network]), torch.tensor(b[network])) for W, b in layers]
        self.parameters = [p.requires_grad_() for layer in self.weights for p in layer]

    def losses(self, x: np.ndarray, y: np.ndarray) -> torch.Tensor:
        act = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}[self.config.activation]
        self.z, self.a = [], [torch.tensor(x)]
        for n, (W, b) in enumerate(self.weights):
            self.z.append(self.a[-1] @ W.T + b)
            self.a.append(torch.sigmoid(self.z[-1]) if n == len(self.weights) - 1 else act(self.z[-1]))
        for t in (*self.z, *self.a[1:]):
            t.retain_grad()
        a, target = self.a[-1][:, 0], torch.tensor(y)
        if self.config.loss == "cross_entropy":
            loss = torch.nn.functional.binary_cross_entropy(a, target, reduction="none")
        else:
            loss = torch.nn.functional.mse_loss(a, target, reduction="none")
        return loss - self.config.confidence_penalty * torch.distributions.Bernoulli(probs=a).entropy()


def near(ours: np.ndarray, theirs: torch.Tensor | None, tolerance: float = 1e-12) -> None:
    assert theirs is not None
    expected = theirs.detach().numpy()
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() <= tolerance * max(np.abs(expected).max(), 1e-300)


@pytest.mark.parametrize(("hidden", "activation", "loss", "penalty"), KINDS)
def test_every_number_of_a_pass_is_pytorchs(hidden: tuple, activation: str, loss: str, penalty: float) -> None:
    config = small(hidden=hidden, activation=activation, loss=loss, confidence_penalty=penalty)
    playground = Playground(config, seeds=(3, 8))
    playground.run(2)
    shot, data = playground.snapshot(), playground.data
    for k in range(2):
        reference = Reference(playground, k)
        losses = reference.losses(data.x_N2, data.y_N)
        losses.sum().backward(retain_graph=True)  # summed, so that dL/dz is each point's own
        near(shot.loss["loss"][k], losses)
        near(shot.loss["mean"][k], losses.mean())
        for layer, (W, b) in enumerate(reference.weights, start=1):
            z, a = reference.z[layer - 1], reference.a[layer]
            near(shot.forward[f"z{layer}"][k], z)
            near(shot.forward[f"a{layer}"][k], a)
            near(shot.backward[f"dL/dz{layer}"][k], z.grad)
            near(shot.backward[f"dL/da{layer}"][k], a.grad)
            near(shot.backward[f"da/dz{layer}"][k], torch.autograd.grad(a.sum(), z, retain_graph=True)[0])
            near(shot.backward[f"dL/dW{layer}"][k], W.grad / len(losses))
            near(shot.backward[f"dL/db{layer}"][k], b.grad / len(losses))
            near(shot.update[f"W{layer}"]["gradient"][k], W.grad / len(losses))


def test_a_single_points_numbers_are_its_own() -> None:
    playground = Playground(small(hidden=(3, 2)), seeds=(1, 2))
    shot, whole = playground.snapshot(point=7), playground.snapshot()
    reference = Reference(playground, 1)
    reference.losses(playground.data.x_N2[7:8], playground.data.y_N[7:8]).sum().backward()
    for layer, (W, _) in enumerate(reference.weights, start=1):
        near(shot.backward[f"dL/dW{layer}"][1], W.grad)
        assert np.allclose(shot.backward[f"dL/dz{layer}"][:, 0], whole.backward[f"dL/dz{layer}"][:, 7], rtol=1e-13)
        assert np.array_equal(shot.update[f"W{layer}"]["update"], whole.update[f"W{layer}"]["update"])


@pytest.mark.parametrize("batch_size", [None, 6])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_fifty_updates_are_pytorchs(optimizer: str, batch_size: int | None) -> None:
    playground = Playground(small(optimizer=optimizer, batch_size=batch_size, learning_rate=0.1), seeds=(4, 5))
    references = [Reference(playground, k) for k in range(2)]
    make = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
        "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        "adam": lambda p: torch.optim.Adam(p, lr=0.1),
    }[optimizer]
    optimizers = [make(reference.parameters) for reference in references]
    for _ in range(50):
        shot, before = playground.snapshot(), playground.state
        assert playground.step()
        layers = playground.network.layers(playground.state.parameters_KP)
        starts = playground.network.layers(before.parameters_KP)
        for k, (reference, torchs) in enumerate(zip(references, optimizers, strict=True)):
            points = shot.batch_KB[k % len(shot.batch_KB)]
            torchs.zero_grad()
            reference.losses(playground.data.x_N2[points], playground.data.y_N[points]).mean().backward()
            torchs.step()
            for (W, b), (ours_W, ours_b) in zip(reference.weights, layers, strict=True):
                near(ours_W[k], W, 1e-10)
                near(ours_b[k], b, 1e-10)
            for layer, (W, b) in enumerate(reference.weights, start=1):
                for name, parameter in ((f"W{layer}", W), (f"b{layer}", b)):
                    numbers, memory = shot.update[name], torchs.state[parameter]
                    if optimizer == "adam":
                        near(numbers["m"][k], memory["exp_avg"], 1e-10)
                        near(numbers["v"][k], memory["exp_avg_sq"], 1e-10)
                    if optimizer == "momentum":
                        near(numbers["velocity"][k], memory["momentum_buffer"], 1e-10)
        for layer, ((W_before, _), (W_after, _)) in enumerate(zip(starts, layers, strict=True), start=1):
            assert np.array_equal(shot.update[f"W{layer}"]["before"], W_before)
            assert np.array_equal(shot.update[f"W{layer}"]["new_value"], W_after)
            assert np.array_equal(W_before + shot.update[f"W{layer}"]["update"], W_after)


def check_by_differences(playground: Playground) -> None:
    """Change each weight a little, up and down, and compare the change of the loss with the gradient."""
    shot = playground.snapshot()
    for layer, (o, i, _, _) in enumerate(playground.network.spans, start=1):
        for unit, source in itertools.product(range(1, o + 1), [None, *range(1, i + 1)]):
            p = playground.network.position(layer, unit, source)
            value = float(playground.state.parameters_KP[0, p])
            ends = []
            for moved in (value + 1e-5, value - 1e-5):
                playground.set_weight(moved, layer, unit, source)
                ends.append(float(playground.scores().loss_K[0]))
            playground.undo()
            gradient = shot.backward[f"dL/d{'W' if source else 'b'}{layer}"]
            exact = gradient[0, unit - 1, source - 1] if source else gradient[0, unit - 1]
            assert abs((ends[0] - ends[1]) / 2e-5 - exact) < 1e-8


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_gradients_are_central_differences(activation: str, loss: str) -> None:
    check_by_differences(Playground(small(hidden=(3, 2), activation=activation, loss=loss, confidence_penalty=0.2)))


def test_wrong_derivatives_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    config = small(hidden=(3, 2))
    with monkeypatch.context() as patch:
        patch.setitem(ACTIVATIONS, "tanh", replace(ACTIVATIONS["tanh"], slope=lambda z, a: 1 - a))
        with pytest.raises(AssertionError):
            check_by_differences(Playground(config))
        with pytest.raises(AssertionError):
            test_every_number_of_a_pass_is_pytorchs((3, 2), "tanh", "cross_entropy", 0.0)
    with monkeypatch.context() as patch:
        patch.setitem(LOSSES, "squared_error", replace(LOSSES["squared_error"], by_z=lambda z, a, y: 2 * (a - y)))
        with pytest.raises(AssertionError):
            check_by_differences(Playground(replace(config, loss="squared_error")))
    check_by_differences(Playground(config))


def test_cross_entropy_stays_exact_where_the_sigmoid_rounds_to_one() -> None:
    playground = Playground(small(), points=[(1, 1, 0), (1, 1, 1)])
    for layer, unit, source in [(2, 1, s) for s in (1, 2, 3, 4)]:
        playground.set_weight(0.0, layer, unit, source)
    for logit in (50.0, 800.0):
        playground.set_weight(logit, 2, 1)
        loss = playground.snapshot().loss["loss"][0]
        assert loss[0] == logit
        assert loss[1] == pytest.approx(math.exp(-logit), rel=1e-15)
    assert playground.step()  # the derivative by a overflows here, but nothing that learning uses does


# --- formulas ----------------------------------------------------------------------------------------------------------


def work_out(text: str) -> float:
    """Work a printed formula out with Python's own functions."""
    words = {
        "sigmoid": lambda z: 1 / (1 + math.exp(-z)), "tanh": math.tanh, "relu": lambda z: max(z, 0.0),
        "softplus": lambda z: math.log1p(math.exp(z)), "exp": math.exp, "sqrt": math.sqrt,
    }  # fmt: skip
    return eval(text, words)


def check_formulas(playground: Playground) -> int:
    """Compare every formula's text, worked out, with the number in the snapshot."""
    count, network, k, point = 0, playground.network, 1, 5
    shot, own = playground.snapshot(), playground.snapshot(point)

    def check(value: float, *args: Any, **kwargs: Any) -> None:
        nonlocal count
        formula = playground.formula(*args, network=k, **kwargs)
        scale = max([abs(value)] + [abs(term.value) for term in formula.terms])
        for found in (formula.value, formula.recomputed, work_out(formula.numbers)):
            assert abs(found - value) <= 1e-14 * scale, formula
        assert all(abs(work_out(term.numbers) - term.value) <= 1e-14 * scale for term in formula.terms)
        count += 1

    check(shot.loss["mean"][k], "loss")
    check(own.loss["loss"][k, 0], "loss", point=point)
    for layer, (o, i, _, _) in enumerate(network.spans, start=1):
        for unit in range(1, o + 1):
            for kind in UNIT_KINDS:
                phase = own.forward if kind in "za" else own.backward
                check(phase[f"{kind}{layer}"][k, 0, unit - 1], kind, layer, unit, point=point)
            for source in [None, *range(1, i + 1)]:
                where = (k, unit - 1, source - 1) if source else (k, unit - 1)
                name = "W" if source else "b"
                check(own.backward[f"dL/d{name}{layer}"][where], "gradient", layer, unit, source, point=point)
                for kind in ("gradient", *OPTIMIZERS[network.optimizer], "new_value"):
                    check(shot.update[f"{name}{layer}"][kind][where], kind, layer, unit, source)
    return count


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_printed_formulas_give_the_numbers(optimizer: str, activation: str, loss: str, penalty: float) -> None:
    config = small(
        hidden=(3, 2), optimizer=optimizer, activation=activation, loss=loss, confidence_penalty=penalty, batch_size=7
    )
    playground = Playground(config, seeds=(0, 6))
    playground.run(4)
    assert check_formulas(playground) > 100


def test_wrong_formulas_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    playground = Playground(small(optimizer="adam"), seeds=(0, 6))
    playground.run(3)
    check_formulas(playground)
    wrong = {**OPTIMIZERS["adam"], "v_hat": "{v}/(1 - {beta1}**{t})"}
    monkeypatch.setattr(small_network, "OPTIMIZERS", {**OPTIMIZERS, "adam": wrong})
    with pytest.raises(AssertionError):
        check_formulas(playground)


def test_a_formula_says_symbols_and_all_digits() -> None:
    playground = Playground(small(), points=[(1, 0, 1), (0, 1, 0)])
    for source, value in ((1, 0.3), (2, -0.1), (None, 0.25)):
        playground.set_weight(value, 1, 2, source)
    formula = playground.formula("a", 1, 2, point=0)
    assert formula.name == "a of layer 1, unit 2, point 0"
    assert formula.symbols == "tanh(w1*x1 + w2*x2 + b)"
    assert formula.numbers == "tanh(0.3*1.0 + (-0.1)*0.0 + 0.25)"
    assert formula.value == formula.recomputed == math.tanh(0.55)
    assert [term.symbols for term in formula.terms] == ["w1*x1", "w2*x2", "b"]
    assert playground.formula("gradient", 2, 1, 3).symbols == "mean over the batch of dL/dz*a3"
    assert playground.formula("update", 2, 1, 3).symbols == "-rate*gradient"


def test_a_formula_of_500_points_can_be_written() -> None:
    playground = Playground(PlaygroundConfig(n_points=500))
    formula = playground.formula("gradient", 1, 1, 2)
    assert len(formula.terms) == 500
    assert formula.recomputed == pytest.approx(formula.value, rel=1e-12)


# --- history -----------------------------------------------------------------------------------------------------------


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
def test_any_walk_ends_where_a_straight_one_does(
    actions: list[tuple], optimizer: str, batch_size: int | None, capacity: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "CAPACITY", capacity)
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
    monkeypatch.setattr(engine, "CAPACITY", 4)
    playground = Playground(small(batch_size=6))
    playground.run(20)
    expected = playground.state
    wrong = playground._batch_points
    monkeypatch.setattr(playground, "_batch_points", lambda step: wrong(step + 1))
    playground.seek(19)
    playground.seek(20)
    assert not same(playground.state, expected)


def test_what_is_kept_is_bounded_and_spread() -> None:
    playground = Playground(small())
    playground.run(5 * engine.CAPACITY)
    steps = playground.history()["step"]
    assert engine.CAPACITY // 2 <= len(steps) <= engine.CAPACITY
    assert set(np.diff(steps)) == {8}
    weights = playground.weight_history(2, 1, 3)
    assert weights.shape == (len(steps), 1)
    playground.seek(steps[100])
    assert weights[100, 0] == playground.state.parameters_KP[0, playground.network.position(2, 1, 3)]
    assert playground.history()["loss"][100] == playground.scores().loss_K.tolist()


def test_after_a_cut_every_step_is_kept_again() -> None:
    playground = Playground(small())
    playground.run(3 * engine.CAPACITY)
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


# --- divergence --------------------------------------------------------------------------------------------------------


def test_the_first_number_to_blow_up_is_named_and_others_go_on() -> None:
    playground = Playground(small(), seeds=(0, 1), points=[(10, 0, 1), (0, 1, 0)])
    playground.run(3)
    playground.set_weight(1e308, 1, 2, 1, network=1)
    assert playground.run(10) == 10
    ok, bad = playground.divergence()
    assert ok is None
    assert bad is not None
    assert (bad.seed, bad.step, bad.phase, bad.value) == (1, 3, "forward", math.inf)
    assert str(bad) == "after step 3, forward: z of layer 1, unit 2, point 0 became inf"
    moved, held = playground.state.parameters_KP
    assert np.isfinite(playground.state.parameters_KP).all()
    alone = Playground(small(), seeds=(0,), points=[(10, 0, 1), (0, 1, 0)])
    alone.run(13)
    assert np.array_equal(moved, alone.state.parameters_KP[0])
    playground.seek(3)
    assert np.array_equal(held, playground.state.parameters_KP[1])
    json.dumps(playground.snapshot().as_dict(), allow_nan=False)
    assert plain(playground.divergence())[1]["value"] == "Infinity"
    playground.seek(8)
    with pytest.raises(UsageError, match=r"network 1 stopped at step 3; to edit it, go back there with seek\(3\)"):
        playground.set_weight(0.0, 1, 2, 1, network=1)
    again = Playground.from_dict(playground.as_dict())
    assert again.divergence() == playground.divergence()
    playground.seek(3)
    playground.set_weight(0.1, 1, 2, 1, network=1)
    assert playground.run(5) == 5
    assert playground.divergence() == (None, None)


@pytest.mark.parametrize(
    ("optimizer", "inputs", "expected"),
    [
        # two activations of 1.7e308 times dL/dz of about 1, summed, are too much
        ("sgd", 1.7e308, ("backward", "dL/dW of layer 2, unit 1 from 1", math.inf)),
        # the gradient is finite, its square is not
        ("adam", 1e200, ("update", "v of layer 2, unit 1 from 1", math.inf)),
        ("sgd", 1e200, None),
    ],
)
def test_a_gradient_or_an_optimizers_number_can_be_the_first(
    optimizer: str, inputs: float, expected: tuple | None
) -> None:
    config = small(hidden=(1,), activation="relu", optimizer=optimizer)
    playground = Playground(config, points=[(inputs, 0, 0), (inputs, 0, 0)])
    for layer, source, value in ((1, 1, 1.0), (1, 2, 0.0), (1, None, 0.0), (2, 1, 0.0), (2, None, 5.0)):
        playground.set_weight(value, layer, 1, source)
    made = playground.run(1)
    found = playground.divergence()[0]
    assert (found and (found.phase, found.name, found.value)) == expected
    assert made == (0 if expected else 1)
    assert playground.step() is (not expected and found is None and playground.divergence()[0] is None)


@pytest.mark.parametrize(
    ("weight", "x1", "expected"),
    [
        # tanh(infinity) is 1 and flat: all that follows from z is finite
        (2.0, 1e308, ("forward", "z of layer 1, unit 1, point 0")),
        # every sum is 0, the gradient is finite, its square is not
        (0.0, 1e200, ("update", "v of layer 1, unit 1 from 1")),
    ],
)
def test_one_infinite_number_among_small_ones_is_seen(weight: float, x1: float, expected: tuple) -> None:
    playground = Playground(small(hidden=(1,), optimizer="adam"), points=[(x1, 0, 0), (0, 1, 1)])
    for source, value in ((1, weight), (2, 0.0), (None, 0.0)):
        playground.set_weight(value, 1, 1, source)
    playground.set_weight(5.0, 2, 1)
    assert not playground.step()
    found = playground.divergence()[0]
    assert found is not None
    assert (found.phase, found.name) == expected


def test_when_all_have_stopped_nothing_moves() -> None:
    playground = Playground(small(), points=[(10, 0, 1), (0, 1, 0)])
    playground.run(3)
    playground.set_weight(1e308, 1, 2, 1)
    assert playground.run(10) == 0
    assert playground.seek(100) == 3
    assert playground.last_step == 3
    playground.undo()
    assert playground.run(10) == 10


# --- what is shown -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", SIZES)
def test_path_strengths_add_up_to_the_product_of_the_matrices(hidden: tuple) -> None:
    playground = Playground(small(hidden=hidden), seeds=(0, 1))
    paths = playground.path_strengths(network=1)
    sizes = (2, *hidden, 1)
    assert len({path.units for path in paths}) == len(paths) == math.prod(sizes)
    sizes_of = [abs(path.strength) for path in paths]
    assert sizes_of == sorted(sizes_of, reverse=True)
    matrices = [W[1] for W, _ in playground.network.layers(playground.state.parameters_KP)]
    product = np.linalg.multi_dot([*matrices[::-1], np.eye(2)])
    for x in (1, 2):
        assert sum(path.strength for path in paths if path.units[0] == x) == pytest.approx(product[0, x - 1], rel=1e-12)
    strongest = paths[0]
    along = [W[b - 1, a - 1] for W, a, b in zip(matrices, strongest.units, strongest.units[1:], strict=False)]
    assert strongest.strength == pytest.approx(math.prod(along), rel=1e-14)


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


# --- data and settings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", engine.DATA_SETS)
def test_data_sets(name: str) -> None:
    config = PlaygroundConfig(data=name, n_points=300)
    data, again = draw_data(config), draw_data(config)
    assert np.array_equal(data.x_N2, again.x_N2)
    assert not np.array_equal(data.x_N2, draw_data(replace(config, seed=1)).x_N2)
    assert not np.array_equal(data.x_N2, data.held_out_x_N2)
    assert data.x_N2.shape == data.held_out_x_N2.shape == (300, 2)
    assert np.abs(data.x_N2).max() < 1.25
    assert set(data.y_N) == set(data.held_out_y_N) == {0.0, 1.0}
    # the nearest point to learn from knows the label of nearly every point held out: they follow one rule
    distances = np.linalg.norm(data.held_out_x_N2[:, None] - data.x_N2, axis=2)
    assert (data.y_N[distances.argmin(axis=1)] == data.held_out_y_N).mean() > 0.98


def test_labels_follow_their_rules() -> None:
    def draw(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        data = draw_data(PlaygroundConfig(data=name, n_points=200))
        return data.x_N2[:, 0], data.x_N2[:, 1], data.y_N == 1

    x1, x2, y = draw("xor")
    assert np.array_equal(y, (x1 > 0) ^ (x2 > 0))
    x1, x2, y = draw("and")
    assert np.array_equal(y, (x1 > 0) & (x2 > 0))
    x1, x2, y = draw("or")
    assert np.array_equal(y, (x1 > 0) | (x2 > 0))
    x1, x2, y = draw("circles")
    assert np.array_equal(y, np.hypot(x1, x2) < 0.55)
    x1, x2, y = draw("linear")
    assert np.array_equal(y, x1 + x2 > 0)


def test_noise_flips_its_share_and_more_noise_keeps_what_less_flipped() -> None:
    clean = draw_data(PlaygroundConfig())
    flips = []
    for noise in (0.1, 0.25, 0.5):
        noisy = draw_data(PlaygroundConfig(noise=noise))
        assert np.array_equal(noisy.x_N2, clean.x_N2)
        assert np.array_equal(noisy.held_out_y_N, clean.held_out_y_N)
        flips.append(noisy.y_N != clean.y_N)
        assert flips[-1].sum() == round(noise * 100)
    assert not (flips[0] & ~flips[1]).any()
    assert not (flips[1] & ~flips[2]).any()


def test_an_epoch_of_batches_is_every_point_once() -> None:
    playground = Playground(small(batch_size=6), seeds=(0, 1))
    epochs = []
    for _ in range(2):
        batches = []
        for _ in range(4):
            batches.append(playground.snapshot().batch_KB)
            playground.step()
        assert [batch.shape[1] for batch in batches] == [6, 6, 6, 2]
        epochs.append(np.concatenate(batches, axis=1))
        assert np.array_equal(np.sort(epochs[-1], axis=1), np.tile(np.arange(20), (2, 1)))
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0][0], epochs[0][1])


def test_most_networks_learn_xor() -> None:
    playground = Playground(seeds=range(12))
    assert playground.scores().accuracy_K.mean() < 0.75
    playground.run(1000)
    scores = playground.scores()
    assert (scores.accuracy_K == 1).sum() >= 11
    assert (scores.held_out_accuracy_K > 0.95).sum() >= 11


def test_configurations_go_through_json() -> None:
    config = PlaygroundConfig(
        data="spiral", n_points=20, noise=0.5, hidden=(8, 1, 3), activation="relu", loss="squared_error",
        confidence_penalty=0.1, batch_size=5, learning_rate=5, optimizer="momentum", seed=7,
    )  # fmt: skip
    assert PlaygroundConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    assert PlaygroundConfig.from_dict({}) == PlaygroundConfig()


def one_line(error: pytest.ExceptionInfo[CutawayError], words: str) -> None:
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"data": "moon"}, "data is 'moon' (did you mean moons?); expected one of xor, and, or, moons"),
        ({"data": ["xor"]}, "data is ['xor']"),
        ({"n_points": 19}, "n_points is 19; expected a whole number from 20 to 500"),
        ({"n_points": 501}, "n_points is 501"),
        ({"n_points": 30.0}, "n_points is 30.0; expected a whole number"),
        ({"n_points": True}, "n_points is True"),
        ({"noise": 0.51}, "noise is 0.51; expected a finite number from 0 to 0.5"),
        ({"noise": math.nan}, "noise is nan"),
        ({"noise": "0.1"}, "noise is '0.1'"),
        ({"hidden": []}, "hidden is (); expected 1 to 3 widths"),
        ({"hidden": [4, 4, 4, 4]}, "expected 1 to 3 widths"),
        ({"hidden": [9]}, "a width in hidden is 9; expected a whole number from 1 to 8"),
        ({"hidden": [0]}, "a width in hidden is 0"),
        ({"hidden": 4}, "hidden is 4; expected 1 to 3 widths"),
        ({"activation": "gelu"}, "activation is 'gelu' (did you mean relu?); expected one of sigmoid, tanh, relu"),
        ({"loss": "mse"}, "loss is 'mse'"),
        ({"confidence_penalty": -0.1}, "confidence_penalty is -0.1; expected a finite number of at least 0"),
        ({"confidence_penalty": math.inf}, "confidence_penalty is inf"),
        ({"confidence_penalty": 10**400}, "confidence_penalty is 1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": 0.009}, "learning_rate is 0.009; expected a finite number from 0.01 to 5"),
        ({"learning_rate": 5.1}, "learning_rate is 5.1"),
        ({"optimizer": None}, "optimizer is None"),
        ({"seed": -1}, "seed is -1"),
        ({"learning_rat": 1}, "has no 'learning_rat' (did you mean learning_rate?)"),
    ],
)
def test_bad_settings(setting: dict, words: str) -> None:
    with pytest.raises(UsageError) as error:
        PlaygroundConfig.from_dict(setting)
    one_line(error, words)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([(0, 0, 1), (0, math.nan, 1)], "point 1 is (0, nan, 1); expected two finite numbers and a label of 0 or 1"),
        ([(0, 0, 1), (math.inf, 0, 1)], "point 1 is (inf, 0, 1)"),
        ([(0, 0, 1), (0, 0, 2)], "point 1 is (0, 0, 2)"),
        ([(0, 0, 1), (0, 0)], "point 1 is (0, 0)"),
        ([(0, 0, 1), 3], "point 1 is 3"),
        ([(0, 0, 1), "abc"], "point 1 is 'abc'"),
        ([(0, 0, 1)], "1 points given; expected 2 to 500"),
        ([(0, 0, 1)] * 501, "501 points given"),
        (np.array([[0, 0, 1], [0, np.nan, 1]]), "point 1 is [0.0, nan, 1.0]"),
        (7, "7 given"),
    ],
)
def test_bad_points(points: Any, words: str) -> None:
    with pytest.raises(DataError) as error:
        Playground(points=points)
    one_line(error, words)


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
