"""How a model is tuned, as settings. Importing this loads nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from cutaway.base.errors import ConfigError

Method = Literal["lora", "full", "lora4"]

LORA_BESIDE_FULL = 10.0
"""A correction of low rank learns best at about ten times the rate of the matrix itself, whatever its rank (Schulman and
Thinking Machines 2025, LoRA Without Regret)."""
FULL_RATE, RATE_WIDTH, RATE_POWER = 5e-5, 2000, 0.781
"""The rate that suits a model of this width; narrower ones take more, by this power of the width (fitted to Llamas by the
same authors)."""
HIGHEST_RATE = 5e-3
LEARN_PAIRS = 3_000
"""About how many pairs a run goes through, times the pairs there are: early stopping ends it when it has learned enough."""


@dataclass(frozen=True)
class TuneConfig:
    """Which model is tuned, and what of it may change."""

    base: str = ""
    """The model to begin with: a run's name, a model folder, or a model of the Hub (hf:owner/name)."""
    method: Method = "lora"
    """What learns: `lora` small corrections beside the weights, `full` the weights, `lora4` corrections beside weights
    kept in 4 bits."""
    task: Literal["answers", "preferences"] = "answers"
    """What is learned: `answers` to write them, `preferences` to prefer one of two (DPO, `cutaway voice prefer`)."""
    beta: float = 0.1
    """Preferences: how dear it is to leave the model as it was."""
    answer_tokens: int = 200
    """Preferences: so many tokens of each answer are compared."""
    rank: int = 16
    """LoRA: directions each correction can use."""
    alpha: float = 32.0
    """LoRA: corrections are multiplied by this divided by the rank."""
    projections: tuple[str, ...] = ()
    """LoRA: names of the linear layers that get a correction, as q_proj or down_proj; left empty: all in the blocks."""
    lora_dropout: float = 0.0
    """LoRA: share of each correction's inputs zeroed at random while training."""
    context_length: int | None = None
    """Most tokens of one example; left out: the model's context."""
    too_long: Literal["refuse", "skip"] = "refuse"
    """What to do with an example that does not fit: `refuse` to begin, or `skip` it."""
    checkpointing: bool = False
    """Whether each block is computed a second time for its gradient, in place of keeping what is inside: less memory,
    about a third more time."""
    anyway: bool = False
    """Whether to begin even where the memory seems too little."""
    base_hash: str | None = None
    """Hash of the base's files, noted when a run starts: a run goes on only with the base it began with."""

    def __post_init__(self) -> None:
        if not 0 < self.beta < math.inf:
            raise ConfigError(f"tune.beta is {self.beta}; expected a positive number, as 0.1")
        if self.answer_tokens < 1:
            raise ConfigError(f"tune.answer_tokens is {self.answer_tokens}; expected 1 or more")
        if self.rank < 1:
            raise ConfigError(f"tune.rank is {self.rank}; expected 1 or more")
        if not 0 < self.alpha < math.inf:
            raise ConfigError(f"tune.alpha is {self.alpha}; expected a positive number")
        if not 0 <= self.lora_dropout < 1:
            raise ConfigError(f"tune.lora_dropout is {self.lora_dropout}; expected a share of at least 0 and below 1")
        if self.context_length is not None and self.context_length < 8:
            raise ConfigError(f"tune.context_length is {self.context_length}; expected 8 or more")

    @property
    def has_adapters(self) -> bool:
        """Whether corrections learn and the weights rest."""
        return self.method != "full"


def default_rate(method: Method, d_model: int) -> float:
    """Return a learning rate (of AdamW) to begin with: less for wider models, ten times as much for corrections."""
    rate = FULL_RATE * (RATE_WIDTH / d_model) ** RATE_POWER
    return float(f"{min(HIGHEST_RATE, rate * (1 if method == 'full' else LORA_BESIDE_FULL)):.2g}")


def default_epochs(method: Method, n_pairs: int) -> float:
    """Return how many times to go through so many pairs: more where there are few, at least twice and at most ten times.

    Full tuning of a small set starts to memorise within an epoch or two, so it gets half of that; early stopping ends
    either when the held-out loss has risen.
    """
    epochs = min(10.0, max(2.0, LEARN_PAIRS / max(1, n_pairs)))
    return float(f"{epochs if method != 'full' else max(2.0, epochs / 2):.2g}")
