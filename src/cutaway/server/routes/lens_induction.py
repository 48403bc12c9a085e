"""Induction: which heads go on with what came next last time, measured on sequences that repeat; and since when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from cutaway.base.errors import UsageError
from cutaway.server.arrays import ArraysResponse, answered, with_arrays
from cutaway.server.lab import Lab, TheLab
from cutaway.server.model_places import checkpoint_steps
from cutaway.server.models import Opened
from cutaway.server.traces import Work

if TYPE_CHECKING:
    from cutaway.lens.induction import InductionScan

router = APIRouter()
MOST_SEQUENCES = 64


class ToRepeat(BaseModel):
    """Random tokens that come twice, and who reads them."""

    model_config = ConfigDict(extra="forbid")
    model: str
    seed: int = Field(0, ge=0, lt=2**31)
    length: int | None = Field(None, ge=2)
    """Tokens in a half; null: 64, or what fits the model."""
    sequences: int = Field(16, ge=1, le=MOST_SEQUENCES)


class HeadToRepeat(ToRepeat):
    """One head, on the first of the sequences."""

    layer: int
    head: int


class InductionMeta(BaseModel):
    """All heads of a model on sequences that repeat.

    The arrays: by [layer, head] `prefix` (0 to 1), `control` (the same where nothing repeats), `copying` (-1 to 1) and
    `raised` (nats); by position `loss` and `control_loss`, nats, NaN at 0.
    """

    model: str
    layers: int
    heads: int
    length: int
    """Tokens in a half."""
    longest: int
    """That fit the model."""
    before: int
    """1 where a mark of the beginning stands first, else 0."""
    seed: int
    sequences: int
    found: list[str]
    """The heads that count as induction heads, `LAYER.HEAD`, the best at matching first."""
    enough_matching: float
    """A head counts from this prefix matching above its control on, together with ..."""
    enough_copying: float
    """... this copying."""
    first_half_nats: float
    second_half_nats: float
    control_second_half_nats: float
    checkpoints: list[int]
    """Steps of the run's checkpoints, of which the same can be measured; none for a model that is no run."""


class RepeatedPattern(BaseModel):
    """Where a head looks in the first sequence. The array: `pattern` [reads, read]."""

    tokens: list[str]
    layer: int
    head: int
    length: int
    before: int


class CheckpointsMeta(BaseModel):
    """The same at every checkpoint of a run, as far as it was measured.

    The arrays, by checkpoint: `steps`; [checkpoint, layer, head] `prefix`, `control`, `copying`; `first_half`,
    `second_half`, nats.
    """

    state: Literal["running", "done", "failed"]
    reason: str
    share: float
    """How much is done, 0 to 1."""
    total: int
    """Checkpoints there are."""
    found: list[list[str]]
    """The induction heads at each."""


def scan_of(lab: Lab, opened: Opened, asked: ToRepeat) -> InductionScan:
    """Return all heads' scores, kept for the next question."""
    from cutaway.lens.induction import induction

    def compute() -> InductionScan:
        with opened.lock:
            return induction(
                opened.model, opened.tokenizer, length=asked.length, n_sequences=asked.sequences, seed=asked.seed
            )

    key = ("induction", opened.name, opened.identity, asked.length, asked.sequences, asked.seed)
    return lab.kept.once(key, compute, lambda one: 2 * one.sequences.repeated_BT.nbytes)


@router.post("/lens/induction", **with_arrays(InductionMeta))
def scan(lab: TheLab, asked: ToRepeat) -> ArraysResponse:
    """Return how much each head looks at what came next last time, and says it; and the loss by position."""
    from cutaway.lens.induction_figure import induction_data

    opened = lab.models.open(asked.model)
    found = scan_of(lab, opened, asked)
    return answered(
        InductionMeta,
        induction_data(found),
        model=asked.model,
        longest=(opened.facts.context_length - found.sequences.n_before) // 2,
        checkpoints=checkpoints(lab, opened.facts.run),
    )


@router.post("/lens/induction/head", **with_arrays(RepeatedPattern))
def head(lab: TheLab, asked: HeadToRepeat) -> ArraysResponse:
    """Return where a head looks in the first of the sequences."""
    from cutaway.lens.attention import Attention, attention
    from cutaway.lens.prompt import Prompt

    opened = lab.models.open(asked.model)
    for name, given, n in (
        ("layer", asked.layer, opened.facts.layers),
        ("head", asked.head, opened.facts.heads),
    ):
        if not 0 <= given < n:
            raise UsageError(f"there is no {name} {given}: {asked.model} has {name}s 0 to {n - 1}")
    sequences = scan_of(lab, opened, asked).sequences
    ids = tuple(sequences.repeated_BT[0].tolist())

    def compute() -> Attention:
        prompt = Prompt(ids, tuple(opened.tokenizer.token_text(index) for index in ids))
        with opened.lock:
            return attention(opened.model, opened.tokenizer, prompt)

    key = ("repeated", opened.name, opened.identity, ids)
    found = lab.kept.once(key, compute, lambda one: one.pattern_LHTS.nbytes)
    meta = RepeatedPattern(
        tokens=list(found.prompt.pieces),
        layer=asked.layer,
        head=asked.head,
        length=sequences.length,
        before=sequences.n_before,
    )
    return ArraysResponse(meta, {"pattern": found.pattern_LHTS[asked.layer, asked.head].numpy()})


@dataclass
class Checkpoints:
    """The scans of a run's checkpoints, while they are made."""

    steps: list[int]
    done: list[InductionScan] = field(default_factory=list)
    work: Work | None = None


@router.post("/lens/induction/checkpoints", **with_arrays(CheckpointsMeta))
def over_checkpoints(lab: TheLab, asked: ToRepeat) -> ArraysResponse:
    """Measure every checkpoint of a model's run, in the background; asked again, it returns what there is so far."""
    facts = lab.models.facts(asked.model)
    steps = checkpoints(lab, facts.run)
    if facts.run is None or not steps:
        raise UsageError(f"{asked.model} has no checkpoints to measure; a run has some once it has trained for a while")
    run = facts.run
    key = ("checkpoints", run, tuple(steps), asked.length, asked.sequences, asked.seed)
    found = lab.kept.once(key, lambda: begin(lab, run, steps, asked), lambda _: 0)
    assert found.work is not None
    if found.work.state == "failed":
        lab.kept.forget(key)  # asked once more, it is tried again
    done = list(found.done)
    meta = CheckpointsMeta(
        state=found.work.state,
        reason=found.work.reason,
        share=found.work.share,
        total=len(steps),
        found=[one.heads for one in done],
    )
    shape = (0, facts.layers, facts.heads)

    def stacked(parts: list[np.ndarray]) -> np.ndarray:
        return np.stack(parts).astype(np.float64) if parts else np.zeros(shape)

    columns = {
        "steps": np.array(steps[: len(done)], dtype=np.float64),
        "prefix": stacked([one.prefix_LH.float().numpy() for one in done]),
        "control": stacked([one.control_LH.float().numpy() for one in done]),
        "copying": stacked([one.copying_LH.float().numpy() for one in done]),
        "first_half": np.array([one.first_half_nats for one in done]),
        "second_half": np.array([one.second_half_nats for one in done]),
    }
    return ArraysResponse(meta, columns)


def begin(lab: Lab, run: str, steps: list[int], asked: ToRepeat) -> Checkpoints:
    """Start measuring a run's checkpoints, one after the other."""
    found = Checkpoints(steps)

    def compute(progress: Callable[[float], None]) -> None:
        for i, step in enumerate(steps):
            found.done.append(scan_of(lab, lab.models.open(f"{run}@{step}"), asked))
            progress((i + 1) / len(steps))

    found.work = Work(compute)
    return found


def checkpoints(lab: Lab, run: str | None) -> list[int]:
    """Return the steps of a run's checkpoints, earliest first."""
    return [] if run is None else sorted(checkpoint_steps(lab.run(run)))
