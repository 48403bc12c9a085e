"""The pictures of docs/paint: made by the painters of a folder of runs, the same seeds everywhere.

Every function returns a PNG or GIF file's bytes. What is in which row says the page, not the picture.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from cutaway.base.runs import RunFolder
from cutaway.diffusion.between import between_latents
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.paint import paint
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.picture_files import GAP, gif_bytes, png_bytes
from cutaway.diffusion.scene import KINDS
from cutaway.diffusion.word_maps import paint_with_word_maps

EIGHT = range(8)
"""Seeds that all rows share."""
EDGE = 64
"""Screen pixels of a picture."""
SAMPLERS = (("euler", 7), ("heun", 4), ("dpm++", 7), ("heun", 30))
"""Each with its steps: the first three ask the model seven times, the last 59 times."""
SCALES = (0, 1, 3, 8)
CAT = "a cat wearing a tiny hat"
CHANGED = (
    "a red cat wearing a tiny blue hat",
    "a green cat wearing a tiny blue hat",
    "a red owl wearing a tiny blue hat",
    "a red cat wearing a big blue hat",
    "a red cat wearing a tiny blue scarf",
    "a red cat wearing a tiny blue hat at night",
)
"""The same noise, one word changed."""
WALK = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

Pictures = UInt8[ndarray, "B Y X C"]


def scaled(size: int) -> int:
    """Return the screen pixels of one pixel of a picture."""
    return max(1, EDGE // size)


def rows_of(rows: Sequence[Pictures]) -> bytes:
    """Return pictures row by row."""
    return png_bytes(np.concatenate(rows), columns=len(rows[0]), scale=scaled(rows[0].shape[1]))


def noise_to_pictures(painter: Painter, asked: Sequence[str], usual: PaintSamplingConfig) -> bytes:
    """Return a row for each of six moments, from noise to pictures."""
    config = dataclasses.replace(usual, sampler="euler", steps=30)
    frames = paint(painter, asked, config, EIGHT, keep_frames=True, allow_empty=True).frames
    return rows_of([frames[i] for i in (0, 6, 12, 18, 24, 30)])


def while_learning(run: RunFolder, size: int, n_rows: int = 5) -> tuple[bytes, list[int]]:
    """Return what the run painted of its first seeds at some of its steps, and which: each three times the one before."""
    steps = sorted(int(path.stem) for path in run.pictures_folder.glob("*.png"))
    chosen = [steps[-1]]
    while len(chosen) < n_rows and (earlier := [step for step in steps if step <= chosen[0] / 2.5]):
        chosen.insert(0, earlier[-1])
    return rows_of([np.stack(list(cells(run, step, size))) for step in chosen]), chosen


def cells(run: RunFolder, step: int, size: int) -> Iterator[UInt8[ndarray, "Y X C"]]:
    """Yield the pictures of a run's sheet at a step, in their own pixels."""
    with Image.open(run.pictures_folder / f"{step}.png") as opened:
        sheet_YXC = np.asarray(opened.convert("RGB"))
    columns = 4
    edge = (sheet_YXC.shape[1] + GAP) // columns - GAP
    for top in range(0, sheet_YXC.shape[0], edge + GAP):
        for left in range(0, sheet_YXC.shape[1], edge + GAP):
            yield sheet_YXC[top : top + edge : edge // size, left : left + edge : edge // size]


def samplers(painter: Painter, asked: Sequence[str], usual: PaintSamplingConfig) -> bytes:
    """Return a row for each sampler with seven calls of the model, and one with many."""
    ways = [dataclasses.replace(usual, sampler=name, steps=steps) for name, steps in SAMPLERS]
    return rows_of([paint(painter, asked, way, EIGHT, allow_empty=True).pictures for way in ways])


def guidance(painter: Painter, usual: PaintSamplingConfig) -> bytes:
    """Return a row for each scale of guidance, every kind of creature in it."""
    ways = [dataclasses.replace(usual, guidance=scale) for scale in SCALES]
    return rows_of([paint(painter, KINDS, way, EIGHT).pictures for way in ways])


def one_word_changed(painter: Painter, usual: PaintSamplingConfig) -> bytes:
    """Return pictures of the same noise: two rows of seeds, a prompt each column."""
    return rows_of([paint(painter, CHANGED, usual, [seed] * len(CHANGED)).pictures for seed in (0, 1)])


def sentence(painter: Painter, usual: PaintSamplingConfig) -> bytes:
    """Return two rows of the cat, of sixteen seeds."""
    return rows_of([paint(painter, [CAT], usual, range(first, first + 8)).pictures for first in (0, 8)])


def film(painter: Painter, usual: PaintSamplingConfig) -> bytes:
    """Return noise turning into four cats, as a GIF."""
    config = dataclasses.replace(usual, sampler="dpm++", steps=10)
    painted = paint(painter, [CAT], config, range(4), keep_frames=True)
    return gif_bytes(painted.frames, columns=4, scale=scaled(painter.size))


def word_maps(painter: Painter, usual: PaintSamplingConfig, words: Sequence[str]) -> bytes:
    """Return one picture of the sentence, and beside it where each of the words was read: the brighter, the more.

    Each word's map is the mean over all steps, layers and heads, from its own least to its own most.
    """
    painted, maps = paint_with_word_maps(painter, CAT, dataclasses.replace(usual, seed=3))
    picture_YXC = painted.pictures[0]
    mean_TYX = maps.mean().mean(dim=0).numpy()
    row = [picture_YXC]
    for word in words:
        map_YX = mean_TYX[maps.tokens.index(word)]
        share_YX = (map_YX - map_YX.min()) / max(1e-9, map_YX.max() - map_YX.min())
        factor = picture_YXC.shape[0] // share_YX.shape[0]
        light_YX1 = share_YX.repeat(factor, 0).repeat(factor, 1)[..., None]
        row.append((picture_YXC * (0.2 + 0.8 * light_YX1)).round().astype(np.uint8))
    return png_bytes(np.stack(row), columns=len(row), scale=2 * scaled(painter.size))


def walk(painter: Painter, usual: PaintSamplingConfig) -> bytes:
    """Return the way from one picture to another: through the latents, and below it pixel by pixel."""
    first, last = paint(painter, CHANGED[:2], usual, [0, 1]).pictures
    through = between_latents(painter, first, last, WALK)
    mixed = np.stack([((1 - share) * first + share * last).round().astype(np.uint8) for share in WALK])
    return rows_of([through, mixed])


def smaller(png: bytes, factor: int) -> bytes:
    """Return a PNG of square pixels with every pixel a factor smaller."""
    with Image.open(io.BytesIO(png)) as opened:
        file = io.BytesIO()
        opened.resize((opened.width // factor, opened.height // factor), Image.Resampling.NEAREST).save(
            file, format="PNG", optimize=True
        )
    return file.getvalue()
