"""A run that learns what captions mean: a text encoder and a picture encoder that find each other's pair."""

from __future__ import annotations

import copy

from torch import nn

from cutaway.base.runs import RunFolder
from cutaway.diffusion.config import ContrastiveConfig
from cutaway.diffusion.contrastive import Contrastive
from cutaway.diffusion.matching import Matching
from cutaway.diffusion.painter_folder import save_text
from cutaway.diffusion.text_conditioner import TextConditioner
from cutaway.diffusion.word_tokenizer import WordTokenizer
from cutaway.session_paint import PaintSession

CAPTIONS_READ = 8192
"""Of endless pictures: captions from which the words are learned."""


class MatchingSession(PaintSession):
    """Pictures with captions, and both encoders."""

    model_class = Contrastive

    def make_model(self) -> Contrastive:
        """Return both encoders, for as many words as the captions have."""
        import dataclasses

        config = self.recipe.model
        assert isinstance(config, ContrastiveConfig)
        count = min(self.pictures.count or CAPTIONS_READ, CAPTIONS_READ)
        captions = self.pictures.batch(0, count).captions
        self.tokenizer = WordTokenizer.learn(captions, config.text.context_length)
        config = dataclasses.replace(config, size=self.pictures.size, channels=self.pictures.channels)
        return Contrastive(config, self.tokenizer.vocab_size)

    def make_objective(self) -> Matching:
        """Return the task."""
        assert isinstance(self.model, Contrastive)
        return Matching(self.model, self.tokenizer, self.pictures)

    def export(self, run: RunFolder, model: nn.Module) -> None:
        """Write the text encoder with its words, and the reader of pictures."""
        assert isinstance(model, Contrastive)
        encoder = copy.deepcopy(model.text_encoder)  # who reads with it freezes it
        save_text(run.model_folder, TextConditioner(encoder, self.tokenizer), model.picture_encoder)
