"""What OpenAI's clients ask, checked: one form for texts, one for conversations.

What this lab cannot do is refused by name, never skipped: a text written without a penalty somebody asked for is a wrong
text. Settings of our own (top_k, min_p, repetition_penalty) come as extra fields of the body.
"""

from __future__ import annotations

import secrets
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cutaway.base.errors import UsageError
from cutaway.generate.config import SamplingConfig

MOST_SAMPLES = 16
MOST_TEXTS = 32
MOST_TOKENS = 65_536
MOST_LOGPROBS = 20
HARMLESS = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "verbosity"}
)
"""Fields that say nothing about the text."""
OFF: dict[str, tuple[Any, ...]] = {
    "presence_penalty": (0,), "frequency_penalty": (0,), "logit_bias": ({},), "suffix": ("",), "tools": ([],),
    "functions": ([],), "tool_choice": ("none", "auto"), "response_format": ({"type": "text"},), "modalities": (["text"],),
    "parallel_tool_calls": (True, False), "reasoning_effort": ("none",),
}  # fmt: skip
"""Fields this lab does not know, with the values at which they change nothing."""


class FieldError(UsageError):
    """A field of the body that is wrong.

    Attributes:
        field: its name.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class StreamOptions(BaseModel):
    """What else a stream tells."""

    model_config = ConfigDict(extra="ignore")
    include_usage: bool = False


class Asked(BaseModel):
    """What both forms have."""

    model_config = ConfigDict(extra="allow")

    model: str
    temperature: float | str | None = 1.0
    """A number; also a formula or a curve, as everywhere here."""
    top_p: float | None = 1.0
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = 1.0
    n: int | None = Field(default=1, ge=1, le=MOST_SAMPLES)
    stop: str | list[str] | None = None
    seed: int | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None

    @property
    def n_samples(self) -> int:
        """How many continuations of each text."""
        return self.n or 1

    @property
    def includes_usage(self) -> bool:
        """Whether the end of a stream tells the counts."""
        return self.stream_options is not None and self.stream_options.include_usage

    def check_others(self) -> None:
        """Refuse fields that would change the text in a way this lab does not know.

        Raises:
            FieldError: there is one.
        """
        for name, value in (self.model_extra or {}).items():
            if value is None or name in HARMLESS or value in OFF.get(name, ()):
                continue
            what = "is not supported" if name in OFF else "is not known"
            hint = "; use repetition_penalty" if name.endswith("_penalty") else ""
            raise FieldError(name, f"{what} by this lab{hint}")

    def sampling(self, max_tokens: int) -> SamplingConfig:
        """Return the settings; without a seed, with a new one.

        Raises:
            ConfigError: one of them makes no sense.
        """
        if max_tokens > MOST_TOKENS:
            raise FieldError("max_tokens", f"{max_tokens} is more than the {MOST_TOKENS} this lab writes at once")
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return SamplingConfig(
            max_tokens=max_tokens,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_k=self.top_k,
            top_p=None if self.top_p is None or self.top_p == 1 else self.top_p,
            min_p=self.min_p,
            repetition_penalty=1.0 if self.repetition_penalty is None else self.repetition_penalty,
            stop=tuple(stops),
            seed=secrets.randbits(31) if self.seed is None else self.seed,
        )


class TextAsked(Asked):
    """`/v1/completions`."""

    prompt: str | list[str] | list[int] | list[list[int]] | None = None
    max_tokens: int | None = Field(default=16, ge=0)
    """0 with `echo` only measures the prompt."""
    logprobs: int | None = Field(default=None, ge=0, le=MOST_LOGPROBS)
    echo: bool | None = False
    best_of: int | None = None

    def prompts(self) -> list[str | list[int]]:
        """Return the texts, or the ids, to continue.

        Raises:
            FieldError: there are none, or too many.
        """
        given = "" if self.prompt is None else self.prompt
        found: list[Any] = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else list(given)
        if not 0 < len(found) <= MOST_TEXTS:
            raise FieldError("prompt", f"{len(found)} texts were given; expected 1 to {MOST_TEXTS}")
        if any(not isinstance(one, str) and not one for one in found):
            raise FieldError("prompt", "a list of tokens is empty")
        if self.best_of not in (None, self.n_samples):
            raise FieldError("best_of", "only as many as n are written")
        return found


class Part(BaseModel):
    """A part of a message."""

    model_config = ConfigDict(extra="ignore")
    type: str
    text: str | None = None


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="ignore")
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part] | None = None

    def plain(self) -> dict[str, str]:
        """Return role and text.

        Raises:
            FieldError: it has a part that is not text.
        """
        if isinstance(self.content, str) or self.content is None:
            text = self.content or ""
        else:
            other = next((part.type for part in self.content if part.type != "text"), None)
            if other is not None:
                raise FieldError("messages", f"a part of type {other!r}; these models read text only")
            text = "".join(part.text or "" for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class ChatAsked(Asked):
    """`/v1/chat/completions`."""

    messages: list[Message]
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool | None = False
    top_logprobs: int | None = Field(default=None, ge=0, le=MOST_LOGPROBS)

    def n_logprobs(self) -> int | None:
        """Return how many of the likeliest tokens to tell of; None: no probabilities at all.

        Raises:
            FieldError: likeliest tokens are asked for without probabilities.
        """
        if self.top_logprobs and not self.logprobs:
            raise FieldError("top_logprobs", "needs logprobs: true")
        return (self.top_logprobs or 0) if self.logprobs else None

    def most_tokens(self, n_prompt: int, context_length: int) -> int:
        """Return how many tokens to write at most: left out, what the context has room for, and 16 at least."""
        return self.max_completion_tokens or self.max_tokens or max(16, context_length - n_prompt)
