"""IDX, the format of MNIST: a magic number (two zeros, the type, the number of axes), the axes' lengths, the numbers.

Big-endian; here unsigned bytes only, plain or in gzip. Labels lie beside the pictures in a file whose name says
`labels-idx1` where theirs says `images-idx3`.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy import ndarray

from cutaway.base.errors import DataError

_MOST_BYTES = 4 << 30


def is_idx(path: Path) -> bool:
    """Whether a name says that it holds IDX pictures."""
    return "idx3-ubyte" in path.name


def idx_in_folder(folder: Path) -> Path | None:
    """Return the IDX file of pictures in a folder; the training part where there are several."""
    found = sorted(path for path in folder.iterdir() if path.is_file() and is_idx(path))
    return next((path for path in found if path.name.startswith("train")), found[0] if found else None)


def read_idx(path: Path) -> ndarray:
    """Return the array of an IDX file.

    Raises:
        DataError: it is missing, cut short, or no IDX file of bytes.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(_MOST_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"could not read {path}: {error}") from error
    if len(data) < 4 or data[:3] != b"\0\0\x08" or not 1 <= data[3] <= 4 or len(data) < 4 + 4 * data[3]:
        raise DataError(f"{path} is no IDX file of bytes (it should begin with 00 00 08 and the number of axes)")
    shape = tuple(np.frombuffer(data, ">u4", data[3], 4).astype(int).tolist())
    begin, expected = 4 + 4 * data[3], int(np.prod(shape, dtype=object))
    if len(data) - begin != expected:
        raise DataError(f"{path} should hold {expected} numbers for its shape {shape} and holds {len(data) - begin}")
    return np.frombuffer(data, np.uint8, expected, begin).reshape(shape)


def read_labelled_idx(path: Path) -> tuple[ndarray, ndarray | None]:
    """Return pictures N Y X and their labels N, or None where no labels lie beside them.

    Raises:
        DataError: one of the files is broken, or they do not fit.
    """
    pictures_NYX = read_idx(path)
    if pictures_NYX.ndim != 3 or not pictures_NYX.size:
        raise DataError(f"{path} has shape {pictures_NYX.shape}; expected pictures, rows and columns, none of them 0")
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    if beside == path or not beside.is_file():
        return pictures_NYX, None
    label_N = read_idx(beside)
    if label_N.shape != pictures_NYX.shape[:1]:
        raise DataError(f"{path} has {len(pictures_NYX)} pictures, {beside.name} has {label_N.shape} labels")
    return pictures_NYX, label_N
