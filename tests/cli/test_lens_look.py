"""Looking at a model on the terminal: what is printed is what Python says; every wrong word is one line."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from cutaway import workbench
from cutaway.cli import lens_surprisal
from cutaway.cli.lens_model import written
from cutaway.cli.main import main
from cutaway.interop.hub_folder import save_folder
from cutaway.lens import attention, compare, head_kinds, induction, logit_lens, surprisal
from cutaway.models.build import build
from cutaway.models.config import GPTConfig
from cutaway.text.bpe import BPETokenizer

SENTENCE = "the quick brown fox jumps over the lazy dog; "
TINY = [
    "--model.d-model", "24", "--model.n-layers", "2", "--model.n-heads", "2", "--model.context-length", "32",
    "--model.ngram-sizes", "2", "--model.ngram-rows", "64", "--train.batch-size", "8", "--train.steps", "20",
    "--train.threads", "1", "--train.precision", "float32", "--train.compile", "off",
    "--train.keep-checkpoints", "all", "--train.checkpoint-every", "10", "--train.validate-every", "10",
    "--train.sample-every", "0",
    "--train.validation-tokens", "64", "--name", "fox",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, its checkpoints, and a model folder that cuts text into pieces."""
    home = tmp_path_factory.mktemp("home")
    text = home / "text.txt"
    text.write_text(SENTENCE * 60)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("CUTAWAY_RUNS", str(home / "runs"))
        assert main(["train", "stdlib", "--no-fit", "--data.source", str(text), *TINY]) == 0
    pieces = BPETokenizer.train([SENTENCE], 290)
    save_folder(home / "gpt2", build(GPTConfig(
        vocab_size=pieces.vocab_size, d_model=24, n_layers=3, n_heads=4, context_length=32, positions="learned",
        norm="layer", mlp="gelu_tanh", bias=True, tied=True, qk_norm=False)), pieces, "gpt2")  # fmt: skip
    return home


@pytest.fixture(autouse=True)
def home(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    monkeypatch.setenv("CUTAWAY_RUNS", "runs")
    monkeypatch.setenv("COLUMNS", "120")
    return trained


def out(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["lens", *arguments]) == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out, "what is no terminal gets no colours"
    return said.out


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    return json.loads(out(capsys, *arguments, "--json").splitlines()[-1])


def error(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["lens", *arguments])
    said = capsys.readouterr().err
    assert said.startswith("cutaway: ")
    assert said.count("\n") == 1
    return code, said


@pytest.mark.parametrize("model", ["fox", "fox@10", "gpt2"])
def test_attention(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = "the fox; the dog"
    found = answer(capsys, "attention", model, text)
    kinds = head_kinds(attention(*opened(model), text))
    n_layers, n_heads, _ = kinds.score_LHK.shape
    assert [head["head"] for head in found["heads"]] == [f"{i}.{h}" for i in range(n_layers) for h in range(n_heads)]
    last = kinds.score_LHK[-1, -1]
    told = found["heads"][-1]["scores"]
    assert list(told) == list(kinds.kinds)
    assert all(t is None if s != s else t == s for t, s in zip(told.values(), last.tolist(), strict=True))
    table = out(capsys, "attention", model, text)
    assert f"{n_layers - 1}.{n_heads - 1} " in table
    assert "positions measured" in table


def opened(model: str) -> Any:
    if model == "fox@10":
        stopped = workbench.Run(Path("runs/fox")).at_checkpoint(10)
        return stopped.model, stopped.tokenizer
    return workbench.load(model)


def test_one_head(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "attention", "fox", "the fox", "--head", "1.1")
    pattern = attention(*workbench.load("fox"), "the fox").pattern_LHTS[1, 1]
    assert torch.equal(torch.tensor(found["pattern"]), pattern)
    said = out(capsys, "attention", "fox", "the fox", "--head", "1.1")
    assert "head 1.1" in said
    assert len([line for line in said.splitlines() if "%" in line]) == len(pattern)


def test_layers(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "layers", "fox", "the quick", "--top", "3", "--mid")
    lens = logit_lens(*workbench.load("fox"), "the quick", top=3, include_mid=True)
    assert found["places"] == list(lens.places)
    assert found["final"]["rank"] == lens.final_rank_NT.tolist()
    assert found["top"][0][1][2]["probability"] == float(lens.top_probability_NTK[0, 1, 2])
    assert found["next"]["probability"][0][-1] is None
    assert found["next"]["rank"][0][-1] is None
    said = out(capsys, "layers", "fox", "the quick")
    assert [line.split()[0] for line in said.splitlines()[1:5]] == ["token", "block", "block", "embed"]
    detail = out(capsys, "layers", "fox", "the quick", "--position", "-2")
    assert f"what follows is {written('k')}" in detail
    assert "nothing follows yet" in out(capsys, "layers", "fox", "the quick", "--position", "-1")


def test_surprisal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = SENTENCE * 3 + "dog over fox"
    (tmp_path / "long.txt").write_text(text)
    found = answer(capsys, "surprisal", "fox", "--file", str(tmp_path / "long.txt"))["models"][0]
    measured = surprisal(*workbench.load("fox"), text)
    assert found["bits"][0] is None, "one document: nothing stands before its first character"
    assert found["bits"][1:] == measured.bits_T[1:].tolist()
    assert found["bits_per_byte"] == measured.bits_per_byte
    assert (found["bytes"], found["tokens_computed"]) == (len(text) - 1, len(text) - 1)
    said = out(capsys, "surprisal", "fox", "the dog")
    assert "bits per byte" in said
    assert "the first token is not computed" in said
    table = out(capsys, "surprisal", "fox", "the dog", "--table")
    assert "not computed: nothing before it" in table


def test_two_models_compared(capsys: pytest.CaptureFixture[str]) -> None:
    text = "the lazy dog"
    found = answer(capsys, "surprisal", "fox", text, "--against", "gpt2")
    a, b = (surprisal(*workbench.load(name), text) for name in ("fox", "gpt2"))
    both = compare(a, b)
    assert "".join(found["pieces"]["text"]) == text
    assert found["pieces"]["bits_per_byte"] == list(both.bits_per_byte or ())
    assert [one["bits_per_byte"] for one in found["models"]] == [a.bits_per_byte, b.bits_per_byte]
    said = out(capsys, "surprisal", "fox", text, "--against", "gpt2", "--table")
    assert "gpt2 was more surprised" in said


def test_induction(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "induction", "fox", "--sequences", "3", "--length", "9")
    scan = induction(*workbench.load("fox"), n_sequences=3, length=9)
    assert [head["prefix_matching"] for head in found["heads"]] == scan.prefix_LH.flatten().tolist()
    assert found["induction_heads"] == scan.heads
    assert found["loss_nats"][0] is None
    assert "no induction heads" in out(capsys, "induction", "fox", "--sequences", "3")
    assert "pieces of a text" in out(capsys, "induction", "gpt2", SENTENCE, "--length", "5")


def test_induction_over_checkpoints(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "induction", "fox", "--checkpoints", "--sequences", "2", "--length", "9")
    steps = [one["step"] for one in found["checkpoints"]]
    assert steps[-1] == 20
    assert 10 in steps
    scans = workbench.Run(Path("runs/fox")).induction([10, 20], n_sequences=2, length=9)
    for step, scan in scans.items():
        told = found["checkpoints"][steps.index(step)]
        assert [head["copying"] for head in told["heads"]] == scan.copying_LH.flatten().tolist()
    said = out(capsys, "induction", "fox", "--checkpoints", "--sequences", "2")
    assert "no induction head at the last checkpoint" in said


def test_with_colours_and_without() -> None:
    def shown(**settings: Any) -> str:
        console = Console(file=io.StringIO(), width=80, highlight=False, **settings)
        lens_surprisal.show_text(["a", "b", "c"], [float("nan"), 0.5, 9.0], console)
        return console.file.getvalue()  # type: ignore[attr-defined]

    plain = shown(no_color=True)
    assert "abc[9]" in plain, "what colours say is said in words where there are none"
    colored = shown(force_terminal=True, color_system="truecolor")
    assert "\x1b[" in colored
    assert "[9]" not in colored


def test_the_beginning_that_does_not_fit_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert "the first 13 tokens are left out: the model reads 32 at once" in out(capsys, "attention", "fox", SENTENCE)
    assert answer(capsys, "layers", "fox", SENTENCE)["cut"] == 13


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (
            ("attention", "fox", "a", "--head", "7.0"),
            2,
            "there is no head '7.0'; a head is LAYER.HEAD, from 0.0 to 1.1",
        ),
        (("attention", "fox", "a", "--head", "first"), 2, "there is no head 'first'"),
        (("attention", "fox@7", "a"), 2, "run 'fox' has no checkpoint of step 7; it has"),
        (("attention", "fix", "a"), 2, "there is no run 'fix'"),
        (("attention", "fox", "THE"), 1, "never saw in training: 'E', 'H', 'T'"),
        (("attention", "fox", ""), 1, "there is nothing to read"),
        (("attention", "fox", "a", "--file", "text.txt"), 2, "give a text or a file, not both"),
        (("attention", "fox", "--file", "nowhere.txt"), 2, "cannot read nowhere.txt"),
        (("layers", "fox", "the", "--position", "9"), 2, "there is no position 9; the text has 3 tokens, 0 to 2"),
        (("layers", "fox", "the", "--top", "0"), 2, "--top is 0"),
        (("surprisal", "fox", "the", "--stride", "33"), 2, "a stride of 33 cannot be; expected 1 to 32"),
        (("surprisal", "fox", "the", "--against", "fix"), 2, "there is no run 'fix'"),
        (("induction", "fox", "--length", "17"), 2, "halves of 17 tokens do not fit; expected 2 to 16"),
        (("induction", "gpt2", "--checkpoints"), 2, "--checkpoints needs a run"),
        (("induction", "fox", "the fox", "--length", "9"), 2, "the text has 7 tokens; expected at least 18"),
    ],
)
def test_one_clear_line(arguments: tuple[str, ...], code: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    got, said = error(capsys, *arguments)
    assert (got, line in said) == (code, True), said


def test_tokens_as_one_sees_them() -> None:
    assert [written(piece) for piece in (" ", " the", "a b", "\n", "\t", "\x00", "é")] == [
        "·", "·the", "a b", "↵", "→", "\\x00", "é",
    ]  # fmt: skip
