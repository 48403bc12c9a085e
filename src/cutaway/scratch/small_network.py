"""A small network learns: forward pass, backward pass and update, written out by hand.

Forward, layer by layer: every unit adds up what it reads, each number times a weight, and bends the sum.
    z = W a_before + b              a = f(z)                     in the last layer f is the sigmoid
Backward, the same road back from the loss L of a point: how much L grows when a number grows a little.
    dL/dz = dL/da * da/dz           dL/da_before = W^T dL/dz     dL/dW = dL/dz a_before^T     dL/db = dL/dz
Update: every weight goes against its gradient, the mean of its dL/dW over the points of the batch.
    W <- W - rate * dL/dW           this is `sgd`; the other optimizers are in `small_network_functions.py`

Source: Rumelhart, Hinton and Williams 1986, Nature 323:533. In the last layer dL/dz comes from the loss in one piece:
dL/da * da/dz can overflow where their product, with cross-entropy simply a - y, does not.
Axes: K networks side by side, B points of a batch, O units of a layer, I numbers they read, P all weights and biases.
Layers count from 1 (layer 0 is the input). Look at `forward` and `backward`: they are all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cutaway.scratch.small_network_functions import LOSSES, OPTIMIZERS, FloatArray, entropy
from cutaway.scratch.small_network_parameters import Layer, Network, State


@dataclass(frozen=True)
class Forward:
    """z[l] and a[l] of every layer l; a[0] is the input and z[0] nothing."""

    z: list[FloatArray]
    a: list[FloatArray]


def forward(network: Network, layers: list[Layer], x_KBI: FloatArray) -> Forward:
    """Compute every unit's sum z and activation a, from the first layer to the output."""
    z, a = [np.empty(0)], [x_KBI]
    for layer, (W_KOI, b_KO) in enumerate(layers, start=1):
        z.append(a[layer - 1] @ W_KOI.transpose(0, 2, 1) + b_KO[:, None, :])
        a.append(network.activation_of(layer).value(z[layer]))
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
    """The derivatives by layer: of each point's loss by a and z, of the batch's mean loss by W and b."""

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
    back.dL_dz[last] = LOSSES[network.loss].dL_dz(z[last], a[last], y_KBO)
    if network.confidence_penalty:  # the loss is less by penalty * entropy(a), and d entropy / da is -z
        back.dL_dz[last] = back.dL_dz[last] + network.confidence_penalty * z[last] * (a[last] * (1 - a[last]))
    for layer in range(last, 0, -1):
        if layer < last:
            W_above_KOI, _ = layers[layer]
            back.dL_da[layer] = back.dL_dz[layer + 1] @ W_above_KOI
            back.da_dz[layer] = network.activation_of(layer).da_dz(z[layer], a[layer])
            back.dL_dz[layer] = back.dL_da[layer] * back.da_dz[layer]
        back.dL_dW[layer] = back.dL_dz[layer].transpose(0, 2, 1) @ a[layer - 1] / batch_size
        back.dL_db[layer] = back.dL_dz[layer].sum(axis=1) / batch_size
    return back


def output_chain(network: Network, run: Forward, y_KBO: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return dL/da and da/dz of the output: for the eye, since `backward` takes their product from the loss."""
    z, a = run.z[-1], run.a[-1]
    dL_da = LOSSES[network.loss].dL_da(z, a, y_KBO)
    return dL_da + network.confidence_penalty * z if network.confidence_penalty else dL_da, a * (1 - a)


def update(network: Network, state: State, gradient_KP: FloatArray) -> dict[str, FloatArray]:
    """Compute the optimizer's numbers for every parameter, in the order they are made, each of shape (K, P)."""
    rule = OPTIMIZERS[network.optimizer].rule
    numbers = rule(state.parameters_KP, gradient_KP, state.memory, state.step + 1, network.learning_rate)
    return {"gradient": gradient_KP, **numbers, "new_value": state.parameters_KP + numbers["update"]}


@dataclass(frozen=True)
class Pass:
    """Forward and backward pass of K networks over B points."""

    network: Network
    layers: list[Layer]
    run: Forward
    back: Backward
    y_KBO: FloatArray


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


def train_step(network: Network, state: State, x_KBI: FloatArray, y_KBO: FloatArray) -> Step:
    """Go forward, backward, and compute the update; `Step.after` is the new state."""
    batch = run_pass(network, state.parameters_KP, x_KBI, y_KBO)
    gradients = [(batch.back.dL_dW[layer], batch.back.dL_db[layer]) for layer in range(1, len(batch.layers) + 1)]
    return Step(state, batch, update(network, state, network.in_one_row(gradients)))
