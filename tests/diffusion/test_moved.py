"""Pictures moved: the pixels are NumPy's, how far depends on seed and place in the stream alone, what is held out rests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cutaway.base.errors import ConfigError
from cutaway.diffusion.config import PicturesConfig
from cutaway.diffusion.moved import MovedPictures, moved
from cutaway.diffusion.pictures import Pictures, open_pictures

SIZE, COUNT, SHIFT = 8, 10, 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures of noise, two of which are held out."""
    random = np.random.default_rng(0)
    for i in range(COUNT + 2):
        Image.fromarray(random.integers(0, 256, (SIZE, SIZE, 3), np.uint8)).save(tmp_path / f"{i}.png")
        (tmp_path / f"{i}.txt").write_text(f"number {i}")
    return tmp_path


def opened(folder: Path, shift: int = SHIFT, epochs: int | None = None, seed: int = 0) -> Pictures:
    return open_pictures(PicturesConfig(str(folder), SIZE, 2, shift, epochs), seed)


def by_numpy(x_CYX: np.ndarray, down: int, right: int) -> np.ndarray:
    """Return a picture moved: its edge repeated all around it, then a window cut out."""
    wide = np.pad(x_CYX, ((0, 0), (9, 9), (9, 9)), mode="edge")
    return wide[:, 9 - down : 9 - down + SIZE, 9 - right : 9 - right + SIZE]


def test_the_pixels_are_those_numpy_cuts_out() -> None:
    x_BCYX = torch.rand(25, 3, SIZE, SIZE)
    moves_B2 = np.array([(down, right) for down in (-3, -1, 0, 2, 7) for right in (-7, -2, 0, 1, 3)])
    expected = [by_numpy(x.numpy(), *move) for x, move in zip(x_BCYX, moves_B2.tolist(), strict=True)]
    np.testing.assert_array_equal(moved(x_BCYX, moves_B2).numpy(), np.stack(expected))
    frame_BCYX = torch.zeros(9, 1, SIZE, SIZE)
    frame_BCYX[:, :, 1:-1, 1:-1] = torch.rand(9, 1, SIZE - 2, SIZE - 2)  # with a plain edge it only goes round
    ways = np.array([(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)])
    rolled = [np.roll(x.numpy(), way, (1, 2)) for x, way in zip(frame_BCYX, ways.tolist(), strict=True)]
    np.testing.assert_array_equal(moved(frame_BCYX, ways).numpy(), np.stack(rolled))


def test_a_batch_is_the_same_pictures_moved_and_nothing_else(folder: Path) -> None:
    still, moving = opened(folder, shift=0), opened(folder)
    assert isinstance(moving, MovedPictures)
    before, after = still.batch(3, 40), moving.batch(3, 40)
    assert torch.equal(after.x_BCYX, moved(before.x_BCYX, moving.moves(3, 40)))
    assert after.captions == before.captions
    assert torch.equal(after.label_B, before.label_B)
    assert torch.equal(moving.held_out.x_BCYX, still.held_out.x_BCYX)
    for name in ("size", "channels", "n_labels", "names", "hash", "count", "notes"):
        assert getattr(moving, name) == getattr(still, name)


def test_how_far_depends_on_seed_and_place_alone(folder: Path) -> None:
    moving = opened(folder)
    assert isinstance(moving, MovedPictures)
    whole = moving.batch(0, 5 * COUNT)
    assert torch.equal(moving.batch(17, 9).x_BCYX, whole.x_BCYX[17:26])
    assert torch.equal(opened(folder).batch(0, 5 * COUNT).x_BCYX, whole.x_BCYX)
    moves_N2 = moving.moves(0, 20_000)
    other = opened(folder, seed=1)
    assert isinstance(other, MovedPictures)
    assert (other.moves(0, 20_000) == moves_N2).all(axis=1).mean() == pytest.approx(1 / 25, abs=0.01)
    ways, counts = np.unique(moves_N2, axis=0, return_counts=True)
    assert ways.tolist() == [[down, right] for down in range(-2, 3) for right in range(-2, 3)]
    np.testing.assert_allclose(counts / 20_000, 1 / 25, atol=0.006)
    passes = moves_N2.reshape(-1, COUNT, 2)
    assert (passes[1:] != passes[:-1]).any(axis=(1, 2)).all(), "every pass moves otherwise"


def test_the_last_passes_show_them_as_they_are(folder: Path) -> None:
    still, always, at_first = (opened(folder, *how).batch(0, 4 * COUNT).x_BCYX for how in ((0,), (2,), (2, 3)))
    assert torch.equal(at_first[: 3 * COUNT], always[: 3 * COUNT])
    assert torch.equal(at_first[3 * COUNT :], still[3 * COUNT :])
    assert not torch.equal(always[3 * COUNT :], still[3 * COUNT :])
    pictures = opened(folder, 0)
    last_and_next = np.stack([MovedPictures(pictures, 2, 3, seed).moves(3 * COUNT - 1, 2) for seed in range(6)])
    assert last_and_next[:, 0].any(), "some of them were moved in their last picture"
    assert not last_and_next[:, 1].any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shift": -1}, "shift is -1; expected 0 up to"),
        ({"shift": 28}, "but not, pictures.size 28"),
        ({"shift": 1, "source": "creatures"}, "are drawn anew each time"),
        ({"shift": 1, "shift_epochs": 0}, "shift_epochs is 0; expected 1 or more"),
        ({"shift_epochs": 3}, "with a pictures.shift"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PicturesConfig(**{"source": "digits.gz", "size": 28, **settings})  # type: ignore[arg-type]
