"""Pictures as a VAE's latents, for a denoiser that works on those.

Putting a picture through the encoder costs about as much as a training step on its latent, so a pool of them is encoded
once, block by block, when first asked for; after the last the pool begins again, and drawings are said in other words.
Blocks begin at fixed numbers: which pictures share a block, and so every bit of a latent, does not depend on where a run
was stopped.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from cutaway.base.files import content_hash
from cutaway.diffusion.pictures import Creatures, PictureBatch, Pictures
from cutaway.diffusion.scene import Scene
from cutaway.diffusion.vae import VAE

BLOCK = 64
"""Pictures encoded together."""


class Latents:
    """Latents of pictures, themselves pictures to a denoiser.

    Args:
        vae: trained; it is not changed.
        pool: how many different pictures there are at most.
    """

    def __init__(self, pictures: Pictures, vae: VAE, pool: int) -> None:
        self.pictures, self.vae = pictures, vae.eval()
        self.size, self.channels = vae.config.latent_size, vae.config.latent_channels
        self.n_labels, self.names, self.notes = pictures.n_labels, pictures.names, pictures.notes
        self.count = min(pictures.count or pool, pool)
        self.hash = content_hash([pictures.hash, vae.hash, str(self.count)])
        self._blocks: dict[int, PictureBatch] = {}
        self._scenes: dict[int, list[Scene]] = {}

    @property
    def n_blocks(self) -> int:
        """How many blocks the pool has."""
        return -(-self.count // BLOCK)

    @cached_property
    def held_out(self) -> PictureBatch:
        """Held-out pictures' latents."""
        return self._encoded(self.pictures.held_out)

    def batch(self, first: int, count: int) -> PictureBatch:
        """Return the latents of pictures first .. first+count-1 of the endless stream."""
        places = [(first + i) % self.count for i in range(count)]
        found = [(self._block(place // BLOCK), place % BLOCK) for place in places]
        captions = [block.captions[row] for block, row in found]
        if isinstance(self.pictures, Creatures):
            scenes = [self._scenes[place // BLOCK][place % BLOCK] for place in places]
            captions = self.pictures.said(scenes, first)
        return PictureBatch(
            torch.stack([block.x_BCYX[row] for block, row in found]),
            captions,
            torch.stack([block.label_B[row] for block, row in found]),
        )

    def _block(self, number: int) -> PictureBatch:
        if number not in self._blocks:
            first = number * BLOCK
            count = min(BLOCK, self.count - first)
            if isinstance(self.pictures, Creatures):
                self._scenes[number] = self.pictures.scenes(first, count)
            self._blocks[number] = self._encoded(self.pictures.batch(first, count))
        return self._blocks[number]

    @torch.no_grad()
    def _encoded(self, pictures: PictureBatch) -> PictureBatch:
        device = next(self.vae.parameters()).device
        with torch.autocast(device.type, enabled=False):
            parts: list[Tensor] = [self.vae.encode(part.to(device)).cpu() for part in pictures.x_BCYX.split(BLOCK)]
        return PictureBatch(torch.cat(parts).contiguous(), pictures.captions, pictures.label_B)
