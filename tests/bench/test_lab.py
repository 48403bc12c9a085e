"""What `cutaway bench lab` measures with: is it what it says?"""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from server.labs import wait_for

from cutaway.bench import lab as bench
from cutaway.bench.browser import serving
from cutaway.server.app import create_app
from cutaway.server.lab import Lab


def test_streams_hear_what_happens(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    with serving(create_app(lab)) as address, bench.streams(address, 20) as heard:
        wait_for(lambda: len(lab.events.clients) == 20)
        wait_for(lambda: min(heard) > 0)
    wait_for(lambda: not lab.events.clients)


@pytest.mark.slow
def test_a_training_that_is_slowed_is_seen_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pretended training that goes at half its speed while it is watched."""
    metrics, is_watched, is_over = tmp_path / "metrics.jsonl", threading.Event(), threading.Event()
    metrics.write_text('{"step": 0, "seconds": 0.0}\n')

    def train() -> None:
        step = seconds = 0.0
        while not is_over.is_set():
            step, seconds = step + 1, seconds + (0.02 if is_watched.is_set() else 0.01)
            with metrics.open("a") as file:
                file.write(json.dumps({"step": step, "seconds": seconds}) + "\n")
            time.sleep(0.002)

    @contextmanager
    def watching():
        is_watched.set()
        time.sleep(0.05)
        yield
        is_watched.clear()
        time.sleep(0.05)

    measure = bench.steps_a_second
    monkeypatch.setattr(bench, "steps_a_second", lambda metrics, seconds: measure(metrics, 0.1))
    trainer = threading.Thread(target=train)
    trainer.start()
    try:
        fact = bench.slowing("slower", metrics, watching, is_quick=True)
    finally:
        is_over.set()
        trainer.join()
    assert fact.value == pytest.approx(100, abs=15)
    assert fact.bar == 3
