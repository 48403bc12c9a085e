"""Fill the pages of docs/paint from runs: `CUTAWAY_RUNS=runs python docs/paint_pages.py [measured] [--numbers]`.

First `cutaway paint train all` and `cutaway bench paint --run all --out measured`. Of every phase the last run there is
taken. Between `<!-- numbers -->` and `<!-- end -->` go its figures, into docs/paint/images its pictures; nothing is chosen
by hand. With `--numbers` pictures stay as they are. A phase that was not measured leaves its page as it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paint_pictures as pictures
from paint_numbers import NUMBERS, summary

from cutaway.base.runs import open_run
from cutaway.diffusion.painter_folder import load_painter
from cutaway.diffusion.picture_files import write_picture
from cutaway.presets_paint import PHASES
from cutaway.run_facts import painter_of

FOLDER = Path(__file__).parent / "paint"
MOST_BYTES = 200_000
"""Of a picture."""
PAGES = {"unet": "1-flow", "dit": "2-transformer", "labels": "3-labels", "words": "4-words", "latents": "5-latents"}
"""By the phase whose run has to be there."""
BEGIN, END = "<!-- numbers -->", "<!-- end -->"


def newest(runs: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return name and figures of the last measured run of each phase."""
    return {one["phase"]: (name, one) for name, one in runs.items() if "phase" in one}


def filled(page: str, numbers: str) -> str:
    """Return a page with other numbers between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    assert found, f"the page has no {BEGIN} ... {END}"
    return f"{before}{BEGIN}\n\n{numbers}\n\n{END}{after}"


def pictures_of(phase: str, name: str, measured: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield what shows a phase: the name of each file and what makes it."""
    run = open_run(name)
    if phase == "vae":
        yield "5-through.png", lambda: pictures.smaller((measured / f"{name}-examples.png").read_bytes(), 3)
        return
    folder, usual = painter_of(run)
    painter = load_painter(folder)
    page = PAGES[phase][0]
    if phase in ("unet", "dit", "labels"):
        asked = [painter.names[i % len(painter.names)] if painter.names else "" for i in pictures.EIGHT]
        yield f"{page}-learning.png", lambda: pictures.while_learning(run, painter.size)[0]
        if phase == "unet":
            yield "1-noise.png", lambda: pictures.noise_to_pictures(painter, asked, usual)
            yield "1-samplers.png", lambda: pictures.samplers(painter, asked, usual)
            yield "1-nearest.png", lambda: pictures.smaller((measured / f"{name}-nearest.png").read_bytes(), 3)
        if phase == "labels":
            yield "3-guidance.png", lambda: pictures.guidance(painter, usual)
        return
    yield f"{page}-cats.png", lambda: pictures.sentence(painter, usual)
    yield f"{page}-examples.png", lambda: pictures.smaller((measured / f"{name}-examples.png").read_bytes(), 3)
    if phase == "words":
        yield "4-cats.gif", lambda: pictures.film(painter, usual)
        yield "4-learning.png", lambda: pictures.while_learning(run, painter.size)[0]
        yield "4-changed.png", lambda: pictures.one_word_changed(painter, usual)
        yield "4-maps.png", lambda: pictures.word_maps(painter, usual, ("cat", "wearing", "tiny", "hat"))
    else:
        yield "5-walk.png", lambda: pictures.walk(painter, usual)


def write_pictures(phase: str, name: str, measured: Path, folder: Path) -> None:
    """Make and write the pictures of a phase."""
    for file, make in pictures_of(phase, name, measured):
        content = make()
        assert len(content) <= MOST_BYTES, f"{file} has {len(content):,} bytes; at most {MOST_BYTES:,} are wanted"
        write_picture(folder / file, content)
        print(f"{folder / file}: {len(content):,} bytes")


def write_pages(measured: Path, folder: Path, with_pictures: bool = True) -> list[str]:
    """Fill the pages of all phases that were measured; return those phases."""
    found = newest(json.loads((measured / "measured.json").read_text(encoding="utf-8"))["runs"])
    for phase, (name, _) in found.items():
        if with_pictures and phase != "text":
            write_pictures(phase, name, measured, folder / "images")
    figures = {phase: one for phase, (_, one) in found.items()}
    for phase, page in PAGES.items():
        if phase in figures:
            path = folder / f"{page}.md"
            path.write_text(filled(path.read_text(encoding="utf-8"), NUMBERS[phase](figures)), encoding="utf-8")
    path = folder / "README.md"
    path.write_text(filled(path.read_text(encoding="utf-8"), summary(figures)), encoding="utf-8")
    return [phase for phase in PHASES if phase in figures]


if __name__ == "__main__":
    given = [word for word in sys.argv[1:] if not word.startswith("-")]
    done = write_pages(Path(given[0] if given else "measured"), FOLDER, "--numbers" not in sys.argv)
    print(f"filled: {', '.join(done)}; not measured: {', '.join(set(PHASES) - set(done)) or 'none'}")
