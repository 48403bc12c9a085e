"""Runs on disk: one plain folder a run, readable without torch and while it is being written.

runs/<name>/recipe.toml     complete: `cutaway train runs/<name>/recipe.toml` repeats the run
            metrics.jsonl   one object a line, append-only, step first
            samples.jsonl   what the model made as it learned
            pictures/       <step>.png, where it paints
            model/          the best weights so far, in Hugging Face layout
            checkpoints/    everything needed to go on
            snapshots/      what was inside the model at every measured step (base/snapshots.py)
            summary.json    written when the run ended: how, and with what numbers
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cutaway.base.errors import RunError, suggest
from cutaway.base.files import check_name, disk_errors, flush, write_text


def runs_folder() -> Path:
    """Return the folder that holds the runs: $CUTAWAY_RUNS, else `runs` where the command was started."""
    return Path(os.environ.get("CUTAWAY_RUNS") or "runs")


@dataclass(frozen=True)
class RunFolder:
    """One run's folder."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name, which is its folder's."""
        return self.path.name

    @property
    def recipe_file(self) -> Path:
        """The complete recipe."""
        return self.path / "recipe.toml"

    @property
    def model_folder(self) -> Path:
        """The best weights so far."""
        return self.path / "model"

    @property
    def checkpoints_folder(self) -> Path:
        """One folder a checkpoint, named by its step."""
        return self.path / "checkpoints"

    @property
    def samples_file(self) -> Path:
        """What the model made as it learned, a line each."""
        return self.path / "samples.jsonl"

    @property
    def pictures_folder(self) -> Path:
        """What it painted, one file a step."""
        return self.path / "pictures"

    def metrics(self) -> list[dict[str, Any]]:
        """Return every recorded line, oldest first."""
        return read_jsonl(self.path / "metrics.jsonl")

    def samples(self) -> list[dict[str, Any]]:
        """Return every recorded sample, oldest first."""
        return read_jsonl(self.samples_file)

    def summary(self) -> dict[str, Any] | None:
        """Return how the run ended, or None while it has not."""
        try:
            return json.loads((self.path / "summary.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Record how the run ended."""
        write_text(self.path / "summary.json", json.dumps(summary, indent=2) + "\n")

    def remove_summary(self) -> None:
        """Forget how the run ended the last time: it goes on."""
        (self.path / "summary.json").unlink(missing_ok=True)

    def status(self) -> str:
        """Return `running`, `finished`, `failed` or `stopped` (can be continued)."""
        if self.is_locked():
            return "running"
        summary = self.summary()
        return summary["status"] if summary else "stopped"

    def is_locked(self) -> bool:
        """Whether a process is training this run now."""
        try:
            with self.locked(patience_seconds=0.0):
                return False
        except RunError:
            return self.path.is_dir()  # nobody trains what was deleted meanwhile

    @contextmanager
    def locked(self, patience_seconds: float = 0.5) -> Iterator[None]:
        """Hold the run for writing; the operating system lets go when the process ends, however it ends.

        Args:
            patience_seconds: how long to try: who asks whether it is held, holds it for a moment.

        Raises:
            RunError: another process holds it, or it was deleted.
        """
        try:
            import fcntl
        except ImportError:  # not on Windows, which refuses a second writer by itself
            yield
            return
        try:
            handle = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            raise RunError(f"run {self.name!r} is no longer there: it was deleted meanwhile") from None
        try:
            until = time.monotonic() + patience_seconds
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= until:
                        raise RunError(
                            f"run {self.name!r} is being trained by another process; wait for it or stop it"
                        ) from None
                    time.sleep(0.01)
            yield
        finally:
            os.close(handle)

    def remove(self) -> None:
        """Delete the folder and everything in it.

        Raises:
            RunError: the run is being trained, or the folder is not a run's.
        """
        if not self.recipe_file.exists():
            raise RunError(f"{self.path} has no recipe.toml, so it is not a run; nothing was removed")
        if self.is_locked():
            raise RunError(f"run {self.name!r} is being trained now; stop it first; nothing was removed")
        shutil.rmtree(self.path)


def create_run(name: str | None, stem: str, folder: Path | None = None) -> RunFolder:
    """Make a new, empty run folder.

    Args:
        name: its name, or None for the first free of stem-1, stem-2, ...

    Raises:
        UsageError: the name cannot be a folder's name.
        RunError: a run of this name exists.
    """
    home = folder or runs_folder()
    if name is not None:
        path = free_path(name, home)
        with disk_errors(path):
            path.mkdir(parents=True)
        return RunFolder(path)
    number = 1
    while True:
        path = home / f"{stem}-{number}"
        try:
            path.mkdir(parents=True)
            return RunFolder(path)
        except FileExistsError:
            number += 1
        except OSError:
            with disk_errors(path):
                raise


def free_path(name: str, folder: Path | None = None) -> Path:
    """Return where a run of this name will lie.

    Raises:
        UsageError: the name cannot be a folder's name.
        RunError: a run of this name exists.
    """
    path = (folder or runs_folder()) / check_name(name, "run name")
    if path.exists():
        raise RunError(
            f"run {name!r} exists already in {path.parent}; take another --name, "
            f"continue it with `cutaway train {path}`, or remove it with `cutaway runs remove {name}`"
        )
    return path


def open_run(name_or_path: str | Path, folder: Path | None = None) -> RunFolder:
    """Return an existing run, by name or by the path of its folder.

    Raises:
        RunError: there is no such run; the nearest names are offered.
    """
    home = folder or runs_folder()
    for path in (Path(name_or_path), home / str(name_or_path)):
        if (path / "recipe.toml").is_file():
            return RunFolder(path)
    names = [run.name for run in list_runs(home)]
    raise RunError(
        f"there is no run {str(name_or_path)!r} in {home}{suggest(str(name_or_path), names)}; see `cutaway runs`"
    )


def list_runs(folder: Path | None = None) -> list[RunFolder]:
    """Return all runs, oldest first."""
    home = folder or runs_folder()
    if not home.is_dir():
        return []
    found = [RunFolder(path) for path in home.iterdir() if (path / "recipe.toml").is_file()]
    return sorted(found, key=lambda run: (run.recipe_file.stat().st_mtime, run.name))


def read_jsonl(path: Path, having: str = "") -> list[dict[str, Any]]:
    """Return the objects of a JSON-lines file; a last line cut off by a crash is left out.

    Args:
        having: only lines with this text in them; the others are not parsed.
    """
    if not path.exists():
        return []
    objects = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if having not in line:
            continue
        try:
            objects.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return objects


class JsonLines:
    """An append-only file of JSON objects, a line each, that goes on where a resumed run left off."""

    def __init__(self, path: Path, keep_until_step: int | None = None) -> None:
        """Open for appending, dropping lines after `keep_until_step` (they will be made again)."""
        self.path = path
        kept = read_jsonl(path)
        if keep_until_step is not None:
            kept = [line for line in kept if line["step"] <= keep_until_step]
        write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = path.open("a", encoding="utf-8")

    def append(self, line: dict[str, Any]) -> None:
        """Write one object; the line is handed to the operating system at once."""
        with disk_errors(self.path):
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Wait for the disk and close."""
        with disk_errors(self.path):
            self._file.flush()
            flush(self.path)
            self._file.close()


def timestamp() -> str:
    """Return the time now, UTC, to the second, as ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
