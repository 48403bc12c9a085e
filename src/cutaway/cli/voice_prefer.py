"""`cutaway voice prefer`: own answers against the model's, learned from as preferences (DPO)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cutaway.base.errors import UsageError
from cutaway.base.runs import free_path
from cutaway.base.seed import numpy_generator
from cutaway.cli.console import answer, answer_json, parse, screen
from cutaway.cli.voice_tuned import Tuned, find_tuned
from cutaway.tune.config import Method, TuneConfig

if TYPE_CHECKING:
    from cutaway.interop.conversations import Conversation
    from cutaway.tune.chat_form import ChatForm

EXAMPLE = "cutaway voice prefer me-1 --pairs 200 --name me-1-preferred"


@dataclass(frozen=True)
class PreferArguments:
    """Let a tuned model answer its own training prompts, and teach it to prefer your answers, in a new run that begins
    with it.

    The pairs of answers are written beside your pairs, as preferences-RUN.jsonl, in the form TRL reads.
    """

    run: Annotated[str, tyro.conf.Positional]
    """A tuned run; its model answers, and is what the new run begins with."""
    pairs: int = 200
    """At most so many prompts are answered."""
    answer_tokens: int = 200
    """So many tokens of each answer are written and compared."""
    temperature: float = 1.0
    """At which the model answers; 1 is the model as it is."""
    beta: float = 0.1
    """How dear it is to leave the model as it was."""
    method: Method = "lora"
    """What learns: lora, full or lora4."""
    epochs: float | None = None
    """How often the pairs are gone through; left out: twice."""
    steps: int | None = None
    """How many steps, in place of epochs."""
    threads: int | None = None
    """Of the processor; left out: measured."""
    name: str | None = None
    """The new run's name."""
    seed: int = 0
    """Of the choice of prompts, the answers and the training."""
    quiet: bool = False
    """Show nothing while training."""
    json: bool = False
    """Print one JSON object."""


def prefer(argv: list[str]) -> None:
    """`cutaway voice prefer RUN`."""
    asked = parse(PreferArguments, argv, "voice prefer", EXAMPLE)
    if asked.pairs < 1:
        raise UsageError(f"--pairs is {asked.pairs}; expected 1 or more")
    tuned = find_tuned(asked.run)
    if asked.name is not None:
        free_path(asked.name)
    from cutaway import workbench
    from cutaway.cli.watch import TerminalWatcher
    from cutaway.presets_voice import preferring

    TuneConfig(beta=asked.beta, answer_tokens=asked.answer_tokens)  # say so now, not after the model has answered
    files, said = written_pairs(tuned, asked)
    recipe = preferring(asked.run, files[0], files[1], asked.method)
    assert recipe.tune is not None
    changes: dict[str, Any] = {"seed": asked.seed, "threads": asked.threads}
    if asked.steps is not None:
        changes |= {"steps": asked.steps, "epochs": None}
    elif asked.epochs is not None:
        changes["epochs"] = asked.epochs
    recipe = dataclasses.replace(
        recipe,
        tune=dataclasses.replace(recipe.tune, beta=asked.beta, answer_tokens=asked.answer_tokens),
        train=dataclasses.replace(recipe.train, **changes),
        generate=dataclasses.replace(recipe.generate, max_tokens=asked.answer_tokens),
    )
    if asked.quiet:
        run = workbench.train(recipe, name=asked.name)
    else:
        with TerminalWatcher(screen(), "tokens") as watcher:
            watcher.say(said)
            run = workbench.train(recipe, name=asked.name, watcher=watcher)
    summary = run.summary() or {}
    found = summary.get("preference")
    if asked.json:
        answer_json({"run": str(run.path), "files": [str(file) for file in files], **summary})
        return
    if found:
        answer(
            f"of the held-out pairs the model now leans to your answer in {found['accuracy']:.0%} "
            f"(margin {found['margin']:.3f}, loss {found['loss']:.3f}; before: 0.693)"
        )
    answer(f"run {run.path}; next: cutaway voice report {run.name}")


def written_pairs(tuned: Tuned, asked: PreferArguments) -> tuple[tuple[Path, Path], str]:
    """Let the model answer; return the files of preferences, training and held-out, and what came of it."""
    from cutaway.interop.conversations import read_conversations
    from cutaway.run_facts import writing_recipe
    from cutaway.tune.chat_form import chat_form
    from cutaway.tune.preferences import write_preferences
    from cutaway.voice.preference_pairs import preference_pairs

    data = writing_recipe(tuned.run).data
    sources = (Path(data.source), Path(data.held_out) if data.held_out else tuned.writing / "held_out.jsonl")
    speaker = tuned.speaker()
    form: ChatForm = chat_form(speaker.folder, speaker.tokenizer)
    files = tuple(tuned.writing / f"preferences-{tuned.run.name}{end}.jsonl" for end in ("", "-held-out"))
    said = []
    with screen().status("reading") as status:
        for side, source, file in zip(("training", "held-out"), sources, files, strict=True):
            some = chosen(read_conversations(source), asked.pairs, asked.seed)
            made = preference_pairs(
                speaker.model, form, some, asked.answer_tokens, asked.temperature, asked.seed,
                lambda done, total, side=side: status.update(f"answering {side} prompts: {done} of {total}"),  # type: ignore[misc]
            )  # fmt: skip
            write_preferences(file, made.pairs)
            said.append(f"{side}: {made.sentence()}")
    return (files[0], files[1]), " ".join(said)


def chosen(conversations: list[Conversation], n: int, seed: int) -> list[Conversation]:
    """Return so many of the conversations, drawn at random, in their order."""
    order = numpy_generator(seed, "prompts").permutation(len(conversations))[:n]
    return [conversations[i] for i in sorted(order.tolist())]
