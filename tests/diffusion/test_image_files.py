"""Pictures in files: every layout, split and stream; what is broken is skipped and said."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cutaway.base.errors import DataError
from cutaway.diffusion.config import PicturesConfig
from cutaway.diffusion.image_files import FilePictures, open_image_files
from cutaway.diffusion.pictures import open_pictures


def save(path: Path, seed: int, shape: tuple[int, ...] = (16, 16, 3)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8)).save(path)


def every(pictures: FilePictures) -> set[tuple[str, int]]:
    """Captions and labels of all pictures, trained on and held out."""
    batches = (pictures.batch(0, pictures.count), pictures.held_out)
    return {pair for b in batches for pair in zip(b.captions, b.label_B.tolist(), strict=True)}


def opened(folder: Path, n_held_out: int = 2) -> FilePictures:
    return open_image_files(folder, 16, n_held_out, seed=0)


def test_captions_in_text_files(tmp_path: Path) -> None:
    for i in range(10):
        save(tmp_path / f"{i}.png", i)
        (tmp_path / f"{i}.txt").write_text(f"picture\n  number {i}\n")
    pictures = opened(tmp_path)
    assert every(pictures) == {(f"picture number {i}", 0) for i in range(10)}
    assert (pictures.count, pictures.channels, pictures.n_labels, pictures.notes) == (8, 3, 0, ())


def test_the_pixels_are_those_of_the_file(tmp_path: Path) -> None:
    for i in range(5):
        save(tmp_path / f"{i}.png", i)
        (tmp_path / f"{i}.txt").write_text(str(i))
    batch = opened(tmp_path).batch(0, 4)
    for x_CYX, caption in zip(batch.x_BCYX, batch.captions, strict=True):
        expected = np.asarray(Image.open(tmp_path / f"{caption}.png"), np.float32) / 127.5 - 1
        np.testing.assert_allclose(x_CYX.permute(1, 2, 0).numpy(), expected, atol=1e-6)


def test_a_folder_a_class(tmp_path: Path) -> None:
    for i in range(12):
        save(tmp_path / "train" / ("barn_owl", "cat")[i % 2] / f"{i}.jpg", i)
    pictures = opened(tmp_path)
    assert pictures.names == ("barn owl", "cat") or pictures.names == ("barn_owl", "cat")
    assert every(pictures) == {("barn owl", 0), ("cat", 1)}


@pytest.mark.parametrize("kind", ["metadata.jsonl", "metadata.csv", "other.jsonl"])
def test_tables(tmp_path: Path, kind: str) -> None:
    for i in range(6):
        save(tmp_path / "images" / f"{i}.png", i)
    rows = [{"file_name": f"images/{i}.png", "text": f"number, {i}"} for i in range(6)]
    if kind.endswith("csv"):
        text = "file_name,text\n" + "\n".join(f'{row["file_name"]},"{row["text"]}"' for row in rows)
    else:
        text = "\n".join(map(json.dumps, rows)) + "\nnot json\n" + json.dumps({"file_name": "../../etc/x.png"})
    (tmp_path / kind).write_text(text)
    pictures = opened(tmp_path)
    assert every(pictures) == {(f"number, {i}", 0) for i in range(6)}
    if kind.endswith("jsonl"):
        assert "2 skipped" in pictures.notes[0]
        assert "outside" in pictures.notes[0]
        assert f"{kind}:7" in pictures.notes[0]
        assert every(opened(tmp_path / kind)) == every(pictures)


def test_idx(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures_NYX, label_N = rng.integers(0, 256, (20, 8, 8), np.uint8), np.arange(20, dtype=np.uint8) % 10
    for name, array in (("images-idx3", pictures_NYX), ("labels-idx1", label_N)):
        head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        with gzip.open(tmp_path / f"t10k-{name}-ubyte.gz", "wb") as file:
            file.write(head + array.tobytes())
    pictures = open_image_files(tmp_path, 8, 4, seed=0)
    assert pictures.names == tuple("0123456789")
    assert pictures.channels == 1
    assert pictures.count == 16
    assert every(pictures) == {(f"the digit {i}", i) for i in range(10)}
    total = sum(((b.x_BCYX + 1) * 127.5).sum() for b in (pictures.batch(0, 16), pictures.held_out))
    assert float(total) == pytest.approx(float(pictures_NYX.sum()), rel=1e-5)
    scaled = open_image_files(tmp_path, 16, 4, seed=0)
    assert scaled.batch(0, 2).x_BCYX.shape == (2, 1, 16, 16)
    assert "scaled to 16" in scaled.notes[0]
    with gzip.open(tmp_path / "t10k-images-idx3-ubyte.gz", "wb") as file:
        file.write(bytes([0, 0, 8, 3]) + bytes(12) + b"more")
    with pytest.raises(DataError, match="should hold 0 numbers"):
        open_image_files(tmp_path, 8, 4, seed=0)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(DataError, match="could not read"):
        open_image_files(tmp_path, 8, 4, seed=0)


def test_the_digits(shared_data: Path) -> None:
    pictures = open_pictures(PicturesConfig(str(shared_data / "mnist10k"), size=28, held_out=1000))
    assert pictures.count == 9000
    assert len(pictures.held_out.captions) == 1000
    assert not pictures.notes
    assert torch.bincount(pictures.held_out.label_B, minlength=10).min() > 60


def test_every_epoch_shows_every_picture_in_another_order(tmp_path: Path) -> None:
    for i in range(9):
        save(tmp_path / f"{i}.png", i)
        (tmp_path / f"{i}.txt").write_text(str(i))
    pictures = opened(tmp_path, n_held_out=1)
    epochs = [pictures.batch(8 * e, 8).captions for e in range(3)]
    assert len({tuple(e) for e in epochs}) == 3
    assert len({tuple(sorted(e)) for e in epochs}) == 1
    assert pictures.batch(5, 6).captions == (epochs[0] + epochs[1])[5:11]
    other_seed = open_image_files(tmp_path, 16, 1, seed=1)
    assert other_seed.held_out.captions == pictures.held_out.captions
    assert other_seed.hash == pictures.hash


def test_copies_fall_on_the_same_side(tmp_path: Path) -> None:
    for i in range(40):
        save(tmp_path / f"{i}.png", i // 4)
        (tmp_path / f"{i}.txt").write_text(str(i // 4))
    pictures = opened(tmp_path, n_held_out=6)
    assert not set(pictures.held_out.captions) & set(pictures.batch(0, pictures.count).captions)


def test_what_is_broken_is_skipped_and_said(tmp_path: Path) -> None:
    for i in range(6):
        save(tmp_path / f"{i}.png", i, (20, 30, 3) if i == 0 else (16, 16, 3))
        (tmp_path / f"{i}.txt").write_text(f"number {i}")
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "2.png").write_bytes(b"no picture")
    (tmp_path / "3.txt").unlink()
    notes = opened(tmp_path, 1).notes
    assert "2 skipped: 1.png" in notes[0]
    assert "2.png" in notes[0]
    assert "1 of 4 pictures were scaled to 16" in notes[1]
    assert "1 of 4 pictures have no caption (3.png)" in notes[2]
    assert "3.txt" in notes[2]


def test_grey_and_transparent(tmp_path: Path) -> None:
    for i in range(3):
        save(tmp_path / f"{i}.png", i, (16, 16))
    assert opened(tmp_path, 1).batch(0, 2).x_BCYX.shape == (2, 1, 16, 16)
    Image.new("RGBA", (16, 16), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    pictures = opened(tmp_path, 1)
    x_BCYX = torch.cat([pictures.batch(0, 3).x_BCYX, pictures.held_out.x_BCYX])
    assert x_BCYX.shape == (4, 3, 16, 16)
    assert (x_BCYX == 1).flatten(1).all(1).sum() == 1


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no pictures"):
        opened(tmp_path)
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"none of the 1 pictures .* can be read"):
        opened(tmp_path)
    save(tmp_path / "a.png", 0)
    with pytest.raises(DataError, match="at least 2 different"):
        opened(tmp_path)
    with pytest.raises(DataError, match="is one picture"):
        opened(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"did you mean a\.png"):
        opened(tmp_path / "b.png")
