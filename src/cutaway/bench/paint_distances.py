"""How far what is painted lies from what was drawn: as a cloud, among itself, and from the nearest training drawing.

None of these numbers means anything alone, so each stands beside the same number of fresh drawings, as many as were
painted, which nobody can have copied. Pictures of 64 pixels are averaged down to the judge's 32 for the distance between
clouds; nearest training drawings are looked for in all pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from cutaway.base.seed import derive
from cutaway.diffusion.copying import Copying, copying
from cutaway.diffusion.fid import diversity, fid
from cutaway.diffusion.judge import Judge
from cutaway.diffusion.picture_files import from_uint8, to_uint8
from cutaway.diffusion.pictures import PictureBatch, Pictures, picture_batch
from cutaway.diffusion.scene import Scene
from cutaway.diffusion.scene_stream import training_scenes
from cutaway.diffusion.vae import VAE

_AT_ONCE = 512
_AT_ONCE_THROUGH = 64


@dataclass(frozen=True)
class Reference:
    """Fresh drawings of combinations that training sees, never trained on."""

    features_NF: Float[Tensor, "N F"]
    """Of many: the cloud that FID is measured to."""
    fresh: PictureBatch
    """As many as are painted."""
    fresh_scenes: list[Scene]
    """What they show."""
    fresh_features_BF: Float[Tensor, "B F"]


def reference(judge: Judge, size: int, count: int, n_reference: int, seed: int) -> Reference:
    """Draw what pictures of this size are compared with.

    Args:
        count: pictures that will be painted.
        n_reference: drawings of the cloud.
    """
    parts = []
    stream = derive(seed, "reference")
    for first in range(0, n_reference, _AT_ONCE):
        scenes = training_scenes(stream, first, min(_AT_ONCE, n_reference - first))
        parts.append(judge.features(to_uint8(picture_batch(scenes, size, stream, first).x_BCYX)))
    stream = derive(seed, "fresh")
    scenes = training_scenes(stream, 0, count)
    fresh = picture_batch(scenes, size, stream)
    return Reference(torch.cat(parts), fresh, scenes, judge.features(to_uint8(fresh.x_BCYX)))


@dataclass(frozen=True)
class Distances:
    """Of what was painted, and of as many fresh drawings."""

    fid: float
    """Squared Frechet distance to the cloud of fresh drawings, in the judge's features."""
    fid_fresh: float
    """The same of as many fresh drawings: what none falls below but by chance."""
    diversity: float
    """Mean distance between two, in the judge's features."""
    diversity_fresh: float
    nearest: float
    """Median distance to the nearest training drawing: root mean square, of the range from black to white."""
    nearest_fresh: float
    nearer: float
    """Share of what was painted that is nearer to a training drawing than all but 1 % of fresh drawings."""
    n_training: int
    """Training drawings looked through."""
    nearest_through: float | None = None
    """`nearest_fresh`, of fresh drawings that went through the painter's autoencoder, which smooths; None without one."""
    nearer_through: float | None = None
    """`nearer`, of these."""


def distances(
    pictures: UInt8[ndarray, "B Y X C"],
    judge: Judge,
    compared: Reference,
    trained_on: Pictures,
    n_training: int,
    vae: VAE | None = None,
) -> tuple[Distances, Copying]:
    """Return the distances of painted pictures, and which training drawing is nearest to each.

    Args:
        vae: the painter's, where it paints latents.
    """
    features_BF, fresh_BCYX = judge.features(pictures), compared.fresh.x_BCYX
    copied = copying(from_uint8(pictures), fresh_BCYX, trained_on, n_training)
    through = copying(through_latents(fresh_BCYX, vae), fresh_BCYX, trained_on, n_training) if vae else None
    found = Distances(
        fid=fid(features_BF, compared.features_NF),
        fid_fresh=fid(compared.fresh_features_BF, compared.features_NF),
        diversity=diversity(features_BF),
        diversity_fresh=diversity(compared.fresh_features_BF),
        nearest=copied.painted,
        nearest_fresh=copied.fresh,
        nearer=copied.nearer,
        n_training=n_training,
        nearest_through=through.painted if through else None,
        nearer_through=through.nearer if through else None,
    )
    return found, copied


def through_latents(x_BCYX: Float[Tensor, "B C Y X"], vae: VAE) -> Float[Tensor, "B C Y X"]:
    """Return what comes back of pictures that an autoencoder makes latents of."""
    with torch.no_grad():
        parts = [vae.decode(vae.encode(part_BCYX)) for part_BCYX in x_BCYX.split(_AT_ONCE_THROUGH)]
    return from_uint8(to_uint8(torch.cat(parts)))
