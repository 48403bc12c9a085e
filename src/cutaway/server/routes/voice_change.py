"""What tuning moved: read from the run's folder, measured by a job; one matrix's change as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, ValidationError

from cutaway.base.errors import CutawayError, UsageError
from cutaway.base.runs import RunFolder
from cutaway.server.arrays import ArraysResponse, with_arrays
from cutaway.server.jobs import Job
from cutaway.server.lab import Lab, TheLab

if TYPE_CHECKING:
    from torch import Tensor

router = APIRouter(prefix="/voice/change")
MOST_CELLS = 1 << 19


class MatrixMoved(BaseModel):
    """How far one of the model's parameters moved."""

    name: str
    shape: list[int]
    norm: float | None
    relative: float | None
    """Of its own size; null: it was all zeros."""
    stable_rank: float | None
    effective_rank: float | None
    learned_rank: int | None
    """Of a LoRA: the rank it was given."""
    singular_values: list[float]
    trace: str | None = None
    """Its change, recorded: what the microscope opens."""


class PartMoved(BaseModel):
    """How far a head or a neuron moved."""

    layer: int
    index: int
    norm: float
    relative: float | None


class WeightsMoved(BaseModel):
    """What moved in the weights."""

    matrices: list[MatrixMoved]
    heads: list[PartMoved]
    neurons: list[PartMoved]
    n_unchanged: int
    sentence: str


class TokenMoved(BaseModel):
    """A token in its sentence, and its probability under both models."""

    document: str
    place: int
    text: str
    before: float
    after: float
    gain_bits: float
    left: str
    right: str


class KindMoved(BaseModel):
    """A token wherever it stands."""

    text: str
    count: int
    gain_bits: float


class DocumentRead(BaseModel):
    """A document's tokens; null: not compared."""

    name: str
    pieces: list[str]
    gain_bits: list[float | None]


class TokensMoved(BaseModel):
    """What became likelier and less likely."""

    gained: list[TokenMoved]
    lost: list[TokenMoved]
    kinds_gained: list[KindMoved]
    kinds_lost: list[KindMoved]
    documents: list[DocumentRead]
    n_tokens: int
    mean_gain_bits: float
    sentence: str


class Found(BaseModel):
    """What `cutaway voice change` found."""

    read: str
    """What both models read."""
    weights: WeightsMoved
    tokens: TokensMoved


class VoiceChange(BaseModel):
    """What tuning moved, if it was measured."""

    run: str
    base: str
    found: Found | None
    is_current: bool
    """Whether it was measured on the models as they are now."""
    problem: str
    """Why it cannot be measured."""


class RunToMeasure(BaseModel):
    """A tuned run, and perhaps a matrix whose change is to be recorded."""

    model_config = ConfigDict(extra="forbid")
    run: str
    matrix: str = ""


class MatrixMeta(BaseModel):
    """The change of a matrix. The array `values`: its numbers, or means of blocks of them."""

    name: str
    rows: int
    columns: int
    block_rows: int
    block_columns: int
    largest: float
    """The largest size of a number."""


@router.get("")
def change(lab: TheLab, run: str) -> VoiceChange:
    """Return what tuning moved in a run."""
    from cutaway.voice.change_file import models_hash, read_change
    from cutaway.voice.tuned_run import base_of, tune_settings

    folder = lab.run(run)
    kept, found = read_change(folder), None
    try:
        found = Found.model_validate(kept) if kept else None
    except ValidationError:
        kept = None  # of another version, or somebody's
    problem, models = "", None
    if not folder.model_folder.is_dir():
        problem = f"run {run!r} has no model yet; it is saved at its first measurement"
    else:
        try:
            models = models_hash(folder.model_folder, base_of(folder))
        except CutawayError as error:
            problem = " ".join(str(error).split())
    if found:
        for one in found.weights.matrices:
            one.trace = trace_of(folder, one.name)
    base = str(tune_settings(folder).get("base", ""))
    is_current = bool(kept and models and kept.get("models") == models)
    return VoiceChange(run=run, base=base, found=found, is_current=is_current, problem=problem)


@router.post("")
def measure(lab: TheLab, asked: RunToMeasure) -> Job:
    """Measure what tuning moved, as a job; with a matrix, record its change too."""
    run = lab.run(asked.run)
    words = ["voice", "change", run.name]
    if asked.matrix:
        if not asked.matrix.replace(".", "").replace("_", "").isalnum():
            raise UsageError(f"{asked.matrix!r} is no matrix's name; expected one as blocks.0.attn.q_proj.weight")
        words.append(f"--matrix={asked.matrix}")
    return lab.jobs.submit(words, "trace" if asked.matrix else "change", run.name)


@router.get("/matrix", **with_arrays(MatrixMeta))
def matrix(lab: TheLab, run: str, name: str) -> ArraysResponse:
    """Return the change of one matrix."""
    from cutaway.microscope.pooling import block_size, pool

    moved = difference(lab, lab.run(run), name)
    if moved.dim() != 2:
        raise UsageError(f"{name} is a vector; only matrices are drawn")
    table = moved.numpy()
    height, width = block_size(table.shape[0], table.shape[1], MOST_CELLS)
    values = table if (height, width) == (1, 1) else pool(table, height, width).mean
    meta = MatrixMeta(
        name=name,
        rows=table.shape[0],
        columns=table.shape[1],
        block_rows=height,
        block_columns=width,
        largest=float(abs(values).max()) if values.size else 0.0,
    )
    return ArraysResponse(meta, {"values": values.astype("float32")})


def difference(lab: Lab, run: RunFolder, name: str) -> Tensor:
    """Return what was added to a parameter, reading nothing but that parameter."""
    from cutaway.interop.adapter_folder import is_adapter
    from cutaway.interop.one_parameter import read_parameter
    from cutaway.interop.peft_adapter import read_adapter
    from cutaway.models.build import assemble
    from cutaway.tune.find_base import base_config
    from cutaway.voice.change import product
    from cutaway.voice.change_file import models_hash
    from cutaway.voice.tuned_run import base_of

    base = base_of(run)

    def compute() -> Tensor:
        if not is_adapter(run.model_folder):
            return read_parameter(run.model_folder, name) - read_parameter(base, name)
        config = base_config(base)
        parameters = {key.removesuffix(".weight"): one.shape for key, one in assemble(config).named_parameters()}
        factors, _ = read_adapter(run.model_folder, config, parameters)
        factor = factors.get(name.removesuffix(".weight"))
        if factor is None:
            raise UsageError(f"{name} has no correction in run {run.name!r}")
        return product(factor)

    key = ("voice change", run.name, models_hash(run.model_folder, base), name)
    return lab.kept.once(key, compute, lambda one: one.nbytes)


def trace_of(run: RunFolder, matrix: str) -> str | None:
    """Return the name of the trace of a matrix's change, if it was recorded."""
    from cutaway.voice.change_file import trace_name

    name = trace_name(matrix)
    return f"{run.name}/traces/{name}" if (run.path / "traces" / name / "graph.json").is_file() else None
