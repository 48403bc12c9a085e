"""Pictures to train on: an endless stream of captioned drawings, or what lies in a file or folder.

Whatever the source, `batch(first, count)` is a pure function of its arguments and the seed, so the position in the
data is one number. `held_out` is for measuring the loss: of drawings, fresh ones from another seed (combinations that
training sees; the combinations it never sees are for the judge, in `scene_stream.held_out_scenes`), of files, pictures
set aside.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from torch import Tensor

from cutaway.base.errors import DataError
from cutaway.base.files import content_hash
from cutaway.base.seed import derive
from cutaway.diffusion.captions import caption
from cutaway.diffusion.config import PicturesConfig
from cutaway.diffusion.counted import uniforms
from cutaway.diffusion.draw import N_CHANCES, draw
from cutaway.diffusion.pages import Drawn, Pages
from cutaway.diffusion.picture_files import from_uint8
from cutaway.diffusion.scene import KINDS, Scene
from cutaway.diffusion.scene_stream import SHARE_OF_PAIRS, training_scenes
from cutaway.diffusion.wrong_captions import COUNT, wrong_captions

DRAWINGS = "creatures 3"
"""Changed whenever the same seed would draw something else."""


@dataclass(frozen=True)
class PictureBatch:
    """Some pictures with what is said of them."""

    x_BCYX: Float[Tensor, "B C Y X"]
    """In [-1, 1]."""
    captions: list[str]
    label_B: Int[Tensor, " B"]
    """Index into the names; all 0 where there are no labels."""


@runtime_checkable
class Pictures(Protocol):
    """Pictures of one size, with captions, and labels where there are any."""

    @property
    def size(self) -> int:
        """Edge in pixels."""

    @property
    def channels(self) -> int:
        """1: grey, 3: in colour."""

    @property
    def n_labels(self) -> int:
        """How many classes the labels name; 0: there are none."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes."""

    @property
    def hash(self) -> str:
        """The same only for the same pictures."""

    @property
    def count(self) -> int | None:
        """How many there are to train on before they repeat; None: endless."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know: files skipped, pictures cut, captions missing; one line each."""

    def batch(self, first: int, count: int) -> PictureBatch:
        """Return pictures first .. first+count-1 of the endless training stream."""

    @property
    def held_out(self) -> PictureBatch:
        """Pictures never trained on."""


class Creatures:
    """Our own captioned drawings; the label is the kind of the creature named first."""

    channels = 3
    n_labels = len(KINDS)
    names: tuple[str, ...] = KINDS
    count = None
    notes: tuple[str, ...] = ()

    def __init__(
        self, size: int, n_held_out: int, seed: int, repeats: int = 1, share_of_pairs: float = SHARE_OF_PAIRS
    ) -> None:
        self.size = size
        self.share_of_pairs = share_of_pairs
        self._n_held_out = n_held_out
        self._seed = seed
        self._pages = Pages(self._drawn, repeats, seed)
        more = [] if share_of_pairs == SHARE_OF_PAIRS else [str(share_of_pairs)]
        self.hash = content_hash([DRAWINGS, str(size), str(seed), *more])

    def scenes(self, first: int, count: int) -> list[Scene]:
        """Return what pictures first .. first+count-1 of the training stream show."""
        if self._pages.repeats == 1:  # none are kept, and what they show is known without drawing them
            return training_scenes(derive(self._seed, "training"), first, count, self.share_of_pairs)
        return self._pages.shown(first, count)[0]

    def batch(self, first: int, count: int) -> PictureBatch:
        """Return pictures first .. first+count-1 of the training stream; one shown again is said in other words."""
        return _told(*self._pages.shown(first, count), derive(self._seed, "training"), first)

    def said(self, scenes: list[Scene], first: int) -> list[str]:
        """Return captions of scenes, in the words of pictures first, first+1, ... of the training stream."""
        return _said(scenes, derive(self._seed, "training"), first)

    def wrong_captions(self, first: int, count: int) -> list[tuple[str, ...]]:
        """Return captions of each drawing that are wrong in one thing, said like its right one; now and then the thing
        is not said, and they read the same."""
        return wrong_of(self.scenes(first, count), derive(self._seed, "training"), first)

    def _drawn(self, first: int, count: int) -> Drawn:
        seed = derive(self._seed, "training")
        scenes = training_scenes(seed, first, count, self.share_of_pairs)
        return scenes, _draw(scenes, self.size, seed, first)

    @cached_property
    def held_out(self) -> PictureBatch:
        """Fresh drawings with another seed, of combinations that training sees."""
        seed = derive(self._seed, "held out")
        return picture_batch(training_scenes(seed, 0, self._n_held_out), self.size, seed)

    @cached_property
    def held_out_wrong_captions(self) -> list[tuple[str, ...]]:
        """Wrong captions of the held-out drawings."""
        seed = derive(self._seed, "held out")
        return wrong_of(training_scenes(seed, 0, self._n_held_out), seed)


def picture_batch(scenes: list[Scene], size: int, seed: int, first: int = 0) -> PictureBatch:
    """Draw scenes and say them, by the chances numbered first, first+1, ... of the seed."""
    return _told(scenes, _draw(scenes, size, seed, first), seed, first)


def _draw(scenes: list[Scene], size: int, seed: int, first: int) -> UInt8[ndarray, "B Y X C"]:
    index = np.arange(first, first + len(scenes))
    return draw(scenes, size, uniforms(derive(seed, "drawing"), index, N_CHANCES))


def _told(scenes: list[Scene], drawn: UInt8[ndarray, "B Y X C"], seed: int, first: int) -> PictureBatch:
    label_B = torch.tensor([KINDS.index(str(scene.creature.kind)) for scene in scenes])
    return PictureBatch(from_uint8(drawn), _said(scenes, seed, first), label_B)


def _said(scenes: list[Scene], seed: int, first: int) -> list[str]:
    phrasings = _phrasings(np.arange(first, first + len(scenes)), seed)
    return [caption(scene, row) for scene, row in zip(scenes, phrasings, strict=True)]


def wrong_of(scenes: list[Scene], seed: int, first: int = 0) -> list[tuple[str, ...]]:
    """Say each scene wrongly, in the phrasing in which `picture_batch` says it rightly."""
    index = np.arange(first, first + len(scenes))
    numbers = uniforms(derive(seed, "wrong caption"), index, COUNT).tolist()
    return [wrong_captions(*parts) for parts in zip(scenes, _phrasings(index, seed), numbers, strict=True)]


def _phrasings(index: ndarray, seed: int) -> list[list[float]]:
    return list(uniforms(derive(seed, "caption"), index, 16).tolist())


def open_pictures(config: PicturesConfig, seed: int = 0) -> Pictures:
    """Return the pictures a recipe names.

    Raises:
        DataError: the file or folder is missing, empty, or holds no picture that can be read; or the pictures are not
            those the recipe was made with.
    """
    pictures: Pictures
    if config.source == "creatures":
        pictures = Creatures(config.size, config.held_out, seed, config.repeats, config.share_of_pairs)
    else:
        from cutaway.diffusion.image_files import open_image_files

        pictures = open_image_files(Path(config.source).expanduser(), config.size, config.held_out, seed)
        if config.shift:
            from cutaway.diffusion.moved import MovedPictures

            pictures = MovedPictures(pictures, config.shift, config.shift_epochs, seed)
    if config.pictures_hash is not None and config.pictures_hash != pictures.hash:
        raise DataError(
            f"the pictures of {config.source} are not those this run began with; give it the same pictures, "
            f"or start a new run"
        )
    return pictures
