"""`cutaway voice tune`: tune a model on pairs of one's own writing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import tyro

from cutaway.base.errors import UsageError, suggest
from cutaway.base.runs import free_path
from cutaway.cli.console import answer, answer_json, parse, screen
from cutaway.presets import with_changes
from cutaway.presets_voice import example_recipe, tuned
from cutaway.recipe import Recipe
from cutaway.tune.config import Method

if TYPE_CHECKING:
    from cutaway.overfit import Overfit
    from cutaway.workbench import Run

EXAMPLE = "cutaway voice tune voice/ --base gpt2-folder --method lora"
USUAL = "voice"


@dataclass(frozen=True)
class TuneArguments:
    """Tune a model on pairs: the loss is on the answers alone, and pairs held out say when to stop.

    The first word is the folder `cutaway voice pairs` wrote (voice/, if none is named). Every setting below belongs to the
    recipe; rates and length start from what suits the base's width, the method and the number of pairs.
    """

    recipe: Annotated[Recipe, tyro.conf.arg(name="")]
    base: str = ""
    """The model to begin with: a run's name, a model folder, or a model of the Hub (hf:owner/name)."""
    method: Method = "lora"
    """`lora` learns small corrections beside the weights, `full` the weights, `lora4` corrections beside weights in 4
    bits."""
    smoke: bool = False
    """Only check: can three pairs be learned by heart? If not, the format is wrong, and it says how."""
    no_canaries: bool = False
    """Do not answer the fixed prompts (`cutaway voice canaries`) afterwards."""
    anyway: bool = False
    """Begin even where the memory seems too little."""
    quiet: bool = False
    """Show nothing while training."""
    json: bool = False
    """Print one JSON object with the result as the last line."""


def tune(argv: list[str]) -> None:
    """`cutaway voice tune [FOLDER] --base MODEL`."""
    folder, rest = (argv[0], argv[1:]) if argv and not argv[0].startswith("-") else (USUAL, argv)
    base, method = said(rest, "base"), said(rest, "method") or "lora"
    if method not in get_args(Method):
        raise UsageError(
            f"--method is {method!r}{suggest(method, get_args(Method))}; expected one of {', '.join(get_args(Method))}"
        )
    if "--help" in rest or "-h" in rest:
        parse(TuneArguments, rest, "voice tune", EXAMPLE, TuneArguments(example_recipe()))
    start = tuned(base, folder, method)  # type: ignore[arg-type]
    asked = parse(TuneArguments, rest, "voice tune", EXAMPLE, TuneArguments(start, base, method))  # type: ignore[arg-type]
    recipe = with_changes(start, asked.recipe)
    if asked.anyway and recipe.tune is not None:
        recipe = replace(recipe, tune=replace(recipe.tune, anyway=True))
    is_named = any(word == "--name" or word.startswith("--name=") for word in rest)
    name = recipe.name if is_named else None
    if name is not None and not asked.smoke:
        free_path(name)  # say so now if it is taken, not after the base was loaded

    from cutaway import workbench
    from cutaway.cli.watch import TerminalWatcher

    with TerminalWatcher(screen(), "tokens") as terminal:
        watcher = workbench.Watcher() if asked.quiet else terminal
        if asked.smoke:
            outcome = workbench.overfit(recipe, watcher)
            raise SystemExit(finish_smoke(outcome, asked.json))
        run = workbench.train(recipe, name=name, watcher=watcher)
    if not asked.no_canaries and (run.summary() or {}).get("status") == "finished":
        from cutaway.cli.voice_canaries import answer_after

        answer_after(run, Path(folder), asked.quiet)
    if not asked.quiet:
        screen().print(report(run, run.summary() or {}))
    if asked.json:
        answer_json({"run": str(run.path), **(run.summary() or {})})
    elif asked.quiet:
        answer(str(run.path))


def said(words: list[str], name: str) -> str:
    """Return what follows --NAME or --tune.NAME among the words; empty where it is not there."""
    flags = (f"--{name}", f"--tune.{name}")
    for index, word in enumerate(words):
        flag, found, value = word.partition("=")
        if flag in flags:
            return value if found else "".join(words[index + 1 : index + 2])
    return ""


def finish_smoke(outcome: Overfit, wants_json: bool) -> int:
    """Say whether three pairs could be learned by heart; return the exit code."""
    if wants_json:
        answer_json(outcome.as_dict())
    else:
        for line in outcome.lines():
            answer(line)
    return 0 if outcome.ok else 1


def report(run: Run, summary: dict[str, Any]) -> Any:
    """Return the losses before and after, and what to type next."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from cutaway.cli.watch import clock

    table = Table(show_header=False, box=None, padding=(0, 2))
    before, after = summary.get("before", {}), summary.get("after", {})
    for side, what in (("train", "pairs it learned"), ("held_out", "pairs held out")):
        if side in before and side in after:
            old, new = before[side], after[side]
            table.add_row(
                f"loss, {what}",
                f"{old['loss']:.3f} -> [bold green]{new['loss']:.3f}[/] nats a token   "
                f"({old['bits_per_byte']:.3f} -> {new['bits_per_byte']:.3f} bits a byte)",
            )
    learns, all_of_it = summary.get("trained_parameters", 0), summary["parameters"]
    table.add_row("learned", f"{learns:,} of {all_of_it:,} numbers, {summary.get('pairs', 0):,} pairs")
    best = f"; the best, of step {summary['best_step']:,}, is kept" if summary["best_step"] != summary["steps"] else ""
    early = ", stopped early" if summary.get("stopped_early") else ""
    table.add_row("trained", f"{summary['steps']:,} steps, {clock(summary['seconds'])}{early}{best}")
    table.add_row("run", str(run.path))
    if summary["status"] == "finished":
        title, following = "finished", next_commands(run)
    else:
        title, following = "stopped, nothing lost", [f"cutaway train {run.path}      (goes on where it stopped)"]
    table.add_row("next", "\n".join(following))
    return Group(Text(f"\n{title}", style="bold"), table)


def next_commands(run: Run) -> list[str]:
    """Return what one may want to type after tuning."""
    from cutaway.cli.voice import ACTIONS

    ways = {
        "canaries": "fixed prompts, base and tuned side by side",
        "report": "your voice, or your essays?",
        "export": "for other programs",
    }
    commands = [f"cutaway voice {name} {run.name}      ({why})" for name, why in ways.items() if name in ACTIONS]
    return [*commands, f"cutaway runs show {run.name}"]
