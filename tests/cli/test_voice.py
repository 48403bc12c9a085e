"""`cutaway voice`: from a folder of essays to pairs, as a person would, and what goes wrong in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cutaway.cli.main import main
from cutaway.interop.conversations import read_conversations

WORDS = ("rain", "mud", "sea", "stone", "road", "lamp", "bread", "wind", "clock", "door", "field", "glass", "hand", "iron",
         "leaf", "moon", "night", "oak", "path", "river")  # fmt: skip


@pytest.fixture
def essays(tmp_path: Path) -> Path:
    folder = tmp_path / "essays"
    folder.mkdir()
    for i in range(12):
        lines = [
            " ".join(WORDS[(i * 7 + p * 3 + k * (i + 2)) % 20] + str(i * p) for k in range(40)) for p in range(1, 6)
        ]
        (folder / f"2020-01-{i + 1:02}-essay-{i}.md").write_text("\n\n".join([*lines, "Subscribe now"]) + "\n")
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = main(["voice", *map(str, words)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_from_essays_to_pairs(essays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "voice"
    code, said, _ = run(capsys, "import", essays, "--out", out)
    assert code == 0
    assert "found Markdown 12: 12 pieces" in said
    assert "dated 12 of 12, from 2020-01-01 to 2020-01-12" in said
    code, said, _ = run(capsys, "clean", out, "--json")
    report = json.loads(said.splitlines()[-1])
    assert (code, report["rules"]["subscription_boxes"]["blocks"]) == (0, 12)
    assert (out / "removed.diff").read_text().count("-Subscribe now") == 12
    code, said, _ = run(capsys, "pairs", out, "--json", "--context", "256", "--format", "sharegpt")
    report = json.loads(said.splitlines()[-1])
    assert code == 0
    train = read_conversations(out / "train.jsonl", "sharegpt")
    held = read_conversations(out / "held_out.jsonl")
    assert (len(train), len(held)) == (report["train"], report["held_out"])
    assert {one.about["source"] for one in held} == set(report["held_out_pieces"])
    assert not {one.about["source"] for one in held} & {one.about["source"] for one in train}
    assert [one["context"] for one in report["budgets"]] == [256, 1024, 2048, 8192]
    code, said, _ = run(capsys, "pairs", out)
    assert (code, "tokens estimated" in said, "held out, as a whole: 1 of 12" in said) == (0, True, True)


def test_a_rule_can_be_undone(essays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "import", essays, "--out", tmp_path / "voice")
    code, said, _ = run(capsys, "clean", tmp_path / "voice", "--without", "subscription_boxes", "boilerplate", "--json")
    assert (code, json.loads(said.splitlines()[-1])["rules"]["subscription_boxes"]["blocks"]) == (0, 0)
    assert "Subscribe now" in (tmp_path / "voice" / "cleaned.jsonl").read_text()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("a-file",), 2, "there is no `cutaway voice a-file`"),
        (("improt",), 2, "did you mean import"),
        (("import", "nowhere"), 1, "there is no nowhere"),
        (("clean", "nowhere"), 1, "first: cutaway voice import"),
        (("pairs", "nowhere", "--format", "chat"), 2, "there is no format 'chat'"),
        (("pairs", "nowhere", "--context", "3"), 2, "holds no pair"),
        (("canaries", "nowhere"), 2, "there is no run 'nowhere'"),
        (("canaries", "--writing", "nowhere"), 1, "first: cutaway voice pairs nowhere"),
    ],
)
def test_what_goes_wrong_is_one_line(
    words: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    got, _, error = run(capsys, *words)
    assert got == code
    assert said in error
    assert error.count("\n") == 1


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = run(capsys, "--help")
    assert (code, "example:" in said) == (0, True)


def test_the_guide_says_what_comes_next(
    essays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUTAWAY_RUNS", str(tmp_path / "runs"))

    def following(*words: str) -> str:
        assert run(capsys, *words, "--json")[0] == 0
        return json.loads(run(capsys, *words, "--json")[1].splitlines()[-1])["next"]

    assert following() == "cutaway voice import EXPORT"
    run(capsys, "import", essays)
    assert following() == "cutaway voice clean"
    run(capsys, "clean")
    assert following().startswith("cutaway voice pairs --base MODEL-FOLDER (or ")
    run(capsys, "pairs")
    assert following().startswith("cutaway voice tune --base MODEL-FOLDER (or ")
    plain = tmp_path / "runs" / "plain"
    (plain / "model").mkdir(parents=True)
    (plain / "recipe.toml").write_text('name = "plain"\n')
    assert following() == "cutaway voice tune --base plain"
    tuned = tmp_path / "runs" / "mine"
    tuned.mkdir()
    (tuned / "recipe.toml").write_text(
        'name = "mine"\n[data]\nsource = "voice/train.jsonl"\ndocuments = "conversation"\n[tune]\nbase = "plain"\n'
    )
    assert following() == "cutaway voice report mine"
    (tuned / "report").mkdir()
    (tuned / "report" / "report.json").write_text("{}")
    assert following() is None
    assert "then:  cutaway voice compare | change | best | export | serve  mine" in run(capsys)[1]
    run(capsys, "clean")  # again: the pairs are older now
    assert following() == "cutaway voice pairs --base plain"
    shown = run(capsys)[1]
    assert "x 1. import   12 pieces" in shown
    assert "> 3. pairs" in shown
    assert following("voice") == "cutaway voice pairs --base plain"
    run(capsys, "import", essays, "--out", "other")
    assert following("other") == "cutaway voice clean other"
