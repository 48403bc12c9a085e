"""Trainings typed in a terminal: stopped from the lab where they are ours, else said whose they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from server.labs import training, wait_for

from cutaway.server.app import create_app
from cutaway.server.elsewhere import is_training
from cutaway.server.lab import Lab

linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="which folders a process has open is told by /proc"
)


@linux_only
@pytest.mark.slow
def test_a_training_of_a_terminal_is_stopped(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    words = training(tmp_path, "fox", 100_000)
    environment = {**os.environ, "CUTAWAY_RUNS": str(home)}
    process = subprocess.Popen(
        [sys.executable, "-m", "cutaway.cli.main", *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        metrics = home / "fox" / "metrics.jsonl"
        wait_for(lambda: metrics.is_file() and metrics.stat().st_size > 0)
        client = TestClient(create_app(Lab(home)), base_url="http://127.0.0.1")
        answer = client.post("/api/runs/fox/stop")
        assert (answer.status_code, answer.json()) == (200, None)
        assert process.wait(60) == 0
        assert json.loads((home / "fox" / "summary.json").read_text())["status"] == "stopped"
        assert "not being trained" in client.post("/api/runs/fox/stop").json()["error"]
    finally:
        process.kill()


@pytest.mark.slow
def test_what_is_no_training_is_left_alone(tmp_path: Path) -> None:
    """Something holds the run's folder that is not `cutaway train`: a program of its own, such as this test."""
    (tmp_path / "fox").mkdir()
    (tmp_path / "fox" / "recipe.toml").write_text('name = "fox"\n')
    lab = Lab(tmp_path)
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with lab.run("fox").locked():
            answer = TestClient(create_app(lab), base_url="http://127.0.0.1").post("/api/runs/fox/stop")
    finally:
        signal.signal(signal.SIGINT, before)
    assert answer.status_code >= 400
    assert "not a `cutaway train` of yours" in answer.json()["error"]
    assert not heard


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("python -m cutaway train names", True),
        ("/venv/bin/python3 /venv/bin/cutaway train stdlib --name x", True),
        ("python -m cutaway.cli.main train names", True),
        ("cutaway lab runs", False),
        ("vim train", False),
        ("grep cutaway train.py", False),
        ("tail -f cutaway/train", False),
    ],
)
def test_which_commands_are_trainings(line: str, expected: bool) -> None:
    assert is_training(line.split()) == expected
