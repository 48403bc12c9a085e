"""`cutaway voice canaries`: fixed prompts answered by a run and its base, kept and shown side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from cutaway.base.errors import CutawayError
from cutaway.base.runs import RunFolder
from cutaway.cli.console import answer, answer_json, parse, screen
from cutaway.cli.voice_tuned import Tuned, find_tuned

if TYPE_CHECKING:
    from cutaway.voice.answers import Answer, Prompt, Speaker
    from cutaway.voice.canaries import Canaries

WIDTH = 100


@dataclass(frozen=True)
class CanariesArguments:
    """Answer fixed prompts with a tuned model and its base. They are in canaries.toml of the writing, to be edited."""

    run: Annotated[str, tyro.conf.Positional] = ""
    """A tuned run; without one the prompts are chosen and shown."""
    writing: Path | None = None
    """The folder of writing; left out: the one the run was tuned on, or voice/."""
    base: str = ""
    """The model to compare with; left out: the one the run began with."""
    json: bool = False
    """Print one JSON object."""


def canaries(argv: list[str]) -> None:
    """`cutaway voice canaries [RUN]`."""
    asked = parse(CanariesArguments, argv, "voice canaries", "cutaway voice canaries me-1")
    from cutaway.voice.canaries import FILE, canaries_of

    tuned = find_tuned(asked.run, asked.base, asked.writing) if asked.run else None
    writing = tuned.writing if tuned else asked.writing or Path("voice")
    prompts = canaries_of(writing)
    if tuned is None:
        if asked.json:
            answer_json({"file": str(writing / FILE), "prompts": [vars(prompt) for prompt in prompts.prompts]})
            return
        show_prompts(prompts.prompts)
        answer(f"\nthey are in {writing / FILE}; change any of them\nnext: cutaway voice canaries RUN")
        return
    base, own = answer_canaries(tuned, prompts)
    if asked.json:
        told = {"base": [one.as_dict() for one in base], "tuned": [one.as_dict() for one in own]}
        answer_json({"run": tuned.run.name, "base_model": tuned.base, **told})
        return
    show_answers(tuned, base, own)


def answer_canaries(tuned: Tuned, prompts: Canaries) -> tuple[list[Answer], list[Answer]]:
    """Return the answers of a run and of its base; what was answered before is read."""
    from cutaway.voice.canaries import BASE_ANSWERS, RUN_ANSWERS
    from cutaway.voice.compare import note_answered

    base = asked(tuned.base_speaker(), prompts, tuned.writing / BASE_ANSWERS)
    note_answered(tuned.writing, tuned.base, base[0].model)
    return base, asked(tuned.speaker(), prompts, tuned.run.path / RUN_ANSWERS)


def answer_after(run: RunFolder, folder: Path, is_quiet: bool) -> None:
    """Answer the canaries of the folder a run was just tuned on; what is in the way is said and fails nothing."""
    from cutaway.voice.canaries import RUN_ANSWERS, canaries_of

    writing = folder if folder.is_dir() else folder.parent
    try:
        answer_canaries(find_tuned(str(run.path), writing=writing), canaries_of(writing))
    except CutawayError as error:
        screen().print(f"the canaries were not answered: {error}", style="yellow")
        return
    if not is_quiet:
        screen().print(f"canaries  answered by both models, in {run.path / RUN_ANSWERS}", soft_wrap=True)


def asked(speaker: Speaker, prompts: Canaries, path: Path) -> list[Answer]:
    """Return a model's answers, saying how far it is."""
    from cutaway.voice.answers import answer_all

    with screen().status(f"{speaker.name} answers") as status:
        return answer_all(
            speaker, prompts.prompts, prompts.settings, path,
            lambda done, total: status.update(f"{speaker.name} answers: {done} of {total} prompts"),
        )  # fmt: skip


def show_prompts(prompts: Sequence[Prompt]) -> None:
    """Print the prompts by kind."""
    from cutaway.voice.canaries import KINDS

    for kind, what in KINDS.items():
        answer(f"{kind}: {what}")
        for prompt in prompts:
            if prompt.kind == kind:
                answer(f"  {prompt.name:<10}{short(prompt.text)}  ({prompt.max_tokens} tokens at most)")


def show_answers(tuned: Tuned, base: Sequence[Answer], own: Sequence[Answer]) -> None:
    """Print each prompt with both answers."""
    from cutaway.voice.canaries import KINDS, RUN_ANSWERS

    for before, after in zip(base, own, strict=True):
        answer(f"{after.name} ({KINDS[after.kind]}): {short(after.prompt)}")
        for who, one in ((f"base {tuned.base}", before), (f"tuned {tuned.run.name}", after)):
            answer(f"  {who}, {one.n_tokens} tokens{', cut off' if one.stop_reason == 'max_tokens' else ''}")
            for line in one.text.splitlines() or ["(nothing)"]:
                answer(textwrap.fill(line, WIDTH, initial_indent="    ", subsequent_indent="    "))
        answer("")
    answer(f"kept in {tuned.run.path / RUN_ANSWERS}\nnext: cutaway voice report {tuned.run.name}")


def short(text: str) -> str:
    """Return a prompt in one line."""
    return textwrap.shorten(text, 90, placeholder=" ...")
