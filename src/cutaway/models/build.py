"""From a config to a model: assemble the parts without memory, then allocate, then draw the weights."""

from __future__ import annotations

import torch

from cutaway.base.seed import torch_generator
from cutaway.models.config import LlamaConfig, ModelConfig
from cutaway.models.decoder import Decoder
from cutaway.models.gpt import assemble_gpt
from cutaway.models.llama import assemble_llama
from cutaway.nn.init import Deviations, allocate, initialise


def build(config: ModelConfig, seed: int | torch.Generator = 0, dtype: torch.dtype = torch.float32) -> Decoder:
    """Return a new model with initial weights; the same seed gives the same weights.

    Raises:
        ConfigError: the vocabulary's size is not set.
    """
    model = build_empty(config, dtype)
    generator = seed if isinstance(seed, torch.Generator) else torch_generator(seed, "weights")
    initialise(model, deviations(config), generator)
    return model


def deviations(config: ModelConfig) -> Deviations:
    """Return how large the initial weights are."""
    std = config.d_model**-0.5 if config.init_std is None else config.init_std
    projections = std / (2 * config.n_layers) ** 0.5
    if isinstance(config, LlamaConfig):
        return Deviations(std, std, projections, std)
    return Deviations(
        weights=std,
        token_embedding=std if config.embedding_std is None else config.embedding_std,
        projections=0.0 if config.zero_init_projections else projections,
        head=0.0 if config.zero_init_head else std,
    )


def build_empty(config: ModelConfig, dtype: torch.dtype = torch.float32) -> Decoder:
    """Return a model whose weights are not yet written, for a checkpoint to fill."""
    model = assemble(config)
    allocate(model, dtype)
    return model


def assemble(config: ModelConfig) -> Decoder:
    """Return a model without memory (on the meta device): names and shapes, no numbers."""
    with torch.device("meta"):
        return assemble_llama(config) if isinstance(config, LlamaConfig) else assemble_gpt(config)
