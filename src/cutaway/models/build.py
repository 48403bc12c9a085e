"""From a config to a model: assemble the parts without memory, then allocate, then draw the weights."""

from __future__ import annotations

import torch

from cutaway.base.seed import torch_generator
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig
from cutaway.models.decoder import Decoder
from cutaway.models.gpt import assemble_gpt
from cutaway.models.llama import assemble_llama
from cutaway.nn.init import allocate, initialise


def build(
    config: ModelConfig, seed: int | torch.Generator = 0, dtype: torch.dtype = torch.float32
) -> Decoder:
    """Return a new model with initial weights; the same seed gives the same weights.

    Raises:
        ConfigError: the vocabulary's size is not set.
    """
    model = build_empty(config, dtype)
    generator = seed if isinstance(seed, torch.Generator) else torch_generator(seed, "weights")
    zero_projections = isinstance(config, GPTConfig) and config.zero_init_projections
    initialise(model, config.init_std, config.n_layers, zero_projections, generator)
    return model


def build_empty(config: ModelConfig, dtype: torch.dtype = torch.float32) -> Decoder:
    """Return a model whose weights are not yet written, for a checkpoint to fill."""
    with torch.device("meta"):
        model = assemble_llama(config) if isinstance(config, LlamaConfig) else assemble_gpt(config)
    allocate(model, dtype)
    return model
