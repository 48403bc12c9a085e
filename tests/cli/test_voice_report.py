"""`cutaway voice canaries` and `report` as a person types them, after a real `cutaway voice tune`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tune.small import make_base, make_writing

from cutaway.cli import voice_report
from cutaway.cli.main import main
from cutaway.interop.conversations import conversation, write_conversations
from cutaway.voice.answers import read_answers

TUNE = (
    "--train.steps",
    "2",
    "--train.threads",
    "1",
    "--train.precision",
    "float32",
    "--train.sample-every",
    "0",
    "--quiet",
)
UNSEEN = ("A lamp by the sea.", "The fog was a hat over the road.")
CANARIES = """\
[[prompts]]
name = "rain"
kind = "known"
text = "Write about 0."
max_tokens = 6

[[prompts]]
name = "else"
kind = "new"
text = "Write about 9."
max_tokens = 6
"""


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["voice", *words])
    got = capsys.readouterr()
    return code, got.out, got.err


@pytest.mark.slow
def test_from_tuning_to_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUTAWAY_RUNS", "runs")
    for name, value in (("PIECES", 2), ("EACH", 1), ("TOKENS", 8)):
        monkeypatch.setattr(voice_report, f"QUICK_{name}", value)
    make_base(tmp_path / "base", "llama", "bpe")
    make_writing(tmp_path / "voice", 6)
    unseen = [conversation(f"Write about {i}.", UNSEEN[i], source=f"unseen {i}", tier="note") for i in range(2)]
    write_conversations(tmp_path / "voice" / "held_out.jsonl", unseen)
    (tmp_path / "voice" / "canaries.toml").write_text(CANARIES)
    assert typed(capsys, "tune", "voice", "--base", "base", "--name", "me", *TUNE)[0] == 0
    own = read_answers(tmp_path / "runs" / "me" / "canaries.jsonl")
    of_base = read_answers(tmp_path / "voice" / "base_answers.jsonl")
    assert [one.name for one in own] == [one.name for one in of_base] == ["rain", "else"], (
        "answered without being asked"
    )

    code, out, _ = typed(capsys, "canaries", "me", "--json")
    told = json.loads(out.splitlines()[-1])
    assert (code, [one["text"] for one in told["tuned"]]) == (0, [one.text for one in own])
    code, out, _ = typed(capsys, "canaries", "me")
    assert (code, "rain (a topic you wrote about): Write about 0." in out, "tuned me" in out) == (0, True, True)

    code, out, err = typed(capsys, "report", "me", "--quick", "--plain")
    assert code == 0, err
    assert out.strip().startswith("Not enough data to say")
    assert "runs/me/report/report.html" in out.replace("\n", "")
    told = json.loads((tmp_path / "runs" / "me" / "report" / "report.json").read_text())
    assert told["data"] == {"train_pairs": 6, "train_pieces": 6, "held_out_pairs": 2, "held_out_pieces": 2}
    assert (told["run"], told["base"], told["method"]) == ("me", "base", "lora")
    page = (tmp_path / "runs" / "me" / "report" / "report.html").read_text()
    assert "<h1>not enough data to say</h1>" in page
    code, out, _ = typed(capsys, "report", "me", "--quick", "--json")
    again = json.loads(out.splitlines()[-1])
    assert {**again, "made": ""} == {**told, "made": "", "page": again["page"]}, "the same again gives the same"


def test_what_goes_wrong_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUTAWAY_RUNS", "runs")
    (tmp_path / "runs" / "plain").mkdir(parents=True)
    (tmp_path / "runs" / "plain" / "recipe.toml").write_text('name = "plain"\n')
    for words, code, line in (
        (("report", "nobody"), 2, "there is no run 'nobody'"),
        (("report", "plain"), 2, "was not tuned from a base"),
        (("report", "plain", "--base", "base"), 1, "has no model yet"),
        (("report",), 2, "run"),
    ):
        got, _, err = typed(capsys, *words)
        assert (got, line in err, err.count("\n")) == (code, True, 1), err
