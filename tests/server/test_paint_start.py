"""Phases of pictures in the form to start a run: it starts what the command line would, on the runs that it would."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from paint_runs import tiny

from cutaway.base.config import to_toml
from cutaway.base.errors import RunError
from cutaway.base.runs import RunFolder
from cutaway.cli.console import parse
from cutaway.cli.paint_train import PaintTrainArguments, train
from cutaway.presets import with_changes
from cutaway.presets_paint import PHASES, find_phase, standing
from cutaway.recipe_paint import PaintRecipe
from cutaway.server.app import create_app
from cutaway.server.jobs import Jobs
from cutaway.server.lab import Lab


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def lab(home: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr(Jobs, "start", lambda self: None)  # jobs wait
    monkeypatch.setenv("CUTAWAY_RUNS", str(home))
    return TestClient(create_app(Lab(home)))


def finished(home: Path, phase: str, name: str) -> None:
    """Leave what a finished run of a phase leaves, but for its weights."""
    run = RunFolder(home / name)
    run.path.mkdir()
    run.recipe_file.write_text(to_toml(tiny(phase), ""))
    run.write_summary({"status": "finished"})


def typed(words: list[str], home: Path, source: str = "creatures") -> PaintRecipe:
    """Return the recipe that the command line makes of a command."""
    assert words[:3] == ["cutaway", "paint", "train"]
    base = standing(find_phase(words[3]), source, home)
    return with_changes(base, parse(PaintTrainArguments, words[4:], "", "", PaintTrainArguments(base)).recipe)


def test_the_phases_are_among_the_presets(lab: TestClient, home: Path) -> None:
    finished(home, "text", "paint-text-1")
    told = {one["name"]: one for one in lab.get("/api/presets").json() if one["about"] == "pictures"}
    assert list(told) == [f"paint-{name}" for name in PHASES] == [phase.make().name for phase in PHASES.values()]
    assert [one["budget"] for one in told.values()] == [f"{p.make().train.minutes:g} minutes" for p in PHASES.values()]
    assert {name: one["missing"] for name, one in told.items() if one["missing"]} == {"paint-latents": ["vae"]}
    assert {one["parameters"] for one in told.values()} == {None}
    assert all(one["summary"].endswith(".") for one in told.values())


@pytest.mark.parametrize("phase", PHASES)
def test_the_form_starts_what_one_would_type(lab: TestClient, home: Path, phase: str) -> None:
    finished(home, "text", "captions")
    finished(home, "vae", "small-maps")
    groups = lab.get(f"/api/form?preset=paint-{phase}").json()["groups"]
    fields = {field["path"]: field["value"] for group in groups for field in group["fields"]}
    assert (fields["text"], fields["vae"]) == (
        "captions" if phase in ("words", "latents") else "", "small-maps" if phase == "latents" else "",
    )  # fmt: skip
    filled = {"preset": f"paint-{phase}", "values": {"train.minutes": "0.5", "train.batch-size": "12"}}
    check = lab.post("/api/check", json=filled).json()
    assert check["errors"] == {}
    assert check["command"] == f"cutaway paint train {phase} --train.minutes 0.5 --train.batch-size 12"
    assert check["estimate"]["seconds"] == 30
    assert typed(shlex.split(check["command"]), home).train.batch_size == 12
    job = lab.post("/api/runs", json=filled).json()
    assert job["target"] == f"paint-{phase}-1"
    assert (
        job["command"]
        == f"cutaway paint train {phase} --name paint-{phase}-1 --train.minutes 0.5 --train.batch-size 12"
    )
    again = lab.post("/api/check", json={"preset": f"paint-{phase}", "values": fields}).json()
    assert again["command"] == f"cutaway paint train {phase}", "a form sent back as it came changes nothing"


def test_what_a_phase_needs_is_said_as_on_the_command_line(
    lab: TestClient, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    errors = lab.post("/api/check", json={"preset": "paint-latents"}).json()["errors"]
    assert list(errors) == ["text", "vae"]
    with pytest.raises(RunError) as typed_alone:
        train(["latents"])
    assert str(typed_alone.value) == errors["text"]
    assert "first `cutaway paint train vae`" in errors["vae"]
    answer = lab.post("/api/runs", json={"preset": "paint-latents"})
    assert answer.status_code == 400
    assert (answer.json()["error"], answer.json()["field"]) == (errors["text"], "text")
    assert lab.get("/api/jobs").json() == []


def test_pictures_of_ones_own(lab: TestClient, home: Path, tmp_path: Path) -> None:
    finished(home, "text", "captions")  # of creatures: not of these pictures
    pictures = tmp_path / "my pictures"
    pictures.mkdir()

    def check(phase: str, source: Any) -> dict[str, Any]:
        return lab.post("/api/check", json={"preset": phase, "values": {"pictures.source": str(source)}}).json()

    told = check("paint-unet", pictures)
    assert told["errors"] == {}
    assert told["command"] == f"cutaway paint train unet --pictures.source '{pictures}'"
    assert typed(shlex.split(told["command"]), home, str(pictures)).pictures.source == str(pictures)
    needed = check("paint-words", pictures)["errors"]["text"]
    assert f"first `cutaway paint train text --pictures.source '{pictures}'`" in needed
    assert "there is no file or folder" in check("paint-unet", tmp_path / "gone")["errors"]["pictures.source"]


def test_no_such_preset(lab: TestClient) -> None:
    answer = lab.get("/api/form?preset=paint-unets")
    assert answer.status_code == 400
    assert "did you mean paint-unet" in answer.json()["error"]
