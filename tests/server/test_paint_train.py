"""Phases from noise to a picture of a sentence: what is trained, what is missing, and the command that trains one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from server.paint_lab import client

from cutaway.server.jobs import Jobs


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would have been started."""
    found: list[Any] = []
    submit = Jobs.submit

    def note(self: Jobs, words: list[str], kind: str, target: str, **more: Any) -> Any:
        found.append((words, kind, target))
        return submit(self, ["doctor", "--help"], kind, target, **more)

    monkeypatch.setattr(Jobs, "submit", note)
    return found


def test_phases(tmp_path: Path, queued: list[Any]) -> None:
    with client(tmp_path) as asker:
        phases = {one["name"]: one for one in asker.get("/api/paint/phases").json()["phases"]}
        assert list(phases) == ["unet", "dit", "labels", "text", "words", "vae", "latents"]
        assert [one["number"] for one in phases.values()] == [1, 2, 3, 4, 4, 5, 5]
        assert phases["latents"]["missing"] == ["text", "vae"]
        assert not phases["text"]["paints"]
        assert asker.post("/api/paint/train", json={"phase": "unet", "minutes": 0.5}).status_code == 200
        assert asker.post("/api/paint/train", json={"phase": "unet"}).status_code == 200
        assert queued == [
            (["paint", "train", "unet", "--name", "paint-unet-1", "--minutes", "0.5"], "train", "paint-unet-1"),
            (["paint", "train", "unet", "--name", "paint-unet-2"], "train", "paint-unet-2"),
        ]


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"phase": "phase9"}, "phase9"), ({"phase": "words"}, "text"), ({"phase": "unet", "minutes": 0}, "minutes")],
)
def test_what_cannot_be_trained(tmp_path: Path, queued: list[Any], asked: dict[str, Any], said: str) -> None:
    with client(tmp_path) as asker:
        answer = asker.post("/api/paint/train", json=asked)
        assert answer.status_code in (400, 404)
        assert said in answer.json()["error"]
        assert not queued
