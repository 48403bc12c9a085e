"""The files of an export, in a folder or in a zip, read with care.

A zip comes from elsewhere: names that lead out of it, links, passwords, and archives that unpack to far more than they
are (zip bombs) are refused before anything is read. Nothing is ever unpacked to the disk.
"""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Protocol

from cutaway.base.errors import DataError

MOST_FILES = 200_000
LARGEST_FILE = 1 << 29
LARGEST_ARCHIVE = 4 << 30
LARGEST_RATIO = 250
"""Deflate cannot pack text better than about 1:1030; real exports stay under 1:30."""
RATIO_FROM = 1 << 20
"""Small files may pack well."""


class FoundFiles(Protocol):
    """Files by name, with forward slashes."""

    label: str

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""


class FolderFiles:
    """The files under a folder; hidden ones and links that lead out of it are left out."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.label = folder, str(folder)

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        root = self.folder.resolve()
        found = []
        for path in self.folder.rglob("*"):
            parts = path.relative_to(self.folder).parts
            if _is_hidden("/".join(parts)) or not path.is_file():
                continue
            if path.resolve().is_relative_to(root):
                found.append("/".join(parts))
        return sorted(found)

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        path = self.folder / name
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise DataError(
                    f"{path} has {path.stat().st_size / 1e6:.0f} MB; at most {LARGEST_FILE / 1e6:.0f} are read"
                )
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from error


class ZipFiles:
    """The files in a zip, checked as a whole when opened."""

    def __init__(self, source: Path | bytes, label: str) -> None:
        self.label = label
        try:
            self.zip = zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source)
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
            raise DataError(f"{label} is not a zip that can be read ({error}); export it again") from error
        self.members = {info.filename: info for info in self.zip.infolist() if not info.is_dir()}
        self._check()

    def _check(self) -> None:
        infos = list(self.members.values())
        if len(infos) > MOST_FILES:
            raise DataError(
                f"{self.label} holds {len(infos):,} files, at most {MOST_FILES:,} are read; nothing was unpacked"
            )
        for info in infos:
            parts = PurePosixPath(info.filename).parts
            if info.filename.startswith(("/", "\\")) or ".." in parts or "\\" in info.filename or ":" in parts[0]:
                raise DataError(
                    f"{self.label} holds {info.filename!r}, a name that leads out of it; nothing was unpacked"
                )
            if stat.S_ISLNK(info.external_attr >> 16):
                raise DataError(f"{self.label} holds {info.filename!r}, a link; nothing was unpacked")
            if info.flag_bits & 1:
                raise DataError(f"{self.label} has a password; unpack it and give the folder")
            packed = info.file_size > RATIO_FROM and info.file_size > LARGEST_RATIO * max(info.compress_size, 1)
            if packed or (info.file_size > LARGEST_FILE and _is_text(info.filename)):
                raise DataError(
                    f"{self.label} looks like a zip bomb: {info.filename!r} has {info.compress_size:,} bytes and unpacks "
                    f"to {info.file_size:,}; nothing was unpacked"
                )
        if (total := sum(info.file_size for info in infos if _is_text(info.filename))) > LARGEST_ARCHIVE:
            raise DataError(f"{self.label} unpacks to {total / 1e9:.1f} GB of text; nothing was unpacked")

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        return sorted(name for name in self.members if not _is_hidden(name))

    def read(self, name: str) -> bytes:
        """Return a file's bytes, never more than the archive declared."""
        info = self.members[name]
        if info.file_size > LARGEST_FILE:
            raise DataError(f"{self.label}: {name} has {info.file_size / 1e6:.0f} MB; too large to read")
        try:
            with self.zip.open(info) as file:
                return file.read(info.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise DataError(f"{self.label}: {name} is damaged ({error}); export it again") from error


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _is_text(name: str) -> bool:
    """Pictures and films in an export are never read, so their size does not matter."""
    return PurePosixPath(name).suffix.lower() not in {
        ".jpg",
        ".jpeg",
        ".png",
        ".gif",
        ".mp4",
        ".mov",
        ".mp3",
        ".m4a",
        ".webp",
    }
