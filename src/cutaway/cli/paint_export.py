"""`cutaway paint export`: a run's painter as a folder to keep or to give away, small, with where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from cutaway.base.errors import UsageError
from cutaway.base.files import write_text
from cutaway.base.runs import RunFolder, open_run
from cutaway.cli.console import answer, answer_json, parse, screen
from cutaway.recipe_paint import PaintRecipe
from cutaway.run_facts import PAINTER, painter_of, read_recipe

EXAMPLE = "cutaway paint export paint-words-1 --out my-painter"
CARD = """\
# {name}

Paints {size} x {size} pixels {told}. Trained by Cutaway {version} from pictures `{source}`; nothing was fetched.

| | |
| --- | --- |
{rows}

`painter_recipe.toml` repeats the run{others}. `painter.json` has the SHA-256 of every file.

    cutaway paint {example}--run {folder}
"""


@dataclass(frozen=True)
class ExportArguments:
    """Write a run's painter, with all that it stands on, into one folder."""

    run: Annotated[str, tyro.conf.Positional]
    """A run that paints."""
    out: Path
    """The folder to make."""
    precision: Literal["float16", "float32"] = "float16"
    """Of the weights in the files. float16 is half as large; the pictures differ by a shade."""
    force: bool = False
    """Replace an earlier export."""
    json: bool = False
    """Print one JSON object."""


def export(argv: list[str]) -> None:
    """Write the folder and say how large it is."""
    asked = parse(ExportArguments, argv, "paint export", EXAMPLE)
    if asked.out.exists() and not (asked.force and (asked.out / PAINTER).is_file()):
        raise UsageError(f"{asked.out} exists already; name another folder (--force replaces an earlier export)")
    run = open_run(asked.run)
    folder, _ = painter_of(run)
    recipe = read_recipe(run)
    assert isinstance(recipe, PaintRecipe)

    from cutaway.diffusion.painter_folder import load_painter, save_painter

    with screen().status(f"writing {asked.out} ..."):
        painter = load_painter(folder)
        save_painter(asked.out, painter, asked.precision)
        for part, made_by in {"painter": run, **stands_on(recipe, run)}.items():
            recipe_file = asked.out / f"{part}_recipe.toml"
            told = made_by.recipe_file.read_text(encoding="utf-8")
            # where a run lies on this machine is nobody else's business
            write_text(recipe_file, told.replace(str(made_by.recipe_file), recipe_file.name))
        parts = [painter.denoiser, painter.text.encoder if painter.text else None, painter.vae, painter.reader]
        numbers = sum(p.numel() for part in parts if part is not None for p in part.parameters())
        write_text(asked.out / "README.md", card(run, recipe, painter.size, numbers, asked.out))
    size = sum(file.stat().st_size for file in asked.out.iterdir())
    if asked.json:
        answer_json({"painter": str(asked.out), "bytes": size, "parameters": numbers})
        return
    answer(f"{asked.out}: {numbers:,} numbers, {size / 1e6:.1f} MB")


def stands_on(recipe: PaintRecipe, run: RunFolder) -> dict[str, RunFolder]:
    """Return the runs that a run stands on, by what they made, where they are still there."""
    named = {"text": recipe.text, "vae": recipe.vae}
    found = {part: RunFolder(run.path.parent / name) for part, name in named.items() if name}
    return {part: below for part, below in found.items() if below.recipe_file.is_file()}


def card(run: RunFolder, recipe: PaintRecipe, size: int, numbers: int, folder: Path) -> str:
    """Return what the README of an exported painter says."""
    from cutaway import __version__

    summary = run.summary() or {}
    known: dict[str, Any] = {
        "numbers": f"{numbers:,}",
        "steps": summary.get("steps"),
        "pictures seen": summary.get("tokens"),
        "seconds": summary.get("seconds"),
        "held-out loss": summary.get("validation_loss"),
        "trained until": summary.get("ended"),
    }
    rows = "\n".join(f"| {name} | {value} |" for name, value in known.items() if value is not None)
    told = {"none": "of its own accord", "labels": "of a label", "words": "of a sentence"}[recipe.conditions]
    others = ", the others those it stands on" if stands_on(recipe, run) else ""
    example = '"a cat wearing a tiny hat" ' if recipe.conditions == "words" else "'' "
    return CARD.format(
        name=recipe.name,
        size=size,
        told=told,
        version=__version__,
        source=recipe.pictures.source,
        rows=rows,
        others=others,
        example=example,
        folder=folder,
    )
