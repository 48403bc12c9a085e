"""One element of a result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class At:
    value: float | None
    kind: str
    rounding: float = 0.0
    terms: list[Any] = field(default_factory=list)
    numbers: str = ""


def at(bound: Any, evaluator: Any, index: tuple[int, ...]) -> At:
    if bound.is_flat:
        index = (int(np.ravel_multi_index(index, bound.shape)),)
    for v, i in zip(bound.axes, index, strict=True):
        if v is not None:
            evaluator.set_range(v, (i, i + 1))
    with np.errstate(all="ignore"):
        return At(np.asarray(evaluator.value(bound.root).array).item(), "computed")
