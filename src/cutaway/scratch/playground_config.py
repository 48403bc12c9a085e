"""The settings of a playground: the points, the network, and how it learns.

Look at `PlaygroundConfig`: every setting with its meaning; what it may be is in `__post_init__`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from cutaway.base.errors import ConfigError, suggest
from cutaway.scratch.checks import members, number, plain, whole
from cutaway.scratch.small_network_parameters import Network

DataName = Literal["xor", "and", "or", "moons", "circles", "spiral", "linear"]
ActivationName = Literal["sigmoid", "tanh", "relu"]
LossName = Literal["cross_entropy", "squared_error"]
OptimizerName = Literal["sgd", "momentum", "adam"]

CHOICES = {
    "data": get_args(DataName), "activation": get_args(ActivationName), "loss": get_args(LossName),
    "optimizer": get_args(OptimizerName),
}  # fmt: skip
MAX_POINTS = 500
MAX_STEPS = 1_000_000


@dataclass(frozen=True)
class PlaygroundConfig:
    """The points, the network and how it learns."""

    data: DataName = "xor"
    """Which points: three truth tables as four patches, two moons, a disc in a ring, two spirals, two sides of a line."""
    n_points: int = 100
    """Points to learn from; as many again are held out."""
    noise: float = 0.0
    """Share of the points whose label is flipped (never of those held out)."""
    hidden: tuple[int, ...] = (4,)
    """Units of each hidden layer."""
    activation: ActivationName = "tanh"
    """What hidden units do with their sum. The output is always a sigmoid."""
    loss: LossName = "cross_entropy"
    """How wrong an answer is: `cross_entropy` is -log of the probability given to the label, `squared_error` (a - y)^2."""
    confidence_penalty: float = 0.0
    """Strength of the penalty on being sure: this times the output's entropy, in nats, is taken off the loss."""
    batch_size: int | None = None
    """Points in one step; left out, or more than there are: all of them."""
    learning_rate: float = 0.5
    """Size of a step."""
    optimizer: OptimizerName = "sgd"
    """`sgd` goes down the gradient, `momentum` keeps going, `adam` gives every weight a pace of its own."""
    seed: int = 0
    """The points and the flipped labels follow from this. (Each network has a seed of its own for all else.)"""

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                hint = suggest(str(value), choices)
                raise ConfigError(f"{name} is {value!r}{hint}; expected one of {', '.join(choices)}")
        if not isinstance(self.hidden, tuple) or not 1 <= len(self.hidden) <= 3:
            raise ConfigError(f"hidden is {self.hidden!r}; expected 1 to 3 widths, such as 4 or 8, 8")
        for width in self.hidden:
            whole(width, "a width in hidden", 1, 8, ConfigError)
        whole(self.n_points, "n_points", 20, MAX_POINTS, ConfigError)
        if self.batch_size is not None:
            whole(self.batch_size, "batch_size", 1, MAX_POINTS, ConfigError)
        whole(self.seed, "seed", 0, 2**32 - 1, ConfigError)
        number(self.noise, "noise", 0, 0.5, ConfigError)
        number(self.confidence_penalty, "confidence_penalty", 0, error=ConfigError)
        number(self.learning_rate, "learning_rate", 0.01, 5, ConfigError)

    def as_dict(self) -> dict[str, Any]:
        """Return a small JSON object."""
        return plain(asdict(self))

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> PlaygroundConfig:
        """Return the settings in a JSON object; those left out keep their defaults.

        Raises:
            UsageError: an unknown name, or a value of the wrong kind or out of range.
        """
        settings = dict(members(given, "the configuration", [field.name for field in fields(cls)]))
        if isinstance(settings.get("hidden"), list):
            settings["hidden"] = tuple(settings["hidden"])
        return cls(**settings)

    def network(self) -> Network:
        """Return the network's share of the settings."""
        sizes = (2, *self.hidden, 1)
        return Network(sizes, self.activation, self.loss, self.confidence_penalty, self.optimizer, self.learning_rate)
