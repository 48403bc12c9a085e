"""Which models llama.cpp has code for. Importing this loads nothing heavy."""

from __future__ import annotations

from cutaway.base.errors import UsageError
from cutaway.interop.gpt2_folder import GPT2
from cutaway.interop.llama_folder import LLAMA
from cutaway.models.config import GPTConfig, ModelConfig

CHARACTERS = (
    "the model's tokens are characters, for which llama.cpp has no tokenizer; export to hf, or train with "
    "--data.tokenizer bpe"
)


def architecture(config: ModelConfig) -> str:
    """Return llama.cpp's name for this kind of model.

    Raises:
        UsageError: it has none; the line says why and what to do.
    """
    if not GPT2.parts_without_place(config):
        assert isinstance(config, GPTConfig)
        if config.mlp != "gelu_tanh":
            raise _refusal([f"a GPT-2 with {config.mlp} in place of gelu_tanh"])
        return "gpt2"
    if parts := LLAMA.parts_without_place(config):
        raise _refusal(parts)
    return "llama"


def _refusal(parts: list[str]) -> UsageError:
    return UsageError(
        f"llama.cpp has no kind of model with {', '.join(parts[:4])}, so GGUF cannot say it; export to hf, "
        f"or tune a base of Llama or GPT-2 shape"
    )
