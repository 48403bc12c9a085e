"""What the Speed tab asks: the same text written with and without keeping keys and values, timed and counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from cutaway.server.lab import TheLab
from cutaway.server.streams import Writer, event

router = APIRouter(prefix="/generate")

ROUNDS = 5


class SpeedAsked(BaseModel):
    """A text to be written both ways."""

    model: str
    prompt: str = ""
    n_tokens: int = Field(default=32, ge=1, le=512)


class SpeedProgress(BaseModel):
    """Told while it runs."""

    event: Literal["progress"] = "progress"
    share: float
    """Of the longest it can take."""


class SpeedWay(BaseModel):
    """One way of writing the text; each list has an entry a new token, the first with the reading of the prompt."""

    seconds: list[float]
    operations: list[int]
    bytes: list[int]
    prefill_seconds: float
    decode_seconds: float
    total_seconds: float
    total_operations: int
    total_bytes: int
    tokens_per_second: float | None
    prefill_bound_by: str = ""
    prefill_share_of_peak: float = 0.0
    decode_bound_by: str = ""
    decode_share_of_peak: float = 0.0


class SpeedPeaks(BaseModel):
    """What this machine does at most in a second."""

    operations: float
    bytes: float


class SpeedMeasured(BaseModel):
    """Told at the end."""

    event: Literal["speed"] = "speed"
    n_prompt: int
    n_new: int
    cut: int
    """Tokens of the prompt left out, so that the text fits into the context."""
    text: str
    is_equal: bool
    times_faster: float
    cache_bytes: int
    dtype: str
    parameters: int
    threads: int
    rounds: int
    peaks: SpeedPeaks
    with_cache: SpeedWay
    without_cache: SpeedWay


class SpeedTrouble(BaseModel):
    """Told last where it could not be measured."""

    event: Literal["trouble"] = "trouble"
    error: str


class SpeedEvents(BaseModel):
    """What is told, one after the other (for the schema)."""

    events: list[SpeedProgress | SpeedMeasured | SpeedTrouble]


@router.post("/speed", response_model=None, responses={200: {"model": SpeedEvents}})
async def speed(lab: TheLab, request: Request, asked: SpeedAsked) -> Response:
    """Measure, telling how far it is; it ends when nobody listens."""

    def work(writer: Writer) -> None:
        from cutaway.generate.speed import measure_speed

        opened = lab.models.open(asked.model)
        with opened.lock:
            go_on = writer.between(opened.lock)
            n_steps, most = 0, 2 * (ROUNDS + 1) * asked.n_tokens

            def is_wanted() -> bool:
                nonlocal n_steps
                writer.put(SpeedProgress(share=n_steps / most))
                n_steps += 1
                return go_on()

            n_tokens = min(asked.n_tokens, max(1, opened.model.config.context_length - 1))
            found = measure_speed(opened.model, opened.tokenizer, asked.prompt, n_tokens, ROUNDS, is_wanted)
        writer.put(SpeedMeasured(**found.as_dict()))

    def told(batch: Sequence[Any]) -> bytes:
        last = [one for i, one in enumerate(batch) if isinstance(one, SpeedMeasured) or i == len(batch) - 1]
        return b"".join(event(one.model_dump_json()) for one in last)

    def trouble(error: Exception) -> bytes:
        return event(SpeedTrouble(error=" ".join(str(error).split())).model_dump_json())

    return await lab.streams.answer(request, work, told, trouble)
