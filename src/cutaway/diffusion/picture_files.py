"""Pictures in files: a grid as PNG, and noise turning into pictures as GIF.

Outside the models a picture is uint8, rows, columns, colours; inside, float32 from -1 to 1, colours first. A grid is a
plain array: pictures side by side, every pixel a square of so many screen pixels, so that small pictures stay crisp. Files
are written aside and renamed: there is never half a picture.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from cutaway.base.errors import UsageError
from cutaway.base.files import replacing_file

if TYPE_CHECKING:
    from PIL.Image import Image

SMALLEST_EDGE = 192
"""Screen pixels that a picture of a grid is scaled up to, or a little beyond."""
GAP = 4
"""Screen pixels between the pictures of a grid."""
BACKGROUND = 255


def to_uint8(x_BCYX: Float[Tensor, "B C Y X"]) -> UInt8[np.ndarray, "B Y X C"]:
    """Return pictures as they are shown: -1 becomes 0, 1 becomes 255, what lies beyond is cut off."""
    shown_BCYX = ((x_BCYX.detach().float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return shown_BCYX.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def from_uint8(pictures_BYXC: UInt8[np.ndarray, "B Y X C"]) -> Float[Tensor, "B C Y X"]:
    """Return pictures as the models read them."""
    x_BYXC = torch.from_numpy(np.ascontiguousarray(pictures_BYXC)).float() / 127.5 - 1
    return x_BYXC.permute(0, 3, 1, 2).contiguous()


def grid(
    pictures_BYXC: UInt8[np.ndarray, "B Y X C"], columns: int | None = None, scale: int | None = None
) -> UInt8[np.ndarray, "Y2 X2 C"]:
    """Return the pictures in rows, first row first.

    Args:
        columns: pictures in a row; left out: up to four in one row, else as near to a square as it
            goes, with full rows if it may be a little wider.
        scale: screen pixels of a pixel; left out: enough for a picture to be easily seen.
    """
    count, height, width, colours = pictures_BYXC.shape
    if not count:
        raise UsageError("there is no picture to show")
    columns = columns or usual_columns(count)
    scale = scale or math.ceil(SMALLEST_EDGE / max(height, width))
    rows = math.ceil(count / columns)
    height, width = height * scale, width * scale
    sheet = np.full(
        (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, colours), BACKGROUND, dtype=pictures_BYXC.dtype
    )
    for i, picture_YXC in enumerate(pictures_BYXC):
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = picture_YXC.repeat(scale, axis=0).repeat(scale, axis=1)
    return sheet


def usual_columns(count: int) -> int:
    """Return how many of so many pictures stand in a row."""
    if count <= 4:
        return count
    square = math.ceil(math.sqrt(count))
    return next((columns for columns in range(square, 2 * square) if count % columns == 0), square)


def png_bytes(
    pictures_BYXC: UInt8[np.ndarray, "B Y X C"], columns: int | None = None, scale: int | None = None
) -> bytes:
    """Return a grid of pictures as a PNG file's bytes."""
    file = io.BytesIO()
    _image(grid(pictures_BYXC, columns, scale)).save(file, format="PNG", optimize=True)
    return file.getvalue()


def gif_bytes(
    frames: Sequence[UInt8[np.ndarray, "B Y X C"]],
    columns: int | None = None,
    scale: int | None = None,
    seconds: float = 2.0,
    held_seconds: float = 2.0,
) -> bytes:
    """Return grids of the same pictures one after the other, again and again, as a GIF file's bytes.

    Args:
        seconds: of all frames but the last.
        held_seconds: of the last.

    Raises:
        UsageError: there is no frame.
    """
    if not frames:
        raise UsageError("there is no frame to show")
    from PIL import Image

    # a palette of its own for each frame and no dithering: flat colours stay flat
    first, *rest = (
        _image(grid(frame, columns, scale)).convert("RGB").quantize(256, dither=Image.Dither.NONE) for frame in frames
    )
    # GIF counts in hundredths of a second, and browsers slow anything under two of them
    each = max(20, round(100 * seconds / max(1, len(rest))) * 10)
    durations = [each] * len(rest) + [round(100 * held_seconds) * 10]
    file = io.BytesIO()
    first.save(file, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)
    return file.getvalue()


def write_picture(path: Path, content: bytes) -> None:
    """Write the bytes of a PNG or GIF file, whole or not at all.

    Raises:
        UsageError: the name does not end as such a file's must.
        CutawayError: the disk refused.
    """
    ending = ".gif" if content.startswith(b"GIF") else ".png"
    if path.suffix.lower() != ending:
        raise UsageError(f"{path} cannot be written: expected a name that ends in {ending}")
    with replacing_file(path) as aside:
        aside.write_bytes(content)


def _image(sheet_YXC: UInt8[np.ndarray, "Y X C"]) -> Image:
    from PIL import Image

    return Image.fromarray(sheet_YXC[..., 0] if sheet_YXC.shape[-1] == 1 else sheet_YXC)
