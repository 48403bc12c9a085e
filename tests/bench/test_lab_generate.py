"""The bench of a lab that writes reads its streams right."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from server.labs import lab_process
from server.model_folders import save_model

from cutaway.bench import lab_generate
from cutaway.bench.lab_process import RunningLab


def test_times_are_those_of_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def pieces() -> Iterator[int]:
        for later, count in ((0.5, 0), (1.0, 1), (2.0, 3), (4.0, 2)):
            now[0] = 100.0 + later
            yield count

    first, each = lab_generate.timed(pieces())
    assert first == 1.0
    assert each == pytest.approx(3.0 / 5)


@pytest.mark.slow
def test_both_ways_of_asking_tell_every_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(tmp_path / "models" / "0")
    monkeypatch.setattr(lab_generate, "PROMPT", "the fox")
    with lab_process(tmp_path, "--port", "0") as running:
        lab = RunningLab(tmp_path, running.address, running.process, 0.0)
        assert sum(lab_generate.by_completions(lab, 0, 30)) == 30
        assert sum(lab_generate.by_write_tab(lab, 0, 30)) == 30
