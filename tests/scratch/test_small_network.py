"""The small network beside PyTorch and central differences."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cutaway.scratch.playground import Playground
from cutaway.scratch.small_network_functions import ACTIVATIONS, LOSSES
from scratch.playgrounds import SIZES, Reference, near, small

KINDS = list(itertools.product(SIZES, ["sigmoid", "tanh", "relu"], ["cross_entropy", "squared_error"], [0.0, 0.3]))


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
        patch.setitem(ACTIVATIONS, "tanh", replace(ACTIVATIONS["tanh"], da_dz=lambda z, a: 1 - a))
        with pytest.raises(AssertionError):
            check_by_differences(Playground(config))
        with pytest.raises(AssertionError):
            test_every_number_of_a_pass_is_pytorchs((3, 2), "tanh", "cross_entropy", 0.0)
    with monkeypatch.context() as patch:
        patch.setitem(LOSSES, "squared_error", replace(LOSSES["squared_error"], dL_dz=lambda z, a, y: 2 * (a - y)))
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
