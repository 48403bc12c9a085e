"""A playground as a small JSON object, such as a link can hold: not its states, but all it takes to make them again.

    config, seeds, points (the user's own), edits, step (the present), last_step

Look at `replay`: it makes the history again from the beginning, and ends with the same numbers bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cutaway.base.errors import UsageError
from cutaway.scratch.checks import members, plain, whole
from cutaway.scratch.playground_config import MAX_STEPS, PlaygroundConfig
from cutaway.scratch.playground_data import DataSet

if TYPE_CHECKING:
    from cutaway.scratch.playground import Playground


def save(playground: Playground, points: DataSet | None) -> dict[str, Any]:
    """Return the JSON object of a playground; points are the user's own as they were at first, if there are any."""
    return {
        "config": playground.config.as_dict(),
        "seeds": list(playground.seeds),
        "points": points and np.column_stack([points.x_N2, points.y_N]).tolist(),
        "edits": plain(playground.edits),
        "step": playground.state.step,
        "last_step": playground.last_step,
    }


def replay(make: type[Playground], given: Mapping[str, Any]) -> Playground:
    """Make a playground, its history and its present step again.

    Raises:
        UsageError: a name or value that does not fit.
        DataError: a point that cannot be learnt from.
    """
    members(given, "the playground", ("config", "seeds", "points", "edits", "step", "last_step"))
    config = PlaygroundConfig.from_dict(given.get("config", {}))
    playground = make(config, given.get("seeds", (0,)), given.get("points"))
    last_step = whole(given.get("last_step", given.get("step", 0)), "last_step", 0, MAX_STEPS)
    edits = given.get("edits", [])
    if not isinstance(edits, list):
        raise UsageError(f"edits is {edits!r:.60}; expected a list")
    for edit in edits:
        members(edit, "an edit", ("step", "weights", "points"))
        step = whole(edit.get("step"), "the step of an edit", playground.state.step, last_step)
        if playground.seek(step) < step:
            raise UsageError(f"there is an edit at step {step}, but all networks stop at step {playground.state.step}")
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
