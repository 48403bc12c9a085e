"""Pictures in files: what is read back is what was written, and never half of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cutaway.base.errors import UsageError
from cutaway.diffusion.picture_files import GAP, from_uint8, gif_bytes, grid, png_bytes, to_uint8, write_picture


def pictures(count: int, height: int = 5, width: int = 7, colours: int = 3, seed: int = 0) -> np.ndarray:
    shape = (count, height, width, colours)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_there_and_back() -> None:
    given = pictures(3)
    x_BCYX = from_uint8(given)
    assert x_BCYX.shape == (3, 3, 5, 7)
    assert x_BCYX.min() >= -1
    assert x_BCYX.max() <= 1
    assert np.array_equal(to_uint8(x_BCYX), given)
    assert to_uint8(torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0]).view(1, 1, 1, 5)).ravel().tolist() == [
        0,
        0,
        128,
        255,
        255,
    ]


def test_grid_has_every_picture_in_its_place() -> None:
    given = pictures(5)
    sheet = grid(given, columns=2, scale=3)
    assert sheet.shape == (3 * (15 + GAP) - GAP, 2 * (21 + GAP) - GAP, 3)
    for i, picture in enumerate(given):
        top, left = i // 2 * (15 + GAP), i % 2 * (21 + GAP)
        assert np.array_equal(sheet[top : top + 15 : 3, left : left + 21 : 3], picture)
        assert np.array_equal(sheet[top + 2 : top + 15 : 3, left + 1 : left + 21 : 3], picture)
    assert (sheet[15 : 15 + GAP] == 255).all()
    assert (sheet[-15:, 21 + GAP :] == 255).all()


@pytest.mark.parametrize(
    ("count", "columns"), [(1, 1), (4, 4), (5, 5), (7, 3), (8, 4), (9, 3), (12, 4), (13, 4), (16, 4)]
)
def test_grid_is_nearly_square(count: int, columns: int) -> None:
    assert grid(pictures(count), scale=1).shape[1] == columns * (7 + GAP) - GAP


@pytest.mark.parametrize("colours", [1, 3])
def test_png_holds_the_numbers(tmp_path: Path, colours: int) -> None:
    given = pictures(2, colours=colours)
    write_picture(tmp_path / "new" / "two.png", png_bytes(given, scale=1))
    read = np.asarray(Image.open(tmp_path / "new" / "two.png")).reshape(5, -1, colours)
    assert np.array_equal(read, grid(given, scale=1))


def test_gif_goes_on_and_holds_the_last(tmp_path: Path) -> None:
    shades = [np.full((2, 4, 4, 3), 40 * i, dtype=np.uint8) for i in range(6)]
    write_picture(tmp_path / "turn.gif", gif_bytes(shades, scale=2, seconds=1, held_seconds=3))
    with Image.open(tmp_path / "turn.gif") as gif:
        assert gif.n_frames == 6
        assert gif.info["loop"] == 0
        durations = []
        for i, shade in enumerate(shades):
            gif.seek(i)
            durations.append(gif.info["duration"])
            assert np.array_equal(np.asarray(gif.convert("RGB")), grid(shade, scale=2))
    assert durations == [200] * 5 + [3000]


def test_gif_of_one_frame_and_of_one_colour(tmp_path: Path) -> None:
    write_picture(tmp_path / "one.gif", gif_bytes([pictures(1, colours=1)]))
    with Image.open(tmp_path / "one.gif") as gif:
        assert gif.n_frames == 1


def test_bad_input_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.png"):
        write_picture(tmp_path / "cat.jpg", png_bytes(pictures(1)))
    with pytest.raises(UsageError, match=r"ends in \.gif"):
        write_picture(tmp_path / "cat.png", gif_bytes([pictures(1)]))
    with pytest.raises(UsageError, match="no frame"):
        gif_bytes([])
    with pytest.raises(UsageError, match="no picture"):
        png_bytes(pictures(0))


def test_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cat.png"
    write_picture(path, png_bytes(pictures(1)))
    before = path.read_bytes()

    def half(self: Path, content: bytes) -> None:
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(KeyboardInterrupt):
        write_picture(path, png_bytes(pictures(1, seed=1)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
