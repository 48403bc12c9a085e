"""What the Write tab asks: a text as it is written, and how one of its tokens was chosen.

A text is decided by the model, the prompt, the settings with their seed, and the tokens somebody chose by hand
(`forced`), so every text, and every branch of it, can be written again from its address.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from cutaway.base.errors import UsageError
from cutaway.generate.config import SamplingConfig
from cutaway.server.lab import TheLab
from cutaway.server.models import Opened
from cutaway.server.routes.chat import person
from cutaway.server.streams import Writer, event

if TYPE_CHECKING:
    from cutaway.generate.decode import Drawn

    Piece: TypeAlias = "WriteStart | tuple[Drawn, str] | WriteEnd"

router = APIRouter(prefix="/generate")

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


class WriteEvents(BaseModel):
    """What is told of a text, one after the other (for the schema)."""

    events: list[WriteStart | WriteTokens | WriteEnd | WriteTrouble]


@router.post("/write", response_model=None, responses={200: {"model": WriteEvents}})
async def write(lab: TheLab, request: Request, asked: TextAsked) -> Response:
    """Write, telling every token as it comes (events, each a WriteEvent); it ends when nobody listens."""
    config = asked.settings.config()

    def work(writer: Writer) -> None:
        opened = lab.models.open(asked.model)
        check_tokens(opened, [*asked.given, *asked.forced.values()])
        with opened.lock:
            go_on = writer.between(opened.lock)
            for piece in written(opened, asked, config):
                writer.put(piece)
                if not go_on():
                    return

    def trouble(error: Exception) -> bytes:
        return event(WriteTrouble(error=" ".join(str(error).split())).model_dump_json())

    return await lab.streams.answer(request, work, told, trouble, who=person(request))


def check_tokens(opened: Opened, tokens: Sequence[int]) -> None:
    """Refuse tokens the model does not have.

    Raises:
        UsageError: there is no such token.
    """
    size = opened.model.lm_head.out_features
    for token in tokens:
        if not 0 <= token < size:
            raise UsageError(f"there is no token {token}; model {opened.name!r} has 0 to {size - 1}")


def written(opened: Opened, asked: TextAsked, config: SamplingConfig) -> Iterator[Piece]:
    """Yield what happens while a text is written, as long as somebody asks for more."""
    from cutaway.generate.decode import draw_tokens, first_visible, prompt_ids
    from cutaway.generate.temperature import temperatures

    began = time.perf_counter()
    model, tokenizer = opened.model, opened.tokenizer
    before = prompt_ids(tokenizer, asked.prompt, model)
    teller = Teller(opened, before, config, asked.given)
    cut = first_visible(len(before), model.config.context_length)
    schedule = temperatures(config.temperature, config.max_tokens)
    yield WriteStart(prompt_tokens=len(before), cut=cut, temperatures=schedule)
    if not teller.reason:
        for drawn in draw_tokens(model, tokenizer, before, config, given=asked.given, forced=asked.forced):
            yield drawn, teller.push(int(drawn.tokens_B[0]))
            if teller.reason:
                break
    text = teller.finish()
    yield WriteEnd(reason=teller.reason or "max_tokens", text=text, seconds=time.perf_counter() - began)


def told(batch: Sequence[Piece]) -> bytes:
    """Return a batch of what happened as events; tokens that came together are told together."""
    events: list[WriteStart | WriteTokens | WriteEnd] = []
    drawn: list[tuple[Drawn, str]] = []
    for piece in (*batch, None):
        if isinstance(piece, tuple):
            drawn.append(piece)
            continue
        if drawn:
            events.append(WriteTokens(tokens=facts(drawn)))
            drawn = []
        if piece is not None:
            events.append(piece)
    return b"".join(event(one.model_dump_json()) for one in events)


def facts(drawn: Sequence[tuple[Drawn, str]]) -> list[WrittenToken]:
    """Return what there is to say about tokens and their texts."""
    import torch

    logprobs_NV = torch.cat([one.logits_BV for one, _ in drawn]).log_softmax(dim=-1)
    tokens_N = torch.cat([one.tokens_B for one, _ in drawn])
    chosen_N = logprobs_NV.gather(1, tokens_N[:, None])[:, 0].exp().tolist()
    entropy_N = torch.special.entr(logprobs_NV.exp()).sum(dim=-1).div(math.log(2)).tolist()
    return [
        WrittenToken(t=one.t, id=token, text=text, probability=probability, entropy_bits=entropy)
        for (one, text), token, probability, entropy in zip(drawn, tokens_N.tolist(), chosen_N, entropy_N, strict=True)
    ]


class Teller:
    """Turns tokens into text as they come, and notices when the text is over."""

    def __init__(self, opened: Opened, before: Sequence[int], config: SamplingConfig, given: Sequence[int]) -> None:
        from cutaway.generate.stream import TextStream

        self.reason: Literal["stop", "end"] | None = None
        """Why the text is over, if it is."""
        self.eos_id = opened.tokenizer.eos_id
        self.pieces = TextStream(opened.tokenizer, before)
        self.cutter = TextStream(opened.tokenizer, before, config.stop) if config.stop else None
        for token in given:
            self.push(token)

    def push(self, token: int) -> str:
        """Take one more token; return the text it adds."""
        if token == self.eos_id:
            self.reason = "end"
            return ""
        if self.cutter is not None:
            self.cutter.push(token)
            if self.cutter.stopped:
                self.reason = "stop"
        return self.pieces.push(token)

    def finish(self) -> str:
        """Return the whole text."""
        stream = self.cutter or self.pieces
        stream.finish()
        return stream.text


class StepAsked(BaseModel):
    """A token of a text whose choice is to be explained."""

    model: str
    prompt: str = ""
    settings: Settings = Settings()
    tokens: list[int] = Field(min_length=1, max_length=MOST_TOKENS)
    """The new tokens up to the one in question."""
    n_candidates: int = Field(default=12, ge=1, le=200)


class StepStage(BaseModel):
    """What one stage of the choice left."""

    name: Literal["raw", "no_text", "repetition_penalty", "temperature", "top_k", "top_p", "min_p"]
    setting: float | None
    n_kept: int
    """Tokens that can still be drawn."""
    entropy_bits: float


class StepCandidate(BaseModel):
    """One token on its way through the stages."""

    id: int
    text: str
    logits: list[float | None]
    """After each stage; None from the one that removed it on."""
    probabilities: list[float]
    rank: int
    """Its place among all tokens as the model said it, from 1."""
    removed_by: str | None


class TokenStep(BaseModel):
    """How one token was chosen."""

    t: int
    temperature: float
    stages: list[StepStage]
    candidates: list[StepCandidate]
    """The likeliest, and the chosen one; likeliest first as the model said it."""
    chosen: StepCandidate
    drawn: int
    """The token the random number points at."""
    drawn_text: str
    is_forced: bool
    """Whether somebody chose another."""
    uniform: float
    interval: list[float]
    """Where the drawn token lies in the line of all probabilities, laid end to end in order of the ids."""


@router.post("/step")
def step(lab: TheLab, asked: StepAsked) -> TokenStep:
    """Return how the last of the tokens was chosen: every candidate after every stage, and the draw."""
    from cutaway.generate.decode import explain_token

    config = asked.settings.config()
    opened = lab.models.open(asked.model)
    text = opened.tokenizer.token_text
    with opened.lock:
        found = explain_token(opened.model, opened.tokenizer, asked.prompt, asked.tokens, config, asked.n_candidates)
    return TokenStep(**found.as_dict(text), drawn_text=text(found.drawn))


class TemperatureAsked(BaseModel):
    """A temperature as somebody typed or drew it."""

    temperature: float | str
    max_tokens: int = Field(default=200, ge=1, le=MOST_TOKENS)


class TemperatureCurve(BaseModel):
    """The temperature of each new token."""

    temperatures: list[float]


@router.post("/temperatures")
def temperature_curve(asked: TemperatureAsked) -> TemperatureCurve:
    """Return what a temperature says for each new token."""
    from cutaway.generate.temperature import temperatures

    return TemperatureCurve(temperatures=temperatures(asked.temperature, asked.max_tokens))


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


class TextAsPieces(BaseModel):
    """A text that is to be cut."""

    model: str
    text: str


class TextPiece(BaseModel):
    """One token of a text."""

    id: int | None
    """None: there is no token for this character."""
    text: str
    bytes: str
    """Its part of the text in UTF-8, in hexadecimal; empty for special tokens."""
    start: int
    """Its first character in the text."""
    end: int
    is_special: bool
    is_unknown: bool


class TextPieces(BaseModel):
    """How a text is cut."""

    kind: str
    """`characters` or `bpe`."""
    vocab_size: int
    context_length: int
    characters: int
    bytes: int
    pieces: list[TextPiece]


@router.post("/tokens")
def tokens(lab: TheLab, asked: TextAsPieces) -> TextPieces:
    """Return how a model's tokenizer cuts a text."""
    from cutaway.text.pieces import cut_up

    opened = lab.models.open(asked.model)
    return TextPieces(
        kind=opened.tokenizer.kind,
        vocab_size=opened.tokenizer.vocab_size,
        context_length=opened.model.config.context_length,
        characters=len(asked.text),
        bytes=len(asked.text.encode("utf-8", "replace")),
        pieces=[
            TextPiece(
                id=one.id, text=one.text, bytes=one.data.hex(), start=one.start, end=one.end,
                is_special=one.is_special, is_unknown=one.is_unknown,
            )
            for one in cut_up(opened.tokenizer, asked.text)
        ],
    )  # fmt: skip
