"""How many numbers, operations and bytes a model takes, from its config alone, before anything is built.

Counted as operations are the multiplications and additions of matrix products (two for each pair): linear
layers, queries with keys, pattern with values. Everything else (norms, softmax, lookups) is under a few per
cent. Attention is counted as a full T x T square, though half of it is masked. The backward pass makes two
products of each one forward (one for the gradient of each factor), so a training step is three times the
forward pass. Kaplan et al. 2020, arXiv:2001.08361, give the same without the head as 2N operations a token
forward, 6N for training.
"""

from __future__ import annotations

from dataclasses import dataclass

from cutaway.models.config import LlamaConfig, ModelConfig

BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Parameters:
    """Learned numbers, by part."""

    token_embedding: int
    positions: int
    ngrams: int
    attention: int
    mlp: int
    norms: int
    head: int
    """Zero when the head shares the token embedding's table."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.embeddings + self.blocks + self.norms + self.head

    @property
    def embeddings(self) -> int:
        """Looked up, not multiplied."""
        return self.token_embedding + self.positions + self.ngrams

    @property
    def blocks(self) -> int:
        """In the matrices and biases of all blocks."""
        return self.attention + self.mlp


def count_parameters(config: ModelConfig) -> Parameters:
    """Count the learned numbers.

    Raises:
        ConfigError: the vocabulary's size is not set.
    """
    V, C, L = config.known_vocab_size, config.d_model, config.n_layers
    shape = _shape(config)
    attention = C * shape.q + 2 * C * shape.kv + shape.q * C
    attention += (shape.q + 2 * shape.kv + C) * shape.attention_bias
    mlp = shape.n_mlp_matrices * C * shape.F + ((shape.n_mlp_matrices - 1) * shape.F + C) * shape.mlp_bias
    return Parameters(
        token_embedding=V * C,
        positions=config.context_length * C if shape.learned_positions else 0,
        ngrams=sum(shape.ngram_rows) * C,
        attention=L * attention,
        mlp=L * mlp,
        norms=(2 * L + shape.n_outer_norms) * shape.norm_size,
        head=0 if config.tied else V * C,
    )


@dataclass(frozen=True)
class Operations:
    """Floating-point operations of one sequence, by part."""

    attention_projections: int
    attention_products: int
    """Queries with keys, and pattern with values: the part that grows with the square of the length."""
    mlp: int
    head: int

    @property
    def forward(self) -> int:
        """One forward pass."""
        return self.attention_projections + self.attention_products + self.mlp + self.head

    @property
    def training(self) -> int:
        """Forward and backward; the optimizer's few operations a parameter are not counted."""
        return 3 * self.forward


def count_operations(config: ModelConfig, n_positions: int | None = None) -> Operations:
    """Count the operations of one sequence of `n_positions` (left out: the whole context)."""
    T = n_positions or config.context_length
    C, L, shape = config.d_model, config.n_layers, _shape(config)
    return Operations(
        attention_projections=2 * T * L * (2 * C * shape.q + 2 * C * shape.kv),
        attention_products=2 * L * 2 * T * T * shape.q,
        mlp=2 * T * L * shape.n_mlp_matrices * C * shape.F,
        head=2 * T * C * config.known_vocab_size,
    )


def count_writing_operations(config: ModelConfig, position: int) -> int:
    """Count the operations of one new token at this position, with a cache."""
    one = count_operations(config, 1)
    return one.forward - one.attention_products + one.attention_products * (position + 1)


@dataclass(frozen=True)
class Memory:
    """Bytes, by what they hold."""

    weights: int
    gradients: int
    optimizer: int
    """AdamW's two running means a parameter, in float32."""
    activations: int
    """What the forward pass keeps for the backward pass; an estimate, see `count_activations`."""

    @property
    def training(self) -> int:
        """All at once: the peak of a training step, but for passing temporaries."""
        return self.weights + self.gradients + self.optimizer + self.activations


def count_memory(
    config: ModelConfig, batch_size: int, n_positions: int | None = None, dtype: str = "float32"
) -> Memory:
    """Count the bytes of training with a batch of sequences."""
    n = count_parameters(config).total
    T = n_positions or config.context_length
    return Memory(
        weights=n * BYTES[dtype],
        gradients=n * BYTES[dtype],
        optimizer=2 * n * BYTES["float32"],
        activations=count_activations(config, batch_size, T, dtype) * BYTES[dtype],
    )


def count_cache_bytes(config: ModelConfig, n_positions: int = 1, dtype: str = "float32") -> int:
    """Count the bytes of keys, values and token numbers kept for this many positions of one text."""
    return n_positions * (2 * config.n_layers * _shape(config).kv * BYTES[dtype] + 8)


def count_activations(config: ModelConfig, batch_size: int, n_positions: int, dtype: str = "float32") -> int:
    """Estimate how many numbers a training step keeps, from what each operation's derivative needs.

    A norm keeps its input or its result, a linear layer its input, attention each head's queries, keys,
    values and result, and, on short texts, its pattern; the MLP what enters and leaves its nonlinearity.
    """
    C, H, T, shape = config.d_model, config.n_heads, n_positions, _shape(config)
    norm = C + C * shape.norm_keeps_two + 2
    attention = 4 * shape.q + (shape.q + shape.kv) * shape.qk_norm
    if PATTERN_KEPT_UP_TO.get(dtype, 0) >= T:
        attention += H * T
    block = 2 * norm + attention + shape.mlp_kept * shape.F
    return batch_size * T * (config.n_layers * block + shape.n_outer_norms * norm + config.known_vocab_size)


def block_matrices(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """Return the shapes (outputs, inputs) of one block's matrices, by the names of their layers."""
    C, shape = config.d_model, _shape(config)
    mlp = {"gate_proj": (shape.F, C), "up_proj": (shape.F, C), "down_proj": (C, shape.F)}
    if shape.n_mlp_matrices == 2:
        del mlp["gate_proj"]
    return {"q_proj": (shape.q, C), "k_proj": (shape.kv, C), "v_proj": (shape.kv, C), "o_proj": (C, shape.q), **mlp}


PATTERN_KEPT_UP_TO = {"float32": 128, "bfloat16": 512}
"""Longest texts whose patterns are kept: `OPEN_UP_TO` of nn/attention.py, which imports torch."""


@dataclass(frozen=True)
class _Shape:
    """The widths both families share, whatever their settings are called."""

    q: int
    kv: int
    F: int
    n_mlp_matrices: int
    mlp_kept: int
    """Numbers kept for each hidden unit."""
    attention_bias: bool
    mlp_bias: bool
    learned_positions: bool
    norm_size: int
    norm_keeps_two: bool
    qk_norm: bool
    n_outer_norms: int
    ngram_rows: tuple[int, ...]


def _shape(config: ModelConfig) -> _Shape:
    q = config.n_heads * config.head_width
    kv = (config.n_kv_heads or config.n_heads) * config.head_width
    C, F = config.d_model, config.mlp_width
    if isinstance(config, LlamaConfig):
        return _Shape(
            q,
            kv,
            F,
            n_mlp_matrices=3,
            mlp_kept=4,
            attention_bias=config.attention_bias,
            mlp_bias=config.mlp_bias,
            learned_positions=False,
            norm_size=C,
            norm_keeps_two=True,
            qk_norm=False,
            n_outer_norms=1,
            ngram_rows=(),
        )
    gains = int(config.norm_gain) + int(config.norm_gain and config.norm == "layer" and config.bias)
    return _Shape(
        q,
        kv,
        F,
        n_mlp_matrices=3 if config.mlp == "swiglu" else 2,
        mlp_kept={"swiglu": 4, "relu": 1}.get(config.mlp, 2),
        attention_bias=config.bias,
        mlp_bias=config.bias,
        learned_positions=config.positions == "learned",
        norm_size=gains * C,
        norm_keeps_two=config.norm_gain or config.norm == "layer",
        qk_norm=config.qk_norm,
        n_outer_norms=int(config.embedding_norm) + int(config.final_norm),
        ngram_rows=config.ngram_rows,
    )
