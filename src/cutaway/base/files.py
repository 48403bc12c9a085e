"""Files that are either whole or not there.

Everything is written aside, flushed to the disk and renamed (POSIX rename is atomic), so a killed process or a full
disk leaves the old file or none, never half of one. Who may read it is for the umask to say, as with any other file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cutaway.base.errors import CutawayError, UsageError


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals while writing `path` into one clear line."""
    try:
        yield
    except OSError as error:
        free = shutil.disk_usage(_nearest_folder(path)).free
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
            raise CutawayError(
                f"the disk is full: could not write {path} ({free / 1e6:.0f} MB free); "
                f"nothing was changed; free some room and run the same command again"
            ) from error
        raise CutawayError(f"could not write {path}: {error.strerror or error}") from error


def _nearest_folder(path: Path) -> Path:
    return next(folder for folder in [path, *path.absolute().parents] if folder.is_dir())


def _beside(path: Path) -> Path:
    """Return a name that is free; `tempfile` has such names too, but closes its files to all others."""
    return path.parent / f".{path.name}.{secrets.token_hex(6)}"


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; on success it takes the place of `path` in one step, on failure it is gone."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = _beside(path)
        aside.touch(exist_ok=False)
        try:
            yield aside
            flush(aside)
            os.replace(aside, path)
            flush(path.parent)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it takes the place of `path`, on failure it is gone."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = _beside(path)
        aside.mkdir()
        try:
            yield aside
            for item in aside.rglob("*"):
                flush(item)
            flush(aside)
            if path.exists():
                old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
                os.replace(path, old / "old")
                os.replace(aside, path)
                shutil.rmtree(old, ignore_errors=True)
            else:
                os.replace(aside, path)
            flush(path.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def flush(path: Path) -> None:
    """Wait until the disk has the file or the folder's list of names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a small text file whole or not at all."""
    with replacing_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def content_hash(parts: Iterable[bytes | str]) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of the parts, their lengths included."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:16]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal, reading a megabyte at a time."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def cache_folder() -> Path:
    """Return the folder for what can be made again: $CUTAWAY_CACHE, else the user's cache folder."""
    if given := os.environ.get("CUTAWAY_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cutaway"


def slug(words: str, most: int = 40) -> str:
    """Return words as a file's name of at most so many letters, digits and dashes; empty where there is none of them."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:most].rstrip("-")


def check_name(name: str, what: str) -> str:
    """Return the name if it is safe as one folder's name.

    Raises:
        UsageError: the name is empty, hidden, a path, or has characters a file system may refuse.
    """
    if not name or name.startswith(".") or not all(c.isalnum() or c in "-_.+ " for c in name) or name != name.strip():
        raise UsageError(
            f"{what} {name!r} cannot be a folder's name: use letters, digits, '-', '_' and '.', not starting with '.'"
        )
    return name
