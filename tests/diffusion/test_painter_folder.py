"""A painter's folder: what is loaded paints what was saved; whatever is not as it was is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cutaway.base.errors import CutawayError, ModelFormatError
from cutaway.diffusion.choose import likeness
from cutaway.diffusion.clip_folder import load_clip_folder
from cutaway.diffusion.config import DiTConfig
from cutaway.diffusion.dit import DiT
from cutaway.diffusion.paint import paint
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.painter_folder import (
    load_painter,
    load_text,
    load_vae,
    save_painter,
    save_text,
    save_vae,
)
from cutaway.diffusion.text_conditioner import TextConditioner
from cutaway.diffusion.vae import VAE
from diffusion.painters import QUICK, label_painter, latent_painter, plain_painter, text_reader, word_painter

KINDS: dict[str, tuple[Callable[[], Painter], str]] = {
    "words": (word_painter, "a red cat"),
    "latent": (latent_painter, "a red cat"),
    "labels": (label_painter, "dog"),
    "nothing": (plain_painter, ""),
}


@pytest.mark.parametrize("kind", KINDS)
def test_loaded_paints_the_same(kind: str, tmp_path: Path) -> None:
    make, asked = KINDS[kind]
    painter = make()
    save_painter(tmp_path / "model", painter)
    loaded = load_painter(tmp_path / "model")
    assert np.array_equal(paint(loaded, [asked], QUICK).pictures, paint(painter, [asked], QUICK).pictures)
    assert loaded.names == painter.names
    assert loaded.path_config == painter.path_config
    assert loaded.config == painter.config
    assert (loaded.reader is None) == (painter.reader is None) == (kind in ("labels", "nothing"))
    if painter.reader and loaded.reader:
        assert loaded.reader.config == painter.reader.config
        for name, weight in loaded.reader.state_dict().items():
            assert torch.equal(weight, painter.reader.state_dict()[name])
    if painter.vae and loaded.vae:
        assert loaded.vae.hash == painter.vae.hash


def test_half_as_large_in_half_precision(tmp_path: Path) -> None:
    painter = latent_painter()
    sizes = {}
    for precision in ("float32", "float16"):
        save_painter(tmp_path / precision, painter, precision)  # type: ignore[arg-type]
        sizes[precision] = sum(file.stat().st_size for file in (tmp_path / precision).glob("*.safetensors"))
    assert sizes["float16"] < 0.65 * sizes["float32"]
    loaded = load_painter(tmp_path / "float16")
    for name, weight in loaded.denoiser.state_dict().items():
        assert weight.dtype is torch.float32
        torch.testing.assert_close(weight, painter.denoiser.state_dict()[name].half().float(), atol=0, rtol=0)


def test_a_reader_of_few_bits_still_chooses(tmp_path: Path) -> None:
    painter = word_painter()
    save_painter(tmp_path / "small", painter, "float16")
    assert painter.reader is not None
    count = sum(one.numel() for one in painter.reader.parameters())
    file = tmp_path / "small" / "reader.safetensors"
    assert file.stat().st_size < count + 3000, "a byte a number, and what they are called"
    pictures = np.random.default_rng(0).integers(0, 255, (20, 8, 8, 3), np.uint8)
    both = [likeness(one, pictures, ["a red cat"] * 20) for one in (painter, load_painter(tmp_path / "small"))]
    assert (both[0] - both[1]).abs().max() < 0.05
    assert both[0].std() > 0.05
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelFormatError, match=r"reader\.safetensors was altered"):
        load_painter(tmp_path / "small")


def test_a_folder_of_before_there_were_readers(tmp_path: Path) -> None:
    painter = word_painter()
    save_painter(tmp_path, painter)
    told = json.loads((tmp_path / "painter.json").read_text())
    del told["parts"]["reader"]
    (tmp_path / "painter.json").write_text(json.dumps(told))
    loaded = load_painter(tmp_path)
    assert loaded.reader is None
    assert np.array_equal(paint(loaded, ["a cat"], QUICK).pictures, paint(painter, ["a cat"], QUICK).pictures)


def test_parts_alone(tmp_path: Path) -> None:
    vae = latent_painter().vae
    assert vae is not None
    save_vae(tmp_path / "vae", vae)
    assert load_vae(tmp_path / "vae").hash == vae.hash
    text = text_reader()
    save_text(tmp_path / "text", text)
    words = load_text(tmp_path / "text")(["a blue hat"]).words_BTD
    expected = text(["a blue hat"]).words_BTD
    assert words is not None
    assert expected is not None
    assert torch.equal(words, expected)
    for folder in ("vae", "text"):
        with pytest.raises(ModelFormatError, match=f"no denoiser but {folder}"):
            load_painter(tmp_path / folder)
    with pytest.raises(ModelFormatError, match="describes no vae"):
        load_vae(tmp_path / "text")


def test_a_painter_has_its_vae_and_words(tmp_path: Path) -> None:
    painter = latent_painter()
    assert painter.vae is not None
    save_painter(tmp_path, painter)
    assert load_vae(tmp_path).hash == painter.vae.hash
    assert load_text(tmp_path).tokenizer.words("a hat") == ["<begin>", "a", "hat", "<end>"]


def test_wrong_vae_is_refused(tmp_path: Path) -> None:
    painter = latent_painter()
    assert painter.vae is not None
    save_painter(tmp_path / "painter", painter)
    torch.manual_seed(9)
    other = VAE(painter.vae.config)
    save_vae(tmp_path / "other", other)
    (tmp_path / "painter/vae.safetensors").write_bytes((tmp_path / "other/vae.safetensors").read_bytes())
    with pytest.raises(ModelFormatError, match="is not the VAE that this was trained with"):
        load_painter(tmp_path / "painter")


def spoil_missing(folder: Path) -> None:
    (folder / "denoiser.safetensors").unlink()


def spoil_cut(folder: Path) -> None:
    file = folder / "denoiser.safetensors"
    file.write_bytes(file.read_bytes()[:-7])


def spoil_words(folder: Path) -> None:
    file = folder / "tokenizer.json"
    file.write_text(file.read_text().replace('"cat"', '"cow"'))


def spoil_description(folder: Path) -> None:
    (folder / "painter.json").write_text("{")


def spoil_no_description(folder: Path) -> None:
    (folder / "painter.json").unlink()


def spoil_list(folder: Path) -> None:
    (folder / "painter.json").write_text("[1]")


def changed(folder: Path, change: Callable[[dict], object]) -> None:
    told = json.loads((folder / "painter.json").read_text())
    change(told)
    (folder / "painter.json").write_text(json.dumps(told))


def spoil_width(folder: Path) -> None:
    changed(folder, lambda told: told["parts"]["denoiser"]["config"].update(d_model=28))


def spoil_layers(folder: Path) -> None:
    changed(folder, lambda told: told["parts"]["denoiser"]["config"].update(n_layers=3))


def spoil_setting(folder: Path) -> None:
    changed(folder, lambda told: told["parts"]["denoiser"]["config"].update(colour="red"))


def spoil_kind(folder: Path) -> None:
    changed(folder, lambda told: told["parts"]["denoiser"].update(kind="gan"))


def spoil_path(folder: Path) -> None:
    changed(folder, lambda told: told["path"].update(path="loop"))


def spoil_text(folder: Path) -> None:
    changed(folder, lambda told: told["parts"].pop("text"))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_missing, r"denoiser.safetensors is missing"),
        (spoil_cut, r"denoiser.safetensors was altered"),
        (spoil_words, r"tokenizer.json was altered"),
        (spoil_description, r"painter.json is not a painter's description"),
        (spoil_no_description, r"is no painter's folder: it has no painter.json"),
        (spoil_list, r"painter.json is not a painter's description"),
        (spoil_width, r"has shape \[24"),
        (spoil_layers, r"'blocks.2.* is in only one of the two"),
        (spoil_setting, r"unknown setting 'colour'"),
        (spoil_kind, r"describes no denoiser that can be read"),
        (spoil_path, r"path is 'loop'"),
        (spoil_text, r"expected the text encoder it was trained with"),
    ],
)
def test_what_is_not_as_it_was_is_refused(spoil: Callable[[Path], None], says: str, tmp_path: Path) -> None:
    save_painter(tmp_path, word_painter())
    spoil(tmp_path)
    with pytest.raises(ModelFormatError, match=says) as error:
        load_painter(tmp_path)
    assert "\n" not in str(error.value)


def test_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    save_painter(folder, word_painter())
    before = (folder / "painter.json").read_text()
    monkeypatch.setattr("cutaway.diffusion.painter_folder.write_text", lambda path, text: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_painter(folder, label_painter())
    assert (folder / "painter.json").read_text() == before
    assert [item.name for item in tmp_path.iterdir()] == ["model"]
    load_painter(folder)


def test_someone_elses_clip_folder_stays_where_it_is(tmp_path: Path) -> None:
    clip = clip_folder(tmp_path / "clip")
    encoder, tokenizer = load_clip_folder(clip)
    config = DiTConfig(size=8, patch=4, d_model=24, n_layers=1, n_heads=4, d_words=encoder.d_words)
    painter = Painter(DiT(config), text=TextConditioner(encoder, tokenizer), clip_folder=clip)
    save_painter(tmp_path / "model", painter)
    assert not (tmp_path / "model/text.safetensors").exists()
    loaded = load_painter(tmp_path / "model")
    assert np.array_equal(paint(loaded, ["a cat"], QUICK).pictures, paint(painter, ["a cat"], QUICK).pictures)
    weights = clip / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(CutawayError, match="is not the text encoder"):
        load_painter(tmp_path / "model")


def clip_folder(folder: Path) -> Path:
    """Make a folder of a small CLIP text encoder, as transformers saves it."""
    import transformers

    transformers.logging.set_verbosity_error()
    marks = {"<|startoftext|>": 0, "<|endoftext|>": 1}
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocab = marks | {piece: i for i, piece in enumerate([*letters, *(letter + "</w>" for letter in letters)], 2)}
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.CLIPTextConfig(
        vocab_size=len(vocab),
        hidden_size=12,
        intermediate_size=20,
        num_hidden_layers=1,
        num_attention_heads=3,
        max_position_embeddings=11,
        bos_token_id=0,
        eos_token_id=1,
    )
    transformers.CLIPTextModel(config).save_pretrained(folder)
    return folder
