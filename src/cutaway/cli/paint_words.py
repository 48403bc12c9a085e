"""`cutaway paint "WORDS"`: pictures of a sentence, as one file, and noise turning into them as another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cutaway.base.config import read_toml
from cutaway.base.errors import RunError, UsageError
from cutaway.base.files import slug
from cutaway.base.runs import open_run, runs_folder
from cutaway.cli.console import answer, answer_json, parse, screen
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.presets_paint import SHIPPED, painters
from cutaway.recipe_paint import PaintRecipe
from cutaway.run_facts import PAINTER, painter_of

if TYPE_CHECKING:
    from cutaway.diffusion.paint import Painted

EXAMPLE = 'cutaway paint "a cat wearing a tiny hat" --seed 3 --n 8 --guidance 4 --steps 30 --out cat.png --gif cat.gif'


@dataclass(frozen=True)
class WordsArguments:
    """Paint what the words say."""

    words: Annotated[str, tyro.conf.Positional]
    """What is to be painted: a sentence; of a run that knows labels, one of them; of one that knows neither, ''."""
    sampling: Annotated[PaintSamplingConfig, tyro.conf.arg(name="")]
    run: str = ""
    """The run that paints, or a painter's folder; left out: the newest that reads words, else the one that came along."""
    out: Path | None = None
    """The PNG file; left out: named after the words."""
    gif: Path | None = None
    """Also a GIF file of noise turning into the pictures."""
    json: bool = False
    """Print one JSON object."""


def paint_words(argv: list[str]) -> None:
    """Paint, say where the file lies, and show it where the terminal can."""
    named = named_run(argv)
    folder, usual = find_painter(named) if not {"-h", "--help"} & set(argv) else (Path(), PaintSamplingConfig())
    default = WordsArguments(words=tyro.MISSING, sampling=usual)
    asked = parse(WordsArguments, argv, "paint", EXAMPLE, default)
    out = asked.out or Path(f"{slug(asked.words) or 'painting'}.png")
    for file, ending in ((out, ".png"), (asked.gif, ".gif")):
        if file is not None and file.suffix.lower() != ending:
            raise UsageError(f"{str(file)!r} cannot be written: expected a name that ends in {ending}")

    import torch

    from cutaway.diffusion.paint import paint
    from cutaway.diffusion.painter import AT_ONCE
    from cutaway.diffusion.painter_folder import load_painter
    from cutaway.diffusion.picture_files import gif_bytes, png_bytes, write_picture
    from cutaway.train.pace import usable_cores

    painter = load_painter(folder)
    if painter.text is not None and not asked.words.strip():
        raise UsageError("the prompt is empty; say what is to be painted, as in: cutaway paint 'a cat wearing a hat'")
    torch.set_num_threads(usable_cores())
    console = screen()
    with console.status("painting ...") as status:
        n, begun = asked.sampling.n, 0

        def on_step(number: int, step: Any) -> None:
            nonlocal begun
            begun += len(step.x) if number == 1 else 0
            which = f" of pictures up to {begun} of {n}" if n > AT_ONCE else ""
            status.update(f"painting: step {number} of {asked.sampling.steps}{which} ...")

        def on_draft(number: int, step: Any) -> None:
            status.update(f"drafts, {asked.sampling.best_of} of each picture: step {number} ...")

        painted = paint(
            painter,
            [asked.words],
            asked.sampling,
            on_step=on_step,
            keep_frames=asked.gif is not None,
            on_draft=on_draft,
        )
    write_picture(out, png_bytes(painted.pictures))
    if asked.gif is not None:
        write_picture(asked.gif, gif_bytes(painted.frames))
    if asked.json:
        answer_json(as_json(asked, folder, out, painted))
        return
    if unknown := painted.unknown[0]:
        console.print(
            f"note: the text encoder never saw {', '.join(map(repr, unknown))}; left out", style="dim", markup=False
        )
    if lost := painted.lost[0]:
        console.print(f"note: the prompt is too long; left out: {' '.join(lost)}", style="dim", markup=False)
    if asked.sampling.best_of > 1:
        seeds = ", ".join(map(str, painted.seeds))
        console.print(f"the best of {asked.sampling.best_of} each, of the seeds {seeds}", style="dim", markup=False)
    from cutaway.cli.half_blocks import show_picture

    if (shown := show_picture(out, console)) is not None:
        console.print(shown)
    answer(f"{out}{f' and {asked.gif}' if asked.gif else ''}")


def as_json(asked: WordsArguments, folder: Path, out: Path, painted: Painted) -> dict[str, Any]:
    """Return what was painted, for machines."""
    return {
        "words": asked.words,
        "painter": str(folder),
        "picture": str(out),
        "gif": str(asked.gif) if asked.gif else None,
        "seeds": list(painted.seeds),
        "unknown_words": list(painted.unknown[0]),
        "lost_words": list(painted.lost[0]),
        "sampling": vars(asked.sampling),
    }


def named_run(words: list[str]) -> str:
    """Return the run among the words, before they are read: its recipe says how its samples are drawn."""
    for index, word in enumerate(words):
        flag, found, value = word.partition("=")
        if flag == "--run":
            return value if found else "".join(words[index + 1 : index + 2])
    return ""


def find_painter(name: str) -> tuple[Path, PaintSamplingConfig]:
    """Return a painter's folder, and how it usually paints.

    Args:
        name: a run, or a painter's folder; empty: the newest run that reads words, else the painter of the package.

    Raises:
        RunError: there is no such run, or none that paints.
    """
    if name and (Path(name) / PAINTER).is_file():
        return Path(name), sampling_of(Path(name))
    if name:
        return painter_of(open_run(name))
    if known := painters():
        return painter_of(known[-1])
    if (SHIPPED / PAINTER).is_file():
        return SHIPPED, sampling_of(SHIPPED)
    raise RunError(f"no run in {runs_folder()} paints by words yet; train one: cutaway paint train all")


def sampling_of(folder: Path) -> PaintSamplingConfig:
    """Return how an exported painter usually paints, where its recipe came with it."""
    recipe_file = folder / "painter_recipe.toml"
    return read_toml(PaintRecipe, recipe_file).sampling if recipe_file.is_file() else PaintSamplingConfig()
