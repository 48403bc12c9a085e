"""Asking a model in turns: one question after the other, many people, one place in line for each.

The answer to a question is a stream: how many are before it as long as it waits, then the text as it is written. The whole
conversation travels with every question, so the lab keeps nothing of what people say.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from cutaway.base.errors import RunError
from cutaway.server.completion_asked import ChatAsked, Message
from cutaway.server.completion_work import Piece, plan_chat, write
from cutaway.server.lab import Lab, TheLab
from cutaway.server.streams import Writer, event

router = APIRouter(prefix="/chat")

MOST_MESSAGES = 200
MOST_CHARACTERS = 100_000
MOST_TOKENS = 2048
MOST_NAME = 64


class ChatModel(BaseModel):
    """A model that can be asked."""

    name: str
    about: str
    """Its size, and what it was made from."""


class ChatFrame(BaseModel):
    """What the page of questions needs to know."""

    models: list[ChatModel]
    """The first is asked unless another is chosen."""
    is_guest: bool
    """Whether this lab does nothing but answer."""
    n_waiting: int
    """Questions that wait now."""


class ChatTurn(BaseModel):
    """One message."""

    role: Literal["system", "user", "assistant"]
    content: str = Field(max_length=MOST_CHARACTERS)


class Question(BaseModel):
    """A conversation whose last message is to be answered."""

    model: str
    messages: list[ChatTurn] = Field(min_length=1, max_length=MOST_MESSAGES)
    temperature: float = Field(default=0.8, ge=0, le=4)
    max_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    """Left out: as many as the model's context has room for."""
    seed: int | None = None
    """Left out: another one for every answer."""
    person: str = Field(default="", max_length=MOST_NAME)
    """Which of a machine's people asks, so that each gets a turn; any text of the page's own."""


class ChatPlace(BaseModel):
    """Told while the question waits, as often as it changes."""

    event: Literal["place"] = "place"
    ahead: int
    """Questions answered before this one; 0: it is being answered."""


class ChatPiece(BaseModel):
    """Told as it is written."""

    event: Literal["text"] = "text"
    text: str


class ChatEnd(BaseModel):
    """Told last."""

    event: Literal["end"] = "end"
    reason: Literal["stop", "length"]
    """`stop`: the model ended its answer; `length`: there is no more room."""
    tokens: int
    seconds: float


class ChatTrouble(BaseModel):
    """Told last where it could not be answered."""

    event: Literal["trouble"] = "trouble"
    error: str


class ChatEvents(BaseModel):
    """What is told, one after the other (for the schema)."""

    events: list[ChatPlace | ChatPiece | ChatEnd | ChatTrouble]


@router.get("")
def chat(lab: TheLab) -> ChatFrame:
    """Return who can be asked."""
    names = lab.offered or [facts.name for facts in lab.models.list() if not facts.problem]
    models = [described(lab, name) for name in names]
    return ChatFrame(models=models, is_guest=lab.offered is not None, n_waiting=lab.streams.n_waiting)


def described(lab: Lab, name: str) -> ChatModel:
    """Return a model as a visitor is told of it.

    Raises:
        RunError: there is no such model.
    """
    facts = lab.models.facts(name)
    size = f"{facts.parameters / 1e6:.1f}M parameters" if facts.parameters else ""
    return ChatModel(name=name, about=facts.problem or f"{size}, reads {facts.context_length:,} tokens at once")


@router.post("/answer", response_model=None, responses={200: {"model": ChatEvents}})
async def answer(lab: TheLab, request: Request, asked: Question) -> Response:
    """Answer the last message, telling the place in line, then the text as it comes (events)."""
    check_offered(lab, asked.model)
    given = ChatAsked(
        **asked.model_dump(exclude={"messages", "person"}),
        messages=[Message(role=one.role, content=one.content) for one in asked.messages],
    )

    def work(writer: Writer) -> None:
        opened = lab.models.open(asked.model)
        began = time.perf_counter()
        _, counts = write(opened, plan_chat(given, opened), writer)
        writer.put((counts["completion_tokens"], time.perf_counter() - began))

    def trouble(error: Exception) -> bytes:
        return event(ChatTrouble(error=" ".join(str(error).split())).model_dump_json())

    def place(ahead: int) -> bytes:
        return event(ChatPlace(ahead=ahead).model_dump_json())

    return await lab.streams.answer(
        request, work, Teller(), trouble, who=f"{person(request)} {asked.person}", encode_place=place
    )


def person(request: Request) -> str:
    """Return who asks: people at different machines get their turns one after the other."""
    return request.client.host if request.client else ""


def check_offered(lab: Lab, name: str) -> None:
    """Refuse a model that visitors may not ask.

    Raises:
        RunError: this one is not offered.
    """
    if lab.offered is not None and name not in lab.offered:
        raise RunError(f"there is no model {name!r} to ask here; there is {', '.join(lab.offered)}")


class Teller:
    """Turns pieces into events; what came together is told together."""

    def __init__(self) -> None:
        self.reason = "length"

    def __call__(self, batch: Sequence[Any]) -> bytes:
        """Return the events of a batch."""
        text, events = "", []
        for piece in batch:
            if isinstance(piece, Piece):
                text += piece.text
                self.reason = piece.reason or self.reason
            else:
                tokens, seconds = piece
                reason: Any = self.reason
                events.append(ChatEnd(reason=reason, tokens=tokens, seconds=seconds))
        told = [ChatPiece(text=text), *events] if text else events
        return b"".join(event(one.model_dump_json()) for one in told)
