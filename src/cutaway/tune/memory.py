"""What a tuning will take in memory, counted from settings before anything is loaded.

    total = process + 1.06 * (weights + optimizer + max(activations + logits, gradients + copies))

All but the process follow from shapes. What learns, P numbers of the weights or of the adapters, takes 4 P bytes of
gradients and 8 P of AdamW's means; a weight at rest takes only its own bytes, or 4.5 bits (`quantize.py`). Activations and
logits grow with the tokens worked through at once. Gradients come as activations go, so the peak is when one of them is
whole: as the backward pass begins, or when the optimizer steps and what moved is measured. Held to measured peaks in
tests/tune/test_memory.py. Importing this loads nothing heavy. Look at which row each setting changes.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from cutaway.models.config import ModelConfig
from cutaway.models.count import BYTES, block_matrices, count_activations, count_parameters
from cutaway.train.config import TrainConfig
from cutaway.tune.config import TuneConfig

PROCESS_BYTES = 340_000_000
"""Python, PyTorch, the tokenizer and the conversations."""
COPIES = 1.06
"""Passing temporaries and what lies free between arrays, on top of what is counted."""
LOGIT_COPIES = 3
"""The head's result, its logarithms as shares, and the gradient with respect to it."""
AUTOCAST_SHARE = 0.66
"""Activations in bfloat16 beside those in float32: half of most, but norms and sums stay in float32."""
NF4_BITS = 4.5
FLOAT = 4


@dataclass(frozen=True)
class Tuning:
    """All that the memory depends on."""

    model: ModelConfig
    tune: TuneConfig
    train: TrainConfig
    n_tokens: int
    """Of one conversation; of a long one, to be safe."""
    n_learned: int
    """Of these, how many are learned."""
    dtype: str = "float32"
    """Precision of the weights in memory."""

    @property
    def n_at_once(self) -> int:
        """Conversations in one micro-step."""
        return max(1, self.train.batch_size // self.train.accumulate)


@dataclass(frozen=True)
class TuningMemory:
    """Bytes, by what they hold."""

    process: int
    weights: int
    """At rest and learning alike; in bfloat16 arithmetic also their copies in it."""
    gradients: int
    optimizer: int
    activations: int
    """What the forward pass keeps for the backward pass."""
    logits: int
    copies: int
    """Of what learns, to measure how far a step went."""

    @property
    def total(self) -> int:
        """All together: about the most there is at one time."""
        most = max(self.activations + self.logits, self.gradients + self.copies)
        return round(self.process + COPIES * (self.weights + self.optimizer + most))


def count_tuning(tuning: Tuning) -> TuningMemory:
    """Return what a tuning takes.

    With precision `auto` it is what the larger of both takes.
    """
    if tuning.train.precision != "auto":
        return _count(tuning, tuning.train.precision)
    both = [_count(tuning, precision) for precision in ("float32", "bfloat16")]
    return max(both, key=lambda memory: memory.total)


def _count(tuning: Tuning, precision: str) -> TuningMemory:
    model, tune = tuning.model, tuning.tune
    parameters, matrices = count_parameters(model), block_matrices(model)
    in_blocks = model.n_layers * sum(outputs * inputs for outputs, inputs in matrices.values())
    adapted = {name: shape for name, shape in matrices.items() if not tune.projections or name in tune.projections}
    n_adapters = model.n_layers * tune.rank * sum(sum(shape) for shape in adapted.values())
    learning = n_adapters if tune.has_adapters else parameters.total
    is_halved = precision == "bfloat16" and tuning.dtype == "float32"

    weights = float(BYTES[tuning.dtype] * parameters.total)
    if tune.method == "lora4":
        weights += in_blocks * (NF4_BITS / 8 - BYTES[tuning.dtype])
    if is_halved:
        weights += BYTES["bfloat16"] * (parameters.total - parameters.embeddings)
        weights -= BYTES["bfloat16"] * in_blocks if tune.method == "lora4" else 0
    if tune.has_adapters:  # adapters, and one matrix at a time with its correction, or out of 4 bits
        weights += FLOAT * (n_adapters + 2 * max(math.prod(shape) for shape in matrices.values()))

    n_tokens = tuning.n_at_once * min(tuning.n_tokens, tune.context_length or tuning.n_tokens)
    n_logits = n_tokens * tuning.n_learned // tuning.n_tokens * model.known_vocab_size
    return TuningMemory(
        process=PROCESS_BYTES,
        weights=round(weights),
        gradients=FLOAT * learning,
        optimizer=2 * FLOAT * learning,
        activations=round(n_tokens * _kept_per_token(tuning) * (AUTOCAST_SHARE if is_halved else 1)),
        logits=LOGIT_COPIES * FLOAT * n_logits,
        copies=FLOAT * learning,
    )


def _kept_per_token(tuning: Tuning) -> float:
    """Return the bytes kept for the backward pass of each token."""

    def kept(model: ModelConfig) -> float:
        return count_activations(model, 1, tuning.n_tokens) / tuning.n_tokens - model.known_vocab_size

    if not tuning.tune.checkpointing:
        return FLOAT * kept(tuning.model)
    inputs = tuning.model.n_layers * tuning.model.d_model
    return FLOAT * (inputs + kept(dataclasses.replace(tuning.model, n_layers=1)))
