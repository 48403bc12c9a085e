"""A picture through a VAE and back; and drawings of our own to begin with."""

from __future__ import annotations

import math

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from cutaway.diffusion.config import PicturesConfig
from cutaway.server.arrays import ArraysResponse, with_arrays
from cutaway.server.lab import TheLab
from cutaway.server.painters import OpenPainter
from cutaway.server.routes.chat import person
from cutaway.server.routes.paint_asked import LARGEST_PICTURE, packed, unpacked
from cutaway.server.streams import Writer

router = APIRouter()


class Drawing(BaseModel):
    """One of our own drawings."""

    picture: str
    """uint8 in base64: rows, columns, colours."""
    caption: str
    size: int


class LatentAsked(BaseModel):
    """A picture that is to go through a VAE."""

    model: str
    picture: str = Field(max_length=4 * LARGEST_PICTURE)
    """uint8 in base64: rows, columns, colours."""


class ThroughVAE(BaseModel):
    """A picture and what comes back. Arrays: `decoded` (uint8: rows, columns, colours), `difference` (float32: decoded -
    picture, where a colour goes from 0 to 255), `latents` (float32: channels, rows, columns; scaled)."""

    n_pixels: int
    """Numbers of the picture."""
    n_latents: int
    """Numbers of its latents."""
    rms: float
    """Root of the mean square of the difference."""
    psnr_db: float | None
    """20 log10(255 / rms); null: nothing was lost."""


@router.get("/drawing")
def drawing(size: int, number: int) -> Drawing:
    """Return a drawing that was never trained on, by its number."""
    from cutaway.diffusion.picture_files import to_uint8
    from cutaway.diffusion.pictures import open_pictures

    held_out = open_pictures(PicturesConfig(size=size, held_out=64)).held_out
    place = number % 64
    picture = to_uint8(held_out.x_BCYX[place : place + 1])[0]
    return Drawing(picture=packed(picture), caption=held_out.captions[place], size=size)


@router.post("/latent", **with_arrays(ThroughVAE))
async def latent(lab: TheLab, request: Request, asked: LatentAsked) -> ArraysResponse | None:
    """Encode a picture, and decode it again."""

    def work(writer: Writer) -> ArraysResponse:
        opened = lab.painters.open(asked.model)
        with opened.lock:
            return there_and_back(opened, asked)

    return await lab.streams.start(work, person(request)).all(request)


def there_and_back(opened: OpenPainter, asked: LatentAsked) -> ArraysResponse:
    """Return what a VAE makes of a picture."""
    import torch

    from cutaway.diffusion.picture_files import from_uint8, to_uint8

    config = opened.vae.config
    picture_YXC = unpacked(asked.picture, (config.size, config.size, config.channels), "picture")
    with torch.no_grad():
        latents_BCYX = opened.vae.encode(from_uint8(picture_YXC[None]))
        decoded_YXC = to_uint8(opened.vae.decode(latents_BCYX))[0]
    difference = decoded_YXC.astype(np.float32) - picture_YXC
    rms = float(np.sqrt(np.square(difference, dtype=np.float64).mean()))
    meta = ThroughVAE(
        n_pixels=picture_YXC.size,
        n_latents=latents_BCYX.numel(),
        rms=rms,
        psnr_db=20 * math.log10(255 / rms) if rms else None,
    )
    return ArraysResponse(meta, {"decoded": decoded_YXC, "difference": difference, "latents": latents_BCYX[0].numpy()})
