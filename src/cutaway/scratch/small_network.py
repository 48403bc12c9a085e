"""A small network's forward pass, backward pass and update, written out by hand.

Layer l turns the activations a before it into its own:
    z = W a_before + b              a = f(z)                     f: the chosen one; in the last layer the sigmoid
Backpropagation (Rumelhart, Hinton and Williams 1986, Nature 323:533) walks the same road back, from the loss L of a point:
    dL/dz = dL/da * da/dz           dL/da_before = W^T dL/dz     dL/dW = dL/dz a_before^T     dL/db = dL/dz
The gradient of a batch is the mean of its points' gradients. In the last layer dL/dz comes from the loss directly: with
cross-entropy, dL/da * da/dz is simply a - y, which stays exact where dL/da and da/dz do not. The confidence penalty
(Pereyra et al. 2017, arXiv:1701.06548) takes strength * entropy(a) off the loss; d entropy / da = -z.

Axes: K networks side by side, B points of a batch, O the units of a layer, I what they read, P all parameters of a network.
Layers and units count from 1 in names and arguments (layer 0 is the input); positions in arrays count from 0.
Look at `forward` and `backward`: they are all of it. `Formula` is their arithmetic with the numbers put in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cutaway.base.errors import CutawayError, UsageError
from cutaway.scratch.optimizers import adam_step, momentum_step

FloatArray = NDArray[np.float64]
Layer = tuple[FloatArray, FloatArray]
"""W_KOI and b_KO."""
Phase = Literal["forward", "loss", "backward", "update"]

BETA1, BETA2, EPS, MOMENTUM = 0.9, 0.999, 1e-8, 0.9


def whole(value: Any, name: str, low: int, high: int, error: type[CutawayError] = UsageError) -> int:
    """Return value if it is a whole number from low to high.

    Raises:
        CutawayError: of the given kind, if it is not.
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not low <= value <= high:
        raise error(f"{name} is {value!r}; expected a whole number from {low} to {high}")
    return int(value)


def sigmoid(z: FloatArray) -> FloatArray:
    """Squash to between 0 and 1. Far below zero exp overflows, and 1 / infinity is the right answer."""
    return 1 / (1 + np.exp(-z))


def relu(z: FloatArray) -> FloatArray:
    """Cut off what is below zero. (NaN stays NaN.)"""
    return np.maximum(z, 0)


def softplus(z: FloatArray) -> FloatArray:
    """Return log(1 + exp(z)) without overflow."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def entropy(z: FloatArray, a: FloatArray) -> FloatArray:
    """Return the entropy, in nats, of a coin that shows 1 with probability a = sigmoid(z)."""
    return a * softplus(-z) + sigmoid(-z) * softplus(z)


@dataclass(frozen=True)
class Activation:
    """What a unit does with its sum, and the slope of that; each also as text."""

    value: Callable[[FloatArray], FloatArray]
    slope: Callable[[FloatArray, FloatArray], FloatArray]
    name: str
    slope_text: str


ACTIVATIONS = {
    "sigmoid": Activation(sigmoid, lambda z, a: a * (1 - a), "sigmoid", "{a}*(1 - {a})"),
    "tanh": Activation(np.tanh, lambda z, a: 1 - a * a, "tanh", "1 - {a}*{a}"),
    "relu": Activation(relu, lambda z, a: np.where(z > 0, 1.0, 0.0), "relu", "1 if {z} > 0 else 0"),
}


@dataclass(frozen=True)
class Loss:
    """How wrong an output is, from z, a = sigmoid(z) and the label y, and how that changes with a and with z."""

    value: Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
    by_a: Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
    by_z: Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
    value_text: str
    by_a_text: str
    by_z_text: str


LOSSES = {
    # -log(a) where y is 1 and -log(1 - a) where it is 0, both from z: a itself may round to 0 or 1
    "cross_entropy": Loss(
        value=lambda z, a, y: softplus((1 - 2 * y) * z),
        by_a=lambda z, a, y: np.where(y == 1, -(1 + np.exp(-z)), 1 + np.exp(z)),
        by_z=lambda z, a, y: a - y,
        value_text="softplus((1 - 2*{y})*{z})",
        by_a_text="(-(1 + exp(-{z})) if {y} == 1 else 1 + exp({z}))",
        by_z_text="{a} - {y}",
    ),
    "squared_error": Loss(
        value=lambda z, a, y: (a - y) ** 2,
        by_a=lambda z, a, y: 2 * (a - y),
        by_z=lambda z, a, y: 2 * (a - y) * (a * (1 - a)),
        value_text="({a} - {y})**2",
        by_a_text="2*({a} - {y})",
        by_z_text="2*({a} - {y})*({a}*(1 - {a}))",
    ),
}

OPTIMIZERS: Mapping[str, Mapping[str, str]] = {
    # what each computes for every weight, in this order; its memory is what has "before" in its name
    "sgd": {"update": "-{rate}*{gradient}"},
    "momentum": {
        "velocity": "{momentum}*{velocity_before} + {gradient}",
        "update": "-{rate}*{velocity}",
    },
    "adam": {
        "m": "{beta1}*{m_before} + (1 - {beta1})*{gradient}",
        "v": "{beta2}*{v_before} + (1 - {beta2})*{gradient}*{gradient}",
        "m_hat": "{m}/(1 - {beta1}**{t})",
        "v_hat": "{v}/(1 - {beta2}**{t})",
        "update": "-{rate}*{m_hat}/(sqrt({v_hat}) + {eps})",
    },
}
MEMORY = {"sgd": (), "momentum": ("velocity",), "adam": ("m", "v")}
"""What an optimizer remembers from step to step, one number for each weight."""


@dataclass(frozen=True)
class State:
    """All that training changes: for K networks the weights and biases, the optimizer's memory, the steps made."""

    step: int
    parameters_KP: FloatArray
    memory: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        for array in (self.parameters_KP, *self.memory.values()):
            array.setflags(write=False)  # history keeps states, not copies of them

    def only(self, rows: list[int], before: State) -> State:
        """Return this state for some of the networks, and the one before for the rest."""
        is_new_K1 = np.isin(np.arange(len(self.parameters_KP)), rows)[:, None]
        memory = {name: np.where(is_new_K1, array, before.memory[name]) for name, array in self.memory.items()}
        return State(self.step, np.where(is_new_K1, self.parameters_KP, before.parameters_KP), memory)


@dataclass(frozen=True)
class Network:
    """The settings of a network and of how it learns."""

    sizes: tuple[int, ...]
    """Units of every layer: inputs first, the one output last."""
    activation: str
    loss: str
    confidence_penalty: float
    optimizer: str
    learning_rate: float

    @cached_property
    def spans(self) -> list[tuple[int, int, int, int]]:
        """For each layer: its units, what they read, and where its W and then its b begin among the P parameters."""
        spans, start = [], 0
        for i, o in zip(self.sizes, self.sizes[1:], strict=False):
            spans.append((o, i, start, start + o * i))
            start += o * i + o
        return spans

    def layers(self, numbers_KP: FloatArray) -> list[Layer]:
        """Return views of P numbers as every layer's W_KOI and b_KO."""
        return [(numbers_KP[:, w:b].reshape(-1, o, i), numbers_KP[:, b : b + o]) for o, i, w, b in self.spans]

    def position(self, layer: int, unit: int, source: int | None) -> int:
        """Return where among the P parameters a weight is; with source None, a unit's bias.

        Raises:
            UsageError: there is no such layer, unit or source.
        """
        whole(layer, "layer", 1, len(self.spans))
        o, i, w, b = self.spans[layer - 1]
        whole(unit, f"unit of layer {layer}", 1, o)
        if source is None:
            return b + unit - 1
        whole(source, f"source of a weight of layer {layer}", 1, i)
        return w + (unit - 1) * i + source - 1

    def activation_of(self, layer: int) -> Activation:
        """Return what the units of a layer do with their sum."""
        return ACTIVATIONS["sigmoid" if layer == len(self.spans) else self.activation]


@dataclass(frozen=True)
class Forward:
    """z[l] and a[l] of every layer l; a[0] is the input and z[0] nothing."""

    z: list[FloatArray]
    a: list[FloatArray]


def forward(network: Network, layers: list[Layer], x_KBI: FloatArray) -> Forward:
    """Compute every unit's sum z and activation a, layer by layer."""
    z, a = [np.empty(0)], [x_KBI]
    for number, (W_KOI, b_KO) in enumerate(layers, start=1):
        z.append(a[-1] @ W_KOI.transpose(0, 2, 1) + b_KO[:, None, :])
        a.append(network.activation_of(number).value(z[-1]))
    return Forward(z, a)


def losses(network: Network, run: Forward, y_KBO: FloatArray) -> FloatArray:
    """Return the loss of every point, shape (K, B)."""
    z, a = run.z[-1], run.a[-1]
    loss_KBO = LOSSES[network.loss].value(z, a, y_KBO)
    if network.confidence_penalty:
        loss_KBO = loss_KBO - network.confidence_penalty * entropy(z, a)
    return loss_KBO[:, :, 0]


@dataclass(frozen=True)
class Backward:
    """The derivatives by layer number: of each point's loss by a and z, of the batch's mean loss by W and b."""

    da_dz: dict[int, FloatArray]
    dL_da: dict[int, FloatArray]
    dL_dz: dict[int, FloatArray]
    dL_dW: dict[int, FloatArray]
    dL_db: dict[int, FloatArray]


def backward(network: Network, layers: list[Layer], run: Forward, y_KBO: FloatArray) -> Backward:
    """Compute every derivative of the loss, from the output back to the first layer."""
    back = Backward({}, {}, {}, {}, {})
    z, a = run.z, run.a
    last, batch_size = len(layers), y_KBO.shape[1]
    back.dL_dz[last] = LOSSES[network.loss].by_z(z[last], a[last], y_KBO)
    if network.confidence_penalty:
        back.dL_dz[last] = back.dL_dz[last] + network.confidence_penalty * z[last] * (a[last] * (1 - a[last]))
    for layer in range(last, 0, -1):
        if layer < last:
            W_above_KOI, _ = layers[layer]
            back.dL_da[layer] = back.dL_dz[layer + 1] @ W_above_KOI
            back.da_dz[layer] = network.activation_of(layer).slope(z[layer], a[layer])
            back.dL_dz[layer] = back.dL_da[layer] * back.da_dz[layer]
        back.dL_dW[layer] = back.dL_dz[layer].transpose(0, 2, 1) @ a[layer - 1] / batch_size
        back.dL_db[layer] = back.dL_dz[layer].sum(axis=1) / batch_size
    return back


def output_chain(network: Network, run: Forward, y_KBO: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return dL/da and da/dz of the output: for the eye, since `backward` takes their product from the loss."""
    z, a = run.z[-1], run.a[-1]
    dL_da = LOSSES[network.loss].by_a(z, a, y_KBO)
    return dL_da + network.confidence_penalty * z if network.confidence_penalty else dL_da, a * (1 - a)


def update(network: Network, state: State, gradient_KP: FloatArray) -> dict[str, FloatArray]:
    """Compute the optimizer's numbers for every parameter, in the order they are made, each of shape (K, P)."""
    rate = network.learning_rate
    if network.optimizer == "adam":
        m, v = state.memory["m"], state.memory["v"]
        done = adam_step(state.parameters_KP, gradient_KP, m, v, state.step + 1, rate, BETA1, BETA2, EPS)
        numbers = {"m": done.m, "v": done.v, "m_hat": done.m_hat, "v_hat": done.v_hat, "update": done.update}
    elif network.optimizer == "momentum":
        moved = momentum_step(gradient_KP, state.memory["velocity"], rate, MOMENTUM)
        numbers = {"velocity": moved.velocity, "update": moved.update}
    else:
        numbers = {"update": -rate * gradient_KP}
    return {"gradient": gradient_KP, **numbers, "new_value": state.parameters_KP + numbers["update"]}


@dataclass(frozen=True)
class Named:
    """One array of a step: its phase, its symbol, its layer, and what its axes after K are."""

    phase: Phase
    symbol: str
    layer: int
    axes: Literal["points", "points and units", "W", "b"]
    array: FloatArray

    def name_at(self, index: tuple[int, ...], points: NDArray[np.intp]) -> str:
        """Return the name of one number, such as "dL/dW of layer 2, unit 1 from 3"; index is without K."""
        if self.axes == "points":
            return f"{self.symbol} of point {points[index[0]]}"
        if self.axes == "points and units":
            return f"{self.symbol} of layer {self.layer}, unit {index[1] + 1}, point {points[index[0]]}"
        return parameter_name(self.symbol, self.layer, index[0] + 1, index[1] + 1 if self.axes == "W" else None)


def parameter_name(symbol: str, layer: int, unit: int, source: int | None) -> str:
    """Return the name of a number that belongs to a weight, or with source None to a bias."""
    return f"{symbol} of layer {layer}, " + (f"unit {unit} from {source}" if source else f"bias of unit {unit}")


@dataclass(frozen=True)
class Pass:
    """Forward and backward pass of K networks over B points."""

    network: Network
    layers: list[Layer]
    run: Forward
    back: Backward
    y_KBO: FloatArray

    def numbers(self) -> Iterator[Named]:
        """Go through every array in the order it was computed."""
        run, back, last = self.run, self.back, len(self.layers)
        yield Named("forward", "a", 0, "points and units", run.a[0])
        for layer in range(1, last + 1):
            yield Named("forward", "z", layer, "points and units", run.z[layer])
            yield Named("forward", "a", layer, "points and units", run.a[layer])
        yield Named("loss", "loss", last, "points", losses(self.network, run, self.y_KBO))
        for layer in range(last, 0, -1):
            if layer < last:
                yield Named("backward", "dL/da", layer, "points and units", back.dL_da[layer])
                yield Named("backward", "da/dz", layer, "points and units", back.da_dz[layer])
            yield Named("backward", "dL/dz", layer, "points and units", back.dL_dz[layer])
            yield Named("backward", "dL/dW", layer, "W", back.dL_dW[layer])
            yield Named("backward", "dL/db", layer, "b", back.dL_db[layer])


def run_pass(network: Network, parameters_KP: FloatArray, x_KBI: FloatArray, y_KBO: FloatArray) -> Pass:
    """Go forward and backward once."""
    layers = network.layers(parameters_KP)
    run = forward(network, layers, x_KBI)
    return Pass(network, layers, run, backward(network, layers, run, y_KBO), y_KBO)


@dataclass(frozen=True)
class Step:
    """One whole training step: a pass over the batch, then the optimizer's numbers."""

    before: State
    batch: Pass
    update: dict[str, FloatArray]

    @property
    def after(self) -> State:
        """The state that the step leads to."""
        memory = {name: self.update[name] for name in self.before.memory}
        return State(self.before.step + 1, self.update["new_value"], memory)

    def table(self) -> dict[str, FloatArray]:
        """Return what the update starts from and all it computes, each of shape (K, P)."""
        memory = {f"{name}_before": array for name, array in self.before.memory.items()}
        return {"before": self.before.parameters_KP, **memory, **self.update}

    def update_numbers(self) -> Iterator[Named]:
        """Go through every array of the update in the order it was computed."""
        for symbol, array_KP in self.table().items():
            for layer, (W_KOI, b_KO) in enumerate(self.batch.network.layers(array_KP), start=1):
                yield Named("update", symbol, layer, "W", W_KOI)
                yield Named("update", symbol, layer, "b", b_KO)

    def may_overflow(self, rows: list[int]) -> bool:
        """Tell whether some number of these networks may be infinite or undefined: a quick look at all others follow from.

        A sum of squares is not finite when one of its numbers is not; that it also overflows above 1e154 does no harm.
        """
        arrays = [*self.batch.run.z[1:], *self.update.values()]
        if len(rows) < len(self.before.parameters_KP):
            arrays = [array[rows] for array in arrays]
        return not all(np.isfinite(np.vdot(array, array)) for array in arrays)

    def first_nonfinite(self, k: int, points: NDArray[np.intp]) -> tuple[Phase, str, float] | None:
        """Return phase, name and value of the first number of network k that is infinite or undefined."""
        for named in (*self.batch.numbers(), *self.update_numbers()):
            array = np.broadcast_to(named.array, (len(self.before.parameters_KP), *named.array.shape[1:]))[k]
            bad = np.argwhere(~np.isfinite(array))
            if len(bad):
                index = tuple(int(i) for i in bad[0])
                return named.phase, named.name_at(index, points), float(array[index])
        return None


def train_step(network: Network, state: State, x_KBI: FloatArray, y_KBO: FloatArray) -> Step:
    """Compute one training step; `Step.after` is the new state."""
    batch = run_pass(network, state.parameters_KP, x_KBI, y_KBO)
    pieces = []
    for layer in range(1, len(batch.layers) + 1):
        dW_KOI, db_KO = batch.back.dL_dW[layer], batch.back.dL_db[layer]
        pieces += [dW_KOI.reshape(len(dW_KOI), -1), db_KO]
    return Step(state, batch, update(network, state, np.concatenate(pieces, axis=1)))


@dataclass(frozen=True)
class Path:
    """A way through the network, by the unit passed in every layer, and the product of the weights along it."""

    units: tuple[int, ...]
    strength: float


def path_strengths(network: Network, parameters_P: FloatArray) -> list[Path]:
    """Return every path from an input to the output, the strongest first."""
    strengths = np.ones(network.sizes[0])
    for W_KOI, _ in network.layers(parameters_P[None]):
        strengths = strengths[..., None] * W_KOI[0].T
    order = np.argsort(-np.abs(strengths), axis=None, kind="stable")
    units = np.stack(np.unravel_index(order, strengths.shape), axis=1) + 1
    return [
        Path(tuple(row), value) for row, value in zip(units.tolist(), strengths.ravel()[order].tolist(), strict=True)
    ]


@dataclass(frozen=True)
class Term:
    """One summand of a formula."""

    symbols: str
    numbers: str
    value: float


@dataclass(frozen=True)
class Formula:
    """How one number was made: in symbols, with all numbers put in, and what that text gives when it is worked out."""

    name: str
    symbols: str
    numbers: str
    value: float
    recomputed: float
    terms: tuple[Term, ...]
    """The summands, where the formula is (a function of) a sum."""


WORDS = {
    "sigmoid": sigmoid, "tanh": np.tanh, "relu": relu, "softplus": softplus, "exp": np.exp, "sqrt": np.sqrt,
    "inf": np.inf, "nan": np.nan, "__builtins__": {},
}  # fmt: skip


def write(
    name: str,
    value: float,
    terms: list[str],
    values: dict[str, float],
    around: str = "@",
    labels: Mapping[str, str] = {},
) -> Formula:
    """Put symbols and numbers into a formula's text and work the text out.

    Args:
        terms: templates such as "{w1}*{x1}".
        values: the numbers by their names in the templates.
        around: a template of what happens to the sum; @ stands for the sum.
        labels: the symbols of those names that are not their own symbol.
    """
    symbols = {key: labels.get(key, key.replace("dL_d", "dL/d")) for key in values}
    numbers = {key: f"({number!r})" if repr(number).startswith("-") else repr(number) for key, number in values.items()}

    def work_out(text: str) -> float:
        with np.errstate(all="ignore"):
            return float(eval(text, dict(WORDS)))  # only this module's templates and numbers ever come here

    parts = []
    for term in terms:
        text = term.format_map(numbers)
        parts.append(Term(term.format_map(symbols), text, work_out(text)))
    whole_text = around.replace("@", " + ".join(terms))
    text = whole_text.format_map(numbers)
    summands = tuple(parts) if len(parts) > 1 else ()
    return Formula(name, whole_text.format_map(symbols), text, value, work_out(text), summands)


def write_mean(
    name: str, value: float, terms: list[str], values: dict[str, float], labels: Mapping[str, str], symbols: str
) -> Formula:
    """Write the mean of one term for each point; in symbols only what it is the mean of."""
    if len(terms) == 1:
        return write(name, value, terms, values, labels=labels)
    mean = write(name, value, terms, values | {"B": len(terms)}, "(@)/{B}", labels)
    return replace(mean, symbols=f"mean over the batch of {symbols}")


def loss_formula(done: Pass, k: int, points: NDArray[np.intp]) -> Formula:
    """Return the formula of one point's loss, or of the batch's: the mean of its points'."""
    loss_B = losses(done.network, done.run, done.y_KBO)[k]
    if len(points) == 1:
        text = LOSSES[done.network.loss].value_text
        if done.network.confidence_penalty:
            text += " - {penalty}*({a}*softplus(-{z}) + sigmoid(-{z})*softplus({z}))"
        return write(f"loss of point {points[0]}", float(loss_B[0]), [text], unit_values(done, k, len(done.layers), 1))
    values = {f"l{n}": float(loss) for n, loss in enumerate(loss_B)}
    labels = {f"l{n}": f"loss[{point}]" for n, point in enumerate(points.tolist())}
    terms = [f"{{{key}}}" for key in values]
    return write_mean("loss of the batch", float(loss_B.mean()), terms, values, labels, "loss")


def unit_values(done: Pass, k: int, layer: int, unit: int) -> dict[str, float]:
    """Return what a unit computed at the pass's one point, and that point's label."""
    z, a = (float(numbers[layer][k, 0, unit - 1]) for numbers in (done.run.z, done.run.a))
    return {"z": z, "a": a, "y": float(done.y_KBO[-1, 0, 0]), "penalty": done.network.confidence_penalty}


UNIT_KINDS = ("z", "a", "da/dz", "dL/da", "dL/dz")


def unit_formula(done: Pass, kind: str, k: int, layer: int, unit: int, point: int) -> Formula:
    """Return the formula of a number of one unit, from the pass over one point."""
    name = f"{kind} of layer {layer}, unit {unit}, point {point}"
    own, activation, loss = (
        unit_values(done, k, layer, unit),
        done.network.activation_of(layer),
        LOSSES[done.network.loss],
    )
    is_output, is_penalised = layer == len(done.layers), done.network.confidence_penalty > 0
    if kind in ("z", "a"):
        W_KOI, b_KO = done.layers[layer - 1]
        reads, a_KBI = "x" if layer == 1 else "a", done.run.a[layer - 1]
        pairs = zip(W_KOI[k, unit - 1].tolist(), a_KBI[k % len(a_KBI), 0].tolist(), strict=True)
        values, terms = {"b": float(b_KO[k, unit - 1])}, []
        for i, (weight, a) in enumerate(pairs, start=1):
            values |= {f"w{i}": weight, f"{reads}{i}": a}
            terms.append(f"{{w{i}}}*{{{reads}{i}}}")
        return write(name, own[kind], [*terms, "{b}"], values, "@" if kind == "z" else f"{activation.name}(@)")
    dL_da_KBO, da_dz_KBO = output_chain(done.network, done.run, done.y_KBO)
    if not is_output:
        dL_da_KBO, da_dz_KBO = done.back.dL_da[layer], done.back.da_dz[layer]
    dL_da, da_dz, dL_dz = (float(numbers[k, 0, unit - 1]) for numbers in (dL_da_KBO, da_dz_KBO, done.back.dL_dz[layer]))
    if kind == "da/dz":
        return write(name, da_dz, [activation.slope_text], own)
    if kind == "dL/da" and is_output:
        return write(name, dL_da, [loss.by_a_text + (" + {penalty}*{z}" if is_penalised else "")], own)
    if kind == "dL/da":
        W_above_KOI, _ = done.layers[layer]
        values, terms = {}, []
        pairs = zip(W_above_KOI[k, :, unit - 1].tolist(), done.back.dL_dz[layer + 1][k, 0].tolist(), strict=True)
        for n, (weight, slope) in enumerate(pairs, start=1):
            values |= {f"w{n}": weight, f"dL_dz{n}": slope}
            terms.append(f"{{w{n}}}*{{dL_dz{n}}}")
        return write(name, dL_da, terms, values)
    if is_output:
        return write(name, dL_dz, [loss.by_z_text + (" + {penalty}*{z}*({a}*(1 - {a}))" if is_penalised else "")], own)
    return write(name, dL_dz, ["{dL_da}*{da_dz}"], {"dL_da": dL_da, "da_dz": da_dz}, labels={"da_dz": "da/dz"})


def gradient_formula(
    done: Pass, k: int, layer: int, unit: int, source: int | None, points: NDArray[np.intp]
) -> Formula:
    """Return the formula of a gradient: the mean over the points of what each asks for."""
    reads = f"{'x' if layer == 1 else 'a'}{source}"
    a_KBI = done.run.a[layer - 1]  # the input is one for all networks unless each has its own batch
    a_BI = a_KBI[k % len(a_KBI)]
    values, labels, terms = {}, {}, []
    for n, point in enumerate(points.tolist()):
        values[f"d{n}"], labels[f"d{n}"] = float(done.back.dL_dz[layer][k, n, unit - 1]), f"dL/dz[{point}]"
        terms.append(f"{{d{n}}}")
        if source:
            values[f"a{n}"], labels[f"a{n}"] = float(a_BI[n, source - 1]), f"{reads}[{point}]"
            terms[-1] += f"*{{a{n}}}"
    value = done.back.dL_dW[layer][k, unit - 1, source - 1] if source else done.back.dL_db[layer][k, unit - 1]
    name = parameter_name("gradient", layer, unit, source)
    return write_mean(name, float(value), terms, values, labels, f"dL/dz*{reads}" if source else "dL/dz")


def update_formula(step: Step, kind: str, k: int, layer: int, unit: int, source: int | None) -> Formula:
    """Return the formula of one of the optimizer's numbers, or of the weight's new value."""
    network = step.batch.network
    p = network.position(layer, unit, source)
    values = {symbol: float(array_KP[k, p]) for symbol, array_KP in step.table().items()}
    values |= {"rate": network.learning_rate, "t": step.before.step + 1}
    values |= {"beta1": BETA1, "beta2": BETA2, "eps": EPS, "momentum": MOMENTUM}
    template = {"new_value": "{before} + {update}", **OPTIMIZERS[network.optimizer]}[kind]
    return write(parameter_name(kind, layer, unit, source), values[kind], [template], values)
