"""`cutaway paint` alone: which phases are trained, with what loss, and what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cutaway.base.runs import runs_folder
from cutaway.cli.console import answer, answer_json, parse
from cutaway.diffusion.config import PicturesConfig
from cutaway.presets_paint import PHASES, SHIPPED, Phase, runs_of
from cutaway.run_facts import PAINTER, facts


@dataclass(frozen=True)
class GuideArguments:
    """Say which phases are trained, from noise to pictures of sentences, and what comes next."""

    json: bool = False
    """Print one JSON object."""


def guide(argv: list[str]) -> None:
    """`cutaway paint`."""
    asked = parse(GuideArguments, argv, "paint", "cutaway paint")
    told = [state(phase) for phase in PHASES.values()]
    open_ones = [one for one in told if one["status"] != "finished"]
    paints = next((one for one in reversed(told) if one["name"] in ("words", "latents") and one["can_paint"]), None)
    following = f"cutaway paint train {open_ones[0]['name']}" if open_ones else None
    if open_ones and open_ones[0]["status"] == "running":
        following = f"cutaway runs show {open_ones[0]['run']}"
    if asked.json:
        answer_json({"folder": str(runs_folder()), "phases": told, "next": following})
        return
    answer("From noise to a picture of a sentence, phase by phase; each stands on the ones before.\n")
    for one in told:
        mark = "x" if one["status"] == "finished" else ">" if open_ones and one is open_ones[0] else " "
        loss = f", held-out loss {one['validation_loss']:.4f}" if one["validation_loss"] is not None else ""
        done = f"{one['run']} is {one['status']}{loss}" if one["run"] else one["summary"]
        answer(f"  {mark} {one['phase']} {one['name']:<8} {done}")
    if following:
        answer(f"\nnext:  {following}     all at once:  cutaway paint train all")
    if paints:
        answer(f'paint:  cutaway paint "a cat wearing a tiny hat"     (with {paints["run"]})')
    elif (SHIPPED / PAINTER).is_file():
        answer('paint:  cutaway paint "a cat wearing a tiny hat"     (with the painter that came along)')


def state(phase: Phase) -> dict[str, Any]:
    """Return how a phase stands: its newest finished run, else its newest."""
    runs = runs_of(phase.name, PicturesConfig().source)
    run = next((run for run in reversed(runs) if run.status() == "finished"), runs[-1] if runs else None)
    known = facts(run) if run else None
    return {
        "phase": phase.number,
        "name": phase.name,
        "summary": phase.summary,
        "run": run.name if run else None,
        "status": known.status if known else "not trained",
        "validation_loss": known.validation_loss if known else None,
        "can_paint": known.can_paint if known else False,
    }
