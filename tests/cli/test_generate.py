"""`cutaway generate` and `cutaway lens speed` on a random model in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from server.model_folders import TOKENIZER, save_model

from cutaway.cli.main import main


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(save_model(tmp_path / "x"))


def said(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_steps_say_how_each_token_was_chosen(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", folder, "--prompt", "hello", "--max-tokens", "5", "--top-k", "3", "--steps"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.count("rank") == out.count("top_k 3") == 5
    assert err == ""
    assert main([*words, "--json", "--force", f"2:{TOKENIZER.encode('z')[0]}"]) == 0
    tokens = said(capsys)["samples"][0]["tokens"]
    assert tokens[2]["text"] == "z"
    assert tokens[2]["step"]["is_forced"] or tokens[2]["step"]["drawn"] == tokens[2]["id"]
    assert [stage["name"] for stage in tokens[0]["step"]["stages"]] == ["raw", "temperature", "top_k"]
    assert main([*words, "--samples", "2"]) == 0
    assert capsys.readouterr().out.count("rank") == 10


def test_a_long_prompt_and_idle_settings_are_said(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", folder, "--prompt", "ab" * 40, "--max-tokens", "3", "--temperature", "0", "--top-k", "3"]
    assert main([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    assert "the prompt has 80 tokens and the model sees 48 at once; the first 48 are not read" in err
    assert "at temperature 0 the likeliest token is taken, whatever top_k says" in err
    assert json.loads(out)["samples"][0]["prompt_cut"] == 48


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--force", "x:1"], "--force 'x:1'; expected the number of a new token"),
        (["--force", "1:9999"], "there is no token 9999"),
        (["--temperature", "0:1 0:2"], "two points at t = 0"),
    ],
)
def test_what_makes_no_sense_gets_one_line(
    folder: str, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", folder, "--prompt", "a", *words]) == 2
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_the_speed_lesson(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["lens", "speed", folder, "hello", "--max-tokens", "12", "--rounds", "1"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "both wrote the same" in out
    assert "the machine at its best" in out
    assert main([*words, "--json"]) == 0
    found = said(capsys)
    assert found["is_equal"]
    assert len(found["with_cache"]["seconds"]) == found["n_new"] == 12
    assert main(["lens", "speed", folder, "hello", "--max-tokens", "99"]) == 2
    assert "expected 1 to 47" in capsys.readouterr().err
