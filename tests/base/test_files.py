"""Files are whole or not there, whatever happens while they are written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cutaway.base.errors import CutawayError, UsageError
from cutaway.base.files import check_name, content_hash, replacing_file, replacing_folder, write_text


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(ValueError, match="half"), replacing_file(path) as aside:
        aside.write_text("ne")
        raise ValueError("half way")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with replacing_folder(path) as aside:
        (aside / "w").write_text("1")
    with pytest.raises(ValueError, match="half"), replacing_folder(path) as aside:
        (aside / "w").write_text("2")
        raise ValueError("half way")
    assert (path / "w").read_text() == "1"
    with replacing_folder(path) as aside:
        (aside / "w").write_text("3")
    assert (path / "w").read_text() == "3"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    with (
        pytest.raises(CutawayError, match="the disk is full: could not write") as caught,
        replacing_file(tmp_path / "x"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", "a\\b", ".hidden", " x", "x\n", "a:b", "\0"])
def test_names_that_could_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a folder's name"):
        check_name(name, "run name")


@pytest.mark.parametrize("name", ["stdlib-1", "My run 2", "lr=3e-3".replace("=", "_"), "a.b+c"])
def test_plain_names_are_fine(name: str) -> None:
    assert check_name(name, "run name") == name


def test_hashes_tell_parts_apart() -> None:
    assert content_hash(["ab", "c"]) != content_hash(["a", "bc"])
    assert content_hash(["ab"]) == content_hash([b"ab"])


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_the_umask_says_who_may_read_what_is_written(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        (tmp_path / "plain").write_text("as any other program writes it")
        (tmp_path / "plain folder").mkdir()
        for _ in range(2):  # new, and in the place of another
            write_text(tmp_path / "file", "text")
            with replacing_folder(tmp_path / "folder") as aside:
                (aside / "w").write_text("1")
    mode = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert mode["file"] == mode["plain"] == 0o666 & ~mask
    assert mode["folder"] == mode["plain folder"] == 0o777 & ~mask
    assert (tmp_path / "folder" / "w").stat().st_mode & 0o777 == 0o666 & ~mask
