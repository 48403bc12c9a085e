"""`cutaway paint`: training phase by phase, painting, and everything that may be typed wrong."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paint_runs import tiny
from PIL import Image
from rich.console import Console

from cutaway import presets_paint
from cutaway.base.runs import open_run
from cutaway.cli.half_blocks import show_picture
from cutaway.cli.main import main
from cutaway.presets_paint import DIGITS, OTHERS, PHASES
from cutaway.run_facts import facts


@pytest.fixture
def here(painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands are typed: an empty folder, the runs beside it."""
    monkeypatch.setenv("CUTAWAY_RUNS", str(painted))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def small_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes of the phases as tiny ones, in minutes."""

    def make(name: str) -> Any:
        def recipe(source: str = "creatures", **on: str) -> Any:
            return dataclasses.replace(tiny(name, steps=None, minutes=0.005, validate_every=5), **on)

        recipe.__doc__ = PHASES[name].summary
        return recipe

    made = {name: dataclasses.replace(phase, make=make(name)) for name, phase in PHASES.items()}
    monkeypatch.setattr(presets_paint, "PHASES", made)
    monkeypatch.setattr("cutaway.cli.paint_train.PHASES", made)


def answered(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.slow
def test_a_picture_and_a_film_of_a_sentence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["paint", "a cat wearing a tiny zebra hat", "--seed", "3", "--n", "2", "--steps", "3", "--guidance", "2"]
    assert main([*words, "--out", "cat.png", "--gif", "cat.gif", "--json"]) == 0
    told = answered(capsys)
    assert told["seeds"] == [3, 4]
    assert told["unknown_words"] == ["zebra"]
    assert Path(told["painter"]).parent.name == "paint-latents-1"
    assert (told["sampling"]["steps"], told["sampling"]["guidance"]) == (3, 2)
    with Image.open("cat.png") as picture, Image.open("cat.gif") as film:
        assert picture.format == "PNG"
        # of a VAE that learned nothing two steps may look alike, which is one frame
        assert 2 <= getattr(film, "n_frames", 1) <= 4
    assert main([*words, "--run", "paint-words-1", "--out", "words.png", "--gif", "words.gif"]) == 0
    assert capsys.readouterr().out == "words.png and words.gif\n"
    with Image.open("words.gif") as film:
        assert getattr(film, "n_frames", 1) == 4
    assert main([*words, "--run", "paint-words-1"]) == 0
    said = capsys.readouterr()
    assert said.out == "a-cat-wearing-a-tiny-zebra-hat.png\n"
    assert "never saw 'zebra'" in said.err
    first = Path("a-cat-wearing-a-tiny-zebra-hat.png").read_bytes()
    assert main([*words, "--run", "paint-words-1"]) == 0
    assert Path("a-cat-wearing-a-tiny-zebra-hat.png").read_bytes() == first


@pytest.mark.slow
def test_the_best_of_several(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["paint", "a red cat", "--n", "2", "--steps", "3", "--run", "paint-words-1", "--out", "cat.png"]
    assert main([*words, "--best-of", "4", "--json"]) == 0
    seeds = answered(capsys)["seeds"]
    assert [seed % 1000 for seed in seeds] == [0, 1]
    assert all(seed < 4000 for seed in seeds)
    chosen = Path("cat.png").read_bytes()
    assert main([*words, "--best-of", "4"]) == 0
    assert f"the best of 4 each, of the seeds {seeds[0]}, {seeds[1]}" in " ".join(capsys.readouterr().err.split())
    assert Path("cat.png").read_bytes() == chosen


def test_painters_of_labels_and_of_nothing(here: Path) -> None:
    assert main(["paint", "owl", "--run", "paint-labels-1", "--n", "1"]) == 0
    assert Path("owl.png").is_file()
    assert main(["paint", "", "--run", "paint-unet-1", "--n", "1"]) == 0
    assert Path("painting.png").is_file()


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["a cat", "--guidance", "400"], "guidance is 400.0; expected 0 to 100", 2),
        (["a cat", "--best-of", "0"], "best_of is 0; expected 1", 2),
        (["owl", "--run", "paint-labels-1", "--best-of", "2"], "no reader to choose drafts by", 2),
        (["a cat", "--steps", "0"], "steps is 0; expected 1 to 1000", 2),
        (["a cat", "--n", "many"], "many", 2),
        (["a cat", "--n", "1001"], "n is 1001; expected 1 to 1000", 2),
        ([""], "the prompt is empty", 2),
        (["zebra giraffe"], "not one word of 'zebra giraffe' is known", 2),
        (["a cat", "--negative", "giraffe"], "giraffe", 2),
        (["a cat", "--run", "paint-word-1"], "did you mean paint-words-1", 1),
        (["a cat", "--run", "paint-vae-1"], "does not paint", 1),
        (["a cat", "--run", "paint-unet-1"], "trained without labels and words", 2),
        (["unicorn", "--run", "paint-labels-1"], "expected one of cat, dog", 2),
        (["a cat", "--out", "cat.jpg"], "expected a name that ends in .png", 2),
        (["a", "cat"], 'stands in quotes: cutaway paint "a cat"', 2),
        (["tran", "all"], "did you mean train?", 2),
        (["train"], "which phase to train is not said", 2),
        (["train", "unets"], "did you mean unet", 2),
        (["train", "digits1"], "digits1 needs digits: cutaway paint train digits1 --pictures.source", 2),
        (["train", "phase6"], "there is no phase 'phase6'", 2),
        (["train", "all", "--minutes", "0"], "minutes is 0.0; expected more than 0", 2),
        (["train", "unet", "--pictures.source", "/nowhere", "--minutes", "1"], "/nowhere", 1),
        (["train", "unet", "--train.ema", "2"], "train.ema is 2.0", 2),
    ],
)
def test_what_cannot_be_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str, code: int
) -> None:
    assert main(["paint", *words]) == code
    err = capsys.readouterr().err
    assert said in err
    assert len([line for line in err.splitlines() if line.startswith("cutaway: ")]) == 1
    assert "Traceback" not in err


@pytest.mark.slow
def test_an_exported_painter_paints_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["paint", "a cat wearing a tiny hat", "--seed", "3", "--n", "2", "--steps", "3"]
    assert main([*words, "--run", "paint-latents-1", "--out", "run.png"]) == 0
    for precision in ("float32", "float16"):
        assert main(["paint", "export", "paint-latents-1", "--out", precision, "--precision", precision]) == 0
        assert main([*words, "--run", precision, "--out", f"{precision}.png"]) == 0
    pictures = [np.asarray(Image.open(f"{name}.png"), dtype=int) for name in ("run", "float32", "float16")]
    assert (pictures[1] == pictures[0]).all()
    assert 0 < abs(pictures[2] - pictures[0]).max() <= 3
    sizes = [Path(name, "denoiser.safetensors").stat().st_size for name in ("float16", "float32")]
    assert sizes[0] < 0.6 * sizes[1]
    made_by = {file.name for file in Path("float16").glob("*_recipe.toml")}
    assert made_by == {"painter_recipe.toml", "text_recipe.toml", "vae_recipe.toml"}
    told = Path("float16/painter_recipe.toml").read_text(encoding="utf-8")
    assert "# Repeat it: cutaway train painter_recipe.toml\n" in told  # and not where it lay on this machine
    card = Path("float16", "README.md").read_text()
    summary = open_run("paint-latents-1").summary() or {}
    assert f"| held-out loss | {summary['validation_loss']} |" in card
    capsys.readouterr()
    assert main(["paint", "export", "paint-latents-1", "--out", "float16"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["paint", "export", "paint-latents-1", "--out", "float16", "--force"]) == 0
    assert main(["paint", "export", "paint-latents-1", "--out", str(here.parent), "--force"]) == 2
    assert main(["paint", "export", "paint-vae-1", "--out", "vae"]) == 1
    assert not Path("vae").exists()


def test_the_painter_that_came_along_paints_where_nothing_is_trained(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["paint", "export", "paint-words-1", "--out", "came"]) == 0
    monkeypatch.setattr("cutaway.cli.paint_words.SHIPPED", here / "came")
    words = ["paint", "a cat", "--n", "1", "--json"]
    assert main(words) == 0
    assert Path(answered(capsys)["painter"]).name == "model", "one's own comes first"
    monkeypatch.setenv("CUTAWAY_RUNS", str(tmp_path / "none"))
    assert main(words) == 0
    told = answered(capsys)
    assert Path(told["painter"]) == here / "came"
    assert told["sampling"]["steps"] == tiny("words").sampling.steps


def test_nothing_to_paint_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("CUTAWAY_RUNS", str(tmp_path / "none"))
    monkeypatch.setattr("cutaway.cli.paint_words.SHIPPED", tmp_path / "none")
    assert main(["paint", "a cat"]) == 1
    assert "train one: cutaway paint train all" in capsys.readouterr().err
    assert main(["paint", "--json"]) == 0
    told = answered(capsys)
    assert [one["status"] for one in told["phases"]] == ["not trained"] * 7
    assert told["next"] == "cutaway paint train unet"


def test_the_guide_and_the_helps(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint"]) == 0
    said = capsys.readouterr().out
    assert said.count("is finished, held-out loss") == 7
    assert "(with paint-latents-1)" in said
    assert main(["paint", "--help"]) == 0
    assert main(["paint", "train", "--help"]) == 0
    of_phases = [["paint", "train", name, "--help"] for name in (*PHASES, *OTHERS, *DIGITS)]
    for words in (["paint", "a cat", "--help"], *of_phases):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "--guidance" in said
    assert "--train.ema" in said


@pytest.mark.slow
def test_all_phases_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_phases: None, capsys: Any
) -> None:
    """What is finished is left, what was stopped goes on, the rest stands on what was made before."""
    from toy import StopAt

    from cutaway import workbench

    monkeypatch.setenv("CUTAWAY_RUNS", str(tmp_path / "runs"))
    workbench.train(tiny("unet"))
    workbench.train(tiny("dit", steps=5), watcher=StopAt(2))
    before = (tmp_path / "runs" / "paint-unet-1" / "metrics.jsonl").read_bytes()
    assert main(["paint", "train", "all", "--quiet", "--json"]) == 0
    told = answered(capsys)["runs"]
    assert [one["phase"] for one in told] == list(PHASES)
    assert all(one["status"] == "finished" for one in told)
    assert [Path(one["run"]).name for one in told] == [f"paint-{phase}-1" for phase in PHASES]
    assert told[1]["steps"] == 5
    assert (tmp_path / "runs" / "paint-unet-1" / "metrics.jsonl").read_bytes() == before
    assert main(["paint", "train", "all", "--quiet"]) == 0


@pytest.mark.slow
def test_one_phase_with_settings_then_on_and_branched(
    here: Path, painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_phases: None, capsys: Any
) -> None:
    home = Path(shutil.copytree(painted, tmp_path / "runs"))
    monkeypatch.setenv("CUTAWAY_RUNS", str(home))
    settings = ["--train.steps", "2", "--model.d-model", "8", "--name", "mine"]
    assert main(["paint", "train", "words", *settings]) == 0
    err = capsys.readouterr().err
    assert "mean squared error" in err
    assert "pictures/2.png" in "".join(err.split())
    assert "tokens" not in err
    assert 'cutaway paint "a cat wearing a tiny hat" --run mine' in " ".join(err.split())
    run = open_run("mine")
    assert facts(run).source == "creatures"
    (run.path / "summary.json").unlink()
    assert main(["train", str(run.path), "--json"]) == 0
    told = answered(capsys)
    assert (told["phase"], told["status"]) == ("words", "finished")
    branch = ["--from-step", "2", "--train.steps", "3", "--name", "further", "--quiet", "--json"]
    assert main(["train", str(run.path), *branch]) == 0
    assert answered(capsys)["steps"] == 3
    assert main(["train", str(run.recipe_file), "--name", "again", "--quiet"]) == 0
    assert open_run("again").metrics()[-1]["loss"] == run.metrics()[-1]["loss"]
    assert main(["runs", "show", "mine"]) == 0
    assert "mine/pictures/2.png" in capsys.readouterr().out
    assert main(["runs"]) == 0


def test_pictures_as_characters(tmp_path: Path) -> None:
    file = tmp_path / "four.png"
    picture = Image.new("RGB", (2, 2))
    for place, colour in (((0, 0), (255, 0, 0)), ((0, 1), (0, 255, 0)), ((1, 0), (0, 0, 255)), ((1, 1), (9, 9, 9))):
        picture.putpixel(place, colour)
    picture.save(file)
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=80)
    shown = show_picture(file, console)
    assert shown is not None
    assert shown.plain == "  \u2580\u2580"
    styles = [str(span.style) for span in shown.spans]
    assert styles == ["#ff0000 on #00ff00", "#0000ff on #090909"] or styles == [
        "rgb(255,0,0) on rgb(0,255,0)", "rgb(0,0,255) on rgb(9,9,9)"
    ]  # fmt: skip
    Image.new("RGB", (400, 200)).save(file)
    large = show_picture(file, console)
    assert large is not None
    assert len(large.plain.splitlines()) == 16
    assert show_picture(file, Console(file=io.StringIO())) is None
