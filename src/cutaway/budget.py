"""From a recipe and a text to a task, and from a budget to a number of steps.

A recipe may leave open how big the model is and how many steps it takes: with a budget in minutes both follow from how fast
this machine trains this text. What is decided here is written into the run's own recipe.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from cutaway.base.errors import UsageError
from cutaway.base.objective import Objective, Probe, Sample
from cutaway.models.build import build
from cutaway.models.decoder import Decoder
from cutaway.models.presets import characters
from cutaway.recipe import Recipe
from cutaway.text.batches import EncodedCorpus, ValidationWindows, Windows, encode_corpus
from cutaway.text.corpus import Corpus, read_corpus
from cutaway.text.tokenizer import Tokenizer, build_tokenizer
from cutaway.train.config import TrainConfig
from cutaway.train.ladder import Rung, difficulty
from cutaway.train.language import NextToken
from cutaway.train.plan import Proposal, propose
from cutaway.train.trainer import MEASUREMENTS

TRAINING_TO_MEASURING = 2.5
"""How many times longer it takes to train on a token than to measure the loss on it, about."""
SECONDS_TO_SAMPLE_AND_SAVE = 0.5
"""Time one sample and one checkpoint take, about."""


def read_text(recipe: Recipe) -> tuple[Corpus, Tokenizer, EncodedCorpus]:
    """Return the recipe's text, its tokenizer, and the text as tokens."""
    corpus = read_corpus(recipe.data, recipe.train.seed)
    tokenizer = build_tokenizer(recipe.data, corpus)
    return corpus, tokenizer, encode_corpus(corpus, tokenizer)


def make_objective(
    recipe: Recipe,
    model: Decoder,
    encoded: EncodedCorpus,
    write: Callable[[torch.nn.Module], Sample] | None = None,
    probe: Probe | None = None,
) -> NextToken:
    """Return the recipe's task on the text."""
    context = recipe.model.context_length
    windows = Windows(encoded.train.tokens, context, recipe.train.seed)
    batch_size = max(1, 8192 // context)
    return NextToken(model, windows, ValidationWindows(encoded.validation, context, batch_size), write, probe)


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
    seconds = seconds_to_train(recipe.train.minutes)
    sample = "\n".join(corpus.train_texts[:200])
    return propose(seconds, make, recipe.train, device, difficulty(sample))


def seconds_to_train(minutes: float) -> float:
    """Return what is left of a budget after samples and checkpoints (a tiny model's take less)."""
    return 60 * minutes - min(MEASUREMENTS * SECONDS_TO_SAMPLE_AND_SAVE, 6 * minutes)


def settled_steps(config: TrainConfig, objective: Objective, seconds_per_step: float, seconds_spent: float) -> int:
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
        measured *= 2 if config.ema else 1  # the weights and their average
        steps_worth = measured / tokens_per_step / TRAINING_TO_MEASURING
        seconds = seconds_to_train(config.minutes) - seconds_spent
        return max(10, int(seconds / seconds_per_step - steps_worth))
    raise UsageError(
        "how long to train is not said: set one of --train.minutes, --train.steps, --train.epochs, --train.tokens"
    )
