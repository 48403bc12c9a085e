"""A VAE measured: what a drawing loses on the way through its latents, in decibels and in the judge's eyes.

A painter of latents can be no better than its VAE: what the judge no longer finds on a drawing that went through, it will
not find on anything painted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from cutaway.bench.paint_distances import Reference, through_latents
from cutaway.diffusion.autoencoding import psnr_db
from cutaway.diffusion.evaluate import Marked, PromptAccuracy
from cutaway.diffusion.fid import fid
from cutaway.diffusion.judge import Judge
from cutaway.diffusion.picture_files import from_uint8, png_bytes, to_uint8
from cutaway.diffusion.scene import Scene
from cutaway.diffusion.vae import VAE

SHOWN = 8


@dataclass(frozen=True)
class Through:
    """Fresh drawings, and what came back."""

    drawn: UInt8[ndarray, "B Y X C"]
    back: UInt8[ndarray, "B Y X C"]
    psnr_db: float
    fid: float
    """Of what came back, to fresh drawings, in the judge's features."""
    fid_fresh: float
    """The same of the drawings themselves."""
    sets: dict[str, PromptAccuracy]
    """Whether the judge finds all that was drawn: before and after."""

    def sheets(self) -> dict[str, bytes]:
        """Return a PNG file: drawings above, what came back below."""
        shown = np.concatenate([self.drawn[:SHOWN], self.back[:SHOWN]])
        return {"examples": png_bytes(shown, columns=min(SHOWN, len(self.drawn)))}

    def as_dict(self) -> dict[str, Any]:
        """Return every figure as plain values."""
        marks = {name: marks.as_dict() for name, marks in self.sets.items()}
        return {"prompts": marks, "psnr_db": self.psnr_db, "fid": self.fid, "fid_fresh": self.fid_fresh}


def measure_vae(vae: VAE, judge: Judge, compared: Reference, scenes: list[Scene]) -> Through:
    """Put fresh drawings through the VAE and look at both.

    Args:
        scenes: what the fresh drawings of `compared` show.
    """
    drawn, back = to_uint8(compared.fresh.x_BCYX), to_uint8(through_latents(compared.fresh.x_BCYX, vae))
    off_BCYX = from_uint8(back) - from_uint8(drawn)

    def marks(pictures: UInt8[ndarray, "B Y X C"]) -> PromptAccuracy:
        verdicts = judge.verdicts(pictures, scenes)
        return PromptAccuracy([Marked(*pair) for pair in zip(compared.fresh.captions, verdicts, strict=True)])

    return Through(
        drawn,
        back,
        psnr_db(float(off_BCYX.square().mean())),
        fid(judge.features(back), compared.features_NF),
        fid(compared.fresh_features_BF, compared.features_NF),
        {"drawn": marks(drawn), "through the latents": marks(back)},
    )
