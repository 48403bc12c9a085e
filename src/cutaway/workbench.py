"""One verb from many parts: train a recipe, load a model, write with it.

Everything a person does goes through here, whether they typed a command, called Python or clicked: `train` reads the
text, builds the model, settles what the recipe leaves open, and hands an objective to the one trainer
(`train/trainer.py`).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from cutaway.base.config import read_toml, to_toml
from cutaway.base.errors import RunError, TokenizerError, UsageError
from cutaway.base.files import write_text
from cutaway.base.memory import keep_freed_memory
from cutaway.base.runs import RunFolder, create_run, open_run, timestamp
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import Completion, generate
from cutaway.interop.hub_folder import load_folder, save_folder
from cutaway.models.build import build, build_empty
from cutaway.models.decoder import Decoder
from cutaway.models.presets import characters
from cutaway.presets import find_recipe, with_changes
from cutaway.recipe import Recipe
from cutaway.text.batches import EncodedCorpus, ValidationWindows, Windows, encode_corpus
from cutaway.text.corpus import Corpus, read_corpus
from cutaway.text.tokenizer import Tokenizer, build_tokenizer
from cutaway.train.checkpoint import Tensors, list_checkpoints
from cutaway.train.distributed import World, joined
from cutaway.train.ladder import Rung, difficulty
from cutaway.train.language import NextToken
from cutaway.train.pace import measure_pace
from cutaway.train.plan import Proposal, propose
from cutaway.train.trainer import MEASUREMENTS, Outcome, Trainer
from cutaway.train.watch import Watcher

TRAINING_TO_MEASURING = 2.5
"""How many times longer it takes to train on a token than to measure the loss on it, about."""
SHORT_SAMPLES = 8
"""How many samples to show at once of a model of lines."""
SECONDS_TO_SAMPLE_AND_SAVE = 0.5
"""Time one sample and one checkpoint take, about."""


@dataclass(frozen=True)
class Run(RunFolder):
    """A run and what one can do with it."""

    @property
    def recipe(self) -> Recipe:
        """The complete recipe, as settled when the run started."""
        return read_toml(Recipe, self.recipe_file)

    def load(self) -> tuple[Decoder, Tokenizer]:
        """Return the best model so far and its tokenizer.

        Raises:
            RunError: nothing was saved yet.
        """
        if not self.model_folder.is_dir():
            raise RunError(f"run {self.name!r} has no model yet; it is saved at the first measurement")
        return _with_tokenizer(self.model_folder)

    def generate(self, prompt: str = "", **settings: Any) -> str:
        """Return the prompt's continuation.

        Args:
            settings: fields of `SamplingConfig`, in place of the recipe's.
        """
        model, tokenizer = self.load()
        sampling = _replace(self.recipe.generate, settings)
        return generate(model, tokenizer, prompt, sampling)[0].text


def load(source: str | Path | Run) -> tuple[Decoder, Tokenizer]:
    """Return model and tokenizer of a run, a model folder, or (written `hf:owner/name`) a model on the Hub.

    Raises:
        ModelFormatError: the folder does not hold a model that can be loaded.
    """
    if isinstance(source, RunFolder):
        return Run(source.path).load()
    if not str(source).startswith("hf:") and not (Path(source) / "config.json").exists():
        try:
            return Run(open_run(source).path).load()
        except RunError:
            if (Path(source) / "recipe.toml").exists():
                raise
    return _with_tokenizer(source)


def _with_tokenizer(source: str | Path) -> tuple[Decoder, Tokenizer]:
    model, tokenizer = load_folder(source)
    if tokenizer is None:
        raise TokenizerError(f"{source} has no tokenizer.json, so text cannot become tokens; copy the model's into it")
    return model, tokenizer


def train(
    target: str | Path | Recipe = "stdlib",
    *,
    name: str | None = None,
    watcher: Watcher | None = None,
    runs: Path | None = None,
    **settings: Any,
) -> Run:
    """Train a recipe in a new run folder and return the run.

    Args:
        target: a preset's name, a recipe file, or a recipe.
        name: the run's name; left out: the recipe's, with a number behind.
        runs: the folder that holds the runs; left out: ./runs or $CUTAWAY_RUNS.
        settings: fields of `TrainConfig`, such as steps=500, in place of the recipe's.

    Raises:
        CutawayError: anything the caller can mend, in one line.
    """
    recipe = target if isinstance(target, Recipe) else find_recipe(str(target))
    recipe = with_changes(recipe, dataclasses.replace(recipe, train=_replace(recipe.train, settings)))
    with joined(recipe.train.device) as world:
        session = Session.prepare(recipe, world, watcher or Watcher())
        run = session.create(name, runs)
        session.train(run)
    return run


def resume(source: str | Path | RunFolder, watcher: Watcher | None = None) -> Run:
    """Go on with a run that was stopped, from its last checkpoint.

    Raises:
        RunError: there is no such run, or it is finished.
    """
    run = Run((source if isinstance(source, RunFolder) else open_run(source)).path)
    if run.status() == "finished":
        raise RunError(f"run {run.name!r} is finished; `cutaway runs show {run.name}` shows it")
    recipe = run.recipe
    with joined(recipe.train.device) as world:
        session = Session.prepare(recipe, world, watcher or Watcher(), is_settled=True)
        session.train(run)
    return run


class Session:
    """One process's part in one training run: text, tokenizer, model and recipe, ready to train."""

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
        self.objective = make_objective(recipe, self.model, encoded, self.write)

    @classmethod
    def prepare(cls, recipe: Recipe, world: World, watcher: Watcher, is_settled: bool = False) -> Session:
        """Read the text, learn the tokenizer, build the model, and settle what the recipe leaves open."""
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
        if recipe.fit and recipe.train.minutes is not None and world.size == 1:
            recipe = fitted(recipe, propose_sizes(recipe, corpus, encoded, tokenizer, world.device)[0].rung)
        session = cls(recipe, corpus, encoded, tokenizer, world, watcher)
        session.watcher.say(corpus.describe())
        session.check_text(is_settled)
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
        config = self.recipe.train
        pace = None
        if config.minutes is not None or "auto" in (config.precision, config.compile) or config.threads is None:
            seconds = None if config.minutes is None else 60 * config.minutes
            started = time.perf_counter()
            pace = measure_pace(self.objective, config, self.world.device, seconds)
            seconds_spent += time.perf_counter() - started
            self.watcher.say(pace.describe())
        steps = settled_steps(config, self.objective, pace.seconds_per_step if pace else 0.0, seconds_spent)
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
        data = dataclasses.replace(self.recipe.data, text_hash=self.corpus.hash)
        self.recipe = dataclasses.replace(self.recipe, data=data, model=self.model.config, train=settled, fit=False)

    def create(self, name: str | None, folder: Path | None) -> Run:
        """Make the run's folder and write the complete recipe into it (on the first rank; the others are told its
        name)."""
        if self.world.size == 1:
            return self._create(name, folder)
        told: list[Any] = [None]
        if self.world.is_first:
            told = [str(self._create(name, folder).path)]
        torch.distributed.broadcast_object_list(told, src=0)
        return Run(Path(told[0]))

    def _create(self, name: str | None, folder: Path | None) -> Run:
        run = Run(create_run(name, self.recipe.name, folder).path)
        heading = f"Recipe of run {run.name}, started {timestamp()}.\nRepeat it: cutaway train {run.recipe_file}"
        write_text(run.recipe_file, to_toml(self.recipe, heading))
        return run

    def train(self, run: Run) -> Outcome:
        """Train in the run's folder, from its last checkpoint if it has one, and write how it ended."""
        if not self.world.is_first:
            return self._train(run)
        with run.locked():
            return self._train(run)

    def _train(self, run: Run) -> Outcome:
        trainer = Trainer(
            self.objective, self.recipe.train, run, self.world, self.watcher, self._export_to(run), self.rebuild
        )
        if list_checkpoints(run.checkpoints_folder):
            trainer.resume()
            self.watcher.say(f"going on from step {trainer.state.step} of {trainer.total_steps}")
        try:
            outcome = trainer.train()
        except Exception as error:
            if self.world.is_first:
                run.write_summary({"status": "failed", "reason": " ".join(str(error).split()), "ended": timestamp()})
            raise
        if self.world.is_first:
            run.write_summary(self.summarize(outcome))
        return outcome

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

    def write(self, model: torch.nn.Module, step: int) -> str:
        """Return a sample: the recipe's prompt and what the model makes of it."""
        assert isinstance(model, Decoder)
        prompt = self.sample_prompt
        n_samples = SHORT_SAMPLES if self.recipe.data.documents == "line" else 1
        written = generate(model, self.tokenizer, prompt, self.recipe.generate, n_samples)
        return (
            ", ".join(prompt + completion.text.strip() for completion in written)
            if n_samples > 1
            else prompt + written[0].text
        )

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

    def _export_to(self, run: Run) -> Callable[[torch.nn.Module], None]:
        def export(model: torch.nn.Module) -> None:
            assert isinstance(model, Decoder)
            save_folder(run.model_folder, model, self.tokenizer)

        return export

    def rebuild(self, weights: Tensors) -> Decoder:
        """Return a model of its own with these weights."""
        model = build_empty(self.recipe.model)
        model.load_state_dict(weights, strict=False)
        return model


def read_text(recipe: Recipe) -> tuple[Corpus, Tokenizer, EncodedCorpus]:
    """Return the recipe's text, its tokenizer, and the text as tokens."""
    corpus = read_corpus(recipe.data, recipe.train.seed)
    tokenizer = build_tokenizer(recipe.data, corpus)
    return corpus, tokenizer, encode_corpus(corpus, tokenizer)


def fitted(recipe: Recipe, rung: Rung) -> Recipe:
    """Return the recipe with the size, context and batch of a rung of the ladder."""
    shape = characters(rung.d_model, rung.n_layers, rung.n_heads, rung.context_length)
    return dataclasses.replace(
        recipe, model=shape, train=dataclasses.replace(recipe.train, batch_size=rung.batch_size, accumulate=1)
    )


def propose_sizes(
    recipe: Recipe, corpus: Corpus, encoded: EncodedCorpus, tokenizer: Tokenizer, device: torch.device
) -> list[Proposal]:
    """Return what each size of the ladder would reach with the recipe's budget in minutes on this machine, best
    first."""

    def make(rung: Rung) -> NextToken:
        sized = fitted(recipe, rung)
        model = build(dataclasses.replace(sized.model, vocab_size=tokenizer.vocab_size), recipe.train.seed)
        return make_objective(sized, model, encoded)

    assert recipe.train.minutes is not None
    seconds = 60 * recipe.train.minutes - MEASUREMENTS * SECONDS_TO_SAMPLE_AND_SAVE
    sample = "\n".join(corpus.train_texts[:200])
    return propose(seconds, make, recipe.train, device, difficulty(sample))


def make_objective(
    recipe: Recipe, model: Decoder, encoded: EncodedCorpus, write: Callable[[torch.nn.Module, int], str] | None = None
) -> NextToken:
    """Return the recipe's task on the text."""
    context = recipe.model.context_length
    windows = Windows(encoded.train.tokens, context, recipe.train.seed)
    batch_size = max(1, 8192 // context)
    return NextToken(model, windows, ValidationWindows(encoded.validation, context, batch_size), write)


def settled_steps(config: Any, objective: NextToken, seconds_per_step: float, seconds_spent: float) -> int:
    """Return the number of steps a budget means.

    Args:
        seconds_per_step: as timed on this machine, for a budget in minutes.
        seconds_spent: of that budget, already.

    Raises:
        UsageError: no budget is given.
    """
    tokens_per_step = config.batch_size * objective.tokens_per_sequence
    if config.steps is not None:
        return config.steps
    if config.epochs is not None:
        return max(1, round(config.epochs * objective.sequences_per_epoch / config.batch_size))
    if config.tokens is not None:
        return max(1, round(config.tokens / tokens_per_step))
    if config.minutes is not None:
        measured = MEASUREMENTS * config.validation_tokens + config.final_validation_tokens
        steps_worth = measured / tokens_per_step / TRAINING_TO_MEASURING
        seconds = 60 * config.minutes - seconds_spent - MEASUREMENTS * SECONDS_TO_SAMPLE_AND_SAVE
        return max(10, int(seconds / seconds_per_step - steps_worth))
    raise UsageError(
        "how long to train is not said: set one of --train.minutes, --train.steps, --train.epochs, --train.tokens"
    )


def _replace(config: Any, settings: dict[str, Any]) -> Any:
    names = {field.name for field in dataclasses.fields(config)}
    for name in settings:
        if name not in names:
            raise UsageError(f"{type(config).__name__} has no setting {name!r}; it has {', '.join(sorted(names))}")
    return dataclasses.replace(config, **settings)


__all__ = ["Completion", "Run", "SamplingConfig", "Session", "load", "resume", "train"]
