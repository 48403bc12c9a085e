"""`cutaway scratch`, as a person would type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cutaway.cli.main import main


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text("anna\notto\n\nnora\ntoni\n")
    return path


@pytest.mark.parametrize("engine", ["value", "array"])
def test_names_are_learned_and_invented(engine: str, names: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scratch", "names", str(names), "--engine", engine, "--steps", "5", "--json"]) == 0
    said = capsys.readouterr()
    result = json.loads(said.out.splitlines()[-1])
    assert (result["names"], result["engine"], len(result["losses"]), len(result["invented"])) == (4, engine, 5, 20)
    assert result["losses"][0] == pytest.approx(1.9, abs=0.3)
    assert "4 names" in said.err


@pytest.mark.slow
def test_without_a_file_it_invents_function_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scratch", "names", "--steps", "2"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 20
    assert "the standard library's function names" in said.err
    assert "loss" in said.err


@pytest.mark.parametrize(
    ("contents", "says"),
    [(b"", "no names in it"), (b"\xff\xfe\x00", "not UTF-8 text"), (None, "cannot be read")],
)
def test_a_file_without_names(
    contents: bytes | None, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "names.txt"
    if contents is not None:
        path.write_bytes(contents)
    assert main(["scratch", "names", str(path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err
    assert said.err.count("\n") == 1


@pytest.mark.slow
def test_one_step_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scratch", "step", "--seed", "3"]) == 0
    text = capsys.readouterr().out
    assert "1. Tokenization" in text
    assert "they agree" in text
    assert max(map(len, text.splitlines())) <= 80
    assert main(["scratch", "step", "--seed", "3", "--format", "markdown"]) == 0
    assert "$$" in capsys.readouterr().out
    assert main(["scratch", "step", "--seed", "3", "--json"]) == 0
    walk = json.loads(capsys.readouterr().out)
    assert len(walk["sections"]) == 40
    assert main(["scratch", "step", "--seed", "3", "--full"]) == 0
    assert len(capsys.readouterr().out) > 3 * len(text)
