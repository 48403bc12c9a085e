"""How weights are found, as settings. Importing this loads nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from cutaway.base.errors import ConfigError

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class TrainConfig:
    """How the weights are found."""

    minutes: float | None = None
    """Budget: train for this many minutes on this machine (the number of steps is then measured and fixed)."""
    steps: int | None = None
    """Budget: this many optimizer updates."""
    epochs: float | None = None
    """Budget: go through the training data this many times."""
    tokens: int | None = None
    """Budget: train on this many tokens."""
    batch_size: int = 16
    """Sequences in one step, over all devices."""
    accumulate: int = 1
    """Micro-steps a step: the batch is worked through in this many parts (less memory, same result)."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """`muon` orthogonalises the update of hidden matrices and leaves the rest to AdamW; `adamw` for everything."""
    learning_rate: float = 3e-3
    """Peak rate of AdamW."""
    muon_learning_rate: float = 0.02
    """Peak rate of Muon."""
    muon_momentum: float = 0.95
    """Muon: memory of the mean gradient, reached from 0.85 over the first 100 steps."""
    ngram_learning_rate: float = 0.05
    """Peak rate of the n-gram tables' row-wise AdaGrad."""
    weight_decay: float = 0.1
    """Share of each matrix, times the rate, taken away every step (not from gains and biases)."""
    beta1: float = 0.9
    """AdamW: memory of the mean gradient."""
    beta2: float = 0.95
    """AdamW: memory of the mean squared gradient."""
    epsilon: float = 1e-8
    """AdamW: added to the root of the mean squared gradient."""
    schedule: Literal["stable", "cosine", "linear"] = "stable"
    """The rate after warm-up: `stable` then falling to the end, a `cosine` from peak to end, or `linear`."""
    warmup_fraction: float = 0.02
    """Share of the steps in which the rate rises from 0 to its peak."""
    decay_fraction: float = 0.5
    """Schedule `stable`: share of the steps in which the rate falls at the end."""
    final_fraction: float = 0.0
    """The rate at the end, as a share of the peak."""
    clip_norm: float = 1.0
    """Gradients longer than this (over all parameters) are shortened to it. 0: never."""
    precision: Precision = "auto"
    """Arithmetic of the matrix products; weights stay float32. `auto` times both and takes the faster."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Whether to compile the model with torch.compile. `auto` tries it only when the run is long enough to pay."""
    threads: int | None = None
    """Processor threads; left out: timed, the fastest is taken."""
    device: str = "auto"
    """`cpu`, `cuda`, `mps`, or `auto` for the best one there is."""
    sharding: Literal["ddp", "fsdp"] = "ddp"
    """On several devices: `ddp` keeps all weights on each, `fsdp` splits weights and optimizer state among them."""
    validate_every: int | None = None
    """Steps between measurements of the validation loss; left out: about fifteen times a run."""
    validation_tokens: int = 32_768
    """Tokens of validation text measured on the way, in batches spread evenly over it."""
    final_validation_tokens: int = 300_000
    """Tokens of validation text measured at the end, with the best weights. 0: all of it."""
    sample_every: int | None = None
    """Steps between samples; left out: whenever the loss is validated. 0: never."""
    checkpoint_every: int | None = None
    """Steps between checkpoints; left out: whenever the loss is validated."""
    ema: float = 0.0
    """Share of the running average of the weights that is kept at each step (0.999: it looks back about a thousand steps).
    The average is then measured, saved and drawn with, in place of the last weights. 0: no average."""
    patience: int = 0
    """Stop early after this many measurements in a row without a lower validation loss. 0: never."""
    keep_checkpoints: Literal["few", "all"] = "few"
    """Which checkpoints stay on the disk: a `few` (the last and the best), or `all`, to branch from any of them."""
    seed: int = 0
    """Initial weights, order of the data, dropout: all follow from this."""

    def __post_init__(self) -> None:
        budgets = {name: getattr(self, name) for name in ("minutes", "steps", "epochs", "tokens")}
        for name, value in budgets.items():
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"train.{name} is {value}; expected more than 0")
        for name in ("batch_size", "accumulate", "threads", "validate_every", "checkpoint_every", "validation_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"train.{name} is {value}; expected 1 or more")
        for name in (
            "learning_rate",
            "muon_learning_rate",
            "ngram_learning_rate",
            "weight_decay",
            "clip_norm",
            "epsilon",
        ):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"train.{name} is {getattr(self, name)}; expected 0 or more")
        for name in ("sample_every", "final_validation_tokens", "patience"):
            if (getattr(self, name) or 0) < 0:
                raise ConfigError(f"train.{name} is {getattr(self, name)}; expected 0 or more")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"train.ema is {self.ema}; expected 0 (no average) up to, but not, 1")
        if self.batch_size % self.accumulate:
            raise ConfigError(
                f"train.batch_size {self.batch_size} cannot be worked through in train.accumulate {self.accumulate} "
                f"equal parts; expected a number that divides it"
            )
        for name in ("warmup_fraction", "decay_fraction", "final_fraction", "muon_momentum", "beta1", "beta2"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"train.{name} is {getattr(self, name)}; expected a share from 0 to 1")
