"""What OpenAI's clients hear: the shapes of answers, pieces of a stream, and errors."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from cutaway.base.errors import ConfigError, NonFiniteError, RunError, TokenizerError, UsageError
from cutaway.server.streams import BusyError
from cutaway.text.tokenizer import Tokenizer

REASONS = {"max_tokens": "length", "stop": "stop", "end": "stop", "unwanted": "length"}


class ContextError(UsageError):
    """A prompt longer than the model's context."""

    field = "messages"


@dataclass(frozen=True)
class TokenTold:
    """One token and how likely it was."""

    id: int
    text: str
    logprob: float | None
    """None for the first token of a text: nothing was before it."""
    top: Sequence[tuple[str, float]]
    """The likeliest tokens there."""


@dataclass
class Told:
    """One continuation, or a piece of it."""

    index: int
    text: str = ""
    tokens: list[TokenTold] = field(default_factory=list)
    """Where probabilities were asked for."""
    offset: int = 0
    """Where in the text its first token begins."""
    reason: str | None = None


class Shape:
    """The frame of one answer."""

    kind, piece_kind, prefix = "text_completion", "text_completion", "cmpl"

    def __init__(self, model: str, has_logprobs: bool) -> None:
        self.model, self.has_logprobs = model, has_logprobs
        self.id, self.created = f"{self.prefix}-{secrets.token_hex(12)}", int(time.time())

    def whole(self, told: Sequence[Told], usage: dict[str, int]) -> dict[str, Any]:
        """Return the whole answer."""
        return self._frame(self.kind, [self.choice(one) for one in told]) | {"usage": usage}

    def piece(self, told: Sequence[Told]) -> dict[str, Any]:
        """Return a piece of a stream."""
        return self._frame(self.piece_kind, [self.change(one) for one in told])

    def end(self, usage: dict[str, int]) -> dict[str, Any]:
        """Return the piece of a stream that tells the counts."""
        return self._frame(self.piece_kind, []) | {"usage": usage}

    def choice(self, told: Told) -> dict[str, Any]:
        """Return one continuation."""
        return {
            "index": told.index,
            "text": told.text,
            "logprobs": self._logprobs(told),
            "finish_reason": told.reason,
        }

    def change(self, told: Told) -> dict[str, Any]:
        """Return a piece of one continuation."""
        return self.choice(told)

    def _frame(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices}

    def _logprobs(self, told: Told) -> dict[str, Any] | None:
        if not self.has_logprobs or not told.tokens:
            return None
        offsets, at = [], told.offset
        for token in told.tokens:
            offsets.append(at)
            at += len(token.text)
        return {
            "tokens": [token.text for token in told.tokens],
            "token_logprobs": [token.logprob for token in told.tokens],
            "top_logprobs": [top_texts(token) for token in told.tokens],
            "text_offset": offsets,
        }


class ChatShape(Shape):
    """The frame of an answer in a conversation."""

    kind, piece_kind, prefix = "chat.completion", "chat.completion.chunk", "chatcmpl"

    def choice(self, told: Told) -> dict[str, Any]:
        """Return one answer."""
        message = {"role": "assistant", "content": told.text, "refusal": None}
        return {
            "index": told.index,
            "message": message,
            "logprobs": self._logprobs(told),
            "finish_reason": told.reason,
        }

    def change(self, told: Told) -> dict[str, Any]:
        """Return a piece of one answer."""
        delta = {"content": told.text} if told.text or told.reason is None else {}
        return {
            "index": told.index,
            "delta": delta,
            "logprobs": self._logprobs(told),
            "finish_reason": told.reason,
        }

    def begin(self, n: int) -> dict[str, Any]:
        """Return the first piece of a stream, which says who speaks."""
        delta = {"role": "assistant", "content": ""}
        choices = [{"index": i, "delta": delta, "logprobs": None, "finish_reason": None} for i in range(n)]
        return self._frame(self.piece_kind, choices)

    def _logprobs(self, told: Told) -> dict[str, Any] | None:
        if not self.has_logprobs or not told.tokens:
            return None
        content = [
            {
                **chat_token(token.text, token.logprob or 0.0),
                "top_logprobs": [chat_token(text, value) for text, value in token.top],
            }
            for token in told.tokens
        ]
        return {"content": content, "refusal": None}


def top_texts(token: TokenTold) -> dict[str, float] | None:
    """Return the likeliest tokens and the one that was taken, by their text; of two with one text, the likelier."""
    if token.logprob is None:
        return None
    found: dict[str, float] = {}
    for text, value in [*token.top, (token.text, token.logprob)]:
        found.setdefault(text, value)
    return found


def chat_token(text: str, logprob: float) -> dict[str, Any]:
    """Return a token as conversations tell it; part of a character has no text of its own, so no bytes are told."""
    return {"token": text, "logprob": logprob, "bytes": None if "\ufffd" in text else list(text.encode())}


def named(tokenizer: Tokenizer, token: int, logprob: float | None, top: Sequence[tuple[int, float]]) -> TokenTold:
    """Return a token with its text and those of the likeliest."""
    texts = [(tokenizer.token_text(other), value) for other, value in top]
    return TokenTold(token, tokenizer.token_text(token), logprob, texts)


def usage(n_prompt: int, n_written: int) -> dict[str, int]:
    """Return the counts of tokens."""
    return {"prompt_tokens": n_prompt, "completion_tokens": n_written, "total_tokens": n_prompt + n_written}


def sent(value: dict[str, Any]) -> bytes:
    """Return a piece of a stream as a server-sent event."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def error_of(error: Exception) -> tuple[int, dict[str, Any]]:
    """Return status and body of an error."""
    status, kind, code, param = 500, "server_error", None, getattr(error, "field", "") or None
    said = " ".join(str(error).split())
    if isinstance(error, ContextError):
        status, kind, code = 400, "invalid_request_error", "context_length_exceeded"
    elif isinstance(error, RunError):
        status, kind, code, param = 404, "invalid_request_error", "model_not_found", "model"
    elif isinstance(error, BusyError):
        status, kind, code = 503, "server_error", "overloaded"
    elif isinstance(error, TokenizerError):
        status, kind, param = 400, "invalid_request_error", "prompt"
    elif isinstance(error, UsageError):
        status, kind = 400, "invalid_request_error"
        if isinstance(error, ConfigError) and (found := re.match(r"generate\.(\w+) ", said)):
            param = found[1]
    elif isinstance(error, NonFiniteError):
        code = "model_damaged"
    return status, told_error(said, kind, code, param)


def told_error(message: str, kind: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """Return an error in OpenAI's form."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def wrong_body(error: ValidationError | Any) -> dict[str, Any]:
    """Return the first thing that is wrong with a body."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    message = f"{place}: {first['msg']}" if place else str(first["msg"])
    return told_error(message, "invalid_request_error", None, place.partition(".")[0] or None)
