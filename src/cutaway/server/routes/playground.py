"""What the playground screen asks: frames to play, curves, how numbers were made, many networks at once.

Every question carries the whole situation, so nothing has to be remembered between two of them.
All arithmetic is `cutaway.scratch.playground`; the forms are in `playground_wire.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from fastapi import APIRouter

from cutaway.base.errors import UsageError
from cutaway.scratch.playground import Playground, PlaygroundConfig
from cutaway.scratch.playground_by_hand import by_hand
from cutaway.scratch.playground_config import MAX_STEPS
from cutaway.scratch.playground_divergence import loudest_updates
from cutaway.scratch.playground_frames import approach, film
from cutaway.scratch.playground_gradcheck import GradientCheck, check_gradients
from cutaway.scratch.small_network_formulas import UNIT_KINDS
from cutaway.scratch.small_network_functions import OPTIMIZERS
from cutaway.scratch.small_network_numbers import update_table
from cutaway.server.arrays import ArraysResponse, with_arrays
from cutaway.server.lab import TheLab
from cutaway.server.playground_wire import (
    ByHand,
    ByHandAsked,
    Crowd,
    CrowdAsked,
    FramesAsked,
    GradientCompared,
    HandLines,
    NetworkStop,
    OptimizerNumber,
    PlaygroundExplainAsked,
    PlaygroundExplanation,
    PlaygroundFormula,
    PlaygroundFrames,
    PlaygroundHistory,
    PlaygroundHistoryAsked,
    StopCause,
    WeightCompared,
    finite,
)
from cutaway.server.playgrounds import Situation

router = APIRouter(prefix="/playground")

ON_THE_WAY_SECONDS = 0.4
"""After this long a request answers with what it has; the page asks again."""
LOOKED_BACK = 12
"""Steps before a divergence in which its cause is looked for."""


def soon(seconds: float = ON_THE_WAY_SECONDS) -> Callable[[], bool]:
    """Return a function that tells when a request has taken long enough."""
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end


@router.post("/frames", **with_arrays(PlaygroundFrames))
def frames(asked: FramesAsked, lab: TheLab) -> ArraysResponse:
    """Return a row of frames: everything drawn, for the steps `start`, `start + stride`, ..."""
    started, is_enough = time.perf_counter(), soon()
    found: dict[str, np.ndarray[Any, Any]] = {}
    with lab.playgrounds.at(asked.situation.situation()) as playground:
        is_there = approach(playground, asked.start, is_enough)
        reached = playground.state.step
        if is_there:
            first = min(asked.start, playground.state.step)  # before it, where the network stopped
            found = film(
                playground, first, asked.count, asked.stride, asked.network, asked.point, asked.grid, asked.unit_grid,
                is_enough,
            )  # fmt: skip
            playground.run(min(1, MAX_STEPS - playground.state.step))  # whether it stops here shows in the next step
        meta = PlaygroundFrames(
            sizes=list(playground.network.sizes),
            n_frames=len(found.get("step", ())),
            reached=reached,
            last_step=playground.last_step,
            stop=why_stopped(playground, asked.network),
            seconds=time.perf_counter() - started,
        )
    return ArraysResponse(meta, found)


@router.post("/history", **with_arrays(PlaygroundHistory))
def history(asked: PlaygroundHistoryAsked, lab: TheLab) -> ArraysResponse:
    """Return the curves of a history as far as it was computed: the scores, and the weights asked for."""
    with lab.playgrounds.at(asked.situation.situation()) as playground:
        columns = curves(playground, asked.network)
        weights = [playground.weight_history(*weight)[:, asked.network] for weight in asked.weights]
        columns["weights"] = np.array(weights, dtype=float).reshape(len(weights), len(columns["step"]))
        return ArraysResponse(PlaygroundHistory(last_step=playground.last_step), columns)


@router.post("/explain")
def explain(asked: PlaygroundExplainAsked, lab: TheLab) -> PlaygroundExplanation:
    """Return how the numbers of one unit or one weight are made."""
    layer, unit, source, point, k = asked.layer, asked.unit, asked.source, asked.point, asked.network
    with lab.playgrounds.at(asked.situation.situation()) as playground:
        arrive(playground, asked.step)
        make, network, now = playground.formula, playground.network, playground.now()
        kinds = ("dL/da", "da/dz", "dL/dz") if asked.is_weight else UNIT_KINDS
        at_point = [PlaygroundFormula.of(make(kind, layer, unit, point=point, network=k), kind) for kind in kinds]
        if not asked.is_weight:
            if layer == len(network.sizes) - 1:
                at_point.insert(2, PlaygroundFormula.of(make("loss", point=point, network=k), "loss"))
            return PlaygroundExplanation(step=now.state.step, at_point=at_point, at_batch=[], table=[], check=None)
        asks = PlaygroundFormula.of(make("gradient", layer, unit, source, point, k), "gradient")
        at_point.append(asks.model_copy(update={"name": f"{asks.name}, point {point}"}))
        made = ("gradient", *OPTIMIZERS[network.optimizer].texts, "new_value")
        at_batch = [PlaygroundFormula.of(make(kind, layer, unit, source, network=k), kind) for kind in made]
        p = network.position(layer, unit, source)
        with np.errstate(all="ignore"):
            table = {name: float(array_KP[k, p]) for name, array_KP in update_table(now.train_step()).items()}
        return PlaygroundExplanation(
            step=now.state.step,
            at_point=at_point,
            at_batch=at_batch,
            table=[OptimizerNumber(name=name, value=finite(value), text=repr(value)) for name, value in table.items()],
            check=GradientCompared(**compared(check_gradients(now, k), p)),
        )


@router.post("/by-hand")
def whole_step_by_hand(asked: ByHandAsked, lab: TheLab) -> ByHand:
    """Return all arithmetic of a step as text, and the gradient check."""
    with lab.playgrounds.at(asked.situation.situation()) as playground:
        arrive(playground, asked.step)
        now, k = playground.now(), asked.network
        lines = [
            HandLines(phase=one.phase, layer=one.layer, formulas=[PlaygroundFormula.of(line) for line in one.formulas])
            for one in by_hand(now, asked.point, k)
        ]
        check, places = check_gradients(now, k), playground.network.places()
        batch_loss = playground.formula("loss", network=k).value
    formulas = [line for one in lines for line in one.formulas]
    return ByHand(
        step=now.state.step,
        lines=lines,
        n_lines=len(formulas),
        n_equal=sum(line.is_equal for line in formulas),
        batch_loss=finite(batch_loss),
        checks=[
            WeightCompared(layer=layer, unit=unit, source=source, **compared(check, p))
            for p, (layer, unit, source) in enumerate(places)
        ],
        largest_difference=finite(check.difference_P.max()),
        is_close=check.is_close,
    )


@router.post("/crowd", **with_arrays(Crowd))
def crowd(asked: CrowdAsked, lab: TheLab) -> ArraysResponse:
    """Return networks that differ in one setting: their outputs over the plane, and their curves."""
    outputs, rows, stops, reached = [], [], [], asked.step
    situations = varied(asked)
    for situation in situations:
        with lab.playgrounds.at(situation) as playground:
            if not approach(playground, asked.step, soon(ON_THE_WAY_SECONDS / len(situations))):
                reached = min(reached, playground.state.step)
            for k, output_YX in enumerate(playground.boundary(asked.grid).output_KYX):
                outputs.append(output_YX.astype(np.float32))
                rows.append(curves(playground, k, asked.step))
                stops.append(why_stopped(playground, k))
            reach, data = playground.boundary(2).x1_X[-1], playground.data
    length = max(len(row["step"]) for row in rows)
    columns = {
        name: np.stack([np.pad(row[name], (0, length - len(row["step"])), constant_values=np.nan) for row in rows])
        for name in ("step", "loss", "accuracy")
    }
    found = {
        "boundary": np.stack(outputs),
        "reach": np.array([reach]),
        "points": np.column_stack([data.x_N2, data.y_N]),
        **columns,
    }
    meta = Crowd(reached=reached, stops=stops, solved_at=[solved_at(row["step"], row["accuracy"]) for row in rows])
    return ArraysResponse(meta, found)


def varied(asked: CrowdAsked) -> list[Situation]:
    """Return the situations asked for: one with many seeds, or one for each rate. Edits of weights are one network's."""
    base = asked.situation.situation()
    changes = tuple(replace(one, weights=()) for one in base.changes if one.points or one.flips)
    base = replace(base, changes=changes)
    if asked.vary == "seed":
        return [replace(base, seeds=tuple(int(value) for value in asked.values))]
    settings = base.config.as_dict()
    return [replace(base, config=PlaygroundConfig.from_dict(settings | {asked.vary: value})) for value in asked.values]


def arrive(playground: Playground, step: int) -> None:
    """Go to a step, or to where the network stopped before.

    Raises:
        UsageError: it is too far to compute while someone waits.
    """
    if not approach(playground, step, soon(5 * ON_THE_WAY_SECONDS)):
        raise UsageError(f"step {step} is not computed yet (step {playground.state.step} is); play to it first")


def curves(playground: Playground, k: int, until: int | None = None) -> dict[str, np.ndarray[Any, Any]]:
    """Return the recorded scores of one network, up to a step."""
    kept = playground.curves()
    step = kept.pop("step")
    n = len(step) if until is None else int(np.searchsorted(step, until, side="right"))
    scores = {name: column_SK[:n, k] for name, column_SK in kept.items()}
    return {"step": step[:n], **scores}


def solved_at(step: np.ndarray[Any, Any], accuracy: np.ndarray[Any, Any]) -> int | None:
    """Return the first step from which on all points are on their right side."""
    wrong = np.flatnonzero(accuracy < 1)
    first = 0 if not len(wrong) else int(wrong[-1]) + 1
    return int(step[first]) if first < len(step) else None


def compared(check: GradientCheck, p: int) -> dict[str, float | None]:
    """Return both gradients of one weight, and their difference."""
    return {
        "exact": finite(check.exact_P[p]),
        "approximate": finite(check.approximate_P[p]),
        "difference": finite(check.difference_P[p]),
    }


def why_stopped(playground: Playground, k: int) -> NetworkStop | None:
    """Return what blew up first, and which weight had leapt farthest shortly before."""
    found = playground.divergence()[k]
    if found is None:
        return None
    here, cause = playground.state.step, None
    for step in range(max(0, found.step - LOOKED_BACK), found.step):
        playground.seek(step)
        with np.errstate(all="ignore"):
            made = playground.now().train_step()
        p_K, times_K = loudest_updates(made)
        p, times = int(p_K[k]), float(times_K[k])
        if cause is None or times > cause.times:
            layer, unit, source = playground.network.places()[p]
            weight, update = float(made.before.parameters_KP[k, p]), float(made.update["update"][k, p])
            cause = StopCause(
                step=step, layer=layer, unit=unit, source=source, weight=weight, update=update, times=times
            )
    playground.seek(here)
    return NetworkStop(step=found.step, phase=found.phase, name=found.name, value=repr(found.value), cause=cause)
