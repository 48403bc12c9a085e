"""How a number of a training step was made: the formula in symbols, with the numbers put in, and worked out again.

    a of layer 1, unit 2     tanh(w1*x1 + w2*x2 + b)     tanh(0.3*1.0 + (-0.1)*0.0 + 0.25)

A formula is a template of Python; `write` puts in once the symbols and once the numbers, all digits of them, and works the
text out. So a formula that does not say what was done shows: its `recomputed` is not its `value`.

Look at `unit_formula`, `gradient_formula` and `update_formula`: forward, backward and update, told with numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cutaway.scratch.small_network import Pass, Step, losses, output_chain
from cutaway.scratch.small_network_functions import (
    BETA1,
    BETA2,
    ENTROPY_TEXT,
    EPS,
    LOSSES,
    MOMENTUM,
    OPTIMIZERS,
    FloatArray,
    relu,
    sigmoid,
    softplus,
)
from cutaway.scratch.small_network_numbers import parameter_name, update_table

UNIT_KINDS = ("z", "a", "da/dz", "dL/da", "dL/dz")
WORDS = {
    "sigmoid": sigmoid, "tanh": np.tanh, "relu": relu, "softplus": softplus, "exp": np.exp, "sqrt": np.sqrt,
    "inf": np.inf, "nan": np.nan, "__builtins__": {},
}  # fmt: skip


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
    symbols = {key: labels.get(key, key) for key in values}
    numbers = {key: f"({number!r})" if repr(number).startswith("-") else repr(number) for key, number in values.items()}

    def work_out(text: str) -> float:
        with np.errstate(all="ignore"):
            return float(eval(text, dict(WORDS)))  # only this module's templates and numbers ever come here

    parts = []
    for term in terms:
        text = term.format_map(numbers)
        parts.append(Term(term.format_map(symbols), text, work_out(text)))
    template = around.replace("@", " + ".join(terms))
    text = template.format_map(numbers)
    summands = tuple(parts) if len(parts) > 1 else ()
    return Formula(name, template.format_map(symbols), text, value, work_out(text), summands)


def write_mean(
    name: str, value: float, terms: list[str], values: dict[str, float], labels: Mapping[str, str], symbols: str
) -> Formula:
    """Write the mean of one term for each point; in symbols only what it is the mean of."""
    if len(terms) == 1:
        return write(name, value, terms, values, labels=labels)
    mean = write(name, value, terms, values | {"B": len(terms)}, "(@)/{B}", labels)
    return replace(mean, symbols=f"mean over the batch of {symbols}")


def write_products(
    name: str,
    value: float,
    one: tuple[str, FloatArray],
    other: tuple[str, FloatArray],
    bias: float | None = None,
    around: str = "@",
) -> Formula:
    """Write a sum of products of two rows of numbers, each given with its symbol, and a bias if there is one."""
    values: dict[str, float] = {} if bias is None else {"b": bias}
    labels: dict[str, str] = {}
    terms = []
    for n, pair in enumerate(zip(one[1].tolist(), other[1].tolist(), strict=True), start=1):
        values[f"one{n}"], values[f"other{n}"] = pair
        labels |= {f"one{n}": f"{one[0]}{n}", f"other{n}": f"{other[0]}{n}"}
        terms.append(f"{{one{n}}}*{{other{n}}}")
    return write(name, value, terms if bias is None else [*terms, "{b}"], values, around, labels)


def unit_formula(done: Pass, kind: str, k: int, layer: int, unit: int, point: int) -> Formula:
    """Return the formula of a number of one unit, from the pass over one point."""
    name = f"{kind} of layer {layer}, unit {unit}, point {point}"
    own = unit_values(done, k, layer, unit)
    if kind in ("z", "a"):
        W_KOI, b_KO = done.layers[layer - 1]
        a_KBI = done.run.a[layer - 1]
        read = ("x" if layer == 1 else "a", a_KBI[k % len(a_KBI), 0])
        around = "@" if kind == "z" else f"{done.network.activation_of(layer).name}(@)"
        return write_products(name, own[kind], ("w", W_KOI[k, unit - 1]), read, float(b_KO[k, unit - 1]), around)
    if kind == "da/dz":
        return write(name, own["da_dz"], [done.network.activation_of(layer).da_dz_text], own)
    if layer == len(done.layers):
        loss, is_penalised = LOSSES[done.network.loss], done.network.confidence_penalty > 0
        if kind == "dL/da":
            return write(name, own["dL_da"], [loss.dL_da_text + (" + {penalty}*{z}" if is_penalised else "")], own)
        penalty_text = " + {penalty}*{z}*({a}*(1 - {a}))" if is_penalised else ""
        return write(name, own["dL_dz"], [loss.dL_dz_text + penalty_text], own)
    if kind == "dL/da":
        W_above_KOI, _ = done.layers[layer]
        dL_dz_above = done.back.dL_dz[layer + 1][k, 0]
        return write_products(name, own["dL_da"], ("w", W_above_KOI[k, :, unit - 1]), ("dL/dz", dL_dz_above))
    return write(name, own["dL_dz"], ["{dL_da}*{da_dz}"], own, labels={"dL_da": "dL/da", "da_dz": "da/dz"})


def unit_values(done: Pass, k: int, layer: int, unit: int) -> dict[str, float]:
    """Return what a unit computed at the pass's one point, and that point's label."""
    run, back = done.run, done.back
    if layer == len(done.layers):
        dL_da, da_dz = output_chain(done.network, run, done.y_KBO)
    else:
        dL_da, da_dz = back.dL_da[layer], back.da_dz[layer]
    arrays = {"z": run.z[layer], "a": run.a[layer], "da_dz": da_dz, "dL_da": dL_da, "dL_dz": back.dL_dz[layer]}
    values = {symbol: float(array[k, 0, unit - 1]) for symbol, array in arrays.items()}
    return values | {"y": float(done.y_KBO[-1, 0, 0]), "penalty": done.network.confidence_penalty}


def loss_formula(done: Pass, k: int, points: NDArray[np.intp]) -> Formula:
    """Return the formula of one point's loss, or of the batch's: the mean of its points'."""
    loss_B = losses(done.network, done.run, done.y_KBO)[k]
    if len(points) == 1:
        penalty_text = f" - {{penalty}}*{ENTROPY_TEXT}" if done.network.confidence_penalty else ""
        text = LOSSES[done.network.loss].text + penalty_text
        return write(f"loss of point {points[0]}", float(loss_B[0]), [text], unit_values(done, k, len(done.layers), 1))
    values = {f"l{n}": float(loss) for n, loss in enumerate(loss_B)}
    labels = {f"l{n}": f"loss[{point}]" for n, point in enumerate(points.tolist())}
    terms = [f"{{{key}}}" for key in values]
    return write_mean("loss of the batch", float(loss_B.mean()), terms, values, labels, "loss")


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
    values = {symbol: float(array_KP[k, p]) for symbol, array_KP in update_table(step).items()}
    values |= {"rate": network.learning_rate, "t": step.before.step + 1}
    values |= {"beta1": BETA1, "beta2": BETA2, "eps": EPS, "momentum": MOMENTUM}
    template = {"new_value": "{before} + {update}", **OPTIMIZERS[network.optimizer].texts}[kind]
    return write(parameter_name(kind, layer, unit, source), values[kind], [template], values)
