"""Small random models of every kind the lens reads, and texts for them; all weights are drawn, so nothing is zero."""

from __future__ import annotations

import torch

from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig
from cutaway.models.decoder import Decoder
from cutaway.text.characters import CharacterTokenizer

TOKENIZER = CharacterTokenizer(list(" abcdefghijklmnopqrstuvwxyz.,!"))
V = TOKENIZER.vocab_size
TEXT = "the cat sat on a mat"
SIZES = {"vocab_size": V, "context_length": 32, "d_model": 24, "n_layers": 3, "n_heads": 4, "d_ff": 40}
GPT2 = {"positions": "learned", "norm": "layer", "mlp": "gelu_tanh", "bias": True, "qk_norm": False}

CONFIGS: dict[str, ModelConfig] = {
    "ours": GPTConfig(**SIZES, n_kv_heads=2, embedding_norm=True, ngram_sizes=(2, 3), ngram_rows=(101, 67)),
    "ours, LayerNorm behind the embeddings": GPTConfig(
        **SIZES, norm="layer", bias=True, embedding_norm=True, positions="learned", ngram_sizes=(2,), ngram_rows=(31,)
    ),
    "no last norm": GPTConfig(**SIZES, final_norm=False, tied=True, mlp="swiglu", ngram_sizes=(4,), ngram_rows=(31,)),
    "no gains": GPTConfig(**SIZES, norm="layer", norm_gain=False, positions="none"),
    "gpt2": GPTConfig(**SIZES, **GPT2, tied=True, dropout=0.5),
    "gpt2, untied": GPTConfig(**SIZES, **GPT2),
    "llama": LlamaConfig(**SIZES, n_kv_heads=2),
    "llama, tied, with biases": LlamaConfig(**SIZES, d_head=10, tied=True, attention_bias=True, mlp_bias=True),
}
KINDS = ("ours", "gpt2", "llama")
"""One of each family, where all variants would only take longer."""


def small_model(kind: str, dtype: torch.dtype = torch.float32) -> Decoder:
    """Return a model with drawn weights, gains and biases, in training mode: who asks must not be disturbed by that."""
    model = build(CONFIGS[kind])
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            weight.copy_(torch.randn(weight.shape, generator=generator) * (0.3 if weight.ndim > 1 else 0.5))
            if weight.ndim == 1 and name.endswith("norm.weight"):
                weight.add_(1)
    return model.to(dtype)
