"""What everything about comparing begins with: the folder of writing, its prompts, the models' answers, what was said."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cutaway.base.errors import UsageError
from cutaway.server.lab import Lab
from cutaway.server.voice_folders import find_writing
from cutaway.server.voice_sides import sides_of

if TYPE_CHECKING:
    from cutaway.voice.answers import Prompt
    from cutaway.voice.canaries import Canaries
    from cutaway.voice.compare import Ballot, Side
    from cutaway.voice.ratings import Ratings


@dataclass(frozen=True)
class Table:
    """What all questions of this tab begin with."""

    writing: Path
    canaries: Canaries
    sides: list[Side]
    ratings: Ratings

    def ballots(self, seed: int) -> list[Ballot]:
        """Return the pairs to rate; none for one model."""
        from cutaway.voice.compare import ballots

        return ballots(self.sides, self.canaries, seed) if len(self.sides) > 1 else []

    def to_grade(self, seed: int) -> list[tuple[Prompt, int, Side]]:
        """Return the answers to grade, in an order the seed decides."""
        found = [
            (prompt, sample, side)
            for side in sorted(self.sides, key=lambda side: side.name)
            for prompt in self.canaries.prompts
            for sample in range(self.canaries.settings.samples)
            if (prompt.name, sample) in side.answers
        ]
        random.Random(f"grades {seed}").shuffle(found)
        return found


def table(lab: Lab, writing: str, models: list[str]) -> Table:
    """Return the folder, its prompts, the models' answers and what was said of them.

    Raises:
        UsageError: there are too many models, or one twice.
        DataError: there are no pairs to choose prompts from.
    """
    from cutaway.voice.canaries import canaries_of
    from cutaway.voice.compare import MOST_MODELS
    from cutaway.voice.ratings import Ratings

    if len(models) > MOST_MODELS or len(set(models)) < len(models):
        raise UsageError(f"{len(models)} models were named; expected at most {MOST_MODELS}, each once")
    folder = find_writing(lab.home, writing)
    canaries = canaries_of(folder)
    return Table(folder, canaries, sides_of(lab, models, folder, canaries), Ratings(lab.home, folder))


def listed(models: str) -> list[str]:
    """Return names parted by commas."""
    return [name for name in models.split(",") if name]
