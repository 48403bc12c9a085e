"""A run that tunes a model there is on conversations: its base, their tokens, and what is measured before and after."""

from __future__ import annotations

import dataclasses
import json
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from cutaway.base.errors import ConfigError, DataError
from cutaway.base.files import content_hash, write_text
from cutaway.base.objective import Objective, Sample, Validation
from cutaway.base.runs import RunFolder, runs_folder
from cutaway.branch import find_branch
from cutaway.generate.decode import generate
from cutaway.interop.conversations import Conversation, read_conversations
from cutaway.models.decoder import Decoder
from cutaway.recipe import Recipe
from cutaway.session import prepare_process
from cutaway.session_memory import check_memory
from cutaway.session_text import TextSession
from cutaway.train.distributed import World
from cutaway.train.trainer import Outcome, Trainer, autocast
from cutaway.train.watch import ExamplesEvent, Watcher
from cutaway.tune.examples import Example, make_examples, split_off
from cutaway.tune.fit_memory import smaller
from cutaway.tune.memory import Tuning, count_tuning
from cutaway.tune.sft import Answering, measure, spread
from cutaway.tune.tuned_model import TunedModel, is_attention_only, open_base

FEW_PAIRS = 20
BEFORE = "before.json"
LESS = 0.8
"""What is proposed after memory ran out takes at most this share of what was expected beside the process itself."""


@dataclasses.dataclass(frozen=True)
class Writing:
    """What is learned and what is held out."""

    train: list[Conversation]
    held_out: list[Conversation]
    hash: str


class TunedSession(TextSession):
    """Conversations, a base and a recipe, ready to tune."""

    expected: Tuning | None = None
    """What the memory it takes depends on."""

    def __init__(self, recipe: Recipe, tuned: TunedModel, writing: Writing, world: World, watcher: Watcher) -> None:
        assert recipe.tune is not None
        self.tuned, self.writing, self.form = tuned, writing, tuned.form
        context = min(recipe.tune.context_length or 1 << 30, tuned.model.config.context_length)
        files = (recipe.data.source, recipe.data.held_out or recipe.data.source)
        made = [
            make_examples(side, tuned.form, context, recipe.tune.too_long, Path(file).name)
            for side, file in zip((writing.train, writing.held_out), files, strict=True)
        ]
        self.learned, self.held_out = made[0].kept, made[1].kept
        self.skipped = [name for side in made for name in side.skipped]
        self.context = context
        super().__init__(recipe, tuned.model, tuned.tokenizer, world, watcher)

    @classmethod
    def prepare(
        cls, recipe: Recipe, world: World, watcher: Watcher, is_settled: bool = False, runs: Path | None = None
    ) -> TunedSession:
        """Load the base, read the conversations, and settle what the recipe leaves open."""
        assert recipe.tune is not None
        started = time.perf_counter()
        branch = None if is_settled else find_branch(recipe, runs or runs_folder())
        prepare_process(recipe.train)
        if recipe.tune.has_adapters and recipe.train.sharding == "fsdp":
            raise ConfigError("train.sharding is 'fsdp', which cannot split a model part of which rests; use 'ddp'")
        writing = read_writing(recipe)
        expected = check_memory(recipe, writing.train, world, watcher, runs)
        tuned = open_base(recipe.tune, recipe.train.seed, runs)
        session = cls(recipe, tuned, writing, world, watcher)
        session.expected = expected
        session.branch = branch
        goes_on = is_settled or branch is not None
        session.check_same(f"the base {recipe.tune.base!r}", recipe.tune.base_hash, tuned.base_hash, goes_on)
        session.check_same(f"the file {recipe.data.source!r}", recipe.data.text_hash, writing.hash, goes_on)
        session.describe()
        if not is_settled:
            session.settle(time.perf_counter() - started)
        return session

    def describe(self) -> None:
        """Say what is tuned on what, and show an example."""
        say, model = self.watcher.say, self.model
        learns = sum(p.numel() for p in model.parameters() if p.requires_grad)
        rests = sum(p.numel() for p in model.parameters()) - learns
        say(f"base {self.tuned.config.base}: {learns:,} numbers learn" + (f", {rests:,} rest" if rests else ""))
        read, answers = (
            sum(counts) for counts in zip(*((len(x.tokens), x.n_learned) for x in self.learned), strict=True)
        )
        say(
            f"{len(self.learned):,} pairs of {read:,} tokens, of which {answers:,} are learned; "
            f"{len(self.held_out):,} pairs held out"
        )
        if self.skipped:
            others = f" and {len(self.skipped) - 1:,} more" if len(self.skipped) > 1 else ""
            say(f"left out, longer than {self.context:,} tokens: {self.skipped[0]}{others}")
        if len(self.learned) < FEW_PAIRS:
            say(f"{len(self.learned)} pairs are few: the model will sooner know them by heart than learn from them")
        if is_attention_only(self.tuned.config):
            say("corrections in attention alone are known to learn worse; leave tune.projections empty for all layers")
        if not self.form.is_own:
            say("the base has no chat template: it is given a plain one, kept beside the tuned model")
        self.watcher.examples(
            ExamplesEvent(
                self.learned[0].marked(self.form),
                [len(one.tokens) for one in self.learned],
                [len(one.tokens) for one in self.held_out],
                self.model.config.context_length,
            )
        )

    def take_less(self, run: RunFolder) -> str:
        """Return the cheapest setting that takes a good deal less, by the estimate."""
        if self.expected is None:
            return super().take_less(run)
        took = count_tuning(self.expected)
        steps = smaller(self.expected, took.process + int(LESS * (took.total - took.process))).steps
        return self.go_on_with(run, steps[0].change.setting if steps else "")

    def make_objective(self) -> Objective:
        """Return the task."""
        config = self.recipe.train
        probe = self.probe_of(self.held_out[0].tokens.tolist())
        return Answering(self.model, self.learned, self.held_out, config.batch_size, config.seed, self.write, probe)

    def note(self) -> Recipe:
        """Return the recipe with the hashes of conversations and base, and where a base that is a folder lies."""
        recipe, config = self.recipe, self.tuned.config
        base = str(self.tuned.folder.absolute()) if Path(config.base).expanduser() == self.tuned.folder else config.base
        return dataclasses.replace(
            recipe,
            data=dataclasses.replace(recipe.data, text_hash=self.writing.hash),
            model=self.model.config,
            fit=False,
            tune=dataclasses.replace(config, base=base, base_hash=self.tuned.base_hash),
        )

    def export(self, run: RunFolder, model: torch.nn.Module) -> None:
        """Write what was learned as others load it."""
        assert isinstance(model, Decoder)
        self.tuned.save(run.model_folder, model)

    @cached_property
    def sample_messages(self) -> list[dict[str, str]]:
        """Return what is asked for samples: the recipe's prompt, or the shortest question held out."""
        if self.recipe.prompt:
            return [{"role": "user", "content": self.recipe.prompt}]
        asked = []
        for one in self.writing.held_out:
            messages = one.plain()
            last = max(i for i, message in enumerate(messages) if message["role"] == "assistant")
            if last:
                asked.append(messages[:last])
        return min(asked, key=lambda messages: sum(len(message["content"]) for message in messages))

    def write(self, model: torch.nn.Module) -> Sample:
        """Return a sample: a question and what the model answers, drawn with the recipe's seed."""
        assert isinstance(model, Decoder)
        ids = self.form.prompt_ids(self.sample_messages)
        prompt = self.tokenizer.decode(ids)
        answer = generate(model, self.tokenizer, ids, self.recipe.generate)[0].text
        return Sample(prompt + answer, prompt, self.recipe.generate.seed)

    def look_before(self, run: RunFolder, trainer: Trainer) -> None:
        """Measure the base, once."""
        if (run.path / BEFORE).is_file():
            return
        found = self.losses(trainer)
        if self.world.is_first:
            write_text(run.path / BEFORE, json.dumps(found, indent=2) + "\n")
            self.watcher.say(f"before: held-out loss {found['held_out']['loss']:.3f} nats a token")

    def look_after(self, run: RunFolder, trainer: Trainer, outcome: Outcome) -> dict[str, Any]:
        """Return the losses before and after, and what was tuned."""
        more: dict[str, Any] = {
            "trained_parameters": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
            "pairs": len(self.learned),
            "held_out_pairs": len(self.held_out),
            "before": json.loads((run.path / BEFORE).read_text(encoding="utf-8")) if self.world.is_first else {},
        }
        if outcome.is_finished:
            more["after"] = self.losses(trainer)
        return more

    def losses(self, trainer: Trainer) -> dict[str, dict[str, float | None]]:
        """Return the loss on what is learned and on what is held out, with the weights as they are."""
        config = self.recipe.train
        trainer.model.eval()
        found = {}
        for side, examples in (("train", self.learned), ("held_out", self.held_out)):
            some: list[Example] = spread(examples, config.final_validation_tokens or None)
            with autocast(config.precision, self.world.device):
                got: Validation = measure(trainer.model, some, self.model.config.known_vocab_size, self.world.device)
            found[side] = {"loss": got.loss_nats, "bits_per_byte": got.bits_per_byte, "tokens": got.n_targets}
        return found


def read_writing(recipe: Recipe) -> Writing:
    """Return the conversations of a recipe.

    Raises:
        DataError: a file cannot be read, or there are too few to hold some out.
    """
    data = recipe.data
    train = read_conversations(Path(data.source).expanduser())
    files = [data.source]
    if data.held_out:
        held = read_conversations(Path(data.held_out).expanduser())
        files.append(data.held_out)
    else:
        if not data.validation_fraction:
            raise DataError("no pairs are held out; give data.held_out, or a data.validation_fraction above 0")
        train, held = split_off(train, data.validation_fraction, recipe.train.seed)
    contents = [Path(file).expanduser().read_bytes() for file in files]
    return Writing(train, held, content_hash([*contents, f"{data.validation_fraction} {recipe.train.seed}"]))
