"""`cutaway lens why`, `ablate` and `patch` say what the Python functions say, and refuse in one line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cutaway.cli.main import main
from cutaway.interop.hub_folder import save_folder
from cutaway.lens.ablate import ablate, scan
from cutaway.lens.attribution import attribute
from cutaway.lens.patch import patch
from lens.small_models import TEXT, TOKENIZER, small_model

CLEAN, CORRUPTED = "the cat sat on", "the dog sat in"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "small"
    save_folder(folder, small_model("ours"), TOKENIZER)
    return str(folder)


def out(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["lens", *arguments]) == 0
    return capsys.readouterr().out


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    return json.loads(out(capsys, *arguments, "--json").splitlines()[-1])


def test_why(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "why", folder, TEXT, "--token", "e", "--against", "x", "--position", "4")
    expected = attribute(small_model("ours"), TOKENIZER, TEXT, "e", "x", 4)
    assert found.pop("model") == folder
    assert found == expected.as_dict()
    said = out(capsys, "why", folder, TEXT, "--token", "e", "--against", "x", "--position", "4", "--most", "3")
    assert said.startswith("logit of 'e' minus logit of 'x' after the·c (position 4)\n")
    for term in expected.largest(3):
        assert f"{term.name} " in said
        assert f"{term.value:+.4f}" in said
    assert f"{len(expected.terms) - 3} others" in said
    assert f"logit {expected.logit:+.4f}" in said
    assert "that number is held fixed" in said
    assert "unit " in said or "from " in said


def test_ablate(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--heads", "2.0", "1.3", "--mlps", "0", "--neurons", "2.17", "--attns", "1", "--token", "e"]
    parts = ["2.0", "1.3", "attn 1", "mlp 0", "mlp 2 unit 17"]
    for flags, settings in (
        ([], {}),
        (["--mean", "--at", "3", "5"], {"by": "mean", "at": (3, 5)}),
        (["--mean", "--reference", "a dog!"], {"by": "mean", "reference": "a dog!"}),
    ):
        found = answer(capsys, "ablate", folder, TEXT, *words, *flags)
        expected = ablate(small_model("ours"), TOKENIZER, TEXT, parts, "e", **settings)
        found.pop("model")
        assert found == expected.as_dict()
        said = out(capsys, "ablate", folder, TEXT, *words, *flags)
        assert f"{expected.after.logit:.4f}" in said
        assert f"{expected.after.loss_nats:.4f}" in said
        assert "without 2.0, 1.3, attn 1, mlp 0, mlp 2 unit 17: " in said


def test_the_scan(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "ablate", folder, TEXT)
    expected = scan(small_model("ours"), TOKENIZER, TEXT)
    found.pop("model")
    assert found == expected.as_dict()
    said = out(capsys, "ablate", folder, TEXT)
    for part, change in expected.strongest(8):
        assert f"{part} " in said
        assert f"{change:+.4f}" in said


PASTED = {"resid": "resid_pre", "attn": "attn_out", "mlp": "mlp_out", "heads": "z"}


@pytest.mark.parametrize("word", PASTED)
def test_patch(folder: str, capsys: pytest.CaptureFixture[str], word: str) -> None:
    words = [folder, CLEAN, CORRUPTED, "--token", "a", "--against", "o", "--what", word]
    found = answer(capsys, "patch", *words)
    expected = patch(small_model("ours"), TOKENIZER, CLEAN, CORRUPTED, "a", "o", PASTED[word])
    found.pop("model")
    assert found == expected.as_dict()
    said = out(capsys, "patch", *words)
    assert "they differ at position 4 'c' for 'd', 5 'a' for 'o', 6 't' for 'g', 12 'o' for 'i'" in " ".join(
        said.split()
    )
    assert f"{float(expected.effect_LX.flatten()[expected.effect_LX.abs().argmax()]):+.4f}" in said


def test_heads_are_patched_at_the_positions_named(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [folder, CLEAN, CORRUPTED, "--token", "a", "--against", "o", "--what", "heads", "--at", "5", "12"]
    found = answer(capsys, "patch", *words)
    expected = patch(small_model("ours"), TOKENIZER, CLEAN, CORRUPTED, "a", "o", "z", at=[5, 12])
    assert found["effect"] == expected.effect_LX.tolist()
    assert found["at"] == [5, 12]


def test_prompts_of_different_length_are_said_to_be(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = out(capsys, "patch", folder, CLEAN, "the mouse sat on", "--token", "a", "--against", "o")
    said = " ".join(said.split())  # long lines are wrapped
    assert "laid side by side on the first 4 and the last 7; what stands between is not patched" in said
    assert "? no partner in the clean prompt" in said


def test_a_long_prompt_is_cut_and_that_is_said(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    for question in ("why", "ablate"):
        assert "the first 8 tokens are left out: the model reads 32" in out(capsys, question, folder, "the cat " * 5)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["why", "FOLDER", TEXT, "--token", "ab"], 1, "'ab' is 2 tokens, not one"),
        (["why", "FOLDER", TEXT, "--position", "50"], 2, "there is no position 50"),
        (["why", "FOLDER", TEXT, "--most", "0"], 2, "--most must be 1 or more"),
        (["why", "FOLDER", ""], 1, "there is nothing to read"),
        (["why", "FOLDER", "THE"], 1, "T"),
        (["why", "nothing-here", TEXT], 2, "nothing-here"),
        (["ablate", "FOLDER", TEXT, "--heads", "7.0"], 2, "there is no head 7.0: the model has heads 0.0 to 2.3"),
        (["ablate", "FOLDER", TEXT, "--mlps", "3"], 2, "there is no mlp 3"),
        (["ablate", "FOLDER", TEXT, "--neurons", "2"], 2, "'2' is no neuron; write BLOCK.UNIT"),
        (["ablate", "FOLDER", TEXT, "--reference", "a"], 2, "a reference text is for its mean"),
        (["patch", "FOLDER", CLEAN, CORRUPTED, "--what", "residual"], 2, "expected one of resid, attn, mlp, heads"),
        (["patch", "FOLDER", CLEAN, "the dog"], 2, "the clean prompt has 14 tokens and the corrupted one 7"),
        (["patch", "FOLDER", CLEAN, CLEAN, "--token", "a", "--against", "o"], 2, "nothing to bring back"),
    ],
)
def test_bad_questions(folder: str, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str) -> None:
    assert main(["lens", *(folder if word == "FOLDER" else word for word in words)]) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("question", ["why", "ablate", "patch"])
def test_help_has_an_example(question: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["lens", question, "--help"])
    assert f"cutaway lens {question} stdlib-1" in capsys.readouterr().out


def test_bars_are_as_long_as_their_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    from cutaway.cli.bars import HALF, bars
    from cutaway.cli.explain import paper

    bars([("a", 2.0, ""), ("b", -1.0, "why"), ("c", 0.0, "")], paper())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].count("█") == HALF
    assert lines[1].count("█") == HALF // 2
    assert lines[1].rstrip().endswith("why")
    assert "█" not in lines[2]
