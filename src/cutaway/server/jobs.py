"""Long work: a queue of commands, each done by a process of its own that outlives the lab.

A job is what a person would type: `cutaway train stdlib --name stdlib-1`. Jobs that train run one at a time, and beside
them, one at a time and on one thread, those of other kinds. The queue is a table on disk (`job_store.py`), the process is
`job_process.py`; the lab may be killed at any moment, and when it starts again it finds jobs that go on, jobs that ended
meanwhile, and those still waiting.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import BaseModel

from cutaway.base.errors import CutawayError
from cutaway.base.files import disk_errors
from cutaway.server import job_store

LOOK_EVERY_SECONDS = 0.25
START_SECONDS = 5.0
"""A job that no process has taken on by then, and that another lab was to start, is started again."""
SAME_START_SECONDS = 2.0
"""Two processes of one number that started further apart are two; a corrected clock moves the start a little."""

JobState = Literal["queued", "running", "done", "failed", "stopped"]


class JobError(CutawayError):
    """A job that is not there, or is not in the state for what was asked."""


class Job(BaseModel):
    """One command of the queue."""

    id: int
    kind: str
    """`train`, `trace`, ..."""
    target: str
    """The run it is about."""
    command: str
    """As a person would type it."""
    state: JobState
    reason: str
    """Why it failed, in one line."""
    said: str
    """While it runs: the last line it said."""
    created: float
    """Seconds since 1970, as all times here."""
    started: float | None
    ended: float | None


class Jobs:
    """The queue of one home folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._children: dict[int, int] = {}  # job: process, of those started here that have not ended
        self._started: set[int] = set()

    def submit(self, words: Sequence[str], kind: str, target: str, only_once: str = "") -> Job:
        """Put `cutaway <words>` into the queue.

        Args:
            target: the run it is about.
            only_once: if given, a mark this folder keeps: a second job with the same mark is refused.

        Raises:
            JobError: there was a job with this mark.
            CutawayError: the queue cannot be written: the disk is full.
        """
        with self._writing(), job_store.opened(self.home) as database:
            if only_once:
                try:
                    database.execute("insert into facts values (?, ?)", (only_once, target))
                except sqlite3.IntegrityError:
                    raise JobError("this was started here before; it is done once in a folder") from None
            done = database.execute(
                "insert into jobs (kind, target, words, folder, state, created) values (?, ?, ?, ?, 'queued', ?)",
                (kind, target, json.dumps(list(words)), os.getcwd(), time.time()),
            )
            number = done.lastrowid
        self.start()
        assert number is not None
        return self.get(number)

    def was_done(self, mark: str) -> bool:
        """Whether a job with this mark was ever submitted here."""
        if not job_store.is_made(self.home):
            return False
        with job_store.opened(self.home) as database:
            return database.execute("select 1 from facts where name = ?", (mark,)).fetchone() is not None

    def list(self) -> Sequence[Job]:
        """Return all jobs, newest first."""
        return [self._job(row) for row in job_store.rows(self.home)]

    def of(self, target: str) -> Sequence[Job]:
        """Return the jobs about a run, newest first."""
        return [self._job(row) for row in job_store.rows(self.home, "target = ?", target)]

    def get(self, number: int) -> Job:
        """Return one job.

        Raises:
            JobError: there is none of this number.
        """
        return self._job(self._row(number))

    def stop(self, number: int) -> Job:
        """Ask a job to end: one that trains saves first. What waits is taken off the queue.

        Raises:
            JobError: it has ended already.
        """
        with self._writing():
            if not job_store.change(self.home, number, "queued", state="stopped", ended=time.time()):
                row = self._row(number)
                if not job_store.change(self.home, number, "running", wants_stop=1):
                    raise JobError(f"job {number} is {row['state']}; only one that runs or waits can be stopped")
                row = self._row(number)
                if process := _process(row):
                    process.send_signal(signal.SIGTERM)  # else the process asks, when it has reported
        self.start()
        return self.get(number)

    def delete(self, number: int) -> None:
        """Forget a job that has ended (or waits), and what it said.

        Raises:
            JobError: it runs.
        """
        row = self._row(number)
        if row["state"] == "running":
            raise JobError(f"job {number} runs; stop it first")
        with self._writing(), job_store.opened(self.home) as database:
            database.execute("delete from jobs where id = ? and state != 'running'", (number,))
        job_store.log_file(self.home, number).unlink(missing_ok=True)

    def log(self, number: int) -> str:
        """Return the end of what a job said."""
        self._row(number)
        return job_store.tail(job_store.log_file(self.home, number))

    def start(self) -> None:
        """Look after the jobs there are, until all have ended: start what waits, notice what ended."""
        if not job_store.rows(self.home, "state in ('queued', 'running')"):
            return
        with self._lock:
            self._wake.set()
            if self._closing.is_set() or (self._thread and self._thread.is_alive()):
                return
            self._thread = threading.Thread(target=self._look_after, name="jobs", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop looking; the jobs go on."""
        self._closing.set()
        self._wake.set()
        if self._thread:
            self._thread.join(10)

    def _look_after(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            try:
                unfinished = job_store.rows(self.home, "state in ('queued', 'running')")
                for row in unfinished:
                    if row["state"] == "running":
                        self._check(row)
                self._start_next()
                self._bury()
                is_done = not unfinished and not self._children
            except (sqlite3.Error, OSError):  # a full disk may get room again
                is_done = not self.home.is_dir()
            with self._lock:
                if is_done and not self._wake.is_set():
                    self._thread = None
                    return
            self._wake.wait(LOOK_EVERY_SECONDS)

    def _start_next(self) -> None:
        running = {row["kind"] == "train" for row in job_store.rows(self.home, "state = 'running'")}
        for row in reversed(job_store.rows(self.home, "state = 'queued'")):
            trains = row["kind"] == "train"
            if trains in running:
                continue
            running.add(trains)
            if job_store.change(self.home, row["id"], "queued", state="running", started=time.time()):
                self._launch(row["id"], trains)

    def _launch(self, number: int, trains: bool) -> None:
        environment = {**os.environ, "CUTAWAY_RUNS": str(self.home.absolute()), "NO_COLOR": "1", "COLUMNS": "160"}
        environment |= {"PYTHONUNBUFFERED": "1"} | ({} if trains else {"OMP_NUM_THREADS": "1"})
        command = [sys.executable, "-m", "cutaway.server.job_process", str(self.home.absolute()), str(number)]
        try:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            process.returncode = 0  # it outlives us: Python need not wait for it
            self._children[number] = process.pid
            self._started.add(number)
        except OSError as error:
            job_store.end(self.home, number, "failed", f"no process could be started: {error.strerror or error}")

    def _bury(self) -> None:
        """Let the operating system forget the processes that have ended."""
        for number, pid in list(self._children.items()):
            try:
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    continue
            except ChildProcessError:
                pass
            del self._children[number]

    def _check(self, row: sqlite3.Row) -> None:
        """Notice a job whose process is gone without having written how it ended."""
        number = row["id"]
        if number in self._children or _process(row) is not None:
            return
        was_started_here = number in self._started
        if row["pid"] is None and not was_started_here:  # a lab before this one ended before it could start it
            if time.time() - row["started"] > START_SECONDS:
                job_store.change(self.home, number, "running", state="queued", started=None)
            return
        stopped = bool(self._row(number)["wants_stop"])
        why = "" if stopped else "the process ended without a word: it was killed, or the machine was switched off"
        job_store.end(self.home, number, "stopped" if stopped else "failed", why)

    def _row(self, number: int) -> sqlite3.Row:
        found = job_store.rows(self.home, "id = ?", number)
        if not found:
            raise JobError(f"there is no job {number}; it may have been deleted")
        return found[0]

    def _job(self, row: sqlite3.Row) -> Job:
        said = ""
        if row["state"] == "running":
            lines = job_store.tail(job_store.log_file(self.home, row["id"]), 2048).splitlines()
            said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        command = shlex.join(["cutaway", *json.loads(row["words"])])
        facts = {name: row[name] for name in ("id", "kind", "target", "state", "reason", "created", "started", "ended")}
        return Job(command=command, said=said, **facts)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn refusals while writing the queue into one line."""
        with disk_errors(self.home / job_store.DATABASE):
            self.home.mkdir(parents=True, exist_ok=True)
            try:
                job_store.make(self.home)
                yield
            except sqlite3.OperationalError as error:
                raise OSError(*_as_errno(error)) from error


def _as_errno(error: sqlite3.OperationalError) -> tuple[Any, ...]:
    if "full" in str(error):
        return errno.ENOSPC, "No space left on device"
    return errno.EIO, str(error)


def _process(row: sqlite3.Row) -> psutil.Process | None:
    """Return the process that does a job, if it lives: the number alone may by now be another's."""
    if row["pid"] is None:
        return None
    try:
        process = psutil.Process(row["pid"])
        is_same = abs(process.create_time() - row["pid_started"]) < SAME_START_SECONDS
        return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None
