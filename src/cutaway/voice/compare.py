"""Models compared blind: the same prompts, two answers at a time, and who wrote which is told only after the vote.

Every pair of models meets on every prompt. The order of the pairs and who stands on the left are drawn by the seed; one in
five comes a second time at the end with sides changed, which shows how far a rater agrees with himself. Who prefers what
stands on the left, or longer answers whatever they say, rates something else than the models: the first is told too.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from cutaway.base.errors import UsageError
from cutaway.base.files import write_text
from cutaway.voice.answers import Answer, read_answers
from cutaway.voice.canaries import BASE_ANSWERS, RUN_ANSWERS, Canaries

MOST_MODELS = 4
REPEATED = 5
"""One pair in so many is shown twice."""
ANSWERED = "answered.json"
KEYS = {"1": "left", "2": "right", "3": "tie", "4": "neither"}
MEANINGS = {"left": "the left one", "right": "the right one", "tie": "both alike", "neither": "neither sounds like me"}


@dataclass(frozen=True)
class Side:
    """A model and what it answered to the prompts there are now."""

    name: str
    weights: str
    """Hash of the weights that wrote the answers; empty where none are kept."""
    answers: dict[tuple[str, int], Answer]
    """By the prompt's name and the number of the sample."""


@dataclass(frozen=True)
class Ballot:
    """Two answers to a prompt, on two sides."""

    prompt: str
    text: str
    """What was asked."""
    sample: int
    left: str
    """The model's name."""
    right: str
    round: int
    """1: shown for the second time."""


def known_as(name: str) -> str:
    """Return how a model is noted: a run or a model of the Hub by its name, a folder by its path."""
    folder = Path(name).expanduser()
    return str(folder.resolve()) if (folder / "config.json").is_file() else name


def note_answered(writing: Path, name: str, weights: str) -> None:
    """Remember which weights answered under a name, so that answers are found without opening the model."""
    noted = answered(writing)
    if noted.get(known_as(name)) != weights:
        write_text(writing / ANSWERED, json.dumps(noted | {known_as(name): weights}, indent=1, sort_keys=True) + "\n")


def answered(writing: Path) -> dict[str, str]:
    """Return the weights that answered, by the model's name."""
    try:
        found = json.loads((writing / ANSWERED).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}
    return {str(name): str(weights) for name, weights in found.items()} if isinstance(found, dict) else {}


def side_of(name: str, canaries: Canaries, writing: Path, run: Path | None) -> Side:
    """Return what a model answered, as far as it is kept.

    Args:
        run: the run's folder, if it is one.

    Raises:
        DataError: a file of answers is broken.
    """
    every = read_answers(run / RUN_ANSWERS if run else writing / BASE_ANSWERS)
    settings = canaries.settings
    asked = {(prompt.text, prompt.max_tokens): prompt for prompt in canaries.prompts}
    fitting = [
        one
        for one in every
        if (one.prompt, one.max_tokens) in asked
        and (one.temperature, one.top_p, one.seed) == (settings.temperature, settings.top_p, settings.seed)
        and one.sample < settings.samples
    ]
    weights = answered(writing).get(known_as(name), "") if run is None else fitting[-1].model if fitting else ""
    found = {(asked[one.prompt, one.max_tokens].name, one.sample): one for one in fitting if one.model == weights}
    return Side(name, weights if found else "", found)


def ballots(sides: Sequence[Side], canaries: Canaries, seed: int = 0) -> list[Ballot]:
    """Return what is to be rated, in an order and on sides the seed decides; answers that are equal are left out.

    Raises:
        UsageError: there are fewer than two models, or more than four.
    """
    if not 2 <= len(sides) <= MOST_MODELS:
        raise UsageError(f"{len(sides)} models were named; expected 2 to {MOST_MODELS}, as: voice compare me-1 me-2")
    draw = random.Random(f"ballots {seed}")
    found = []
    for one, other in combinations(sorted(sides, key=lambda side: side.name), 2):
        for prompt in canaries.prompts:
            for sample in range(canaries.settings.samples):
                mine, theirs = one.answers.get((prompt.name, sample)), other.answers.get((prompt.name, sample))
                if mine and theirs and mine.text != theirs.text:
                    found.append((prompt, sample, one.name, other.name))
    draw.shuffle(found)
    shown = []
    for prompt, sample, first, second in found:
        left, right = draw.sample([first, second], 2)
        shown.append(Ballot(prompt.name, prompt.text, sample, left, right, 0))
    again = draw.sample(shown, -(-len(shown) // REPEATED)) if len(shown) > 2 else []
    return shown + [Ballot(one.prompt, one.text, one.sample, one.right, one.left, 1) for one in again]
