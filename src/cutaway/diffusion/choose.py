"""The best of several: drafts from other noise, and the reader says which of them is most like the words.

    seed           -> seed, seed + 1000, seed + 2000, ...    as many drafts as asked for, each in few steps
    draft, words   -> the cosine between them                in the space that captions and pictures share (contrastive.py)
                   -> the seed of the draft with the greatest; its picture is then painted as usual

Noise decides much of what goes wrong: of several pictures of one prompt mostly one at least is right. The same noise
becomes nearly the same picture in few steps as in many, so a draft costs a fraction of a picture. Ramesh et al. 2021,
arXiv:2102.12092, choose their pictures so, by CLIP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from cutaway.base.errors import UsageError
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.contrastive import PictureEncoder, unit
from cutaway.diffusion.painter import AT_ONCE, Painter
from cutaway.diffusion.picture_files import from_uint8

STRIDE = 1000
"""Between the seeds of a picture's drafts: no more pictures are painted at once, so no two share a seed."""
DRAFT_STEPS = 12
"""Of DPM-Solver++, a call of the model each."""


def drafts(
    asked: Sequence[str | int], config: PaintSamplingConfig, seeds: Sequence[int]
) -> tuple[list[str], PaintSamplingConfig, list[int]]:
    """Return what is to be painted first: a prompt a draft, how, and its seed; the drafts of one picture in a row.

    Args:
        asked: a prompt for each picture.
        config: `best_of` drafts a picture, guided as it will be.
        seeds: of each picture's first draft.
    """
    quick = replace(config, sampler="dpm++", steps=min(config.steps, DRAFT_STEPS), best_of=1)
    prompts = [str(one) for one in asked for _ in range(config.best_of)]
    return prompts, quick, [seed + STRIDE * i for seed in seeds for i in range(config.best_of)]


def best_seeds(
    painter: Painter,
    draft_BYXC: UInt8[ndarray, "B Y X C"],
    asked: Sequence[str | int],
    seeds: Sequence[int],
    best_of: int,
) -> list[int]:
    """Return the seed of each picture's best draft; drafts, prompts and seeds are in the order of `drafts`.

    Raises:
        UsageError: the painter has no reader.
    """
    like_NK = likeness(painter, draft_BYXC, [str(one) for one in asked]).view(-1, best_of)
    return [seeds[i * best_of + int(best)] for i, best in enumerate(like_NK.argmax(dim=1))]


def check_reader(painter: Painter) -> None:
    """Check that drafts can be chosen.

    Raises:
        UsageError: there is no reader.
    """
    if painter.reader is None:
        raise UsageError(
            "this painter has no reader to choose drafts by; best_of is for painters that read words, trained on a text "
            "encoder of ours (1: no choice)"
        )


@torch.no_grad()
def likeness(painter: Painter, picture_BYXC: UInt8[ndarray, "B Y X C"], asked: Sequence[str]) -> Float[Tensor, B]:
    """Return how much each picture is like its words, as the reader sees it: a cosine, at most 1.

    It looks nine times, at the picture and at the picture moved by a pixel: what it sees of a thing of few pixels
    depends on where its strides fall.

    Raises:
        UsageError: the painter has no reader.
    """
    check_reader(painter)
    assert painter.reader is not None
    pooled_BE = painter.told(asked, allow_empty=True).condition.pooled_BE
    assert pooled_BE is not None
    reader = painter.reader.to(painter.device)
    size = (reader.config.size, reader.config.size)
    parts = []
    for x_BCYX in from_uint8(picture_BYXC).split(AT_ONCE):
        small_BCYX = F.interpolate(x_BCYX.to(painter.device), size, mode="area")
        parts.append(sum_of_glances(reader, small_BCYX))
    return (unit(torch.cat(parts)) * unit(pooled_BE)).sum(dim=1)


def sum_of_glances(reader: PictureEncoder, x_BCYX: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B E"]:
    """Return the sum of the unit vectors of each picture as it is and moved by a pixel to all eight sides.

    Its border is repeated where it moved away.
    """
    height, width = x_BCYX.shape[-2:]
    wide_BCYX = F.pad(x_BCYX, (1, 1, 1, 1), mode="replicate")
    moved = [wide_BCYX[..., y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return torch.stack([unit(reader(one_BCYX)[0]) for one_BCYX in moved]).sum(dim=0)
