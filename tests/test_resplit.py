"""A tuned run trained again with other texts held out: same settings, nothing left behind, stopped and gone on with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from tune.small import make_base
from voice.copier import text

from cutaway import resplit as module
from cutaway import workbench
from cutaway.base.errors import RunError, UsageError
from cutaway.base.runs import RunFolder
from cutaway.cli.main import main
from cutaway.interop.conversations import conversation, read_conversations, write_conversations
from cutaway.presets_voice import tuned
from cutaway.resplit import resplit_run, with_split
from cutaway.voice.resplits import SplitLosses, read_splits, summarize_splits


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run tuned on eight short texts, two more held out."""
    place = tmp_path_factory.mktemp("resplit")
    make_base(place / "runs" / "base" / "model", "llama", "bpe")
    (place / "runs" / "base" / "recipe.toml").write_text('name = "base"\n')
    (place / "voice").mkdir()
    made = [conversation(f"Write {i}.", text(f"piece {i}", 1), source=f"piece {i}", tier="note") for i in range(10)]
    write_conversations(place / "voice" / "train.jsonl", made[:8])
    write_conversations(place / "voice" / "held_out.jsonl", made[8:])
    recipe = tuned("base", place / "voice", "lora", runs=place / "runs")
    settings = {"epochs": None, "steps": 6, "precision": "float32", "threads": 1, "validate_every": 3}
    settings |= {"sample_every": 0, "learning_rate": 0.01}
    recipe = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, **settings))
    return workbench.train(recipe, name="me", runs=place / "runs")


@pytest.mark.slow
def test_splits_are_trained_kept_and_not_done_again(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = []
    train = workbench.train

    def counted(recipe: Any, **others: Any) -> Any:
        recipes.append((recipe, read_conversations(Path(recipe.data.held_out)), others["runs"]))
        return train(recipe, **others)

    monkeypatch.setattr(module, "train", counted)
    before = sorted(path.name for path in run.path.parent.iterdir())
    told = []
    found = resplit_run(run, 2, on_split=lambda n, one: told.append(n))
    assert told == [1, 2]
    assert [one.seed for one in found] == [1, 2]
    own = workbench.Run(run.path).recipe
    for (recipe, held, folder), one in zip(recipes, found, strict=True):
        assert recipe.train.steps == own.train.steps == one.steps == 6
        assert recipe.train.learning_rate == own.train.learning_rate
        assert {pair.about["source"] for pair in held} == set(one.held_out_sources)
        assert one.held_out_share == pytest.approx(0.2)
        assert one.train_nats < one.held_out_nats + 1
        assert one.tuned_bits != one.base_bits
        assert not folder.exists()
    assert sorted(path.name for path in run.path.parent.iterdir()) == before
    assert read_splits(run) == found
    resplit_run(run, 2)
    assert len(recipes) == 2  # done is done
    (run.path / "splits" / "2.json").write_text("{")
    assert resplit_run(run, 3)[:2] == found  # the broken one again, the same; and one more
    assert len(recipes) == 4


def test_a_split_of_the_runs_own_texts_gives_the_runs_own_losses(run: RunFolder, tmp_path: Path) -> None:
    recipe = workbench.Run(run.path).recipe
    same = with_split(recipe, Path(recipe.data.source), Path(recipe.data.held_out), run.path.parent)
    again = workbench.train(same, name="same", runs=tmp_path).summary() or {}
    own = run.summary() or {}
    assert again["after"] == own["after"]
    assert again["before"] == own["before"]


def test_what_cannot_be_split(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 splits"):
        resplit_run(run, 0)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "recipe.toml").write_text('name = "plain"\n')
    with pytest.raises(RunError, match="was not tuned on conversations"):
        resplit_run(RunFolder(tmp_path / "plain"))
    summary = run.summary() or {}
    try:
        run.write_summary(summary | {"status": "stopped"})
        with pytest.raises(RunError, match="finish it first"):
            resplit_run(run)
    finally:
        run.write_summary(summary)


def test_what_splits_say_together() -> None:
    splits = [SplitLosses(i, ("a",), 0.1, 9, 2.0 + i / 50, 1.8 + i / 60, 1.0, 1.5 + i / 90) for i in range(1, 6)]
    found = summarize_splits(splits)
    assert found.verdict == "lower"
    assert found.change.value == pytest.approx(-0.2 - 3 / 300)
    assert "better than the base 5 times" in found.sentence()
    assert summarize_splits(splits[:2]).verdict == "not enough data"
    nothing = summarize_splits([])
    assert nothing.verdict == "not enough data"
    assert "stands on one split" in nothing.sentence()
    json.dumps([found.as_dict(), nothing.as_dict()], allow_nan=False)


@pytest.mark.slow
def test_on_the_command_line(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUTAWAY_RUNS", str(run.path.parent))
    resplit_run(run, 2)
    assert main(["voice", "resplit", "me", "--splits", "2", "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out.splitlines()[-1])
    assert (told["run"], len(told["splits"]), told["verdict"]) == ("me", 2, "not enough data")
    assert "split 2: held-out" in said.err
    assert main(["voice", "resplit", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err
    voice = run.path.parent.parent / "voice"
    assert main(["voice", "plant", str(voice), "--secrets", "2", "--repetitions", "1", "3"]) == 0
    assert "8 pairs with secrets among 8 of yours" in capsys.readouterr().out
    assert len(read_conversations(voice / "train_planted.jsonl")) == 16
    assert len(read_conversations(voice / "train.jsonl")) == 8
    assert main(["voice", "plant", str(run.path)]) == 2
    assert "cutaway voice pairs" in capsys.readouterr().err
