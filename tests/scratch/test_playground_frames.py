"""Frames, the gradient check and the list of places, each against what it stands for."""

from __future__ import annotations

import numpy as np
import pytest

from cutaway.base.errors import UsageError
from cutaway.scratch.playground import Playground, PlaygroundConfig
from cutaway.scratch.playground_divergence import loudest_updates
from cutaway.scratch.playground_frames import approach, film
from cutaway.scratch.playground_gradcheck import check_gradients


@pytest.mark.parametrize("hidden", [(1,), (4,), (3, 5), (8, 8, 8)])
def test_places_are_the_inverse_of_position(hidden: tuple[int, ...]) -> None:
    network = PlaygroundConfig(hidden=hidden).network()
    places = network.places()
    assert [network.position(*place) for place in places] == list(range(len(places)))
    assert len(places) == Playground(PlaygroundConfig(hidden=hidden)).state.parameters_KP.shape[1]


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_gradients_are_slopes(activation: str, loss: str) -> None:
    config = PlaygroundConfig.from_dict(
        {"activation": activation, "loss": loss, "confidence_penalty": 0.3, "hidden": [3, 2], "batch_size": 9}
    )
    playground = Playground(config, seeds=[1, 2])
    playground.run(5)
    check = check_gradients(playground.now(), 1)
    assert check.is_close
    p = playground.network.position(2, 1, 3)
    assert check.exact_P[p] == playground.formula("gradient", 2, 1, 3, network=1).value


def test_film_stops_where_the_network_does() -> None:
    playground = Playground(PlaygroundConfig(activation="relu"))
    playground.seek(10)
    playground.set_weight(1e200, 2, 1, 2)
    found = film(playground, 8, 30, grid=4)
    assert found["step"].tolist() == [8, 9, 10, 11]
    assert found["boundary"].shape == (4, 4, 4)
    with pytest.raises(UsageError, match="number of frames"):
        film(playground, 0, 1000)


def test_approach_goes_on_where_it_left_off() -> None:
    playground, reached = Playground(), []
    while not approach(playground, 1000, lambda: True, stride=300):
        reached.append(playground.state.step)
    assert reached == [300, 600, 900]
    assert playground.state.step == 1000
    assert approach(playground, 10, lambda: True)
    assert playground.state.step == 10


def test_loudest_update_is_no_weight_that_happens_to_be_tiny() -> None:
    playground = Playground(PlaygroundConfig(hidden=(2,)))
    playground.set_weight(1e-12, 1, 1, 1)
    step = playground.now().train_step()
    p_K, times_K = loudest_updates(step)
    updates = np.abs(step.update["update"][0])
    assert updates[p_K[0]] >= 0.1 * updates.max()
    assert times_K[0] == updates[p_K[0]] / abs(step.before.parameters_KP[0, p_K[0]])
