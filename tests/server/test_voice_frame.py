"""The voice screen's frame: folders of writing and tuned runs, by names that cannot lead out of the home."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from cutaway.base.errors import CutawayError, DataError
from cutaway.base.runs import RunFolder
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.server.routes.voice import tuned_run
from cutaway.server.safety import Access
from cutaway.server.voice_folders import find_writing, place_of


def make_writing(home: Path, name: str, changed: float) -> Path:
    folder = home / name
    folder.mkdir(parents=True)
    (folder / "pieces.jsonl").write_text("")
    os.utime(folder / "pieces.jsonl", (changed, changed))
    return folder


def test_folders_and_runs_are_found(tmp_path: Path) -> None:
    make_writing(tmp_path, "voice", 100)
    newer = make_writing(tmp_path, "writing/letters", 200)
    (newer / "pairs.json").write_text(json.dumps({"train": 7, "held_out": 2}))
    make_writing(tmp_path, ".hidden/voice", 400)
    make_writing(tmp_path, "a/b/c/too-deep", 400)
    (tmp_path / "elsewhere").symlink_to(newer)
    for name, more in (("plain", ""), ("tuned", '[tune]\nbase = "models/gpt2"\nmethod = "full"\n')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.toml").write_text(f'[data]\nsource = "/somewhere/voice/train.jsonl"\n{more}')
    with TestClient(create_app(Lab(tmp_path))) as client:
        said = client.get("/api/voice").json()
    assert [one["name"] for one in said["writings"]] == ["writing/letters", "voice"]
    assert said["writings"][0] | {"changed": 0} == {
        "name": "writing/letters", "path": str(newer), "is_cleaned": False, "train": 7, "held_out": 2, "changed": 0,
    }  # fmt: skip
    assert said["writings"][1]["train"] is None
    assert said["runs"] == [
        {"name": "tuned", "base": "models/gpt2", "method": "full", "writing": "/somewhere/voice", "status": "stopped"}
    ]
    assert said["is_local"]


def test_a_base_of_the_lab_goes_by_its_name(tmp_path: Path) -> None:
    for number, (base, expected) in enumerate(
        [(f"{tmp_path}/models/gpt2", "models/gpt2"), ("/elsewhere/gpt2", "/elsewhere/gpt2"), ("hf:a/b", "hf:a/b")]
    ):
        run = RunFolder(tmp_path / f"tuned-{number}")
        run.path.mkdir()
        run.recipe_file.write_text(f'[tune]\nbase = "{base}"\n')
        found = tuned_run(run)
        assert found is not None
        assert found.base == expected


def test_a_lab_open_to_others_says_so(tmp_path: Path) -> None:
    with TestClient(create_app(Lab(tmp_path), Access(is_local=False))) as client:
        assert client.get("/api/voice").json() == {
            "writings": [], "runs": [], "home": str(tmp_path), "is_local": False,
        }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["..", "../voice", "a/../..", "/etc", "", "a//b", "link/voice", "run/voice", "a/b/c/d"]
)
def test_names_do_not_lead_out(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    make_writing(tmp_path, "voice", 1)
    home.mkdir()
    (home / "link").symlink_to(tmp_path)
    (home / "run").mkdir()
    (home / "run" / "recipe.toml").write_text("")
    with pytest.raises(CutawayError):
        place_of(home, name)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    make_writing(tmp_path, "letters", 1)
    assert find_writing(tmp_path, "letters") == tmp_path / "letters"
    with pytest.raises(DataError, match=r"no writing folder 'leters'.*did you mean letters"):
        find_writing(tmp_path, "leters")
