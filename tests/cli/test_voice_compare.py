"""`cutaway voice compare`: two small models answer, a person types keys, votes and table follow."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from server.model_folders import save_model

from cutaway.cli.main import main

CANARIES = """temperature = 1.0
seed = 0
samples = 1
""" + "".join(
    f'\n[[prompts]]\nname = "p{i}"\nkind = "new"\ntext = "a cat {"and a mat " * i}"\nmax_tokens = 8\n' for i in range(3)
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUTAWAY_RUNS", str(tmp_path / "runs"))
    for kind in ("gpt2", "llama"):
        save_model(tmp_path / kind, kind)
    (tmp_path / "voice").mkdir()
    (tmp_path / "voice" / "canaries.toml").write_text(CANARIES)
    return tmp_path


def run(capsys: Any, *words: str) -> tuple[int, str]:
    code = main(["voice", "compare", *words])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_keys_are_votes(home: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("x1\n3q"))
    code, said = run(capsys, "gpt2", "llama")
    assert code == 0, said
    assert "2 votes" in said
    before = said[: said.index("1    left ")]
    assert "which would you rather" in before
    assert "llama" not in before  # names come after the vote
    code, said = run(capsys, "gpt2", "llama", "--json")
    told = json.loads(said.splitlines()[-1])
    assert (told["votes"], told["pairs"], told["open"]) == (2, 4, 2)
    assert told["meetings"][0]["ties"] == 1
    assert sum(told["meetings"][0][side] for side in ("first_wins", "second_wins")) == 1
    monkeypatch.setattr("sys.stdin", io.StringIO("1111"))
    run(capsys, "gpt2", "llama", "--csv", "votes.csv")
    assert len((home / "votes.csv").read_text().splitlines()) == 5
    monkeypatch.setattr("sys.stdin", io.StringIO("1"))
    assert "has rated all 4 pairs" in run(capsys, "gpt2", "llama")[1]
    assert "4 votes" in run(capsys, "gpt2", "llama", "--table")[1]


@pytest.mark.parametrize(
    ("words", "expected"),
    [((), "compare what?"), (("gpt2",), "there is no run 'gpt2'"), (("gpt2", "gpt2"), "named twice"),
     (("gpt2", "nowhere"), "nowhere"), (("gpt2", "llama", "--writing", "empty"), "there are no pairs in empty")],
)  # fmt: skip
def test_what_goes_wrong_is_one_line(home: Path, capsys: Any, words: tuple[str, ...], expected: str) -> None:
    code, said = run(capsys, *words)
    assert code in (1, 2)
    assert expected in said
    assert len(said.strip().splitlines()) == 1
