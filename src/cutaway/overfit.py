"""Can three pairs be learned by heart? If not, something is wrong with the format, and it is better to know at once.

A model that can learn at all can learn three short answers word for word: their loss falls to nearly zero, and asked the
same questions it gives the same answers and stops. Where that fails, what fails says what is wrong.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cutaway.base.errors import NonFiniteError
from cutaway.base.objective import Validation
from cutaway.base.runs import RunFolder
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import generate
from cutaway.interop.conversations import Conversation
from cutaway.models.decoder import Decoder, evaluating
from cutaway.recipe import Recipe
from cutaway.session import prepare_process
from cutaway.session_tuned import read_writing
from cutaway.train.distributed import World
from cutaway.train.trainer import Trainer
from cutaway.train.watch import ExamplesEvent, Watcher
from cutaway.tune.chat_form import ChatForm
from cutaway.tune.examples import Example, make_example
from cutaway.tune.sft import Answering, surprisals
from cutaway.tune.tuned_model import open_base

PAIRS = 3
STEPS = 300
KNOWN = 0.05
"""Nats a token: the model gives every token of the answers a probability of 95 % and more."""


@dataclass(frozen=True)
class Overfit:
    """How it went."""

    ok: bool
    loss_before: float
    loss_after: float
    steps: int
    n_pairs: int
    said: str
    """What that means, or what is wrong."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return dataclasses.asdict(self)

    def lines(self) -> list[str]:
        """Return it for people."""
        return [
            f"{self.n_pairs} pairs, {self.steps} steps: loss {self.loss_before:.3f} -> {self.loss_after:.3f} nats a token",
            f"{'ok' if self.ok else 'something is wrong'}: {self.said}",
        ]


class _Enough(Exception):
    """Learned: no need to go on."""


class _UntilKnown(Watcher):
    """Passes on what happens and ends the training when the pairs are known."""

    def __init__(self, inner: Watcher) -> None:
        self.step, self.say = inner.step, inner.say  # type: ignore[method-assign]
        self.inner = inner
        self.losses: list[float] = []

    def validated(self, step: int, validation: Validation, is_best: bool) -> None:
        """Note the loss."""
        self.inner.validated(step, validation, is_best)
        self.losses.append(validation.loss_nats)
        if validation.loss_nats < KNOWN:
            raise _Enough


def overfit(recipe: Recipe, world: World, watcher: Watcher, runs: Path | None = None) -> Overfit:
    """Train on three pairs and say whether they are known then, or what is wrong.

    Raises:
        CutawayError: the base or the pairs cannot be read.
    """
    assert recipe.tune is not None
    prepare_process(recipe.train)
    tune = dataclasses.replace(recipe.tune, lora_dropout=0.0)
    opened = open_base(tune, recipe.train.seed, runs)
    model, form = opened.model, opened.form
    chosen = short_pairs(read_writing(recipe).train, form, tune.context_length or model.config.context_length)
    conversations, examples = [one for one, _ in chosen], [example for _, example in chosen]
    lengths = [len(one.tokens) for one in examples]
    watcher.examples(ExamplesEvent(examples[0].marked(form), lengths, [], model.config.context_length))
    config = dataclasses.replace(
        recipe.train,
        minutes=None, epochs=None, tokens=None, steps=STEPS, batch_size=len(examples), accumulate=1, schedule="stable",
        decay_fraction=0.0, warmup_fraction=0.03, weight_decay=0.0, patience=0, validate_every=10, sample_every=0,
        checkpoint_every=STEPS, compile="off", precision="float32", threads=recipe.train.threads or 1,
    )  # fmt: skip
    objective = Answering(model, examples, examples, len(examples), config.seed)
    before = _loss(model, examples)
    until = _UntilKnown(watcher)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(objective, config, RunFolder(Path(folder)), world, until)
        try:
            trainer.train()
        except _Enough:
            pass
        except NonFiniteError:
            return Overfit(False, before, float("inf"), trainer.state.step, len(examples), _too_fast(recipe))
    after = _loss(model, examples)
    said = "" if after < KNOWN else why_not(before, until.losses, examples, model, form, recipe)
    said = said or asked_again(model, form, conversations)
    right = f"all {len(examples)} answers are known word for word, each stops where it should; the format is right"
    return Overfit(not said, before, after, trainer.state.step, len(examples), said or right)


def short_pairs(
    conversations: Sequence[Conversation], form: ChatForm, context_length: int
) -> list[tuple[Conversation, Example]]:
    """Return the shortest pairs whose questions differ."""
    found = [(one, make_example(one, form, f"pair {number}")) for number, one in enumerate(conversations, 1)]
    found.sort(key=lambda pair: len(pair[1].tokens))
    chosen: dict[str, tuple[Conversation, Example]] = {}
    for one, example in found:
        if len(example.tokens) <= context_length + 1 or not chosen:
            chosen.setdefault(str(one.plain()[:-1]), (one, example))
    return list(chosen.values())[:PAIRS]


def why_not(
    before: float, losses: list[float], examples: list[Example], model: Decoder, form: ChatForm, recipe: Recipe
) -> str:
    """Return why the loss is not near zero, as far as the numbers say."""
    after = losses[-1]
    rate = recipe.train.learning_rate
    if after > 1.2 * before or after > 2 * min(losses) + 0.5:
        return _too_fast(recipe)
    if before > 0.9 * math.log(model.config.known_vocab_size) and recipe.tune and recipe.tune.has_adapters:
        return (
            f"the base knows nothing: its loss of {before:.2f} is that of guessing among its "
            f"{model.config.known_vocab_size:,} tokens, and corrections cannot teach it a language; is it a trained model?"
        )
    if after > 0.9 * before:
        return (
            f"the loss hardly moved ({before:.2f} to {after:.2f}): nothing learns at a rate of {rate:g}; "
            f"try --train.learning-rate {10 * rate:.2g}"
        )
    if after < 0.8 * losses[max(0, len(losses) - 6)]:
        return (
            f"the loss is still falling ({losses[max(0, len(losses) - 6)]:.2f} to {after:.2f} in the last 50 steps): the "
            f"format may be right, but the rate of {rate:g} is low; try --train.learning-rate {3 * rate:.2g}"
        )
    each = surprisals(model, examples)
    worst = max(range(len(each)), key=lambda i: float(each[i].max()))
    at = int(each[worst].argmax())
    learned = examples[worst].tokens[examples[worst].is_learned]
    return (
        f"the loss stays at {after:.2f}; hardest is {form.tokenizer.token_text(int(learned[at]))!r}, token {at + 1} of the "
        f"answer of {examples[worst].name} ({float(each[worst][at]):.1f} nats): is it the same question with other "
        f"answers, or too small a rank (--tune.rank) for the model?"
    )


def asked_again(model: Decoder, form: ChatForm, conversations: Sequence[Conversation]) -> str:
    """Return what is wrong when the questions are asked as they will be later; empty: every answer comes word for word."""
    for one in conversations:
        messages = one.plain()
        ids = form.prompt_ids(messages[:-1])
        answer = messages[-1]["content"]
        room = len(form.encode(answer)) + 8
        with evaluating(model):
            (got,) = generate(model, form.tokenizer, ids, SamplingConfig(max_tokens=room, temperature=0.0))
        if got.stop_reason == "end" and got.text.strip() == answer.strip():
            continue
        if got.text.startswith(answer):
            return f"it knows the answer but does not stop after it: it goes on {got.text[len(answer) :][:40]!r}"
        same = next(
            (i for i, pair in enumerate(zip(got.text, answer, strict=False)) if pair[0] != pair[1]), len(got.text)
        )
        return (
            f"the answers are learned, but asked {messages[-2]['content'][:40]!r} it says {got.text[same:][:40]!r} where "
            f"{answer[same:][:40]!r} should follow: the template asks in another form than it trains"
        )
    return ""


def _loss(model: Decoder, examples: Sequence[Example]) -> float:
    found = surprisals(model, examples)
    return sum(float(one.sum()) for one in found) / sum(map(len, found))


def _too_fast(recipe: Recipe) -> str:
    rate = recipe.train.learning_rate
    return f"the loss went up: the rate of {rate:g} is too high; try --train.learning-rate {rate / 5:.2g}"
