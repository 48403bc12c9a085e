"""`cutaway voice resplit | plant`: what tells memory from voice, where that takes another training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from cutaway.base.errors import RunError, UsageError
from cutaway.base.runs import open_run
from cutaway.cli.console import answer, answer_json, parse, screen


@dataclass(frozen=True)
class ResplitArguments:
    """Train a tuned run again with other texts held out: with a dozen held-out pairs one split says little."""

    run: Annotated[str, tyro.conf.Positional]
    """A tuned run that has finished. What each training came to is kept in its folder; finished ones are not done again."""
    splits: int = 5
    """How many times."""
    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True)
class PlantArguments:
    """Put random secrets among the training pairs, in a file of its own. A run tuned on it shows what it gives away."""

    folder: Annotated[Path, tyro.conf.Positional] = Path("voice")
    """What `cutaway voice pairs` made."""
    secrets: int = 4
    """How many for each number of repetitions."""
    repetitions: tuple[int, ...] = (1, 4, 16)
    """How often they stand there."""
    seed: int = 0
    """Decides the secrets and their places."""
    json: bool = False
    """Print one JSON object."""


def resplit(argv: list[str]) -> None:
    """`cutaway voice resplit RUN`."""
    asked = parse(ResplitArguments, argv, "voice resplit", "cutaway voice resplit me-1 --splits 5")
    try:
        run = open_run(asked.run)
    except RunError as error:
        raise UsageError(str(error)) from None
    from cutaway.resplit import resplit_run
    from cutaway.train.watch import StepEvent, Watcher
    from cutaway.voice.resplits import SplitLosses, summarize_splits

    class Progress(Watcher):
        """Shows how far the training of a split is."""

        def step(self, event: StepEvent) -> None:
            shown.update(f"split {done + 1} of {asked.splits}: step {event.step:,} of {event.total_steps:,}")

    done = 0

    def note(number: int, one: SplitLosses) -> None:
        nonlocal done
        done = number
        screen().print(
            f"split {number}: held-out {one.base_bits:.3f} -> {one.tuned_bits:.3f} bits a byte "
            f"(held out: {', '.join(one.held_out_sources)})"
        )

    with screen().status("opening the base") as shown:
        found = summarize_splits(resplit_run(run, asked.splits, Progress(), note))
    if asked.json:
        answer_json({"run": run.name, **found.as_dict()})
        return
    answer(found.sentence())


def plant(argv: list[str]) -> None:
    """`cutaway voice plant FOLDER`."""
    asked = parse(PlantArguments, argv, "voice plant", "cutaway voice plant voice/ --repetitions 1 4 16")
    from cutaway.interop.conversations import read_conversations
    from cutaway.voice.exposure import plant as planted_in
    from cutaway.voice.exposure import write_planted

    train = asked.folder / "train.jsonl"
    if not train.is_file():
        raise UsageError(f"there is no {train}; first: cutaway voice pairs {asked.folder}")
    made = planted_in(read_conversations(train), asked.secrets, asked.repetitions, asked.seed)
    path = write_planted(asked.folder, made)
    n_planted = sum(secret.repetitions for secret in made.secrets)
    if asked.json:
        answer_json({"file": str(path), "pairs": len(made.conversations), "planted": n_planted})
        return
    answer(
        f"{n_planted} pairs with secrets among {len(made.conversations) - n_planted} of yours, written to {path}; "
        f"{train} is as it was"
    )
