"""Exports a person gives to the lab: kept aside, file by file, until they were read.

An upload is a folder of its own under `.uploads`, named by a key the page makes up. Names of files are kept, since they
are titles and dates; a name that leads out of the folder is refused. What was read is deleted; so is what nobody asked for
within a day.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cutaway.base.errors import CutawayError, DataError, UsageError
from cutaway.base.files import disk_errors

FOLDER = ".uploads"
KEPT_SECONDS = 24 * 3600
LONGEST_NAME = 255


def place_for(home: Path, key: str, name: str) -> Path:
    """Return where a file of an upload is kept.

    Raises:
        UsageError: the key is not one, or the name leads elsewhere.
    """
    parts = name.split("/")
    for part in parts:
        if part in ("", ".", "..") or "\\" in part or "\0" in part or len(part.encode()) > LONGEST_NAME:
            raise UsageError(f"{name!r} cannot be a file's name; rename it")
    return _folder(home, key).joinpath(*parts)


def _folder(home: Path, key: str) -> Path:
    if not re.fullmatch(r"[a-z0-9]{8,40}", key):
        raise UsageError(f"{key!r} is no key of an upload; load the page again")
    return home / FOLDER / key


def keep(home: Path, key: str, name: str, parts: list[bytes]) -> int:
    """Write one file of an upload; return its size.

    Raises:
        UsageError: the name leads elsewhere.
        CutawayError: it cannot be written.
    """
    path = place_for(home, key, name)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.writelines(parts)
        return path.stat().st_size


@contextmanager
def given(home: Path, key: str) -> Iterator[Path]:
    """Give what was uploaded: the one file or folder if there is just one, else the folder of all; then delete it.

    What goes wrong while it is read names the person's files, not where the lab kept them, and keeps the upload.
    """
    folder = _folder(home, key)
    forget_old(home)
    if not folder.is_dir():
        raise DataError("nothing of the upload is there any more; choose the files again")
    inside = list(folder.iterdir())
    source = inside[0] if len(inside) == 1 else folder
    try:
        yield source
    except CutawayError as error:
        said = str(error).replace(f"{folder}/", "").replace(str(folder), "what you chose")
        raise type(error)(said) from error
    shutil.rmtree(folder, ignore_errors=True)


def forget_old(home: Path) -> None:
    """Delete uploads nobody asked for within a day."""
    folder = home / FOLDER
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink() and time.time() - path.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
