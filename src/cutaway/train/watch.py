"""What a run tells whoever watches: plain events, so that a terminal, a log and a web page can each show them in
their way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cutaway.base.objective import Validation


@dataclass(frozen=True)
class StepEvent:
    """One optimizer update."""

    step: int
    """Updates made, this one included."""
    total_steps: int
    """Updates the run will make."""
    loss_nats: float
    """Mean training loss of the step's batch, before its update."""
    tokens: int
    """Tokens trained on so far."""
    seconds: float
    """Time trained so far."""
    tokens_per_second: float
    """Lately."""
    rate: float
    """Learning rate as a share of its peak."""
    grad_norm: float
    """Length of the whole gradient before clipping."""


@dataclass(frozen=True)
class ExamplesEvent:
    """What a model is tuned on, before the first step."""

    stretches: list[tuple[str, bool]]
    """One conversation as the model reads it, and whether each stretch is learned."""
    train_lengths: list[int]
    """Tokens of every conversation to learn."""
    held_out_lengths: list[int]
    """Tokens of every conversation held out."""
    context_length: int
    """Tokens the model sees at once."""


class Watcher:
    """Somebody who watches a run. This one looks away; others override what they care about."""

    def say(self, message: str) -> None:
        """Hear one line about what was decided or what happened."""

    def examples(self, event: ExamplesEvent) -> None:
        """See what is learned, before the first step."""

    def step(self, event: StepEvent) -> None:
        """See one optimizer update."""

    def validated(self, step: int, validation: Validation, is_best: bool) -> None:
        """See the loss on held-out data."""

    def sampled(self, step: int, text: str, picture: Path | None = None) -> None:
        """Read what the model writes now, or look at what it paints: a PNG file, and what is asked for on it."""
