"""The form in which the playground's questions and answers travel."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, Field

from cutaway.scratch.checks import whole
from cutaway.scratch.playground import PlaygroundConfig
from cutaway.scratch.playground_config import MAX_STEPS
from cutaway.scratch.small_network_formulas import Formula as ScratchFormula
from cutaway.server.playgrounds import Change, Situation, settled


def finite(value: float) -> float | None:
    """Return a number as JSON knows it: None for what is none."""
    return float(value) if math.isfinite(value) else None


def is_same(value: float, recomputed: float, terms: list[float]) -> bool:
    """Tell whether a formula, worked out again, gives its value; its sum may have been added in another order."""
    if math.isnan(value) or math.isnan(recomputed):
        return math.isnan(value) and math.isnan(recomputed)
    largest = max([1.0, *(abs(term) for term in terms if math.isfinite(term))])
    return value == recomputed or math.isclose(value, recomputed, rel_tol=1e-9, abs_tol=1e-12 * largest)


class ChangeWire(BaseModel):
    """What was changed at one step."""

    step: int
    weights: list[tuple[int, int, int | None, float]] = []
    """Layer, unit, source (null: the bias), value."""
    points: list[tuple[int, float, float, float]] = []
    """Point, x1, x2, label."""
    flips: list[int] = []
    """Points whose label becomes the other one."""


class SituationWire(BaseModel):
    """All it takes to make a playground again."""

    config: dict[str, Any] = {}
    seeds: list[int] = [0]
    points: list[list[float]] | None = None
    changes: list[ChangeWire] = []

    def situation(self) -> Situation:
        """Return it checked, as far as can be seen without making it."""
        changes = [
            Change(one.step, tuple(one.weights), tuple(one.points), tuple(sorted(set(one.flips))))
            for one in self.changes
        ]
        for change in changes:
            whole(change.step, "the step of an edit", 0, MAX_STEPS)
        points = None if self.points is None else tuple(tuple(row) for row in self.points)
        return Situation(PlaygroundConfig.from_dict(self.config), tuple(self.seeds), points, settled(changes))


class StopCause(BaseModel):
    """The weight whose update was largest beside the weight itself, in the steps before a network stopped."""

    step: int
    layer: int
    unit: int
    source: int | None
    weight: float
    update: float
    times: float


class NetworkStop(BaseModel):
    """Why a network went no further, and what led to it."""

    step: int
    phase: str
    name: str
    value: str
    """The first number that was none: inf, -inf or nan."""
    cause: StopCause | None


class FramesAsked(BaseModel):
    """Which frames."""

    situation: SituationWire
    start: int = 0
    count: int = 1
    stride: int = 1
    point: int = 0
    network: int = 0
    grid: int = 50
    unit_grid: int = 0


class PlaygroundFrames(BaseModel):
    """What is said about frames."""

    sizes: list[int]
    n_frames: int
    reached: int
    """The step computed up to, where the first frame could not be reached in one go."""
    last_step: int
    stop: NetworkStop | None
    seconds: float


class PlaygroundHistoryAsked(BaseModel):
    """Which histories."""

    situation: SituationWire
    network: int = 0
    weights: list[tuple[int, int, int | None]] = Field(default=[], max_length=200)
    """Layer, unit, source (null: the bias)."""


class PlaygroundHistory(BaseModel):
    """What is said about histories."""

    last_step: int


class PlaygroundTerm(BaseModel):
    """One summand."""

    symbols: str
    numbers: str
    value: float | None


class PlaygroundFormula(BaseModel):
    """How a number was made. A number that JSON lacks (infinity, not a number) is null, and `text` says it."""

    kind: str
    name: str
    symbols: str
    numbers: str
    value: float | None
    text: str
    is_equal: bool
    """Whether the numbers, worked out again, give the value."""
    terms: list[PlaygroundTerm]

    @classmethod
    def of(cls, formula: ScratchFormula, kind: str = "") -> PlaygroundFormula:
        """Return a formula as it travels."""
        value, summands = float(formula.value), [float(term.value) for term in formula.terms]
        terms = [PlaygroundTerm(symbols=t.symbols, numbers=t.numbers, value=finite(t.value)) for t in formula.terms]
        return cls(
            kind=kind,
            name=formula.name,
            symbols=formula.symbols,
            numbers=formula.numbers,
            value=finite(value),
            text=repr(value),
            is_equal=is_same(value, formula.recomputed, summands),
            terms=terms,
        )


class OptimizerNumber(BaseModel):
    """One number of the optimizer's table."""

    name: str
    value: float | None
    text: str


class PlaygroundExplainAsked(BaseModel):
    """Which unit (source absent and is_weight false), weight, or bias (source null)."""

    situation: SituationWire
    step: int = 0
    point: int = 0
    network: int = 0
    layer: int = 1
    unit: int = 1
    source: int | None = None
    is_weight: bool = False


class GradientCompared(BaseModel):
    """A gradient, by backpropagation and by moving the weight."""

    exact: float | None
    approximate: float | None
    difference: float | None


class WeightCompared(GradientCompared):
    """Such a check, and of which weight."""

    layer: int
    unit: int
    source: int | None


class PlaygroundExplanation(BaseModel):
    """How the numbers of a unit or a weight are made at a step."""

    step: int
    at_point: list[PlaygroundFormula]
    """What concerns the one point, in the order it is computed."""
    at_batch: list[PlaygroundFormula]
    """Gradient, the optimizer's numbers, new value: of the batch, as they are applied."""
    table: list[OptimizerNumber]
    check: GradientCompared | None


class ByHandAsked(BaseModel):
    """Which step, point and network."""

    situation: SituationWire
    step: int = 0
    point: int = 0
    network: int = 0


class HandLines(BaseModel):
    """The lines of one layer in one phase."""

    phase: str
    layer: int
    formulas: list[PlaygroundFormula]


class ByHand(BaseModel):
    """A whole step as text."""

    step: int
    lines: list[HandLines]
    n_lines: int
    n_equal: int
    """How many lines, worked out again, give the value that the network used."""
    batch_loss: float | None
    checks: list[WeightCompared]
    largest_difference: float | None
    is_close: bool
    """Whether the derivatives agree with the central differences."""


class CrowdAsked(BaseModel):
    """The same network several times, one setting different."""

    situation: SituationWire
    vary: Literal["seed", "learning_rate"] = "seed"
    values: list[float] = Field(min_length=1, max_length=12)
    step: int = 0
    grid: int = 32


class Crowd(BaseModel):
    """What is said about several networks."""

    reached: int
    """The step up to which all are computed; ask again where it is less than was asked for."""
    stops: list[NetworkStop | None]
    solved_at: list[int | None]
    """The first recorded step from which on every point was on its right side."""
