"""How a run is going: its curves, what it writes, and what is inside it as it learns. All of it grows while one looks."""

from __future__ import annotations

import csv
import io
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from cutaway import run_facts
from cutaway.base.errors import CutawayError, RunError, UsageError
from cutaway.base.snapshots import read_attention, read_histograms
from cutaway.server.arrays import ArraysResponse, with_arrays
from cutaway.server.lab import TheLab
from cutaway.server.routes.runs import columns_of

router = APIRouter()

MOST_ATTENTION_BYTES = 32 << 20

MEANINGS = {
    "step": ("steps", "Optimizer updates made, this one included."),
    "loss": ("nats a token", "Mean training loss of the step's batch, before its update."),
    "validation_loss": ("nats a token", "Loss on text the model never trains on."),
    "loss_without_ema": ("nats a token", "The same with the weights themselves, not their running average."),
    "bits_per_byte": ("bits a byte", "The validation loss spread over the text's bytes, so that tokenizers compare."),
    "tokens": ("tokens", "Tokens trained on so far."),
    "seconds": ("seconds", "Time trained so far, measurements and samples included."),
    "tokens_per_second": ("tokens a second", "Speed over the last thirty steps."),
    "rate": ("share", "Learning rate as a share of its peak."),
    "grad_norm": ("", "Length of the whole gradient, before it is shortened."),
    "memory_bytes": ("bytes", "Memory the training process takes, looked at about once a second."),
    "inherited": ("", "1: this step was made by the run this one branched from."),
}
GROUP_MEANINGS = {
    "learning_rates": ("", "Learning rate really applied by the optimizer {}."),
    "layer_grad_norms": ("", "Length of the gradient of {}, before it is shortened; at measured steps."),
    "layer_update_norms": ("", "How far the step moved the weights of {}; at measured steps."),
}


class Metric(BaseModel):
    """One column."""

    name: str
    unit: str
    meaning: str


class MetricsMeta(BaseModel):
    """What was measured, a row a step. The arrays: every metric, NaN where it was not measured."""

    rows: int
    """Rows there are in all."""
    first: int
    """The row the arrays begin with."""
    version: str
    """Changes when rows were taken away (a run went on from an earlier step): ask again from row 0."""
    metrics: list[Metric]


class Sample(BaseModel):
    """What the model wrote or painted after some step."""

    step: int
    prompt: str
    """What it was given; the text begins with it (each line, where it wrote several)."""
    seed: int
    text: str
    """Of a picture: what is on it."""
    picture: str | None = None
    """Where the picture lies in the run's folder; null: it is text."""


class Samples(BaseModel):
    """Every sample, oldest first: all of the same prompt and seed."""

    samples: list[Sample]


What = Literal["weights", "gradients", "updates", "activations"]


class HistogramsMeta(BaseModel):
    """How the numbers of each layer were spread at each measured step.

    The arrays: `edges` (bins + 1; the same for all, growing with the size of the number), `counts` [step, layer, bin],
    and by [step, layer] `below`, `above` (counts outside the edges), `not_finite`, `total`, `mean`, `std`, `lowest`,
    `highest`. A number on an edge counts to the bin farther from zero.
    """

    what: What
    steps: list[int]
    layers: list[str]


class AttentionMeta(BaseModel):
    """Where each head looks in one fixed text. The array: `pattern` [step, layer, head, writes, reads]."""

    text: str
    tokens: list[str]
    """What each position reads."""
    layers: int
    heads: int
    steps: list[int]
    """All that were recorded."""
    sent: list[int]
    """Those in this answer."""


OF_PICTURES = {
    "validation_loss": ("", "Loss on pictures the model never trains on."),
    "tokens": ("pictures", "Pictures trained on so far."),
    "tokens_per_second": ("pictures a second", "Speed over the last thirty steps."),
}
"""Columns that mean something else where pictures are learned."""


def describe_metric(name: str, kind: str = "text") -> Metric:
    """Return what a column of a run means.

    Args:
        kind: what the run trains, as its facts say.
    """
    group, _, part = name.partition(".")
    unit, meaning = GROUP_MEANINGS[group] if part and group in GROUP_MEANINGS else MEANINGS.get(name, ("", ""))
    if kind != "text":
        unit, meaning = OF_PICTURES.get(name, (unit, meaning))
        unit = run_facts.LOSS_UNITS[kind] if name in ("loss", "validation_loss", "loss_without_ema") else unit
    return Metric(name=name, unit=unit, meaning=meaning.format(part))


@router.get("/runs/{name}/metrics", **with_arrays(MetricsMeta))
def metrics(
    lab: TheLab,
    name: str,
    first: Annotated[int, Query(alias="from", ge=0)] = 0,
    only: Annotated[str, Query(description="Names of metrics, separated by commas; left out: all.")] = "",
) -> ArraysResponse:
    """Return what a run has measured since a row."""
    run = lab.run(name)
    columns, kind = columns_of(lab, run), run_facts.kind_in(run)
    names = [column for column in columns.names if not only or column in only.split(",")]
    rows = columns.n_rows
    meta = MetricsMeta(
        rows=rows,
        first=first,
        version=str(columns.version),
        metrics=[describe_metric(column, kind) for column in names],
    )
    return ArraysResponse(meta, {column: columns.dense(column, first)[: max(0, rows - first)] for column in names})


@router.get("/runs/{name}/metrics.csv", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
def metrics_csv(lab: TheLab, name: str) -> Response:
    """Return what a run has measured as a table for other programs; an empty cell was not measured."""
    columns = columns_of(lab, lab.run(name))
    said = io.StringIO()
    table = csv.writer(said)
    table.writerow(columns.names)
    rows = columns.n_rows
    numbers = [columns.dense(column)[:rows].tolist() for column in columns.names]
    table.writerows(["" if value != value else f"{value:.17g}" for value in row] for row in zip(*numbers, strict=True))
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(said.getvalue(), media_type="text/csv", headers=headers)


@router.get("/runs/{name}/samples")
def samples(lab: TheLab, name: str) -> Samples:
    """Return everything a run has written or painted so far."""
    run = lab.run(name)
    try:
        recipe = run_facts.writing_recipe(run)
        prompt, seed = recipe.prompt, recipe.generate.seed
    except CutawayError:  # it cannot be read, or is of pictures, whose samples say it themselves
        prompt, seed = "", 0
    known = [{"prompt": prompt, "seed": seed} | line for line in run.samples()]
    return Samples(samples=[Sample.model_validate(line) for line in known])


@router.get(
    "/runs/{name}/pictures/{step}.png", response_class=Response, responses={200: {"content": {"image/png": {}}}}
)
def picture(lab: TheLab, name: str, step: int) -> Response:
    """Return what a run painted after some step."""
    file = lab.run(name).pictures_folder / f"{step}.png"
    try:
        return Response(file.read_bytes(), media_type="image/png")
    except FileNotFoundError:
        raise RunError(f"run {name!r} painted nothing at step {step}") from None


@router.get("/runs/{name}/histograms", **with_arrays(HistogramsMeta))
def histograms(lab: TheLab, name: str, what: What = "weights") -> ArraysResponse:
    """Return how the numbers of each layer were spread at each measured step."""
    found = read_histograms(lab.run(name).path / "snapshots", what)
    meta = HistogramsMeta(what=what, steps=found.steps, layers=found.layers)
    return ArraysResponse(meta, {"edges": found.edges, "counts": found.counts, **found.by_layer})


@router.get("/runs/{name}/attention", **with_arrays(AttentionMeta))
def attention(
    lab: TheLab,
    name: str,
    step: Annotated[
        int | None, Query(description="One of the steps; left out: all, or the last if that is much.")
    ] = None,
) -> ArraysResponse:
    """Return where each head looks in one fixed text."""
    found = read_attention(lab.run(name).path / "snapshots")
    steps = list(found.files)
    if step is not None and step not in found.files:
        raise UsageError(
            f"the heads were not recorded at step {step}; recorded: {', '.join(map(str, steps)) or 'none'}"
        )
    if not steps:
        pattern = np.zeros((0, 0, 0, 0, 0), dtype=np.float32)
    elif step is not None:
        steps = [step]
        pattern = found.pattern(step)[None]
    else:
        last = found.pattern(steps[-1])
        steps = steps if last.nbytes * len(steps) <= MOST_ATTENTION_BYTES else steps[-1:]
        pattern = np.stack([*(found.pattern(earlier) for earlier in steps[:-1]), last])
    layers, heads = pattern.shape[1:3]
    meta = AttentionMeta(
        text=found.text, tokens=found.tokens, layers=layers, heads=heads, steps=list(found.files), sent=steps
    )
    return ArraysResponse(meta, {"pattern": pattern})
