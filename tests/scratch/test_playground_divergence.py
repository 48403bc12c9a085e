"""What blew up first is named, and the other networks go on."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from cutaway.base.errors import UsageError
from cutaway.scratch.playground import Playground, plain
from scratch.playgrounds import small


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
