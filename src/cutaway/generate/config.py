"""How text is drawn from a model. Importing this loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from cutaway.base.errors import ConfigError
from cutaway.generate.temperature import temperatures


@dataclass(frozen=True)
class SamplingConfig:
    """From logits to a token: repetition penalty, temperature, top-k, top-p, min-p, then a draw."""

    max_tokens: int = 200
    """Stop after this many new tokens."""
    temperature: float | str = 0.8
    """Logits are divided by this; 0 takes the likeliest token. A formula works too, of `t`, the new token's
    number from 0, and `n`, max_tokens: `0.2+1.6*t/200`; and points of a curve, t:temperature: `0:0.2 100:1.5`."""
    top_k: int | None = None
    """Keep only the k likeliest tokens."""
    top_p: float | None = None
    """Keep the smallest set of likeliest tokens whose probabilities sum to at least this (nucleus)."""
    min_p: float | None = None
    """Keep tokens at least this share as likely as the likeliest one."""
    repetition_penalty: float = 1.0
    """Logits of tokens already in the text are divided by this when positive, multiplied when negative
    (1 = off)."""
    stop: tuple[str, ...] = ()
    """Stop when the new text contains one of these strings; the string itself is cut off."""
    seed: int = 0
    """The same seed, model and settings give the same text."""

    def __post_init__(self) -> None:
        checks = (
            ("max_tokens", self.max_tokens >= 1, "1 or more"),
            ("top_k", self.top_k is None or self.top_k >= 1, "1 or more, or nothing for all tokens"),
            ("top_p", self.top_p is None or 0 < self.top_p <= 1, "a share above 0, up to 1"),
            ("min_p", self.min_p is None or 0 <= self.min_p <= 1, "a share from 0 to 1"),
            ("repetition_penalty", 0 < self.repetition_penalty < float("inf"), "a number above 0 (1 = off)"),
            ("stop", all(self.stop), "strings that are not empty"),
        )
        for name, is_right, expected in checks:
            if not is_right:
                raise ConfigError(f"generate.{name} is {getattr(self, name)!r}; expected {expected}")
        temperatures(self.temperature, self.max_tokens)

    def notes(self, vocab_size: int | None = None) -> list[str]:
        """Return a line for each setting that does nothing beside the others. None of that is refused: the text is well
        defined, and who moves one slider need not clear the others first.
        """
        schedule = temperatures(self.temperature, self.max_tokens)
        filters = [name for name in ("top_k", "top_p", "min_p") if getattr(self, name) is not None]
        notes = []
        if max(schedule) == 0:
            if filters:
                say = "says" if len(filters) == 1 else "say"
                notes.append(f"at temperature 0 the likeliest token is taken, whatever {' and '.join(filters)} {say}")
            return notes
        if self.top_k == 1 or self.min_p == 1:
            notes.append(
                f"{'top_k' if self.top_k == 1 else 'min_p'} 1 leaves the likeliest token alone, as temperature 0"
            )
        if vocab_size is not None and self.top_k is not None and self.top_k >= vocab_size:
            notes.append(f"top_k {self.top_k} does nothing: there are only {vocab_size} tokens")
        if self.top_p == 1:
            notes.append("top_p 1 does nothing: all tokens together have probability 1")
        if self.min_p == 0:
            notes.append("min_p 0 does nothing: every token is at least that likely")
        return notes
