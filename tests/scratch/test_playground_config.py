"""Settings go through JSON, and bad ones are refused in one line."""

from __future__ import annotations

import json
import math

import pytest

from cutaway.base.errors import UsageError
from cutaway.scratch.playground import PlaygroundConfig
from scratch.playgrounds import one_line


def test_configurations_go_through_json() -> None:
    config = PlaygroundConfig(
        data="spiral", n_points=20, noise=0.5, hidden=(8, 1, 3), activation="relu", loss="squared_error",
        confidence_penalty=0.1, batch_size=5, learning_rate=5, optimizer="momentum", seed=7,
    )  # fmt: skip
    assert PlaygroundConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    assert PlaygroundConfig.from_dict({}) == PlaygroundConfig()


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
