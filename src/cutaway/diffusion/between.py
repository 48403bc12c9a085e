"""Between two pictures: between two prompts, between two noises, and between two latents.

    prompts   words and sentence vectors are blended, word by word:  (1 - s) a + s b
    noises    along the sphere:  sin((1 - s) w) / sin(w) a + sin(s w) / sin(w) b,   w the angle between a and b
    latents   straight, then decoded: the VAE alone, no denoising

Noise of many numbers has almost always the same length; halfway along a straight line it would be shorter than any noise
the model was trained on, along the sphere it is not (Shoemake 1985; White 2016, arXiv:1609.04468).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from cutaway.base.errors import UsageError
from cutaway.diffusion.condition import Condition
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.paint import OnStep, Painted, denoised
from cutaway.diffusion.painter import Painter, Told


def slerp(a: Float[Tensor, "C Y X"], b: Float[Tensor, "C Y X"], share: float) -> Float[Tensor, "C Y X"]:
    """Return what lies this share of the way from a to b, along the sphere."""
    cosine = (a * b).sum() / (a.norm() * b.norm())
    angle = torch.acos(cosine.clamp(-1, 1))
    if torch.sin(angle) < 1e-4:  # as good as parallel
        return torch.lerp(a, b, share)
    return (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)


def blend(a: Condition, b: Condition, share: float) -> Condition:
    """Return what lies this share of the way from one condition to the other: 0 is the first, 1 the second.

    Where only one of them has a word, it stands as it is.

    Raises:
        UsageError: labels, which have no between.
    """
    if share in (0, 1):
        return b if share else a
    if a.words_BTD is None or b.words_BTD is None or a.mask_BT is None or b.mask_BT is None:
        raise UsageError("labels have nothing between them; only prompts can be blended")
    in_both_BT1 = (a.mask_BT & b.mask_BT)[..., None]
    alone_BTD = torch.where(a.mask_BT[..., None], a.words_BTD, b.words_BTD)
    words_BTD = torch.where(in_both_BT1, torch.lerp(a.words_BTD, b.words_BTD, share), alone_BTD)
    pooled_BE = None
    if a.pooled_BE is not None and b.pooled_BE is not None:
        pooled_BE = torch.lerp(a.pooled_BE, b.pooled_BE, share)
    return Condition(words_BTD=words_BTD, mask_BT=a.mask_BT | b.mask_BT, pooled_BE=pooled_BE)


def between_prompts(
    painter: Painter,
    first: str,
    last: str,
    shares: Sequence[float],
    config: PaintSamplingConfig,
    on_step: OnStep | None = None,
) -> Painted:
    """Paint a picture for each share of the way from one prompt to the other, all from the same noise.

    Raises:
        UsageError: a painter without words, or as `paint`.
    """
    told = painter.told([first, last], config.negative)
    ends = [told.condition.rows(slice(i, i + 1)) for i in (0, 1)]
    blends = [blend(ends[0], ends[1], share).parts for share in shares]
    condition = Condition(
        *(None if any(part is None for part in parts) else torch.cat(parts) for parts in zip(*blends, strict=True))
    )
    unknown, lost = (tuple(dict.fromkeys(word for words in of for word in words)) for of in (told.unknown, told.lost))
    of_all = Told(condition, told.nothing, (unknown,) * len(shares), (lost,) * len(shares))
    seeds = [config.seed] * len(shares)
    x_BCYX = denoised(painter, of_all, painter.noise(seeds), config, on_step=on_step)
    asked = tuple(first if share < 0.5 else last for share in shares)
    return Painted(painter.to_pictures(x_BCYX), asked, tuple(seeds), of_all.unknown, of_all.lost)


def between_noises(
    painter: Painter,
    asked: str | int,
    first: int,
    last: int,
    shares: Sequence[float],
    config: PaintSamplingConfig,
    on_step: OnStep | None = None,
) -> Painted:
    """Paint the same prompt or label for each share of the way from one seed's noise to the other's.

    Raises:
        UsageError: as `paint`.
    """
    every: list[str] | list[int] = [asked] * len(shares)  # type: ignore[assignment]
    told = painter.told(every, config.negative)
    from_CYX, to_CYX = painter.noise([first, last])
    noise_BCYX = torch.stack([slerp(from_CYX, to_CYX, share) for share in shares])
    x_BCYX = denoised(painter, told, noise_BCYX, config, on_step=on_step)
    seeds = tuple(first if share < 0.5 else last for share in shares)
    return Painted(painter.to_pictures(x_BCYX), tuple(every), seeds, told.unknown, told.lost)


def between_latents(
    painter: Painter,
    first_YXC: UInt8[np.ndarray, "Y X C"],
    last_YXC: UInt8[np.ndarray, "Y X C"],
    shares: Sequence[float],
) -> UInt8[np.ndarray, "B Y X C"]:
    """Return the pictures of a straight walk between two pictures' latents: the VAE alone.

    Raises:
        UsageError: the painter works on pixels.
        ShapeError: pictures of another size than the painter's.
    """
    if painter.vae is None:
        raise UsageError("this painter works on pixels and has no latents to walk through")
    from_CYX, to_CYX = painter.from_pictures(np.stack([first_YXC, last_YXC]))
    return painter.to_pictures(torch.stack([torch.lerp(from_CYX, to_CYX, share) for share in shares]))


def with_word_changed(prompt: str, place: int, word: str) -> str:
    """Return the prompt with another word at a place, to be painted with the same seed.

    Raises:
        UsageError: the prompt has no such place.
    """
    words = prompt.split()
    if not 0 <= place < len(words):
        raise UsageError(f"{prompt!r} has {len(words)} words; there is no word number {place + 1} to change")
    return " ".join([*words[:place], word, *words[place + 1 :]])
