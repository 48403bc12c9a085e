"""The playground's engine: small networks that learn to tell two kinds of points apart, and a history to walk in.

A network (2-4-1 on XOR by default; its mathematics is in `small_network.py`) says for every point of a plane how likely its
label is 1. Networks that differ only in their seed run side by side; each has the same numbers, bit for bit, as alone.

`step`, `back` and `seek` walk the history bit for bit. At most CAPACITY states are kept, evenly spaced; the steps between
are computed again, which gives the same numbers, since a batch follows from seed and step alone. An edit belongs to the
history at its step and cuts off what came after it. A network in which a number becomes infinite or undefined stops before
that step, and `divergence` says which number was first.

Look at `Playground.seek`, and at `snapshot` and `formula` for all numbers of a step.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cutaway.base.errors import ConfigError, CutawayError, DataError, UsageError, suggest
from cutaway.scratch.small_network import (
    MEMORY,
    OPTIMIZERS,
    UNIT_KINDS,
    FloatArray,
    Formula,
    Network,
    Pass,
    Path,
    State,
    Step,
    forward,
    gradient_formula,
    loss_formula,
    losses,
    output_chain,
    path_strengths,
    run_pass,
    train_step,
    unit_formula,
    update_formula,
    whole,
)

DataName = Literal["xor", "and", "or", "moons", "circles", "spiral", "linear"]
ActivationName = Literal["sigmoid", "tanh", "relu"]
LossName = Literal["cross_entropy", "squared_error"]
OptimizerName = Literal["sgd", "momentum", "adam"]

MAX_STEPS = 1_000_000
MAX_NETWORKS = 12
MAX_POINTS = 500
CAPACITY = 1024
"""States kept at most; with more, every second one goes."""
POINTS_STREAM, HELD_OUT_STREAM, FLIP_STREAM, WEIGHTS_STREAM, BATCH_STREAM, PAINT_STREAM = range(6)
"""What a seed is used for: each has random numbers of its own."""


def number(
    value: Any, name: str, low: float = -math.inf, high: float = math.inf, error: type[CutawayError] = UsageError
) -> float:
    """Return value as a float if it is a finite number from low to high.

    Raises:
        CutawayError: of the given kind, if it is not.
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not abs(value) <= sys.float_info.max or not low <= value <= high:
        limits = (
            "" if low == -math.inf else f" of at least {low:g}" if high == math.inf else f" from {low:g} to {high:g}"
        )
        raise error(f"{name} is {value!r}; expected a finite number{limits}")
    return float(value)


def members(value: Any, name: str, names: Sequence[str]) -> Mapping[str, Any]:
    """Return value if it is a JSON object with no other names than these.

    Raises:
        UsageError: it is not.
    """
    if not isinstance(value, Mapping):
        raise UsageError(f"{name} is {value!r:.60}; expected an object with {', '.join(names)}")
    for key in value:
        if key not in names:
            raise UsageError(f"{name} has no {key!r}{suggest(str(key), names)}; expected {', '.join(names)}")
    return value


def plain(value: Any) -> Any:
    """Return value as JSON knows it; numbers that JSON lacks become the texts "NaN", "Infinity" and "-Infinity"."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


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


CHOICES = {
    "data": get_args(DataName), "activation": get_args(ActivationName), "loss": get_args(LossName),
    "optimizer": get_args(OptimizerName),
}  # fmt: skip


@dataclass(frozen=True)
class DataSet:
    """Points with labels 0 or 1, to learn from and held out."""

    x_N2: FloatArray
    y_N: FloatArray
    held_out_x_N2: FloatArray
    held_out_y_N: FloatArray


Drawn = tuple[NDArray[Any], NDArray[Any]]
"""x_N2 and y_N."""


def draw_corners(truth: tuple[int, int, int, int]) -> Callable[[np.random.Generator, int], Drawn]:
    """Return a generator of four patches at (+-0.6, +-0.6), labelled by a truth table in the order --, +-, -+, ++."""

    def draw(rng: np.random.Generator, n: int) -> Drawn:
        corner_N = np.arange(n) % 4
        centre_N2 = np.stack([corner_N % 2, corner_N // 2], axis=1) * 1.2 - 0.6
        return centre_N2 + rng.uniform(-0.35, 0.35, (n, 2)), np.array(truth, dtype=float)[corner_N]

    return draw


def draw_moons(rng: np.random.Generator, n: int) -> Drawn:
    """Draw two half circles that reach into each other."""
    y_N = np.arange(n) % 2.0
    angle_N = rng.uniform(0, np.pi, n)
    x_N = np.where(y_N == 1, 1 - np.cos(angle_N), np.cos(angle_N))
    height_N = np.where(y_N == 1, 0.5 - np.sin(angle_N), np.sin(angle_N))
    x_N2 = np.stack([x_N - 0.5, height_N - 0.25], axis=1) / 1.6
    return x_N2 + rng.normal(0, 0.05, (n, 2)), y_N


def draw_circles(rng: np.random.Generator, n: int) -> Drawn:
    """Draw a disc of radius 0.45 with label 1 in a ring from 0.65 to 1."""
    y_N = np.arange(n) % 2.0
    radius_N = np.where(y_N == 1, rng.uniform(0, 0.45, n), rng.uniform(0.65, 1, n))
    angle_N = rng.uniform(0, 2 * np.pi, n)
    return radius_N[:, None] * np.stack([np.cos(angle_N), np.sin(angle_N)], axis=1), y_N


def draw_spiral(rng: np.random.Generator, n: int) -> Drawn:
    """Draw two arms that wind one and three quarter times around the origin."""
    y_N = np.arange(n) % 2.0
    radius_N = rng.uniform(0.05, 1, n)
    angle_N = 3.5 * np.pi * radius_N + np.pi * y_N
    x_N2 = radius_N[:, None] * np.stack([np.sin(angle_N), np.cos(angle_N)], axis=1)
    return x_N2 + rng.normal(0, 0.02, (n, 2)), y_N


def draw_linear(rng: np.random.Generator, n: int) -> Drawn:
    """Draw points of a square on both sides of its falling diagonal, moved 0.1 away from it in each direction."""
    x_N2 = rng.uniform(-0.9, 0.9, (n, 2))
    y_N = (x_N2.sum(axis=1) > 0).astype(float)
    return x_N2 + (0.2 * y_N - 0.1)[:, None], y_N


DATA_SETS: dict[str, Callable[[np.random.Generator, int], Drawn]] = {
    "xor": draw_corners((0, 1, 1, 0)),
    "and": draw_corners((0, 0, 0, 1)),
    "or": draw_corners((0, 1, 1, 1)),
    "moons": draw_moons,
    "circles": draw_circles,
    "spiral": draw_spiral,
    "linear": draw_linear,
}


def draw_data(config: PlaygroundConfig) -> DataSet:
    """Draw the points of a configuration; more noise flips more labels and keeps those flipped with less."""

    def stream(purpose: int) -> np.random.Generator:
        return np.random.default_rng([config.seed, purpose])

    draw, n = DATA_SETS[config.data], config.n_points
    x_N2, y_N = draw(stream(POINTS_STREAM), n)
    flipped = stream(FLIP_STREAM).permutation(n)[: round(config.noise * n)]
    y_N[flipped] = 1 - y_N[flipped]
    return DataSet(x_N2, y_N, *draw(stream(HELD_OUT_STREAM), n))


def own_points(rows: Sequence[Sequence[float]]) -> DataSet:
    """Return the user's own points (x1, x2, label); none is held out.

    Raises:
        DataError: too few or too many, or one that is not two finite numbers and a label.
    """
    if not isinstance(rows, (list, tuple, np.ndarray)) or not 2 <= len(rows) <= MAX_POINTS:
        given = f"{len(rows)} points" if hasattr(rows, "__len__") else repr(rows)
        raise DataError(f"{given} given; expected 2 to {MAX_POINTS} points, each (x1, x2, label)")
    checked = np.array([check_point(n, row) for n, row in enumerate(rows)])
    return DataSet(checked[:, :2].copy(), checked[:, 2].copy(), np.empty((0, 2)), np.empty(0))


def check_point(n: int, row: Sequence[float]) -> tuple[float, float, float]:
    """Return a point's row as numbers.

    Raises:
        DataError: it is not two finite numbers and a label of 0 or 1.
    """
    try:
        x1, x2, label = (number(value, "") for value in row)
    except (UsageError, TypeError, ValueError):
        label = -1.0
    if label not in (0, 1):
        shown = row.tolist() if isinstance(row, np.ndarray) else row
        raise DataError(f"point {n} is {shown!r:.80}; expected two finite numbers and a label of 0 or 1")
    return x1, x2, label


def draw_weights(network: Network, seed: int) -> FloatArray:
    """Draw the P parameters of one network: uniform, as wide as keeps the size of activations; biases half as wide.

    Glorot and Bengio 2010 for sigmoid and tanh, He et al. 2015 (arXiv:1502.01852) for ReLU.
    """
    rng = np.random.default_rng([seed, WEIGHTS_STREAM])
    pieces = []
    for o, i, _, _ in network.spans:
        reach = math.sqrt(6 / i) if network.activation == "relu" else math.sqrt(6 / (i + o))
        pieces += [rng.uniform(-reach, reach, o * i), rng.uniform(-reach, reach, o) * 0.5]
    return np.concatenate(pieces)


@dataclass(frozen=True)
class Edit:
    """Weights and points that the user changed at a step, each with its new value."""

    step: int
    weights: tuple[tuple[int, int, int, int | None, float], ...] = ()
    """Network, layer, unit, source (None: the bias), value."""
    points: tuple[tuple[int, float, float, float], ...] = ()
    """Point, x1, x2, label."""

    def targets(self) -> list[tuple[Any, ...]]:
        """Return what is changed, without the values."""
        return [weight[:4] for weight in self.weights] + [point[:1] for point in self.points]


@dataclass(frozen=True)
class Scores:
    """How well each network does; on held-out points None when there are none."""

    loss_K: FloatArray
    accuracy_K: FloatArray
    held_out_loss_K: FloatArray | None
    held_out_accuracy_K: FloatArray | None


@dataclass(frozen=True)
class Divergence:
    """The first number of a network that became infinite or undefined, in the step after `step`."""

    network: int
    seed: int
    step: int
    phase: str
    name: str
    value: float

    def __str__(self) -> str:
        return f"after step {self.step}, {self.phase}: {self.name} became {self.value}"


@dataclass(frozen=True)
class Snapshot:
    """All numbers of the step that leads on from the present state, under names such as z1, dL/dW2, and for updates W1, b1.

    For one point the first three phases are that point's own; the update is always the batch's, as it is applied.
    """

    step: int
    point: int | None
    batch_KB: NDArray[np.intp]
    """The points of the batch (one row for all networks when the batch is all points)."""
    forward: dict[str, FloatArray]
    loss: dict[str, FloatArray]
    backward: dict[str, FloatArray]
    update: dict[str, dict[str, FloatArray]]

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return plain(self)


@dataclass(frozen=True)
class Boundary:
    """The networks' outputs over the plane: rows x2, columns x1, both from low to high."""

    x1_X: FloatArray
    x2_Y: FloatArray
    output_KYX: FloatArray


class Playground:
    """Networks, one for each seed, with their points and their history.

    Args:
        config: left out: the defaults.
        seeds: of the networks' first weights and of their batches.
        points: the user's own, as rows (x1, x2, label), in place of the configuration's.

    Raises:
        UsageError: seeds that are none, too many or not whole numbers.
        DataError: points that cannot be learnt from.
    """

    def __init__(
        self,
        config: PlaygroundConfig | None = None,
        seeds: Sequence[int] = (0,),
        points: Sequence[Sequence[float]] | None = None,
    ) -> None:
        self.config = config or PlaygroundConfig()
        if not isinstance(seeds, (list, tuple, range)) or not 1 <= len(seeds) <= MAX_NETWORKS:
            raise UsageError(f"seeds is {seeds!r:.60}; expected a list of 1 to {MAX_NETWORKS} whole numbers")
        self.seeds = tuple(whole(seed, "a seed", 0, 2**32 - 1) for seed in seeds)
        self.network = self.config.network()
        self._has_own_points = points is not None
        self._data_at_first = draw_data(self.config) if points is None else own_points(points)
        self._state: State
        self._data: DataSet
        self._orders: tuple[int, NDArray[np.intp]] | None = None
        self._edits: dict[int, list[Edit]] = {}
        self._diverged: dict[int, Divergence] = {}
        self._kept: list[tuple[State, Scores]] = []
        self._spacing = 1
        self._last_step = 0
        self._restore(0)
        self._keep_if_due()

    @property
    def state(self) -> State:
        """The present: step, parameters, the optimizer's memory."""
        return self._state

    @property
    def data(self) -> DataSet:
        """The points as they are at the present step."""
        return self._data

    @property
    def last_step(self) -> int:
        """The last step ever computed and not cut off."""
        return self._last_step

    @property
    def edits(self) -> list[Edit]:
        """All edits of the recorded history, the first one first."""
        return [edit for step in sorted(self._edits) for edit in self._edits[step]]

    def step(self) -> bool:
        """Make one step; False when every network has stopped."""
        return self.run(1) == 1

    def back(self) -> bool:
        """Go back one step; False at the beginning."""
        here = self._state.step
        return here > 0 and self.seek(here - 1) < here

    def run(self, n: int) -> int:
        """Make n steps as fast as possible; return how many were made before every network had stopped.

        Raises:
            UsageError: n is no whole number or leads beyond the longest history.
        """
        here = self._state.step
        whole(n, f"the number of steps (a history has at most {MAX_STEPS:,})", 0, MAX_STEPS - here)
        with np.errstate(all="ignore"):
            while self._state.step < here + n and self._advance():
                pass
        return self._state.step - here

    def seek(self, step: int) -> int:
        """Go to a step, back or forward, and return it, or the step at which every network has stopped.

        Raises:
            UsageError: step is no whole number or beyond the longest history.
        """
        whole(step, "step", 0, MAX_STEPS)
        kept = self._last_kept(step)
        if step < self._state.step or (kept and kept.step > self._state.step):
            self._restore(step)
        self.run(step - self._state.step)
        return self._state.step

    def set_weight(self, value: float, layer: int, unit: int, source: int | None = None, network: int = 0) -> None:
        """Give a weight, or with no source a bias, another value; what came after this step is cut off."""
        self.edit(weights=[(network, layer, unit, source, value)])

    def set_point(self, point: int, x1: float, x2: float, label: float | None = None) -> None:
        """Move a point, and give it a label; what came after this step is cut off."""
        whole(point, "point", 0, len(self._data.y_N) - 1)
        self.edit(points=[(point, x1, x2, float(self._data.y_N[point]) if label is None else label)])

    def paint_noise(self, x1: float, x2: float, radius: float, share: float = 0.5) -> int:
        """Flip the labels of about this share of the points within radius of (x1, x2); return how many."""
        centre = [number(x1, "x1"), number(x2, "x2")]
        with np.errstate(over="ignore"):
            is_near_N = np.hypot(*(self._data.x_N2 - centre).T) <= number(radius, "radius", 0)
        coins_N = np.random.default_rng([self.config.seed, PAINT_STREAM, len(self.edits)]).random(len(is_near_N))
        flipped = np.flatnonzero(is_near_N & (coins_N < number(share, "share", 0, 1)))
        if len(flipped):
            self.edit(points=[(n, *self._data.x_N2[n], 1 - self._data.y_N[n]) for n in flipped.tolist()])
        return len(flipped)

    def edit(
        self,
        weights: Sequence[tuple[int, int, int, int | None, float]] = (),
        points: Sequence[tuple[int, float, float, float]] = (),
    ) -> None:
        """Give weights (network, layer, unit, source or None, value) and points (point, x1, x2, label) other values.

        The edit belongs to the present step, replaces the edit just made if that changed the same things (a drag is one
        edit), and cuts off what came after.

        Raises:
            UsageError: there is no such weight or point, or its network has stopped before.
            DataError: a value that is no finite number, or a label other than 0 and 1.
        """
        here = self._state.step
        for network, layer, unit, source, value in weights:
            self._check_network(network)
            self.network.position(layer, unit, source)
            number(value, "a weight")
            if network in self._diverged and self._diverged[network].step < here:
                stopped = self._diverged[network].step
                raise UsageError(
                    f"network {network} stopped at step {stopped}; to edit it, go back there with seek({stopped})"
                )
        for point, *row in points:
            check_point(whole(point, "point", 0, len(self._data.y_N) - 1), row)
        edit = Edit(
            here,
            tuple((network, layer, unit, source, float(value)) for network, layer, unit, source, value in weights),
            tuple((point, float(x1), float(x2), float(label)) for point, x1, x2, label in points),
        )
        self._cut_off(here)
        edits = self._edits.setdefault(here, [])
        if edits and edits[-1].targets() == edit.targets():
            edits.pop()
        edits.append(edit)
        self._apply([edit])
        self._keep_if_due()

    def undo(self) -> Edit:
        """Take back the last edit of the history, go to its step, and return it; what came after is cut off.

        Raises:
            UsageError: nothing was edited.
        """
        if not self._edits:
            raise UsageError("nothing was edited, so there is nothing to undo; set a weight or a point first")
        step = max(self._edits)
        edit = self._edits[step].pop()
        if not self._edits[step]:
            del self._edits[step]
        self._cut_off(step)
        self._restore(step)
        self.run(step - self._state.step)
        self._keep_if_due()
        return edit

    def scores(self) -> Scores:
        """Compute loss and share of right answers on all points, and on those held out."""
        data = self._data
        loss_K, accuracy_K = self._score(data.x_N2, data.y_N)
        if not len(data.held_out_y_N):
            return Scores(loss_K, accuracy_K, None, None)
        return Scores(loss_K, accuracy_K, *self._score(data.held_out_x_N2, data.held_out_y_N))

    def history(self) -> dict[str, Any]:
        """Return the recorded scores as lists, a row for each step kept and a column for each network."""
        rows = [scores for _, scores in self._kept]
        names = [field.name for field in fields(Scores)]
        columns = {name[: -len("_K")]: plain([getattr(row, name) for row in rows]) for name in names}
        return {"step": [state.step for state, _ in self._kept], **columns}

    def weight_history(self, layer: int, unit: int, source: int | None = None) -> FloatArray:
        """Return a weight, or with no source a bias, at the steps of `history`: a row a step, a column a network."""
        p = self.network.position(layer, unit, source)
        return np.stack([state.parameters_KP[:, p] for state, _ in self._kept])

    def divergence(self) -> tuple[Divergence | None, ...]:
        """Return for each network what blew up first in the recorded history, or None."""
        return tuple(self._diverged.get(k) for k in range(len(self.seeds)))

    def snapshot(self, point: int | None = None) -> Snapshot:
        """Compute all numbers of the step that leads on from here, for the batch or for one point."""
        phases: dict[str, dict[str, FloatArray]] = {"forward": {}, "loss": {}, "backward": {}}
        updates: dict[str, dict[str, FloatArray]] = {}
        with np.errstate(all="ignore"):
            step = self._compute()
            done = step.batch if point is None else self._pass_over(point)
            for named in done.numbers():
                phases[named.phase][f"{named.symbol}{named.layer}"] = named.array
            dL_da, da_dz = output_chain(self.network, done.run, done.y_KBO)
        last = len(done.layers)
        loss_KB = phases["loss"].pop(f"loss{last}")
        phases["loss"] = {"loss": loss_KB, "mean": loss_KB.mean(axis=1)}
        phases["backward"] = {f"dL/da{last}": dL_da, f"da/dz{last}": da_dz, **phases["backward"]}
        for named in step.update_numbers():
            updates.setdefault(f"{named.axes}{named.layer}", {})[named.symbol] = named.array
        return Snapshot(self._state.step, point, self._batch_points(self._state.step), **phases, update=updates)

    def formula(
        self,
        kind: str,
        layer: int = 1,
        unit: int = 1,
        source: int | None = None,
        point: int | None = None,
        network: int = 0,
    ) -> Formula:
        """Return how a number of the step that leads on from here is made.

        Args:
            kind: of a unit at a point z, a, da/dz, dL/da, dL/dz; of the batch or a point loss; of a weight, or with no
                source a bias, gradient (batch or point), the optimizer's numbers by their names, update, new_value.

        Raises:
            UsageError: there is no such kind, unit, weight or point.
        """
        self._check_network(network)
        self.network.position(layer, unit, source)
        update_kinds = (*OPTIMIZERS[self.network.optimizer], "new_value")
        known = (*UNIT_KINDS, "loss", "gradient", *update_kinds)
        if kind not in known:
            raise UsageError(
                f"there is no formula {kind!r}{suggest(str(kind), known)}; expected one of {', '.join(known)}"
            )
        if kind in UNIT_KINDS and point is None:
            raise UsageError(f"formula {kind!r} is of one point; say which with point=")
        points_KB = self._batch_points(self._state.step)
        points = np.array([point]) if point is not None else points_KB[network % len(points_KB)]
        with np.errstate(all="ignore"):
            if kind in update_kinds:
                return update_formula(self._compute(), kind, network, layer, unit, source)
            done = self._compute().batch if point is None else self._pass_over(point)
            if kind == "gradient":
                return gradient_formula(done, network, layer, unit, source, points)
            if kind == "loss":
                return loss_formula(done, network, points)
            return unit_formula(done, kind, network, layer, unit, int(points[0]))

    def path_strengths(self, network: int = 0) -> list[Path]:
        """Return the product of the weights along every way from an input to the output, the strongest first."""
        return path_strengths(self.network, self._state.parameters_KP[self._check_network(network)])

    def boundary(self, n: int = 50) -> Boundary:
        """Compute every network's output on n x n places of the plane, which holds all points."""
        whole(n, "the size of the grid", 2, 256)
        reach = max(1.25, 1.1 * min(float(np.abs(self._data.x_N2).max()), 1e300))
        line = np.linspace(-reach, reach, n)
        x2_YX, x1_YX = np.meshgrid(line, line, indexing="ij")
        with np.errstate(all="ignore"):
            run = forward(self.network, self._layers(), np.stack([x1_YX.ravel(), x2_YX.ravel()], axis=1)[None])
        return Boundary(line, line, run.a[-1].reshape(-1, n, n))

    def as_dict(self) -> dict[str, Any]:
        """Return all it takes to make this playground and its history again, as a JSON object."""
        first = self._data_at_first
        return {
            "config": self.config.as_dict(),
            "seeds": list(self.seeds),
            "points": np.column_stack([first.x_N2, first.y_N]).tolist() if self._has_own_points else None,
            "edits": plain(self.edits),
            "step": self._state.step,
            "last_step": self._last_step,
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Playground:
        """Make a playground, its history and its present step again.

        Raises:
            UsageError: a name or value that does not fit.
            DataError: a point that cannot be learnt from.
        """
        names = ("config", "seeds", "points", "edits", "step", "last_step")
        members(given, "the playground", names)
        config = PlaygroundConfig.from_dict(given.get("config", {}))
        playground = cls(config, given.get("seeds", (0,)), given.get("points"))
        last_step = whole(given.get("last_step", given.get("step", 0)), "last_step", 0, MAX_STEPS)
        edits = given.get("edits", [])
        if not isinstance(edits, list):
            raise UsageError(f"edits is {edits!r:.60}; expected a list")
        for edit in edits:
            members(edit, "an edit", ("step", "weights", "points"))
            step = whole(edit.get("step"), "the step of an edit", playground.state.step, last_step)
            if playground.seek(step) < step:
                raise UsageError(
                    f"there is an edit at step {step}, but all networks stop at step {playground.state.step}"
                )
            try:
                playground.edit(edit.get("weights", ()), edit.get("points", ()))
            except (TypeError, ValueError):
                raise UsageError(
                    f"the edit at step {step} is {edit!r:.80}; expected weights [network, layer, unit, source, value] "
                    f"and points [point, x1, x2, label]"
                ) from None
        playground.seek(last_step)
        playground.seek(whole(given.get("step", last_step), "step", 0, last_step))
        return playground

    def _check_network(self, network: int) -> int:
        return whole(network, "network", 0, len(self.seeds) - 1)

    def _layers(self) -> list[tuple[FloatArray, FloatArray]]:
        return self.network.layers(self._state.parameters_KP)

    def _score(self, x_N2: FloatArray, y_N: FloatArray) -> tuple[FloatArray, FloatArray]:
        with np.errstate(all="ignore"):
            run = forward(self.network, self._layers(), x_N2[None])
            loss_K = losses(self.network, run, y_N[None, :, None]).mean(axis=1)
        return loss_K, ((run.z[-1][:, :, 0] >= 0) == (y_N == 1)).mean(axis=1)

    def _batch_points(self, step: int) -> NDArray[np.intp]:
        """Return which points the step uses: all, or each network's next part of an order drawn anew every epoch."""
        n = len(self._data.y_N)
        batch_size = self.config.batch_size or n
        if batch_size >= n:
            return np.arange(n)[None]
        epoch, part = divmod(step, math.ceil(n / batch_size))
        if self._orders is None or self._orders[0] != epoch:
            orders = [np.random.default_rng([seed, BATCH_STREAM, epoch]).permutation(n) for seed in self.seeds]
            self._orders = epoch, np.stack(orders)
        return self._orders[1][:, part * batch_size : (part + 1) * batch_size]

    def _compute(self) -> Step:
        points_KB = self._batch_points(self._state.step)
        return train_step(self.network, self._state, self._data.x_N2[points_KB], self._data.y_N[points_KB][:, :, None])

    def _pass_over(self, point: int) -> Pass:
        whole(point, "point", 0, len(self._data.y_N) - 1)
        return run_pass(
            self.network,
            self._state.parameters_KP,
            self._data.x_N2[None, point : point + 1],
            self._data.y_N[None, point : point + 1, None],
        )

    def _advance(self) -> bool:
        """Make one step, then the edits recorded there; keep the state if the step is new and due."""
        before = self._state
        stopped = [k for k, diverged in self._diverged.items() if diverged.step <= before.step]
        running = [k for k in range(len(self.seeds)) if k not in stopped]
        if not running:
            return False
        step = self._compute()
        if step.may_overflow(running):
            points_KB = self._batch_points(before.step)
            for k in list(running):
                found = step.first_nonfinite(k, points_KB[k % len(points_KB)])
                if found:
                    self._diverged[k] = Divergence(k, self.seeds[k], before.step, *found)
                    running.remove(k)
            if not running:
                return False
        after = step.after
        if len(running) < len(self.seeds):
            after = after.only(running, before)
        self._state = after
        if after.step in self._edits:
            self._apply(self._edits[after.step])
        if after.step > self._last_step:
            self._last_step = after.step
            self._keep_if_due()
        return True

    def _apply(self, edits: Sequence[Edit]) -> None:
        self._state = self._with_weights(self._state, edits)
        self._data = self._with_points(self._data, edits)

    def _with_weights(self, state: State, edits: Sequence[Edit]) -> State:
        parameters_KP = state.parameters_KP.copy()
        for edit in edits:
            for network, layer, unit, source, value in edit.weights:
                parameters_KP[network, self.network.position(layer, unit, source)] = value
        return State(state.step, parameters_KP, state.memory)

    def _with_points(self, data: DataSet, edits: Sequence[Edit]) -> DataSet:
        x_N2, y_N = data.x_N2.copy(), data.y_N.copy()
        for edit in edits:
            for point, x1, x2, label in edit.points:
                x_N2[point], y_N[point] = (x1, x2), label
        return replace(data, x_N2=x_N2, y_N=y_N)

    def _keep_if_due(self) -> None:
        if self._state.step % self._spacing == 0:
            self._kept.append((self._state, self.scores()))
        if len(self._kept) > CAPACITY:
            self._spacing *= 2
            self._kept = [kept for kept in self._kept if kept[0].step % self._spacing == 0]

    def _last_kept(self, step: int) -> State | None:
        at = bisect_right(self._kept, step, key=lambda kept: kept[0].step)
        return self._kept[at - 1][0] if at else None

    def _restore(self, step: int) -> None:
        """Go to the last state kept at or before a step, or to the beginning."""
        kept = self._last_kept(step)
        if kept is None:
            parameters_KP = np.stack([draw_weights(self.network, seed) for seed in self.seeds])
            memory = {name: np.zeros_like(parameters_KP) for name in MEMORY[self.network.optimizer]}
            self._state = self._with_weights(State(0, parameters_KP, memory), self._edits.get(0, ()))
        else:
            self._state = kept  # what was edited there is in it
        self._data = self._with_points(self._data_at_first, [e for e in self.edits if e.step <= self._state.step])

    def _cut_off(self, step: int) -> None:
        """Forget the states at and after a step, the edits after it, and what diverged there or later."""
        self._kept = [kept for kept in self._kept if kept[0].step < step]
        self._edits = {at: edits for at, edits in self._edits.items() if at <= step}
        self._diverged = {k: diverged for k, diverged in self._diverged.items() if diverged.step < step}
        self._last_step = step
        while self._spacing > 1 and step < self._spacing * CAPACITY // 2:
            self._spacing //= 2
