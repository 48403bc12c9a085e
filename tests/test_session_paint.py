"""Runs of pictures, phase by phase on the one trainer: what they leave behind, and what goes on as if never stopped."""

from __future__ import annotations

import dataclasses
import io
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from paint_runs import tiny
from PIL import Image
from toy import ALONE, StopAt

from cutaway import workbench
from cutaway.base.errors import ConfigError, DataError, RunError, UsageError
from cutaway.base.runs import RunFolder, open_run
from cutaway.branch import branch_recipe
from cutaway.diffusion.captions import read_prompt
from cutaway.diffusion.config import PaintSamplingConfig, PicturesConfig
from cutaway.diffusion.latents import Latents
from cutaway.diffusion.paint import paint
from cutaway.diffusion.painter_folder import load_painter, load_reader, load_text, load_vae
from cutaway.diffusion.pictures import open_pictures
from cutaway.diffusion.vae import VAE
from cutaway.presets_paint import PHASES, find_phase, painters, phase_of, standing
from cutaway.recipe_paint import PaintRecipe
from cutaway.run_facts import facts, read_recipe
from cutaway.session_denoising import DenoisingSession
from cutaway.train.checkpoint import list_checkpoints, load_average
from cutaway.train.watch import Watcher


@pytest.fixture
def runs(painted: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(painted, tmp_path / "runs"))


def recipe_of(run: RunFolder) -> PaintRecipe:
    recipe = read_recipe(run)
    assert isinstance(recipe, PaintRecipe)
    return recipe


def numbers(run: RunFolder) -> list[dict[str, Any]]:
    timed = ("seconds", "tokens_per_second", "memory_bytes")
    return [{k: v for k, v in line.items() if k not in timed} for line in run.metrics()]


@pytest.mark.parametrize("phase", PHASES)
def test_every_phase_leaves_a_whole_run(painted: Path, phase: str) -> None:
    run = open_run(f"paint-{phase}-1", painted)
    known, recipe, summary = facts(run), recipe_of(run), run.summary() or {}
    assert (known.status, known.kind, known.tokens) == ("finished", recipe.model.toml_kind, 8)
    assert phase_of(recipe) == phase
    assert known.bits_per_byte is None
    assert known.can_paint == (phase not in ("text", "vae"))
    assert not known.has_model
    assert known.parameters == summary["parameters"]
    assert summary["loss_without_ema"] != summary["validation_loss"]
    assert recipe.pictures.pictures_hash
    assert recipe.train.steps == 2
    last = run.samples()[-1]
    if phase == "text":
        assert "is taken for" in last["text"]
    else:
        with Image.open(run.path / last["picture"]) as picture:
            assert picture.format == "PNG"


def test_what_the_phases_stand_on_is_written_down(painted: Path) -> None:
    recipe = recipe_of(open_run("paint-latents-1", painted))
    assert (recipe.text, recipe.vae) == ("paint-text-1", "paint-vae-1")
    reader = load_reader(painted / "paint-text-1" / "model")
    assert reader is not None
    for phase in ("words", "latents"):
        own = load_painter(painted / f"paint-{phase}-1" / "model").reader
        assert own is not None
        for name, weight in reader.state_dict().items():
            assert torch.equal(own.state_dict()[name], weight)
    assert load_painter(painted / "paint-labels-1" / "model").reader is None
    assert recipe.text_hash == recipe_of(open_run("paint-words-1", painted)).text_hash
    assert recipe.vae_hash == load_vae(painted / "paint-vae-1" / "model").hash
    assert recipe.model.size == recipe.pictures.size // (16 // recipe.model.size)
    assert recipe.model.channels == 8
    model = recipe_of(open_run("paint-words-1", painted)).model
    assert (model.d_words, model.d_pooled, model.n_labels) == (16, 8, 0)  # type: ignore[union-attr]
    assert recipe_of(open_run("paint-labels-1", painted)).model.n_labels == 8  # type: ignore[union-attr]
    assert [run.name for run in painters(painted)] == ["paint-words-1", "paint-latents-1"]


def test_the_painter_has_the_average_of_the_weights(painted: Path) -> None:
    run = open_run("paint-labels-1", painted)
    painter = load_painter(run.model_folder)
    best = (run.summary() or {})["best_step"]
    average = load_average(run.checkpoints_folder / str(best))
    assert average is not None
    weights = painter.denoiser.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in average.items())
    assert painter.names[0] == "cat"


def test_the_last_sample_is_what_the_painter_paints(painted: Path) -> None:
    """Same seeds, same prompts, same weights: the picture in the run is the one anybody gets from its model."""
    run = open_run("paint-latents-1", painted)
    best = (run.summary() or {})["best_step"]
    painter = load_painter(run.model_folder)
    sample = next(line for line in run.samples() if line["step"] == best)
    asked = sample["text"].split("\n")
    painted = paint(painter, asked, recipe_of(run).sampling, range(4))
    from cutaway.diffusion.picture_files import png_bytes

    with (
        Image.open(run.path / sample["picture"]) as kept,
        Image.open(io.BytesIO(png_bytes(painted.pictures, columns=4))) as now,
    ):
        assert kept.tobytes() == now.tobytes()


def test_a_run_paints(painted: Path) -> None:
    run = workbench.Run(painted / "paint-words-1")
    cats = run.paint("a cat", n=2, seed=7, steps=3)
    assert cats.seeds == (7, 8)
    usual = dataclasses.replace(recipe_of(open_run("paint-words-1", painted)).sampling, n=2, seed=7, steps=3)
    again = paint(load_painter(run.model_folder), ["a cat", "a dog"], usual)
    assert (cats.pictures[0] == again.pictures[0]).all()
    assert (run.paint(["a cat", "a dog"], n=2, seed=7, steps=3).pictures == again.pictures).all()
    assert workbench.Run(painted / "paint-unet-1").paint(n=1).pictures.shape == (1, 16, 16, 3)
    assert workbench.Run(painted / "paint-labels-1").paint(["owl", "fish"], n=2).asked == ("owl", "fish")
    with pytest.raises(UsageError, match="no setting 'guidence'"):
        run.paint("a cat", guidence=3.0)
    with pytest.raises(RunError, match="does not paint"):
        workbench.Run(painted / "paint-text-1").paint("a cat")


def test_the_vae_of_a_run_has_its_scale_measured(painted: Path) -> None:
    vae = load_vae(painted / "paint-vae-1" / "model")
    pictures = open_pictures(recipe_of(open_run("paint-vae-1", painted)).pictures)
    latents_BCYX = vae.encode(pictures.held_out.x_BCYX)
    torch.testing.assert_close(latents_BCYX.mean(dim=(0, 2, 3)), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents_BCYX.std(dim=(0, 2, 3)), torch.ones(8), atol=1e-3, rtol=0)
    assert load_text(painted / "paint-text-1" / "model").tokenizer.unknown_words("a zebra cat") == ["zebra"]


@pytest.mark.parametrize("phase", ["unet", "latents"])
def test_resumed_equals_uninterrupted_bit_for_bit(runs: Path, phase: str) -> None:
    whole = workbench.train(tiny(phase, steps=5, validate_every=2), name="whole", runs=runs)
    parts = workbench.train(tiny(phase, steps=5, validate_every=2), name="parts", runs=runs, watcher=StopAt(3))
    assert parts.status() == "stopped"
    assert workbench.resume(parts).status() == "finished"
    assert numbers(whole) == numbers(parts)
    for name in ("model", "average", "optimizer"):
        files = [run.checkpoints_folder / "5" / f"{name}.safetensors" for run in (whole, parts)]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert [line["picture"] for line in parts.samples()] == [line["picture"] for line in whole.samples()]


@pytest.mark.slow
def test_a_branch_with_nothing_changed_makes_the_same_numbers(runs: Path) -> None:
    whole = workbench.train(tiny("unet", steps=4, validate_every=2, keep_checkpoints="all"), name="whole", runs=runs)
    branch = workbench.train(branch_recipe(whole, 2, runs), name="again", runs=runs)
    inherited = [{k: v for k, v in line.items() if k != "inherited"} for line in numbers(branch)]
    assert inherited == numbers(whole)
    assert sorted(path.name for path in branch.pictures_folder.iterdir()) == ["2.png", "4.png"]


@pytest.mark.slow
def test_a_run_does_not_go_on_over_another_text_encoder(runs: Path) -> None:
    stopped = workbench.train(tiny("words", steps=5), name="stopped", runs=runs, watcher=StopAt(2))
    other = workbench.train(tiny("text", seed=1), name="other", runs=runs)
    shutil.rmtree(runs / "paint-text-1" / "model")
    shutil.copytree(other.model_folder, runs / "paint-text-1" / "model")
    with pytest.raises(RunError, match="the text encoder 'paint-text-1' has changed since the run started"):
        workbench.resume(stopped)


def test_bad_input_is_one_line(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pictures\.size is 32, but the VAE 'paint-vae-1' is of pictures of 16"):
        workbench.train(dataclasses.replace(tiny("latents"), pictures=PicturesConfig(size=32, held_out=8)), runs=runs)
    with pytest.raises(RunError, match=r"there is no run 'paint-texd-1'.*did you mean"):
        workbench.train(dataclasses.replace(tiny("words"), text="paint-texd-1"), runs=runs)
    with pytest.raises(RunError, match="none is finished; first `cutaway paint train text`"):
        standing(PHASES["words"], home=tmp_path / "empty")
    with pytest.raises(DataError):
        workbench.train(dataclasses.replace(tiny("unet"), pictures=PicturesConfig("/nowhere")), runs=runs)
    assert find_phase("phase4").name == "words"
    assert find_phase("latents-dit").make().model.toml_kind == "dit"
    with pytest.raises(UsageError, match="did you mean latents-dit"):
        find_phase("latents-dt")
    assert standing(PHASES["latents"], home=runs).vae == "paint-vae-1"


def test_out_of_memory_says_what_to_do(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(Watcher):
        def step(self, event: Any) -> None:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    with pytest.raises(RunError, match=r"out of memory: run full is kept; .*--train\.accumulate 2"):
        workbench.train(tiny("unet"), name="full", runs=runs, watcher=Full())


@pytest.mark.slow
def test_a_budget_in_minutes_becomes_steps(runs: Path) -> None:
    run = workbench.train(tiny("labels", steps=None, minutes=0.02), runs=runs)
    recipe = recipe_of(run)
    assert recipe.train.minutes is None
    assert recipe.train.steps is not None


@pytest.mark.slow
def test_the_pool_of_latents_is_paid_for_out_of_the_budget(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = Latents._encoded

    def slow(self: Latents, pictures: Any) -> Any:
        time.sleep(0.2)
        return encoded(self, pictures)

    monkeypatch.setattr(Latents, "_encoded", slow)
    recipe = dataclasses.replace(tiny("latents", sample_every=0), latent_pool=64 * 30)
    session = DenoisingSession.prepare(recipe, ALONE, Watcher(), runs=runs)
    assert isinstance(session.pictures, Latents)
    assert session.pictures.n_blocks == 30
    for minutes, seconds in ((None, (0, 0)), (60, (6, 300)), (0.1, (3, 3))):  # of six seconds, half
        train = dataclasses.replace(recipe.train, minutes=minutes)
        session.recipe = dataclasses.replace(recipe, train=train)
        session.pictures._blocks.clear()
        assert seconds[0] <= session.seconds_beside_steps() <= seconds[1]


@pytest.mark.slow
def test_latents_do_not_depend_on_where_one_begins_to_ask() -> None:
    pictures = open_pictures(PicturesConfig(size=16, held_out=4))
    torch.manual_seed(0)
    from paint_runs import MODELS

    vae = VAE(dataclasses.replace(MODELS["vae"], size=16))
    first, second = Latents(pictures, vae, 70), Latents(pictures, vae, 70)
    second.batch(50, 30)
    whole, part = first.batch(0, 140), second.batch(60, 20)
    assert torch.equal(whole.x_BCYX[60:80], part.x_BCYX)
    assert whole.captions[60:80] == part.captions
    assert torch.equal(whole.x_BCYX[:70], whole.x_BCYX[70:])
    scenes = pictures.scenes(0, 70)
    alone = [i for i, scene in enumerate(scenes) if scene.other is None]
    asked, again = ([read_prompt(whole.captions[start + i]).creature.kind for i in alone] for start in (0, 70))
    assert again == asked == [scenes[i].creature.kind for i in alone]
    assert sum(whole.captions[i] != whole.captions[70 + i] for i in range(70)) > 35, "shown again, said otherwise"
    torch.testing.assert_close(whole.x_BCYX[:64], vae.encode(pictures.batch(0, 64).x_BCYX).detach())
    assert first.held_out.x_BCYX.shape == (4, 8, vae.config.latent_size, vae.config.latent_size)
    assert PaintSamplingConfig().n == 8


def test_checkpoints_of_a_run_of_pictures_are_pruned_as_others(painted: Path) -> None:
    run = open_run("paint-unet-1", painted)
    assert len(list_checkpoints(run.checkpoints_folder)) <= 2
