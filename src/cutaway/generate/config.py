"""How text is drawn from a model. Importing this loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingConfig:
    """From logits to a token: repetition penalty, temperature, top-k, top-p, min-p, in this order; then one draw."""

    max_tokens: int = 200
    """Stop after this many new tokens."""
    temperature: float | str = 0.8
    """Logits are divided by this; 0 takes the likeliest token. A formula of the position `t` works too: `0.2+1.6*t/200`."""
    top_k: int | None = None
    """Keep only the k likeliest tokens."""
    top_p: float | None = None
    """Keep the smallest set of likeliest tokens whose probabilities sum to at least this (nucleus sampling)."""
    min_p: float | None = None
    """Keep tokens at least this share as likely as the likeliest one."""
    repetition_penalty: float = 1.0
    """Logits of tokens already in the text are divided by this when positive, multiplied when negative (1 = off)."""
    stop: tuple[str, ...] = ()
    """Stop when the new text contains one of these strings; the string itself is cut off."""
    seed: int = 0
    """The same seed, model and settings give the same text."""
