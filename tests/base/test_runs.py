"""Run folders: made once, listed, locked while somebody trains, readable after a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from cutaway.base.errors import RunError, UsageError
from cutaway.base.runs import JsonLines, RunFolder, create_run, list_runs, open_run, read_jsonl


def make(name: str | None, folder: Path) -> str:
    run = create_run(name, "stem", folder)
    run.recipe_file.write_text('name = "stem"')
    return run.name


def test_runs_are_numbered_named_and_never_overwritten(tmp_path: Path) -> None:
    assert [make(None, tmp_path), make(None, tmp_path), make("mine", tmp_path)] == ["stem-1", "stem-2", "mine"]
    with pytest.raises(RunError, match="run 'mine' exists already"):
        create_run("mine", "stem", tmp_path)
    with pytest.raises(UsageError, match="cannot be a folder's name"):
        create_run("../mine", "stem", tmp_path)
    assert {run.name for run in list_runs(tmp_path)} == {"stem-1", "stem-2", "mine"}
    with pytest.raises(RunError, match="did you mean mine"):
        open_run("mime", tmp_path)


@pytest.mark.slow
def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    make("a", tmp_path)
    run = open_run("a", tmp_path)
    assert run.status() == "stopped"
    with run.locked():
        assert run.status() == "running"
        with pytest.raises(RunError, match="being trained"), run.locked():
            pass
        with pytest.raises(RunError, match="being trained now"):
            run.remove()
    run.remove()
    assert list_runs(tmp_path) == []


def test_only_a_run_is_removed(tmp_path: Path) -> None:
    run = create_run("a", "stem", tmp_path)
    with pytest.raises(RunError, match="not a run"):
        run.remove()
    assert run.path.is_dir()


def test_lines_survive_a_crash_and_a_resume_repeats_none(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = JsonLines(path)
    for step in range(1, 6):
        lines.append({"step": step})
    lines.close()
    with path.open("a") as file:
        file.write('{"step": 6, "lo')
    assert [line["step"] for line in read_jsonl(path)] == [1, 2, 3, 4, 5]
    lines = JsonLines(path, keep_until_step=3)
    lines.append({"step": 4, "again": True})
    lines.close()
    assert read_jsonl(path)[2:] == [{"step": 3}, {"step": 4, "again": True}]


def test_a_run_deleted_while_it_is_looked_at(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "gone")
    assert not run.is_locked()
    assert run.status() == "stopped"
    with pytest.raises(RunError, match="'gone' is no longer there"), run.locked():
        pass
