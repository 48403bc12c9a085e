"""What sessions of models that write share: a tokenizer, and a text at which the model's inside is looked at."""

from __future__ import annotations

import torch

from cutaway.base.objective import Probe
from cutaway.models.build import build_empty
from cutaway.models.decoder import Decoder
from cutaway.recipe import Recipe
from cutaway.session import Session
from cutaway.text.tokenizer import Tokenizer
from cutaway.train.checkpoint import Tensors
from cutaway.train.distributed import World
from cutaway.train.watch import Watcher

PROBE_TOKENS = 48
"""Length of the text at which the model's inside is looked at: enough to see heads specialise, small on disk."""


class TextSession(Session):
    """Text, tokenizer, model and recipe, ready to train."""

    recipe: Recipe
    model: Decoder

    def __init__(self, recipe: Recipe, model: Decoder, tokenizer: Tokenizer, world: World, watcher: Watcher) -> None:
        self.tokenizer = tokenizer
        super().__init__(recipe, model, world, watcher)

    def probe_of(self, ids: list[int]) -> Probe:
        """Return the beginning of a held-out text, at which the model's inside is looked at."""
        ids = ids[: min(PROBE_TOKENS, self.model.config.context_length)]
        tokens = tuple(self.tokenizer.token_text(token) for token in ids)
        return Probe(torch.tensor([ids]), self.tokenizer.decode(ids), tokens)

    def rebuild(self, weights: Tensors) -> Decoder:
        """Return a model of its own with these weights."""
        model = build_empty(self.recipe.model)
        model.load_state_dict(weights, strict=False)
        return model
