"""What the Write tab asks: a text as it is written, and how one of its tokens was chosen.

A text is decided by the model, the prompt, the settings with their seed, and the tokens somebody chose by hand
(`forced`), so every text, and every branch of it, can be written again from its address.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from cutaway.base.errors import CutawayError, UsageError
from cutaway.generate.config import SamplingConfig
from cutaway.server.lab import TheLab
from cutaway.server.models import Opened

if TYPE_CHECKING:
    from cutaway.generate.decode import Drawn

router = APIRouter(prefix="/generate")

TELL_EVERY_SECONDS = 0.03
"""Tokens that come faster are told together."""
MOST_TOKENS = 4096


class Settings(BaseModel):
    """How tokens are drawn: the fields of `SamplingConfig`."""

    max_tokens: int = Field(default=200, ge=1, le=MOST_TOKENS)
    temperature: float | str = 0.8
    """A number; a formula of t and n; or points of a curve, `0:0.2 100:1.5`."""
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    stop: list[str] = []
    seed: int = 0

    def config(self) -> SamplingConfig:
        """Return the settings, checked.

        Raises:
            ConfigError: one of them makes no sense.
        """
        return SamplingConfig(**{**self.model_dump(), "stop": tuple(self.stop)})


class TextAsked(BaseModel):
    """A text that is to be written."""

    model: str
    prompt: str = ""
    settings: Settings = Settings()
    given: list[int] = Field(default=[], max_length=MOST_TOKENS)
    """New tokens that are known already, the first ones; what is told begins after them."""
    forced: dict[int, int] = {}
    """Tokens chosen by hand: the number of the new token, and the token that stands there whatever is drawn."""


class WriteStart(BaseModel):
    """Told first."""

    event: Literal["start"] = "start"
    prompt_tokens: int
    cut: int
    """So many of them the model does not see: its context has no room."""
    temperatures: list[float]
    """Of every new token there can be."""


class WrittenToken(BaseModel):
    """One new token."""

    t: int
    id: int
    text: str
    """What it adds to the text; nothing while a character is not complete."""
    probability: float
    """That the model gave it, before any setting."""
    entropy_bits: float
    """How undecided the model was here, before any setting."""


class WriteTokens(BaseModel):
    """Told as they come."""

    event: Literal["tokens"] = "tokens"
    tokens: list[WrittenToken]


class WriteEnd(BaseModel):
    """Told last."""

    event: Literal["end"] = "end"
    reason: Literal["max_tokens", "stop", "end"]
    text: str
    """All of the new text; a stop string is cut off."""
    seconds: float


class WriteTrouble(BaseModel):
    """Told last where it could not go on."""

    event: Literal["trouble"] = "trouble"
    error: str


WriteEvent = WriteStart | WriteTokens | WriteEnd | WriteTrouble


class WriteEvents(BaseModel):
    """What is told of a text, one after the other (for the schema)."""

    events: list[WriteStart | WriteTokens | WriteEnd | WriteTrouble]


@router.post("/write", response_model=None, responses={200: {"model": WriteEvents}})
async def write(lab: TheLab, request: Request, asked: TextAsked) -> StreamingResponse:
    """Write, telling every token as it comes (each line `data: ` and a WriteEvent); it ends when nobody listens."""
    events = await run_in_threadpool(begin, lab, asked)

    async def told() -> AsyncIterator[bytes]:
        try:
            while not await request.is_disconnected():
                event = await run_in_threadpool(next, events, None)
                if event is None:
                    return
                yield f"data: {event.model_dump_json()}\n\n".encode()
        finally:
            events.close()

    return StreamingResponse(told(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def begin(lab: TheLab, asked: TextAsked) -> Any:
    """Open the model and check what is asked, so that what is wrong is said at once; return the events to come."""
    config = asked.settings.config()
    opened = lab.models.open(asked.model)
    from cutaway.generate.decode import prompt_ids

    before = prompt_ids(opened.tokenizer, asked.prompt, opened.model)
    check_tokens(opened, [*asked.given, *asked.forced.values()])
    return written(opened, before, config, asked.given, asked.forced)


def check_tokens(opened: Opened, tokens: Sequence[int]) -> None:
    """Refuse tokens the model does not have.

    Raises:
        UsageError: there is no such token.
    """
    size = opened.model.lm_head.out_features
    for token in tokens:
        if not 0 <= token < size:
            raise UsageError(f"there is no token {token}; model {opened.name!r} has 0 to {size - 1}")


def written(
    opened: Opened, before: Sequence[int], config: SamplingConfig, given: Sequence[int], forced: dict[int, int]
) -> Iterator[WriteEvent]:
    """Yield what happens while a text is written. The model is held only while it computes."""
    from cutaway.generate.decode import draw_tokens, first_visible
    from cutaway.generate.temperature import temperatures

    began = time.perf_counter()
    teller = Teller(opened, before, config, given)
    cut = first_visible(len(before), opened.model.config.context_length)
    yield WriteStart(
        prompt_tokens=len(before), cut=cut, temperatures=temperatures(config.temperature, config.max_tokens)
    )
    coming = draw_tokens(opened.model, opened.tokenizer, before, config, given=given, forced=forced)
    try:
        while not teller.ended:
            burst: list[Drawn] = []
            with opened.lock:
                until = time.perf_counter() + (TELL_EVERY_SECONDS if teller.has_told else 0.0)
                for drawn in coming:
                    burst.append(drawn)
                    teller.push(int(drawn.tokens_B[0]))
                    if teller.ended or time.perf_counter() >= until:
                        break
            if not burst:
                break
            yield WriteTokens(tokens=teller.tell(burst))
    except CutawayError as error:
        yield WriteTrouble(error=" ".join(str(error).split()))
        return
    finally:
        coming.close()  # type: ignore[attr-defined]
    text = teller.finish()
    yield WriteEnd(reason=teller.reason, text=text, seconds=time.perf_counter() - began)


class Teller:
    """Turns drawn tokens into what is told of them."""

    def __init__(self, opened: Opened, before: Sequence[int], config: SamplingConfig, given: Sequence[int]) -> None:
        from cutaway.generate.stream import TextStream

        self.eos_id = opened.tokenizer.eos_id
        self.pieces = TextStream(opened.tokenizer, before)
        self.cutter = TextStream(opened.tokenizer, before, config.stop)
        self.has_stops = bool(config.stop)
        self.reason: Literal["max_tokens", "stop", "end"] = "max_tokens"
        self.has_told = False
        self.texts: list[str] = []
        for token in given:
            self.push(token)
        self.texts.clear()

    @property
    def ended(self) -> bool:
        """Whether the text is over before all its tokens are written."""
        return self.reason != "max_tokens"

    def push(self, token: int) -> None:
        """Take one more token."""
        if token == self.eos_id:
            self.reason = "end"
            self.texts.append("")
            return
        self.texts.append(self.pieces.push(token))
        if self.has_stops:
            self.cutter.push(token)
            if self.cutter.stopped:
                self.reason = "stop"

    def tell(self, burst: Sequence[Drawn]) -> list[WrittenToken]:
        """Return what there is to say about the tokens pushed since the last time."""
        import torch

        logits_NV = torch.cat([drawn.logits_BV for drawn in burst])
        logprobs_NV = logits_NV.log_softmax(dim=-1)
        tokens_N = torch.cat([drawn.tokens_B for drawn in burst])
        chosen_N = logprobs_NV.gather(1, tokens_N[:, None])[:, 0].exp().tolist()
        entropy_N = torch.special.entr(logprobs_NV.exp()).sum(dim=-1).div(0.6931471805599453).tolist()
        texts, self.texts, self.has_told = self.texts, [], True
        return [
            WrittenToken(t=drawn.t, id=token, text=text, probability=probability, entropy_bits=entropy)
            for drawn, token, text, probability, entropy in zip(
                burst, tokens_N.tolist(), texts, chosen_N, entropy_N, strict=True
            )
        ]

    def finish(self) -> str:
        """Return the whole text."""
        stream = self.cutter if self.has_stops else self.pieces
        stream.finish()
        return stream.text


class TokensNamed(BaseModel):
    """Some tokens of a model."""

    model: str
    ids: list[int] = Field(max_length=MOST_TOKENS)


class TokenNames(BaseModel):
    """The same tokens as text, special ones by their name."""

    texts: list[str]


@router.post("/token-names")
def token_names(lab: TheLab, asked: TokensNamed) -> TokenNames:
    """Return tokens as text."""
    opened = lab.models.open(asked.model)
    check_tokens(opened, asked.ids)
    return TokenNames(texts=[opened.tokenizer.token_text(index) for index in asked.ids])
