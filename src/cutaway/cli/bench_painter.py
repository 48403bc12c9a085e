"""`cutaway bench paint --run RUN`: a run's painter, judged; 16 of its pictures as a PNG file, the worst included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cutaway.base.errors import UsageError
from cutaway.base.runs import RunFolder
from cutaway.cli.paint_words import find_painter
from cutaway.diffusion.config import PicturesConfig
from cutaway.recipe_paint import PaintRecipe
from cutaway.run_facts import read_recipe


def bench_painter(name: str, count: int, say: Callable[[str], None]) -> tuple[dict[str, Any], str]:
    """Judge a painter; return its figures and their table.

    Raises:
        UsageError: it was not trained on creatures, which is what the judge knows.
    """
    from cutaway.bench.facts import fact_table
    from cutaway.bench.paint_prompts import judge_painter, judged_table
    from cutaway.diffusion.judge_training import open_judge
    from cutaway.diffusion.painter_folder import load_painter
    from cutaway.diffusion.picture_files import png_bytes, write_picture
    from cutaway.diffusion.pictures import Creatures

    folder, sampling = find_painter(name)
    pictures, seed = _trained_on(folder)
    if pictures.source != "creatures":
        raise UsageError(f"the judge knows creatures only; {name} was trained on {pictures.source}")
    painter = load_painter(folder)

    def on_step(step: int, n_steps: int, loss: float) -> None:
        if step == 1 or step % 100 == 0:
            say(f"training the judge, once: step {step} of {n_steps}, loss {loss:.2f}")

    judge = open_judge(on_step=on_step)
    trained_on = Creatures(pictures.size, pictures.held_out, seed)
    judged = judge_painter(painter, sampling, judge, trained_on, count, say=say)
    figures = judged.as_dict() | {"judge": {"accuracy": judge.accuracy, "hash": judge.hash}, "painter": str(folder)}
    text = f"{judged_table(judged)}\n\n{fact_table(judged.facts)}" if judged.sets else fact_table(judged.facts)
    if judged.sets:
        shown, marked = judged.examples()
        out = Path(f"judged-{Path(name).name}.png")
        write_picture(out, png_bytes(shown, columns=4))
        figures["examples"] = str(out)
        text += f"\n\n{out}, row by row:\n"
        marks = [f"{'right' if one.is_right else _wrong(one.verdict)}: {one.prompt}" for one in marked]
        text += "\n".join(f"{number:2} {mark}" for number, mark in enumerate(marks, 1))
    worst = min(judge.accuracy, key=lambda question: judge.accuracy[question])
    lowest = 100 * judge.accuracy[worst]
    text += f"\n\nthe judge {judge.hash} is right on {lowest:.1f} % or more of fresh drawings (least on {worst})"
    return figures, text


def _wrong(verdict: dict[str, bool]) -> str:
    return "wrong " + ", ".join(name for name, is_right in verdict.items() if not is_right)


def _trained_on(folder: Path) -> tuple[PicturesConfig, int]:
    """Return the pictures and seed of the run a painter belongs to; of a folder outside runs, the usual ones."""
    run = RunFolder(folder.parent)
    if not run.recipe_file.is_file():
        return PicturesConfig(), 0
    recipe = read_recipe(run)
    assert isinstance(recipe, PaintRecipe)
    return recipe.pictures, recipe.train.seed
