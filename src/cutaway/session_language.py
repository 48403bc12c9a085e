"""A run that learns a language from nothing: a text, a tokenizer learned from it, and a model of random weights."""

from __future__ import annotations

import dataclasses
import time
from functools import cached_property
from pathlib import Path

import torch

from cutaway.base.errors import TokenizerError
from cutaway.base.objective import Sample
from cutaway.base.runs import RunFolder, runs_folder
from cutaway.branch import find_branch
from cutaway.budget import fitted, make_objective, propose_sizes, read_text
from cutaway.generate.decode import generate
from cutaway.interop.hub_folder import save_folder
from cutaway.models.build import build
from cutaway.models.decoder import Decoder
from cutaway.recipe import Recipe
from cutaway.session import prepare_process
from cutaway.session_text import PROBE_TOKENS, TextSession
from cutaway.text.batches import EncodedCorpus
from cutaway.text.corpus import Corpus
from cutaway.text.tokenizer import Tokenizer
from cutaway.train.distributed import World
from cutaway.train.language import NextToken
from cutaway.train.watch import Watcher

SHORT_SAMPLES = 8
"""How many samples to show at once of a model of lines."""


class LanguageSession(TextSession):
    """Text, tokenizer, model and recipe, ready to train."""

    def __init__(
        self,
        recipe: Recipe,
        corpus: Corpus,
        encoded: EncodedCorpus,
        tokenizer: Tokenizer,
        world: World,
        watcher: Watcher,
    ) -> None:
        self.corpus, self.encoded = corpus, encoded
        model = build(dataclasses.replace(recipe.model, vocab_size=tokenizer.vocab_size), recipe.train.seed)
        super().__init__(recipe, model, tokenizer, world, watcher)

    @classmethod
    def prepare(
        cls, recipe: Recipe, world: World, watcher: Watcher, is_settled: bool = False, runs: Path | None = None
    ) -> LanguageSession:
        """Read the text, learn the tokenizer, build the model, and settle what the recipe leaves open."""
        branch = None if is_settled else find_branch(recipe, runs or runs_folder())
        prepare_process(recipe.train)
        if world.is_first:
            corpus, tokenizer, encoded = read_text(recipe)
            world.wait()
        else:  # the first rank fills the cache of encoded text, the others read it
            world.wait()
            corpus, tokenizer, encoded = read_text(recipe)
        started = time.perf_counter()
        if world.is_first:
            watcher.say(corpus.describe())
        if recipe.fit and recipe.train.minutes is not None and world.size == 1:
            watcher.say("timing a few steps of each size, to choose the one that learns most in the time there is ...")
            best = propose_sizes(recipe, corpus, encoded, tokenizer, world.device)[0]
            watcher.say(f"size `{best.rung.name}`: expect about {best.bits_per_byte:.2f} bits a byte")
            recipe = fitted(recipe, best.rung)
        session = cls(recipe, corpus, encoded, tokenizer, world, watcher)
        session.branch = branch
        goes_on = is_settled or branch is not None
        session.check_same(f"the text {recipe.data.source!r}", recipe.data.text_hash, corpus.hash, goes_on)
        if not is_settled:
            session.settle(time.perf_counter() - started)
        return session

    def make_objective(self) -> NextToken:
        """Return the recipe's task on the text."""
        probe = self.probe_of(self.encoded.validation.tokens[:PROBE_TOKENS].tolist())
        return make_objective(self.recipe, self.model, self.encoded, self.write, probe)

    def note(self) -> Recipe:
        """Return the recipe with the hash of the text and the size of the model."""
        data = dataclasses.replace(self.recipe.data, text_hash=self.corpus.hash)
        return dataclasses.replace(self.recipe, data=data, model=self.model.config, fit=False)

    def export(self, run: RunFolder, model: torch.nn.Module) -> None:
        """Write the model in Hugging Face layout."""
        assert isinstance(model, Decoder)
        save_folder(run.model_folder, model, self.tokenizer)

    def write(self, model: torch.nn.Module) -> Sample:
        """Return a sample: the recipe's prompt and what the model makes of it, drawn with the recipe's seed."""
        assert isinstance(model, Decoder)
        prompt = self.sample_prompt
        n_samples = SHORT_SAMPLES if self.recipe.data.documents == "line" else 1
        written = generate(model, self.tokenizer, prompt, self.recipe.generate, n_samples)
        text = prompt + written[0].text
        if n_samples > 1:
            text = ", ".join(prompt + completion.text.strip() for completion in written)
        return Sample(text, prompt, self.recipe.generate.seed)

    @cached_property
    def sample_prompt(self) -> str:
        """Return the recipe's prompt, or the text's first character where the recipe's cannot begin a text of this
        model."""
        prompt = self.recipe.prompt
        try:
            self.tokenizer.encode(prompt)
        except TokenizerError as error:
            self.watcher.say(f"samples do not begin with {prompt!r}: {error}")
            prompt = ""
        has_start = prompt or self.tokenizer.bos_id is not None
        return prompt if has_start else self.corpus.train_texts[0][:1]
