"""One whole training step of a small transformer by hand: forwards, backwards, and AdamW on every weight.

    print(walk(seed=0).as_text())

Every number comes from the array engine and its one backward. walk_model.py is the model, walk_pages.py what is said about
it; walk_formula.py calculates the entries shown, walk_check.py checks each section, walk_text.py writes it all down.
Look at `walk`: forwards through the stages, backwards through the same, one step of the optimizer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cutaway.base.errors import UsageError
from cutaway.scratch import walk_text
from cutaway.scratch.array import Array
from cutaway.scratch.gradcheck import TOLERANCE, Check, Row
from cutaway.scratch.ops import FloatArray
from cutaway.scratch.optimizers import AdamStep, AdamW
from cutaway.scratch.walk_check import (
    adamw_check,
    gradient_check,
    loss_along,
    predicted_change,
    stage_check,
    words_check,
)
from cutaway.scratch.walk_formula import Formula, Worked
from cutaway.scratch.walk_model import (
    SENTENCE,
    SIZES,
    STAGES,
    TARGETS,
    TOKENS,
    VOCABULARY,
    WEIGHTS,
    C,
    F,
    H,
    Numbers,
    axes,
    draw_weights,
)
from cutaway.scratch.walk_pages import PAGES, TOKENIZATION, Page, adamw

BY_WORDS = "turned back into words"
BY_STAGE = "moved, the results weighed at random"
BY_LOSS = "moved, the loss computed anew"
BY_FIRST_STEP = (
    "computed another way (at a first step m_hat is g, v_hat g^2), and the slope of the loss along the update"
)
ADAMW_PARTS = ("m", "v", "m_hat", "v_hat", "decay", "update", "new")


@dataclass(frozen=True)
class Config:
    """What is walked through."""

    seed: int = 0
    sentence: str = SENTENCE
    vocabulary: tuple[str, ...] = VOCABULARY
    n_layers: int = 1
    d_model: int = C
    n_heads: int = H
    d_ff: int = F
    rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01


@dataclass(frozen=True)
class Section:
    """One numbered section."""

    number: int
    title: str
    why: str
    formulas: tuple[Formula, ...]
    arrays: Mapping[str, FloatArray]
    worked: tuple[Worked, ...]
    referee: str
    """What was done with the numbers to check them."""
    check: Check
    """Its rows are in units of the largest number of their array."""


@dataclass(frozen=True)
class Walk:
    """The whole step."""

    config: Config
    sections: tuple[Section, ...]
    loss_before: float
    loss_after: float
    predicted_change: float
    """What the gradients say the update does to the loss, to first order."""

    @property
    def ok(self) -> bool:
        """Whether every section agrees with its check."""
        return all(section.check.ok for section in self.sections)

    def as_text(self, full: bool = False) -> str:
        """Return the walk for a terminal: excerpts of the arrays, or all numbers."""
        return walk_text.as_text(self, full)

    def as_markdown(self) -> str:
        """Return the walk as a page with LaTeX, excerpts of the arrays, the same on every machine."""
        return walk_text.as_markdown(self)

    def as_dict(self) -> dict[str, Any]:
        """Return every number with all its digits, ready for JSON; minus infinity is the string "-inf"."""
        return {
            "config": asdict(self.config),
            "sizes": SIZES,
            "loss_before": self.loss_before,
            "loss_after": self.loss_after,
            "predicted_change": self.predicted_change,
            "ok": self.ok,
            "sections": [_section_as_dict(section) for section in self.sections],
        }


def walk(seed: int = 0) -> Walk:
    """Do one training step and keep everything.

    Args:
        seed: what the weights are drawn from.

    Raises:
        UsageError: the seed is negative.
    """
    if seed < 0:
        raise UsageError(f"a seed is 0 or more, not {seed}")
    config, generator = Config(seed), np.random.default_rng(seed)
    numbers = Numbers({"tokens_T": Array(TOKENS), "targets_T": Array(TARGETS), **draw_weights(generator)})
    made: list[list[str]] = []
    for stage in STAGES:
        before = set(numbers)
        stage.run(numbers)
        made.append([name for name in numbers if name not in before])
    numbers["loss"].backward()
    sections: list[Section] = []

    def add(page: Page, names: Sequence[str], referee: str, rows: list[Row]) -> None:
        arrays = {name: numbers(name) for name in names}
        worked = tuple(formula.work(numbers, SIZES) for formula in page.worked)
        check = Check(rows, TOLERANCE)
        sections.append(Section(len(sections) + 1, page.title, page.why, page.formulas, arrays, worked, referee, check))

    add(TOKENIZATION, ["tokens_T", "targets_T"], BY_WORDS, words_check(numbers))
    for i, stage in enumerate(STAGES):
        shown = [*(name for name in stage.reads if name in WEIGHTS), *made[i]]
        add(PAGES[stage.name].forward, shown, BY_STAGE, stage_check(stage, numbers, generator))
    for i in reversed(range(len(STAGES))):
        shown = complete_at(i, made[i], numbers)
        rows = gradient_check(i, shown, numbers)
        add(PAGES[STAGES[i].name].backward, [f"d {name}" for name in shown], BY_LOSS, rows)
    step(config, numbers)
    shown = [f"{part}{name}" for name in WEIGHTS for part in ("", "d ", *(f"{part} " for part in ADAMW_PARTS))]
    add(adamw(**_constants(config)), shown, BY_FIRST_STEP, adamw_check(numbers, **_constants(config)))
    return Walk(
        config, tuple(sections), float(numbers["loss"].data), loss_along(numbers, 1.0), predicted_change(numbers)
    )


def complete_at(place: int, made: Sequence[str], numbers: Numbers) -> list[str]:
    """Return what has its whole gradient when the way back has passed a stage: nothing before has read it."""
    read_before = {name for stage in STAGES[:place] for name in stage.reads}
    read_after = {name for stage in STAGES[place + 1 :] for name in stage.reads}
    inside = [name for name in made if name not in read_after and numbers[name].grad is not None]
    reads = [name for name in STAGES[place].reads if name not in read_before]
    weights = [name for name in reads if name in WEIGHTS]
    return [*reversed(inside), *weights, *(name for name in reads if name not in weights)]


def step(config: Config, numbers: Numbers) -> None:
    """Apply AdamW to a copy of the weights; its numbers join the others, as `m x`, `update x`, `new x` of the weight x."""
    weights = {name: Array(numbers(name)) for name in WEIGHTS}
    for name, weight in weights.items():
        weight.grad = numbers(f"d {name}")
    optimizer = AdamW(weights, **_constants(config))
    optimizer.step()
    for name, weight in weights.items():
        applied = optimizer.applied[name]
        assert isinstance(applied, AdamStep)
        for part in ADAMW_PARTS:
            numbers[f"{part} {name}"] = weight if part == "new" else Array(getattr(applied, part))


def _constants(config: Config) -> dict[str, Any]:
    return {name: getattr(config, name) for name in ("rate", "betas", "eps", "weight_decay")}


def _section_as_dict(section: Section) -> dict[str, Any]:
    return {
        "number": section.number,
        "title": section.title,
        "why": section.why,
        "formulas": [{"plain": formula.plain, "latex": formula.latex} for formula in section.formulas],
        "arrays": [
            {"name": name, "axes": list(axes(name)), "shape": list(values.shape), "values": _plain(values.tolist())}
            for name, values in section.arrays.items()
        ],
        "worked": [
            {
                "name": worked.name,
                "index": list(worked.index),
                "symbols": worked.symbols,
                "arithmetic": worked.exact,
                "value": _plain(worked.value),
            }
            for worked in section.worked
        ],
        "check": {
            "referee": section.referee,
            "numbers": len(section.check.rows),
            "worst": _plain(section.check.worst),
            "tolerance": section.check.tolerance,
            "ok": section.check.ok,
        },
    }


def _plain(value: Any) -> Any:
    """Return nested lists as JSON can hold them: what is not a finite number as its name."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if np.isfinite(value) else str(value)
