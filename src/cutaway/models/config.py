"""The shape of a decoder, as settings. Importing this loads nothing heavy.

Two families: `GPTConfig` covers GPT-2 and our own recipe (positions, norm, MLP and more are choices),
`LlamaConfig` what the Llama models fix. `vocab_size` None means "as many as the tokenizer has".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from cutaway.base.errors import ConfigError


@dataclass(frozen=True)
class RotaryScaling:
    """Llama 3's stretching of rotary wavelengths, so that a model trained on short texts reads long ones."""

    factor: float = 8.0
    """Wavelengths longer than the old context are stretched by this."""
    low_freq_factor: float = 1.0
    """Wavelengths longer than old context / this are stretched fully."""
    high_freq_factor: float = 4.0
    """Wavelengths shorter than old context / this are left alone; between the two, blended."""
    original_context_length: int = 8192
    """The context the model was first trained on."""


@dataclass(frozen=True)
class GPTConfig:
    """A decoder in the line of GPT-2, with today's parts as choices."""

    toml_kind: ClassVar[str] = "gpt"

    vocab_size: int | None = None
    """Number of tokens; left out: as many as the tokenizer has."""
    context_length: int = 256
    """Most positions the model sees at once."""
    d_model: int = 128
    """Channels of the residual stream."""
    n_layers: int = 4
    """Number of blocks, each attention then MLP."""
    n_heads: int = 4
    """Query heads in each attention."""
    n_kv_heads: int | None = None
    """Key and value heads, shared by groups of query heads; left out: as many as query heads."""
    d_ff: int | None = None
    """Width of the MLP; left out: four times d_model."""
    positions: Literal["learned", "rotary", "none"] = "rotary"
    """How the model knows where a token stands."""
    rotary_base: float = 10000.0
    """Base of the rotary wavelengths."""
    rotary_scaling: RotaryScaling | None = None
    """Stretching of the rotary wavelengths for long texts."""
    norm: Literal["layer", "rms"] = "rms"
    """LayerNorm or RMSNorm, before each attention and MLP and before the head."""
    norm_gain: bool = True
    """Whether norms have learned gains (and LayerNorm learned offsets when `bias` is set)."""
    norm_eps: float = 1e-5
    """Added under the root of every norm."""
    embedding_norm: bool = False
    """Whether the embeddings pass through a norm before the first block."""
    final_norm: bool = True
    """Whether the last block's output passes through a norm before the head."""
    mlp: Literal["gelu", "gelu_tanh", "relu", "relu2", "swiglu"] = "relu2"
    """The MLP's nonlinearity: exact GELU, its tanh form, ReLU, squared ReLU, or SwiGLU's gate."""
    bias: bool = False
    """Whether linear layers have biases."""
    tied: bool = False
    """Whether the head reuses the token embedding's table."""
    qk_norm: bool = True
    """Whether queries and keys are normalised head by head, without gain, before they meet."""
    dropout: float = 0.0
    """Share of activations zeroed at random while training."""
    attention_scale: float | None = None
    """Scores are the products of queries and keys times this; left out: 1 / sqrt(d_head)."""
    init_std: float | None = None
    """Standard deviation of the initial weights; left out: 1 / sqrt(d_model)."""
    embedding_std: float | None = None
    """Standard deviation of the initial token embedding; left out: as the other weights."""
    zero_init_head: bool = False
    """Whether an untied head starts at zero: every token equally likely at first."""
    zero_init_projections: bool = True
    """Whether blocks start as the identity: the projections into the residual stream start at zero."""
    ngram_sizes: tuple[int, ...] = ()
    """Lengths of the token runs (2: pairs, 3: triples) that have embeddings too, found by hashing."""
    ngram_rows: tuple[int, ...] = ()
    """Rows of each n-gram table, one number for each size; runs that hash to the same row share it."""
    ngram_dropout: float = 0.0
    """Share of the n-gram rows left out at random while training, the rest scaled up (helps over many epochs)."""

    def __post_init__(self) -> None:
        check_shape(self)

    @property
    def d_head(self) -> int:
        """Width of one head."""
        return self.d_model // self.n_heads

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.d_head

    @property
    def mlp_width(self) -> int:
        """Width of the MLP."""
        return self.d_ff or 4 * self.d_model

    @property
    def known_vocab_size(self) -> int:
        """The vocabulary's size, which must be known by now."""
        return _known(self.vocab_size)


@dataclass(frozen=True)
class LlamaConfig:
    """A Llama: rotary positions, RMSNorm, SwiGLU, grouped queries, no biases."""

    toml_kind: ClassVar[str] = "llama"

    vocab_size: int | None = None
    """Number of tokens; left out: as many as the tokenizer has."""
    context_length: int = 2048
    """Most positions the model sees at once."""
    d_model: int = 256
    """Channels of the residual stream."""
    n_layers: int = 4
    """Number of blocks, each attention then MLP."""
    n_heads: int = 8
    """Query heads in each attention."""
    n_kv_heads: int | None = None
    """Key and value heads, shared by groups of query heads; left out: as many as query heads."""
    d_head: int | None = None
    """Width of one head; left out: d_model / n_heads."""
    d_ff: int | None = None
    """Width of the MLP; left out: 8/3 of d_model, rounded up to a multiple of 32."""
    rotary_base: float = 10000.0
    """Base of the rotary wavelengths."""
    rotary_scaling: RotaryScaling | None = None
    """Stretching of the rotary wavelengths for long texts."""
    norm_eps: float = 1e-5
    """Added under the root of every norm."""
    attention_bias: bool = False
    """Whether the attention's linear layers have biases."""
    mlp_bias: bool = False
    """Whether the MLP's linear layers have biases."""
    tied: bool = False
    """Whether the head reuses the token embedding's table."""
    dropout: float = 0.0
    """Share of attention weights zeroed at random while training."""
    init_std: float = 0.02
    """Standard deviation of the initial weights."""

    def __post_init__(self) -> None:
        check_shape(self)

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.d_head or self.d_model // self.n_heads

    @property
    def mlp_width(self) -> int:
        """Width of the MLP."""
        return self.d_ff or -(-8 * self.d_model // (3 * 32)) * 32

    @property
    def known_vocab_size(self) -> int:
        """The vocabulary's size, which must be known by now."""
        return _known(self.vocab_size)


ModelConfig = GPTConfig | LlamaConfig


def _known(vocab_size: int | None) -> int:
    if vocab_size is None:
        raise ConfigError("model.vocab_size is not set; set it to the number of tokens the tokenizer has")
    return vocab_size


def check_shape(config: ModelConfig) -> None:
    """Refuse sizes that cannot be built.

    Raises:
        ConfigError: a size is below 1, or heads do not divide what they must divide.
    """
    sizes = ["vocab_size", "context_length", "d_model", "n_layers", "n_heads", "n_kv_heads", "d_ff"]
    if isinstance(config, LlamaConfig):
        sizes.append("d_head")
    for name in sizes:
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ConfigError(f"model.{name} is {value}; expected 1 or more")
    d_head = config.d_head if isinstance(config, LlamaConfig) else None
    if d_head is None and config.d_model % config.n_heads:
        divisors = [n for n in range(1, min(config.d_model, 64) + 1) if config.d_model % n == 0]
        raise ConfigError(
            f"model.d_model {config.d_model} cannot be split among model.n_heads {config.n_heads}; "
            f"expected a number of heads that divides it, one of {divisors}"
        )
    n_kv_heads = config.n_kv_heads or config.n_heads
    if config.n_heads % n_kv_heads:
        raise ConfigError(
            f"model.n_heads {config.n_heads} cannot share model.n_kv_heads {n_kv_heads}; "
            f"expected a number of key/value heads that divides {config.n_heads}"
        )
    for name in ("dropout", "ngram_dropout"):
        if not 0 <= getattr(config, name, 0.0) < 1:
            value = getattr(config, name)
            raise ConfigError(f"model.{name} is {value}; expected a share of at least 0 and below 1")
    if isinstance(config, GPTConfig):
        wrong = [n for n in config.ngram_sizes if n < 2]
        if wrong or len(set(config.ngram_sizes)) < len(config.ngram_sizes):
            raise ConfigError(
                f"model.ngram_sizes is {config.ngram_sizes}; expected different lengths from 2 up, as (2, 3)"
            )
        if len(config.ngram_rows) != len(config.ngram_sizes) or any(rows < 1 for rows in config.ngram_rows):
            raise ConfigError(
                f"model.ngram_rows is {config.ngram_rows}; expected a number of rows for each of "
                f"model.ngram_sizes {config.ngram_sizes}"
            )
    if not 0 <= config.norm_eps < math.inf:
        raise ConfigError(f"model.norm_eps is {config.norm_eps}; expected 0 or a small positive number")
    if not 0 < config.rotary_base < math.inf:
        raise ConfigError(f"model.rotary_base is {config.rotary_base}; expected a positive number")
    rotary = isinstance(config, LlamaConfig) or config.positions == "rotary"
    width = d_head or config.d_model // config.n_heads
    if rotary and width % 2:
        raise ConfigError(
            f"rotary positions turn channels in pairs, but a head is {width} wide; expected an even width"
        )
