"""Runs of every phase measured, their figures in one file, their pictures beside it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from paint_runs import tiny
from PIL import Image
from safetensors.torch import load_file

from bench.paint_measuring import PLAN, small_judge, train_phases
from cutaway.base.errors import RunError, UsageError
from cutaway.base.runs import open_run
from cutaway.bench.paint_run import Examiner, told_by, without_average
from cutaway.bench.paint_tables import report
from cutaway.bench.paint_vae import Through, measure_vae
from cutaway.cli.bench import main
from cutaway.diffusion import judge_training
from cutaway.diffusion.config import PicturesConfig, VAEConfig
from cutaway.diffusion.painter_folder import load_painter
from cutaway.diffusion.picture_files import to_uint8
from cutaway.diffusion.vae import VAE
from cutaway.presets_paint import PHASES
from cutaway.workbench import train
from diffusion.judges import told_judge

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("runs")
    train_phases(home, *PHASES)
    return home


@pytest.fixture
def here(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands are typed; the judge knows nothing, and little is measured."""
    monkeypatch.setenv("CUTAWAY_RUNS", str(home))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(judge_training, "open_judge", lambda on_step: small_judge())
    monkeypatch.setattr("cutaway.bench.paint_painter.Plan", lambda *_: PLAN)
    return tmp_path


def test_all_phases_in_one_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint", "--run", "all", "--threads", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    runs = json.loads((here / "measured" / "measured.json").read_text())["runs"]
    assert told["runs"].keys() == runs.keys()
    assert [one["phase"] for one in runs.values()] == list(PHASES)
    for name, one in runs.items():
        assert one["status"] == "finished"
        assert one["loss"] > 0
        assert one["loss_without_average"] > 0
        painted = [path.name for path in (here / "measured").glob(f"{name}-*.png")]
        if one["phase"] == "text":
            assert set(one["held_out"]) == {
                "picture_of_caption",
                "caption_of_picture",
                "wrong_captions_told",
                "foresight_error",
            }
            assert not painted
        elif one["phase"] == "vae":
            assert set(one["prompts"]) == {"drawn", "through the latents"}
            assert painted == [f"{name}-examples.png"]
        else:
            assert list(one["losses"]) == ["0.1", "0.3", "0.5", "0.7", "0.9"]
            assert [way["calls"] for way in one["by_calls"]] == [3, 3, 3]
            reads = one["phase"] in ("words", "latents")
            assert {name: best["asked"] for name, best in one["chosen"].items()} == (
                {"seen": 16, "held out": 16} if reads else {}
            )
            assert one["steps"] == 2  # of training, with which nothing that was measured may be mixed up
            assert one["usual"]["fid"] > 0
            assert one["unaveraged"]["fid"] > 0
            assert one["unaveraged"]["fid"] != one["usual"]["fid"]
            assert sorted(painted) == [f"{name}-examples.png", f"{name}-nearest.png"]
    sets = {one["phase"]: list(one.get("prompts", {})) for one in runs.values()}
    assert sets["unet"] == sets["dit"] == []
    assert sets["labels"] == ["labels"]
    assert sets["words"] == sets["latents"] == ["seen", "held out"]
    assert runs["paint-labels-1"]["by_guidance"][0]["right"]["asked"] == PLAN.count
    assert runs["paint-unet-1"]["by_guidance"] == []
    with Image.open(here / "measured" / "paint-words-1-examples.png") as sheet:
        assert sheet.size == (4 * 196 - 4, 4 * 196 - 4)


def test_one_run_leaves_the_others(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "there").mkdir()
    (here / "there" / "measured.json").write_text('{"runs": {"older": {"phase": "dit"}}}')
    assert main(["paint", "--run", "paint-words-1", "--out", "there", "--threads", "1"]) == 0
    said = capsys.readouterr().out
    assert "held out: all that was asked" in said
    assert "without the average" in said
    assert "there/paint-words-1-examples.png, row by row:" in said
    assert "16 " in said.split("row by row:")[1]
    assert "right on 50.0 % or more of fresh drawings (least on kind)" in said
    assert list(json.loads((here / "there" / "measured.json").read_text())["runs"]) == ["older", "paint-words-1"]
    assert main(["paint", "--run", str(Path(open_run("paint-labels-1").path) / "model"), "--threads", "1"]) == 0
    alone = json.loads((here / "measured" / "measured.json").read_text())["runs"]["model"]
    assert alone["unaveraged"] is None
    assert "loss" not in alone
    (here / "measured" / "measured.json").write_text("[]")
    with pytest.raises(UsageError, match="is no record of measurements"):
        main(["paint", "--run", "paint-labels-1"])


def test_what_cannot_be_measured(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="nothing-here"):
        main(["paint", "--run", "nothing-here"])
    with pytest.raises(UsageError, match="1 or more"):
        main(["paint", "--run", "x", "--prompts", "0"])
    monkeypatch.setenv("CUTAWAY_RUNS", str(tmp_path / "empty"))
    with pytest.raises(UsageError, match="no phase has a finished run"):
        main(["paint", "--run", "all"])


def test_the_weights_are_those_of_the_step_whose_average_was_kept(home: Path) -> None:
    run = open_run("paint-dit-1", home)
    painter = load_painter(run.model_folder)
    other = without_average(run, painter)
    assert other is not None
    step = (run.summary() or {})["best_step"]
    own = load_file(run.checkpoints_folder / str(step) / "model.safetensors")
    average = load_file(run.checkpoints_folder / str(step) / "average.safetensors")
    for name, value in other.denoiser.state_dict().items():
        torch.testing.assert_close(value, own[name], rtol=0, atol=0)
        if name in average:
            torch.testing.assert_close(painter.denoiser.state_dict()[name], average[name], rtol=0, atol=0)
    assert any(not torch.equal(own[name], average[name]) for name in average)


def test_an_earlier_step_that_was_better_counts(tmp_path: Path) -> None:
    recipe = dataclasses.replace(tiny("dit", keep_checkpoints="all"), pictures=PicturesConfig(size=32, held_out=8))
    run = train(recipe, runs=tmp_path)
    lines = run.metrics()
    lines[0]["validation_loss"] = lines[1]["validation_loss"] / 2
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    other = without_average(run, load_painter(run.model_folder))
    assert other is not None
    first = load_file(run.checkpoints_folder / "1" / "model.safetensors")
    assert all(torch.equal(value, first[name]) for name, value in other.denoiser.state_dict().items())


def test_held_out_losses_are_those_of_the_summary(home: Path) -> None:
    run = open_run("paint-unet-1", home)
    summary: dict[str, Any] = run.summary() or {}
    told = told_by(run)
    assert told["loss"] == summary["validation_loss"]
    assert told["losses"]["0.5"] == summary["loss_t0.5"]
    assert told["path"] == "flow"


def test_what_is_lost_in_the_latents_is_seen(home: Path) -> None:
    """A perfect eye finds everything before; a VAE that returns grey has the PSNR of grey."""
    compared = Examiner(small_judge(), PLAN, lambda line: None).compared(32)

    class Grey(VAE):
        def encode(self, x_BCYX: torch.Tensor) -> torch.Tensor:
            return x_BCYX

        def decode(self, latent_BCYX: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(latent_BCYX)

    network = told_judge([*compared.fresh_scenes, *reversed(compared.fresh_scenes)])
    found = measure_vae(
        Grey(VAEConfig(size=32, width=4)), network, compared_with(network, compared), compared.fresh_scenes
    )
    assert isinstance(found, Through)
    assert found.sets["drawn"].overall.value == 1
    assert found.sets["through the latents"].overall.value < 0.3
    mean_square = compared.fresh.x_BCYX.square().mean().item()
    assert found.psnr_db == pytest.approx(10 * torch.log10(torch.tensor(4 / mean_square)).item(), abs=0.1)


def compared_with(judge: Any, compared: Any) -> Any:
    """Return the same drawings with the features of another judge."""
    features = judge.features(to_uint8(compared.fresh.x_BCYX))
    return dataclasses.replace(compared, features_NF=features, fresh_features_BF=features)


def test_a_report_of_a_run_that_is_not_finished(home: Path) -> None:
    examiner = Examiner(small_judge(), PLAN, lambda line: None)
    examined = examiner.run(open_run("paint-text-1", home))
    unfinished = dataclasses.replace(examined, told=examined.told | {"loss": None, "status": "stopped"})
    assert "stopped" in report(unfinished)
    assert "held-out loss" not in report(unfinished)
