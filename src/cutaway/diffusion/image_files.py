"""Pictures in files, as one array in memory: read, scaled, cut square, split, and in an order shuffled every epoch.

What is held out is chosen by a hash of the pixels, so it is the same whatever the seed, and two copies of a picture
fall on the same side. Nothing is dropped or changed in silence: `notes` says it.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy import ndarray

from cutaway.base.errors import DataError, suggest
from cutaway.base.files import content_hash
from cutaway.base.seed import numpy_generator
from cutaway.diffusion.idx_files import idx_in_folder, is_idx, read_labelled_idx
from cutaway.diffusion.image_layouts import SUFFIXES, find_images
from cutaway.diffusion.picture_files import from_uint8
from cutaway.diffusion.pictures import PictureBatch

if TYPE_CHECKING:
    from PIL import Image

_SHOWN = 5
"""How many names a note lists."""


class FilePictures:
    """Pictures from files, the last of the order of their hashes held out."""

    def __init__(
        self,
        picture_NYXC: UInt8[ndarray, "N Y X C"],
        captions: Sequence[str],
        label_N: Int[ndarray, " N"],
        names: tuple[str, ...],
        *,
        n_held_out: int,
        seed: int,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.size, self.channels = picture_NYXC.shape[1], picture_NYXC.shape[3]
        self.names, self.n_labels = names, len(names)
        digests = [hashlib.sha256(picture.tobytes()).digest() for picture in picture_NYXC]
        order = sorted(range(len(digests)), key=lambda i: digests[i])
        cut = max(1, len(order) - min(n_held_out, max(1, len(order) // 5)))
        while cut < len(order) and digests[order[cut]] == digests[order[cut - 1]]:
            cut += 1
        if cut == len(order):
            raise DataError(f"{len(order)} pictures, all alike, cannot be split; expected at least 2 different ones")
        if len(order) - cut != n_held_out:
            notes += (f"{len(order) - cut} of {len(order)} pictures are held out, not {n_held_out}",)
        self.notes = notes
        self._picture_NYXC, self._captions, self._label_N = picture_NYXC, captions, label_N
        self._train, self._held_out = np.array(order[:cut]), np.array(order[cut:])
        self.count = cut
        self.hash = content_hash([*digests, *captions, label_N.tobytes(), *names])
        self._seed = seed
        self._epoch = lru_cache(maxsize=2)(self._shuffled)

    def _shuffled(self, epoch: int) -> ndarray:
        return numpy_generator(self._seed, "pictures", epoch).permutation(self._train)

    def batch(self, first: int, count: int) -> PictureBatch:
        """Return pictures first .. first+count-1 of the endless stream, every epoch in another order."""
        places = (divmod(i, self.count) for i in range(first, first + count))
        return self._take(np.array([self._epoch(epoch)[i] for epoch, i in places]))

    @property
    def held_out(self) -> PictureBatch:
        """The pictures set aside."""
        return self._take(self._held_out)

    def _take(self, rows: ndarray) -> PictureBatch:
        labels = torch.from_numpy(self._label_N[rows])
        return PictureBatch(from_uint8(self._picture_NYXC[rows]), [self._captions[i] for i in rows], labels)


def open_image_files(source: Path, size: int, n_held_out: int, seed: int) -> FilePictures:
    """Return the pictures of an IDX file, a folder or a table.

    Raises:
        DataError: it is missing or empty, or nothing in it can be read.
    """
    if not source.exists():
        known = [path.name for path in source.parent.iterdir()] if source.parent.is_dir() else []
        near = suggest(source.name, known)
        raise DataError(f"no pictures at {source}{near}; expected `creatures`, or a file or folder of pictures")
    idx = source if is_idx(source) else idx_in_folder(source) if source.is_dir() else None
    if idx is not None:
        return _open_idx(idx, size, n_held_out, seed)
    if source.is_file() and source.suffix.lower() not in {".jsonl", ".csv"}:
        what = "one picture" if source.suffix.lower() in SUFFIXES else "no pictures this program can read"
        raise DataError(f"{source} is {what}; expected a folder of pictures, a JSONL or CSV of them, or an IDX file")
    return _open_images(source, size, n_held_out, seed)


def _open_idx(path: Path, size: int, n_held_out: int, seed: int) -> FilePictures:
    from PIL import Image

    picture_NYX, label_N = read_labelled_idx(path)
    notes: tuple[str, ...] = ()
    if picture_NYX.shape[1:] != (size, size):
        notes = (f"pictures of {picture_NYX.shape[2]} x {picture_NYX.shape[1]} were scaled to {size} x {size}",)
        picture_NYX = np.stack([np.asarray(_fitted(Image.fromarray(picture), size)) for picture in picture_NYX])
    names: tuple[str, ...] = ()
    if label_N is not None:
        names = tuple(str(i) for i in range(int(label_N.max()) + 1))
    digits = "digit" if len(names) == 10 else "class"
    captions = [""] * len(picture_NYX) if label_N is None else [f"the {digits} {i}" for i in label_N]
    labels = np.zeros(len(picture_NYX), np.int64) if label_N is None else label_N.astype(np.int64)
    return FilePictures(picture_NYX[..., None], captions, labels, names, n_held_out=n_held_out, seed=seed, notes=notes)


def _open_images(source: Path, size: int, n_held_out: int, seed: int) -> FilePictures:
    layout = find_images(source)
    entries, pictures, broken, n_fitted = [], [], list(layout.skipped), 0
    for entry in layout.entries:
        try:
            picture, is_fitted = _read(entry.path, size)
        except Exception as error:  # a decoder may raise anything on a broken file
            broken.append(f"{entry.path.name}: {_one_line(error)}")
            continue
        entries.append(entry)
        pictures.append(picture)
        n_fitted += is_fitted
    if not entries:
        raise DataError(f"none of the {len(layout.entries)} pictures of {source} can be read: {_listed(broken)}")
    if any(picture.shape[-1] == 3 for picture in pictures):
        pictures = [np.broadcast_to(picture, (size, size, 3)) for picture in pictures]
    names = tuple(sorted({entry.name for entry in entries if entry.name}))
    if any(not entry.name for entry in entries):
        names = ()  # a label for some only is none
    labels = np.array([names.index(entry.name) if names else 0 for entry in entries])
    captions = [entry.caption or entry.name for entry in entries]
    notes = []
    if broken:
        notes.append(f"{len(broken)} skipped: {_listed(broken)}")
    if n_fitted:
        notes.append(f"{n_fitted} of {len(entries)} pictures were scaled to {size} pixels and cut square")
    if silent := [entry.path for entry, told in zip(entries, captions, strict=True) if not told]:
        notes.append(
            f"{len(silent)} of {len(entries)} pictures have no caption ({_listed([path.name for path in silent])}); "
            f"write it into a text file of the picture's name ({silent[0].stem}.txt)"
        )
    return FilePictures(
        np.stack(pictures), captions, labels, names, n_held_out=n_held_out, seed=seed, notes=tuple(notes)
    )


def _one_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _listed(items: list[str]) -> str:
    return ", ".join(items[:_SHOWN]) + (f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else "")


def _read(path: Path, size: int) -> tuple[UInt8[ndarray, "Y X C"], bool]:
    """Return one picture, grey or in colour, and whether it had to be scaled or cut; what is transparent is white."""
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a picture far too large only warns
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            is_grey = image.mode in ("1", "L", "LA")
            if image.mode.startswith(("I", "F")):
                raise DataError(f"its pixels are of {image.mode}, not bytes")
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("L" if is_grey else "RGB")
    picture = np.asarray(_fitted(image, size))
    return picture.reshape(size, size, -1), image.size != (size, size)


def _fitted(image: Image.Image, size: int) -> Image.Image:
    """Return a picture scaled and cut square."""
    from PIL import Image, ImageOps

    return image if image.size == (size, size) else ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
