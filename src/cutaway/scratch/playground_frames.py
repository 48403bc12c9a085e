"""Frames of a playground's history: all that a picture of a step shows, for many steps in a row, as arrays.

A film of training is a row of frames. Each has the weights, gradients and updates, what every unit says of one point, the
scores, and the network's output over the plane. All of it comes from `Moment`: a frame shows the numbers of its step.

Look at `film`: it seeks from frame to frame and stacks what it finds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cutaway.scratch.checks import whole
from cutaway.scratch.playground import Playground
from cutaway.scratch.playground_config import MAX_STEPS
from cutaway.scratch.playground_data import DataSet
from cutaway.scratch.playground_divergence import loudest_updates
from cutaway.scratch.playground_moment import Moment
from cutaway.scratch.small_network import Pass, forward, losses

Arrays = dict[str, NDArray[Any]]
MAX_FRAMES = 240


def film(
    playground: Playground,
    first: int,
    count: int,
    stride: int = 1,
    network: int = 0,
    point: int = 0,
    grid: int = 50,
    unit_grid: int = 0,
    is_enough: Callable[[], bool] = lambda: False,
) -> Arrays:
    """Return frames as arrays whose first axis is the frame; fewer where the network stops or `is_enough` says so.

    Args:
        first: the step of the first frame.
        count: how many frames, `stride` steps apart.
        network: which of the networks.
        point: whose activations and derivatives are shown.
        grid: places along each side of the output's map; 0: no map.
        unit_grid: the same for the maps of all units.
        is_enough: asked after each frame.

    Raises:
        UsageError: a number out of range.
    """
    whole(count, "the number of frames", 1, MAX_FRAMES)
    whole(stride, "the steps between frames", 1, 1_000_000)
    frames: list[Arrays] = []
    points: list[DataSet] = []
    for step in range(first, first + count * stride, stride):
        if playground.seek(step) < step:
            break
        now = playground.now()
        if not points or points[-1] is not now.data:
            points.append(now.data)
        shown = frame(now, network, point, grid, unit_grid)
        frames.append(shown | {"version": np.array(len(points) - 1, dtype=np.int32)})
        if is_enough():
            break
    stacked = {name: np.stack([one[name] for one in frames]) for name in frames[0]} if frames else {}
    data = playground.data
    return stacked | {
        "points": np.array([np.column_stack([one.x_N2, one.y_N]) for one in points]),
        "held_out": np.column_stack([data.held_out_x_N2, data.held_out_y_N]),
    }


def frame(now: Moment, k: int, point: int, grid: int, unit_grid: int) -> Arrays:
    """Return all that a picture of one network at one step shows."""
    with np.errstate(all="ignore"):
        step, shown = now.train_step(), now.pass_over(point)
        loudest_K, times_K = loudest_updates(step)
        output_N = forward(now.network, shown.layers, now.data.x_N2[None]).a[-1][k, :, 0]
        after = forward(now.network, now.network.layers(step.update["new_value"]), now.data.x_N2[None])
        loss_after_K = losses(now.network, after, now.data.y_N[None, :, None]).mean(axis=1)
    scores = now.scores()
    found: dict[str, Any] = {
        "step": np.array(now.state.step, dtype=np.int32),
        "parameters": now.state.parameters_KP[k],
        "gradients": step.update["gradient"][k],
        "updates": step.update["update"][k],
        "activations": np.concatenate([a[k % len(a), 0] for a in shown.run.a]),
        "deltas": np.concatenate([np.full(now.network.sizes[0], np.nan), *by_layer(shown, k)]),
        "slopes": mean_slopes(step.batch, k),
        "outputs": output_N,
        "loudest": np.array(loudest_K[k], dtype=np.int32),
        "times": times_K[k],
        "loss": scores.loss_K[k],
        "loss_after": loss_after_K[k],
        "accuracy": scores.accuracy_K[k],
        "held_out_loss": np.nan if scores.held_out_loss_K is None else scores.held_out_loss_K[k],
        "held_out_accuracy": np.nan if scores.held_out_accuracy_K is None else scores.held_out_accuracy_K[k],
    }
    maps = now.unit_maps(unit_grid) if unit_grid else []
    boundary = now.boundary(grid) if grid else None
    found["reach"] = (boundary or maps[-1]).x1_X[-1] if boundary or maps else np.nan
    if boundary:
        found["boundary"] = boundary.output_KYX[k].astype(np.float32)
    if maps:
        with np.errstate(over="ignore"):
            found["maps"] = np.stack([one.output_KYX[k] for one in maps]).astype(np.float32)
    return {name: np.asarray(array) for name, array in found.items()}


def by_layer(shown: Pass, k: int) -> list[NDArray[np.float64]]:
    """Return dL/dz of every unit at the one point of a pass, layer by layer."""
    return [shown.back.dL_dz[layer][k, 0] for layer in range(1, len(shown.layers) + 1)]


def mean_slopes(batch: Pass, k: int) -> NDArray[np.float64]:
    """Return the mean of da/dz over the batch: a unit where it is 0 lets no gradient through. NaN for the inputs."""
    a_BO = batch.run.a[-1][k]
    hidden = [batch.back.da_dz[layer][k].mean(axis=0) for layer in range(1, len(batch.layers))]
    inputs = np.full(batch.network.sizes[0], np.nan)
    return np.concatenate([inputs, *hidden, (a_BO * (1 - a_BO)).mean(axis=0)])


def approach(playground: Playground, step: int, is_enough: Callable[[], bool], stride: int = 250) -> bool:
    """Go towards a step, as far as `is_enough` allows; tell whether the way is at its end (there, or stopped before)."""
    whole(step, "step", 0, MAX_STEPS)
    if step > playground.last_step:
        playground.seek(playground.last_step)
        while playground.state.step < step and playground.run(min(stride, step - playground.state.step)):
            if is_enough() and playground.state.step < step:
                return False
    playground.seek(step)
    return True
