"""The pages of docs/paint: figures stand where they belong, pictures show what their captions say."""

from __future__ import annotations

import importlib
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cutaway.base.runs import RunFolder
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.picture_files import png_bytes
from diffusion.painters import latent_painter, plain_painter, word_painter

DOCS = Path(__file__).parents[2] / "docs"
QUICK = PaintSamplingConfig(steps=2, sampler="euler", guidance=2.0, precision="float32")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(DOCS))
    return SimpleNamespace(
        **{name: importlib.import_module(f"paint_{name}") for name in ("numbers", "pages", "pictures")}
    )


def share(right: int, asked: int) -> dict[str, Any]:
    return {"right": right, "asked": asked, "share": right / asked, "interval": [0.1, 0.9]}


def way(sampler: str, calls: int, fid: float, right: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "sampler": sampler,
        "steps": 9,
        "calls": calls,
        "guidance": 2.0,
        "fid": fid,
        "diversity": 7.5,
        "right": right,
    }


def painter_figures(phase: str, **more: Any) -> dict[str, Any]:
    far = {"fid": 12.5, "fid_fresh": 1.25, "diversity": 7.0, "diversity_fresh": 8.0, "nearest": 0.125}
    return {
        "phase": phase, "parameters": 1_840_000, "steps": 1200, "pictures": 76_800, "seconds": 360.0, "loss": 0.1745,
        "loss_without_average": 0.1812, "losses": {"0.1": 0.3, "0.9": 0.25},
        "distances": far | {"nearest_fresh": 0.25, "nearer": 0.02, "n_training": 10_000},
        "usual": way("heun", 59, 12.5), "unaveraged": way("heun", 59, 20.5),
        "by_calls": [way(name, calls, calls + i) for calls in (3, 7) for i, name in enumerate(("heun", "dpm++", "euler"))],
        "prompts": {}, "by_guidance": [],
    } | more  # fmt: skip


def words_figures(phase: str) -> dict[str, Any]:
    marked = [
        {"prompt": f"a cat {i}", "verdict": {"kind": i != 1, "accessory_size": True}, "is_right": i != 1}
        for i in range(3)
    ]
    marks = {
        "overall": share(2, 3), "attributes": {"kind": share(2, 3), "accessory_size": share(3, 3)}, "marked": marked,
    }  # fmt: skip
    return painter_figures(
        phase, prompts={"seen": marks, "held out": marks}, examples={"seen": [1, 0], "held out": [2, 1]},
        usual=way("heun", 59, 12.5, share(2, 3)), unaveraged=way("heun", 59, 20.5, share(1, 3)),
        by_guidance=[way("dpm++", 15, 14.5, share(3, 4))], chosen={"seen": share(3, 3), "held out": share(1, 2)}, best_of=5,
    )  # fmt: skip


def test_fid_stands_below_its_sampler(module: Any) -> None:
    table = module.numbers.calls_table(painter_figures("unet")).splitlines()
    assert table[0] == "| calls of the model | FID, Euler | FID, Heun | FID, DPM-Solver++ |"
    assert table[2:] == ["| 3 | 5.00 | 3.00 | 4.00 |", "| 7 | 9.00 | 7.00 | 8.00 |"]


def test_average_last_weights_and_fresh_drawings_stand_side_by_side(module: Any) -> None:
    told = module.numbers.main_table(painter_figures("unet"))
    assert told.startswith("1.84M parameters, 1,200 steps, 76,800 pictures, 6 minutes.")
    assert "| held-out loss | 0.1745 | 0.1812 | - |" in told
    assert "| FID in the judge's features | 12.50 | 20.50 | 1.25 |" in told
    assert "| nearest of 10,000 training drawings | 12.5 % of the range | - | 25.0 % of the range |" in told
    assert "right" not in told
    assert "| right, of all that was asked | 66.7 % | 33.3 % | - |" in module.numbers.main_table(words_figures("words"))
    alone = module.numbers.main_table(painter_figures("unet", unaveraged=None))
    assert "| FID in the judge's features | 12.50 | - | 1.25 |" in alone


def test_marks_and_what_is_wrong(module: Any) -> None:
    one = words_figures("words")
    table = module.numbers.marks_table(one["prompts"])
    assert "| **all that was asked** | 66.7 % (10.0 to 90.0) of 3 | 66.7 % (10.0 to 90.0) of 3 |" in table
    assert "| accessory size |" in table
    best = (
        "**All that was asked, the best of 5 drafts chosen by the reader:** 100.0 % (10.0 to 90.0) of 3 (seen), 50.0 % "
    )
    assert f"{best}(10.0 to 90.0) of 2 (held out)." in module.numbers.of_words(one)
    assert "66.7 % right (held out), 100.0 % best of 5 (seen), 50.0 %" in module.numbers.summary({"words": one})
    assert "best of" not in module.numbers.of_words(one | {"chosen": {}})
    assert module.numbers.wrong_ones(one) == "- picture 1, 'a cat 1': kind\n- picture 4, 'a cat 1': kind"


def test_pages_are_filled_again_and_again(module: Any, tmp_path: Path) -> None:
    for page in ("README", *module.pages.PAGES.values()):
        (tmp_path / f"{page}.md").write_text("# Before\n\n<!-- numbers -->\nold\n<!-- end -->\n\nafter\n")
    text = {
        "phase": "text",
        "held_out": {
            "picture_of_caption": 0.875,
            "caption_of_picture": 0.9,
            "wrong_captions_told": 0.8,
            "foresight_error": 0.25,
        },
    }
    vae = {"phase": "vae", "psnr_db": 31.25, "fid": 2.0, "fid_fresh": 1.0, "prompts": words_figures("words")["prompts"]}
    runs = {
        "older": painter_figures("unet", loss=9.0), "paint-unet-1": painter_figures("unet"),
        "paint-text-1": painter_figures("text") | text, "paint-vae-1": painter_figures("vae") | vae,
        "paint-words-1": words_figures("words"), "paint-latents-1": words_figures("latents"),
        "exported": {"prompts": {}},
    }  # fmt: skip
    (tmp_path / "measured.json").write_text(json.dumps({"runs": runs}))
    for _ in range(2):
        done = module.pages.write_pages(tmp_path, tmp_path, with_pictures=False)
        assert done == ["unet", "text", "words", "vae", "latents"]
    first = (tmp_path / "1-flow.md").read_text()
    assert first.startswith("# Before\n\n<!-- numbers -->\n\n1.84M parameters")
    assert first.endswith("<!-- end -->\n\nafter\n")
    assert "old" not in first.replace("held-out", "")
    assert "9.0000" not in first
    assert "old" in (tmp_path / "2-transformer.md").read_text()
    assert "87.5 %" in (tmp_path / "4-words.md").read_text()
    assert "31.2 dB on fresh drawings" in (tmp_path / "5-latents.md").read_text()
    assert (
        "| 4 | `words` | 1.84M | 6 | 0.1745 | error of the velocity, pixels | 66.7 % right (seen)"
        in (tmp_path / "README.md").read_text()
    )
    with pytest.raises(AssertionError, match="the page has no"):
        module.pages.filled("# Before\n<!-- numbers -->\n", "new")


def test_every_page_has_its_place_for_numbers(module: Any) -> None:
    for page in ("README", *module.pages.PAGES.values()):
        text = (DOCS / "paint" / f"{page}.md").read_text(encoding="utf-8")
        assert module.pages.filled(text, "new").count("new") >= 1
        assert text.count(module.pages.BEGIN) == text.count(module.pages.END) == 1


@pytest.mark.slow
def test_pictures_of_a_sheet_are_found_again(module: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    run = RunFolder(tmp_path)
    run.pictures_folder.mkdir()
    made = {step: random.integers(0, 256, (8, 32, 32, 3), np.uint8) for step in (1, 3, 10, 25, 60, 100, 150)}
    for step, pictures in made.items():
        (run.pictures_folder / f"{step}.png").write_bytes(png_bytes(pictures, columns=4))
    np.testing.assert_array_equal(np.stack(list(module.pictures.cells(run, 60, 32))), made[60])
    sheet, steps = module.pictures.while_learning(run, 32)
    assert steps == [1, 3, 10, 60, 150]
    assert Image.open(io.BytesIO(sheet)).size == (8 * 68 - 4, 5 * 68 - 4)


def test_a_smaller_sheet_has_the_same_pixels(module: Any) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    small = np.asarray(
        Image.open(io.BytesIO(module.pictures.smaller(png_bytes(pictures, columns=3), 3))).convert("RGB")
    )
    np.testing.assert_array_equal(small[:64:2, :64:2], pictures[0])
    np.testing.assert_array_equal(small[1:64:2, 1:64:2], pictures[0])


def size_of(content: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(content)).size


@pytest.mark.slow
def test_sheets_have_the_rows_that_pages_speak_of(module: Any) -> None:
    plain, words, latents = plain_painter(), word_painter(), latent_painter()
    asked = [""] * 8
    row = 8 * 68 - 4
    assert size_of(module.pictures.noise_to_pictures(plain, asked, QUICK)) == (row, 6 * 68 - 4)
    assert size_of(module.pictures.samplers(plain, asked, QUICK)) == (row, 4 * 68 - 4)
    assert size_of(module.pictures.sentence(words, QUICK)) == (row, 2 * 68 - 4)
    assert size_of(module.pictures.one_word_changed(words, QUICK)) == (6 * 68 - 4, 2 * 68 - 4)
    assert size_of(module.pictures.walk(latents, QUICK)) == (6 * 68 - 4, 2 * 68 - 4)
    assert size_of(module.pictures.word_maps(words, QUICK, ("cat", "hat"))) == (3 * 132 - 4, 128)
    with Image.open(io.BytesIO(module.pictures.film(words, QUICK))) as film:
        assert getattr(film, "n_frames", 1) == 11
