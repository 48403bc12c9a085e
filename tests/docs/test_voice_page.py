"""docs/voice.md, typed from top to bottom with smaller numbers."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cutaway.base.runs import open_run
from cutaway.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "voice.md"
SMALLER = {
    "train": "--train.minutes None --train.steps 8 --model.d-model 32 --model.n-layers 1 --model.n-heads 2 "
    "--model.context-length 256 --data.bpe-vocab-size 400 --train.precision float32 --train.threads 1 "
    "--train.validation-tokens 512 --train.final-validation-tokens 512 --generate.max-tokens 8",
    "voice tune": "--train.epochs None --train.steps 4 --train.precision float32 --train.threads 1 "
    "--train.validation-tokens 512 --train.final-validation-tokens 512 --generate.max-tokens 8",
    "voice best": "--of 2 --max-tokens 160",
    "voice prefer": "--pairs 6 --answer-tokens 24 --steps 2 --threads 1",
}
"""What the test adds: a smaller base and fewer steps."""


@pytest.mark.slow
def test_everything_on_the_page_can_be_typed(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (shared_data / "essays").is_dir():
        pytest.skip(f"no essays in {shared_data}")
    (tmp_path / "work").mkdir()
    (tmp_path / "shared").symlink_to(shared_data.parent, target_is_directory=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("CUTAWAY_RUNS", "runs")
    typed = []
    for language, block in re.findall(r"^```(python|sh)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S):
        if language == "python":
            exec(compile(block, PAGE.name, "exec"), {})
            continue
        for line in block.splitlines():
            words = shlex.split(line)[1:]
            verb = " ".join(words[: 2 if words[0] == "voice" else 1])
            words += shlex.split(SMALLER.get(verb, ""))
            typed.append(verb)
            is_smoke = "--smoke" in words
            if is_smoke:
                monkeypatch.setattr("cutaway.overfit.STEPS", 3)
            try:
                code = main(words)
            except SystemExit as stop:
                code = int(str(stop.code or 0))
            said = capsys.readouterr()
            assert code == 0 or is_smoke, f"{line}\n{said.err[-2000:]}"
    assert {"train", "voice import", "voice clean", "voice pairs", "voice tune", "voice report"} <= set(typed)
    assert {"voice best", "voice prefer"} <= set(typed)
    for name in ("full", "lora", "nearer"):
        assert (open_run(name).summary() or {})["status"] == "finished"
    for name in ("full", "lora"):
        assert (open_run(name).summary() or {})["held_out_pairs"] > 5
