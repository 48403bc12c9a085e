"""One process's part in one training run: from a recipe to a finished run folder.

Reads the text, builds the model, settles what the recipe leaves open by measuring, makes the run's folder, and hands an
objective to the one trainer (`train/trainer.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from cutaway.base.config import to_toml
from cutaway.base.errors import CutawayError, RunError, TokenizerError
from cutaway.base.files import write_text
from cutaway.base.memory import keep_freed_memory
from cutaway.base.objective import Probe, Sample
from cutaway.base.runs import RunFolder, create_run, runs_folder, timestamp
from cutaway.branch import Branch, check_changes, find_branch, inherit
from cutaway.budget import fitted, make_objective, propose_sizes, read_text, settled_steps
from cutaway.generate.decode import generate
from cutaway.interop.hub_folder import save_folder
from cutaway.models.build import build, build_empty
from cutaway.models.decoder import Decoder
from cutaway.recipe import Recipe
from cutaway.run_facts import read_recipe
from cutaway.text.batches import EncodedCorpus
from cutaway.text.corpus import Corpus
from cutaway.text.tokenizer import Tokenizer
from cutaway.train.checkpoint import Tensors, list_checkpoints
from cutaway.train.distributed import World, check_batch
from cutaway.train.pace import measure_pace, usable_cores
from cutaway.train.trainer import Outcome, Trainer
from cutaway.train.watch import Watcher

PROBE_TOKENS = 48
"""Length of the text at which the model's inside is looked at: enough to see heads specialise, small on disk."""
SHORT_SAMPLES = 8
"""How many samples to show at once of a model of lines."""


class Session:
    """Text, tokenizer, model and recipe, ready to train."""

    branch: Branch | None = None
    """Where a new run begins, unless with random weights."""

    def __init__(
        self,
        recipe: Recipe,
        corpus: Corpus,
        encoded: EncodedCorpus,
        tokenizer: Tokenizer,
        world: World,
        watcher: Watcher,
    ) -> None:
        self.recipe, self.corpus, self.encoded, self.tokenizer = recipe, corpus, encoded, tokenizer
        self.world, self.watcher = world, watcher if world.is_first else Watcher()
        self.model = build(dataclasses.replace(recipe.model, vocab_size=tokenizer.vocab_size), recipe.train.seed)
        self.objective = make_objective(recipe, self.model, encoded, self.write, self.probe())

    @classmethod
    def prepare(
        cls, recipe: Recipe, world: World, watcher: Watcher, is_settled: bool = False, runs: Path | None = None
    ) -> Session:
        """Read the text, learn the tokenizer, build the model, and settle what the recipe leaves open."""
        branch = None if is_settled else find_branch(recipe, runs or runs_folder())
        torch.set_num_threads(recipe.train.threads or 1)
        torch.set_flush_denormal(True)
        keep_freed_memory()
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
        session.check_text(is_settled or branch is not None)
        if not is_settled:
            session.settle(time.perf_counter() - started)
        return session

    def check_text(self, goes_on: bool) -> None:
        """Compare the text with the one the recipe was settled on.

        Raises:
            RunError: a run is to go on, but its text has changed.
        """
        noted = self.recipe.data.text_hash
        if noted in (None, self.corpus.hash):
            return
        if goes_on:
            raise RunError(
                f"the text {self.recipe.data.source!r} has changed since the run started, so going on would not be the "
                f"same run; put the text back, or start a new run from its recipe.toml"
            )
        self.watcher.say("the text is not the one this recipe was first run on, so the numbers will differ")

    def settle(self, seconds_spent: float = 0.0) -> None:
        """Fix the number of steps, precision, threads and compilation, by measuring where they are left open.

        Args:
            seconds_spent: of a budget in minutes, already.
        """
        config, world = self.recipe.train, self.world
        check_batch(config.batch_size, config.accumulate, world.size)
        if world.size > 1 and config.threads is None and world.device.type == "cpu":
            config = dataclasses.replace(config, threads=max(1, usable_cores() // world.size))
        pace = None
        if config.minutes is not None or "auto" in (config.precision, config.compile) or config.threads is None:
            seconds = None if config.minutes is None else 60 * config.minutes
            started = time.perf_counter()
            share = dataclasses.replace(config, batch_size=config.batch_size // world.size)
            # the first rank decides for all: ranks that disagree would wait for each other for ever
            pace = world.tell(measure_pace(self.objective, share, world.device, seconds) if world.is_first else None)
            seconds_spent += time.perf_counter() - started
            self.watcher.say(pace.describe())
        steps = settled_steps(config, self.objective, pace.seconds_per_step if pace else 0.0, seconds_spent)
        if self.branch and config.minutes is not None:
            steps += self.branch.step  # the budget is for what is left to do
        settled = dataclasses.replace(
            config,
            minutes=None,
            epochs=None,
            tokens=None,
            steps=steps,
            device=self.world.device.type,
            precision=pace.precision if pace else config.precision,
            compile=("on" if pace.compile else "off") if pace else config.compile,
            threads=pace.threads if pace else config.threads,
        )
        settled = world.tell(settled)
        data = dataclasses.replace(self.recipe.data, text_hash=self.corpus.hash)
        self.recipe = dataclasses.replace(self.recipe, data=data, model=self.model.config, train=settled, fit=False)
        if self.branch:
            check_changes(read_recipe(self.branch.parent), self.recipe)

    def create(self, name: str | None, folder: Path | None) -> RunFolder:
        """Make the run's folder and write the complete recipe into it (on the first rank; the others are told its
        name)."""
        return RunFolder(Path(self.world.tell(str(self._create(name, folder).path) if self.world.is_first else None)))

    def _create(self, name: str | None, folder: Path | None) -> RunFolder:
        run = create_run(name, self.recipe.name, folder)
        heading = f"Recipe of run {run.name}, started {timestamp()}.\nRepeat it: cutaway train {run.recipe_file}"
        try:
            if self.branch:
                heading += f"\nIt branched from run {self.branch.parent.name} at step {self.branch.step}."
                inherit(self.branch, run)
            write_text(run.recipe_file, to_toml(self.recipe, heading))
        except BaseException:
            shutil.rmtree(run.path, ignore_errors=True)  # a folder without a recipe is not a run
            raise
        return run

    def train(self, run: RunFolder) -> Outcome:
        """Train in the run's folder, from its last checkpoint if it has one, and write how it ended."""
        if not self.world.is_first:
            return self._train(run)
        with run.locked():
            return self._train(run)

    def _train(self, run: RunFolder) -> Outcome:
        if self.world.is_first:
            run.remove_summary()  # a run that trains has not ended; one that leaves no summary was killed
        try:
            trainer = Trainer(
                self.objective, self.recipe.train, run, self.world, self.watcher, self._export_to(run), self.rebuild
            )
            if list_checkpoints(run.checkpoints_folder):
                self._go_on(trainer)
            outcome = trainer.train()
        except Exception as error:
            if self.world.is_first:
                said = "out of memory" if isinstance(error, MemoryError) else type(error).__name__
                reason = " ".join(str(error).split()) or said
                with contextlib.suppress(CutawayError):  # a full disk takes no summary either: the first error counts
                    run.write_summary({"status": "failed", "reason": reason, "ended": timestamp()})
            raise
        if self.world.is_first:
            run.write_summary(self.summarize(outcome))
        return outcome

    def _go_on(self, trainer: Trainer) -> None:
        trainer.resume()
        self.watcher.say(f"going on from step {trainer.state.step} of {trainer.total_steps}")
        if self.world.tell(bool(trainer.state.best_step) and not trainer.run.model_folder.is_dir()):
            trainer.export_best()  # a branch, or a run that was killed between a checkpoint and its model

    def summarize(self, outcome: Outcome) -> dict[str, Any]:
        """Return how a run ended, as written to summary.json."""
        state, validation = outcome.state, outcome.validation
        summary: dict[str, Any] = {
            "status": "finished" if outcome.is_finished else "stopped",
            "ended": timestamp(),
            "steps": state.step,
            "tokens": state.tokens,
            "seconds": round(state.seconds, 1),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "best_step": state.best_step,
        }
        if validation is not None:
            summary |= {
                "validation_loss": validation.loss_nats,
                "bits_per_byte": validation.bits_per_byte,
                "validation_targets": validation.n_targets,
            }
        return summary

    def probe(self) -> Probe:
        """Return the beginning of the held-out text, at which the model's inside is looked at."""
        length = min(PROBE_TOKENS, self.recipe.model.context_length)
        ids = [int(token) for token in self.encoded.validation.tokens[:length]]
        tokens = tuple(self.tokenizer.token_text(token) for token in ids)
        return Probe(torch.tensor([ids]), self.tokenizer.decode(ids), tokens)

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

    def _export_to(self, run: RunFolder) -> Callable[[torch.nn.Module], None]:
        def export(model: torch.nn.Module) -> None:
            assert isinstance(model, Decoder)
            save_folder(run.model_folder, model, self.tokenizer)

        return export

    def rebuild(self, weights: Tensors) -> Decoder:
        """Return a model of its own with these weights."""
        model = build_empty(self.recipe.model)
        model.load_state_dict(weights, strict=False)
        return model
