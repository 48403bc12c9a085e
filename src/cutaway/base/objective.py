"""What the trainer needs to know of a task, and nothing more.

The one training loop serves an XOR network, a character GPT, a LoRA-tuned Llama and a diffusion transformer,
because they differ in model, data and loss: in their objective. Batches are a pure function of where in the endless
stream of training sequences they start, so "the data position" is one number, resuming is exact, and ranks share a
batch by slicing it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class ObjectiveConfig:
    """Which task."""

    task: Literal["next_token"] = "next_token"
    """`next_token`: at every position, predict the token that follows."""


@dataclass(frozen=True)
class Validation:
    """The loss on what the model never trained on."""

    loss_nats: float
    """The loss that training makes small, on held-out data: of text the mean over the predicted tokens, natural logarithm;
    of pictures what their objective says (a mean squared error, or nats)."""
    bits_per_byte: float | None
    """Of text: the same loss spread over the text's bytes, so that tokenizers compare. None: there are no bytes."""
    n_targets: int
    """Number of tokens (or pictures) predicted."""
    more: dict[str, float] = field(default_factory=dict)
    """What else was measured, by name: columns of metrics.jsonl beside the loss."""


@dataclass(frozen=True)
class Sample:
    """Something the model made, to be read by people."""

    text: str
    prompt: str = ""
    """What it was given; the text begins with it."""
    seed: int = 0
    """Of the random numbers it was drawn with."""
    picture: bytes | None = None
    """A PNG file, where the model paints; the text then says what is on it."""


@dataclass(frozen=True)
class Probe:
    """One fixed text at which a model is looked at again and again while it learns."""

    inputs: Any
    """What the model is called with: the text as tokens, one row."""
    text: str
    tokens: tuple[str, ...]
    """What each position reads, for people."""


@runtime_checkable
class Objective(Protocol):
    """A model, its data and its loss."""

    @property
    def model(self) -> nn.Module:
        """What is trained."""

    @property
    def sequences_per_epoch(self) -> int:
        """How many training sequences there are before they repeat."""

    @property
    def tokens_per_sequence(self) -> int:
        """Training targets in one sequence; 1 where a sequence is a picture."""

    def batch(self, first: int, count: int) -> Any:
        """Return sequences first .. first+count-1 of the endless stream; the same numbers give the same batch."""

    def loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
        """Return the mean loss of the batch, a scalar with its graph.

        Args:
            model: `self.model`, or a wrapper around it (compiled, or of many devices).
        """

    def validate(self, model: nn.Module, max_tokens: int | None = None) -> Validation:
        """Measure the loss on the validation data, or on about `max_tokens` tokens (or pictures) of it."""

    def sample(self, model: nn.Module, step: int) -> Sample:
        """Return a text or picture that shows what the model can do now: the same prompt and seed at every step."""

    @property
    def probe(self) -> Probe | None:
        """What the model's inside is looked at with, or None where nobody looks."""
