"""`cutaway voice tune` as a person types it: what is shown first, what comes out, and what cannot be in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
from tune.small import make_base, make_writing, pairs

from cutaway.base.runs import open_run
from cutaway.cli.examples import histogram
from cutaway.cli.main import main
from cutaway.cli.voice_tune import said
from cutaway.interop.conversations import conversation, read_conversations, write_conversations
from cutaway.text.tokenizer import load_tokenizer
from cutaway.tune.chat_form import chat_form
from cutaway.tune.examples import make_examples

QUICK = ("--train.steps", "4", "--train.threads", "1", "--train.precision", "float32", "--generate.max-tokens", "8",
         "--no-canaries")  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("typed")
    make_base(place / "base", "llama", "bpe")
    make_writing(place / "voice", 6, 2)
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    try:
        code = main(["voice", "tune", *words])
    except SystemExit as stop:
        code = int(stop.code or 0)
    got = capsys.readouterr()
    return code, got.out, got.err


@pytest.mark.slow
def test_from_pairs_to_a_tuned_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--base", "base", "--name", "mine", "--tune.rank", "2", "--json", *QUICK)
    assert code == 0
    assert err.index("[[The rain came down") < err.index("step 1/4"), "an example is shown before the first step"
    assert "<|endoftext|>]]" in err
    assert "Write about 0." in err
    assert "the longest has" in err
    told = json.loads(out.splitlines()[-1])
    assert Path(told["run"]) == place / "runs" / "mine"
    assert told["after"]["train"]["loss"] < told["before"]["train"]["loss"]
    recipe = (place / "runs" / "mine" / "recipe.toml").read_text()
    assert "rank = 2" in recipe
    assert "cutaway voice export mine" in err
    assert main(["train", "runs/mine/recipe.toml", "--quiet", "--name", "again"]) == 0
    metrics = [[line["loss"] for line in open_run(name).metrics()] for name in ("mine", "again")]
    assert metrics[0] == metrics[1], "a recipe repeats its run"


@pytest.mark.slow
def test_pairs_made_for_a_base_all_fit_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    essays = place / "essays"
    essays.mkdir()
    for i in range(12):
        lines = [" ".join(f"{i}{'abcdef'[p]}{k}" for k in range(20 + 7 * i)) + "." for p in range(5)]
        (essays / f"essay-{i}.md").write_text("\n\n".join(lines))
    assert main(["voice", "import", "essays", "--out", "own"]) == 0
    assert main(["voice", "pairs", "own", "--base", "base"]) == 0
    assert "tokens counted" in capsys.readouterr().out
    form = chat_form(place / "base", load_tokenizer(place / "base"))
    made = make_examples(read_conversations(place / "own" / "train.jsonl"), form, 160)
    assert max(len(one.tokens) for one in made.kept) > 120


@pytest.mark.slow
def test_one_that_was_stopped_goes_on_with_train(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "voice", "--base=base", "--method", "full", "--name", "whole", "--quiet", *QUICK)[0] == 0
    summary = place / "runs" / "whole" / "summary.json"
    summary.unlink()  # as if it was killed at the very end
    assert main(["train", "runs/whole"]) == 0
    assert "pairs held out" in capsys.readouterr().err
    assert json.loads(summary.read_text())["status"] == "finished"


@pytest.mark.slow
def test_smoke_says_ok_or_what_is_wrong(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--base", "base", "--method", "full", "--smoke", "--train.learning-rate", "0.01")
    assert (code, "ok: all 3 answers are known" in out) == (0, True)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "which model to tune is not said"),
        (("--base", "bose"), "there is no folder"),
        (("--base", "base", "--method", "loro"), "did you mean lora"),
        (("nowhere", "--base", "base"), "cutaway voice import"),
        (("--base", "base", "--tune.rank", "0"), "tune.rank is 0"),
        (("--base", "base", "--tune.projections", "q_prok"), "did you mean q_proj"),
        (("--base", "base", "--train.sharding", "fsdp"), "use 'ddp'"),
        (("--base", "base", "--data.held-out", "", "--data.validation-fraction", "0"), "no pairs are held out"),
    ],
)
def test_bad_requests_are_one_line(
    words: tuple[str, ...], line: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, *words, *QUICK)
    assert code in (1, 2)
    assert line in err
    assert len(err.strip().splitlines()[-1:]) == 1
    assert "Traceback" not in err
    assert not Path("runs").exists()


def test_bad_input_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = conversation("Write.", "The sea and the road. " * 40, source="the sea")
    write_conversations(place / "voice" / "train.jsonl", [*pairs(3), long])
    code, _, err = run(capsys, "--base", "base", *QUICK)
    assert code == 1
    assert "pair 4 of train.jsonl (the sea) longer than the context of 160" in err
    code, _, err = run(capsys, "--base", "base", "--tune.too-long", "skip", *QUICK)
    assert code == 0
    assert "left out, longer than 160 tokens: pair 4" in err

    (place / "base" / "model.safetensors").rename(place / "base" / "pytorch_model.bin")
    code, _, err = run(capsys, "--base", "base", "--tune.too-long", "skip", *QUICK)
    assert (code, "a pickle, which can run any code" in err) == (1, True)

    import httpx
    from huggingface_hub.errors import GatedRepoError

    def snapshot_download(*arguments: object, **settings: object) -> str:
        raise GatedRepoError("401", response=httpx.Response(401, request=httpx.Request("GET", "https://x.y")))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    code, _, err = run(capsys, "--base", "hf:meta/gated", *QUICK)
    assert (code, "log in with `hf auth login`" in err) == (1, True)


def test_help_knows_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for flag in ("--base", "--method", "--smoke", "--tune.rank", "--train.learning-rate", "--train.patience"):
        assert flag in out


def test_words_are_found_in_both_spellings() -> None:
    assert said(["--base", "x", "--method=full"], "base") == "x"
    assert said(["--base", "x", "--method=full"], "method") == "full"
    assert said(["--tune.base", "y"], "base") == "y"
    assert said(["--quiet"], "base") == ""


def test_lengths_in_bins_add_up() -> None:
    lines = histogram([3, 5, 80, 80, 79], [12])
    assert len(lines) <= 8
    counts = [line.split()[-1] for line in lines if "held out" not in line]
    assert sum(map(int, counts)) + 0 == 5
    assert sum("+ 1 held out" in line for line in lines) == 1
