"""Shapes of well-known models, as functions. Importing this loads nothing heavy.

GPT-2: Radford et al. 2019, table 2. Llama 3: Grattafiori et al. 2024, arXiv:2407.21783, table 3 and the published
configurations.
"""

from __future__ import annotations

from cutaway.models.config import GPTConfig, LlamaConfig, RotaryScaling


def microgpt() -> GPTConfig:
    """The smallest useful GPT: 4,192 parameters with 27 tokens."""
    return GPTConfig(
        context_length=16,
        d_model=16,
        n_layers=1,
        n_heads=4,
        positions="learned",
        norm_gain=False,
        embedding_norm=True,
        final_norm=False,
        mlp="relu",
        qk_norm=False,
        init_std=0.08,
        zero_init_projections=False,
    )


def plain(context_length: int = 64, d_model: int = 128, n_layers: int = 4, n_heads: int = 4) -> GPTConfig:
    """A GPT with GPT-2's parts at a chosen size (this size: nanoGPT's for a laptop)."""
    return GPTConfig(
        context_length=context_length,
        d_model=d_model,
        n_layers=n_layers,
        n_heads=n_heads,
        positions="learned",
        norm="layer",
        mlp="gelu_tanh",
        bias=True,
        tied=True,
        qk_norm=False,
        init_std=0.02,
        zero_init_projections=False,
    )


def characters(
    d_model: int = 192,
    n_layers: int = 4,
    n_heads: int = 2,
    context_length: int = 128,
    ngram_sizes: tuple[int, ...] = (2, 3, 4),
    ngram_rows: tuple[int, ...] = (16384, 16384, 32768),
    ngram_dropout: float = 0.0,
    dropout: float = 0.0,
) -> GPTConfig:
    """Our default for text by character: what each part earned is in docs/log.md."""
    return GPTConfig(
        context_length=context_length,
        d_model=d_model,
        n_layers=n_layers,
        n_heads=n_heads,
        rotary_base=1024.0,
        norm="layer",
        norm_gain=False,
        attention_scale=0.12,
        embedding_std=0.5,
        zero_init_head=True,
        ngram_sizes=ngram_sizes,
        ngram_rows=ngram_rows,
        ngram_dropout=ngram_dropout,
        dropout=dropout,
    )


def _gpt2(d_model: int, n_layers: int, n_heads: int) -> GPTConfig:
    return GPTConfig(
        vocab_size=50257,
        context_length=1024,
        d_model=d_model,
        n_layers=n_layers,
        n_heads=n_heads,
        positions="learned",
        norm="layer",
        mlp="gelu_tanh",
        bias=True,
        tied=True,
        qk_norm=False,
        init_std=0.02,
        zero_init_projections=False,
    )


def gpt2() -> GPTConfig:
    """GPT-2, 124 million parameters."""
    return _gpt2(768, 12, 12)


def gpt2_medium() -> GPTConfig:
    """GPT-2 medium, 355 million parameters."""
    return _gpt2(1024, 24, 16)


def gpt2_large() -> GPTConfig:
    """GPT-2 large, 774 million parameters."""
    return _gpt2(1280, 36, 20)


def gpt2_xl() -> GPTConfig:
    """GPT-2 XL, 1.56 billion parameters."""
    return _gpt2(1600, 48, 25)


def llama_tiny() -> LlamaConfig:
    """A Llama for tests and first steps: every part of the large ones, a million parameters."""
    return LlamaConfig(
        context_length=256, d_model=128, n_layers=4, n_heads=4, n_kv_heads=2, d_ff=352, rotary_base=500000.0
    )


def llama3_1b() -> LlamaConfig:
    """Llama 3.2, 1.24 billion parameters."""
    return LlamaConfig(
        vocab_size=128256,
        context_length=131072,
        d_model=2048,
        n_layers=16,
        n_heads=32,
        n_kv_heads=8,
        d_ff=8192,
        rotary_base=500000.0,
        rotary_scaling=RotaryScaling(factor=32.0),
        tied=True,
    )


def llama3_3b() -> LlamaConfig:
    """Llama 3.2, 3.21 billion parameters."""
    return LlamaConfig(
        vocab_size=128256,
        context_length=131072,
        d_model=3072,
        n_layers=28,
        n_heads=24,
        n_kv_heads=8,
        d_head=128,
        d_ff=8192,
        rotary_base=500000.0,
        rotary_scaling=RotaryScaling(factor=32.0),
        tied=True,
    )


def llama3_8b() -> LlamaConfig:
    """Llama 3.1, 8.03 billion parameters."""
    return LlamaConfig(
        vocab_size=128256,
        context_length=131072,
        d_model=4096,
        n_layers=32,
        n_heads=32,
        n_kv_heads=8,
        d_ff=14336,
        rotary_base=500000.0,
        rotary_scaling=RotaryScaling(),
    )
