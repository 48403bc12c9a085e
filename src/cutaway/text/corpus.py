"""Text from anywhere, cut into documents and split so that nothing measured was trained on.

A source is `stdlib`, `stdlib_names` (the names its files define), a file, a folder (read recursively) or a
glob pattern. A document is a file or a line. Documents are split by a hash of their *content*, so equal documents (a
name listed twice, a copied file) always fall on the same side. A single document is split by position instead: its
last part is the validation text.

Of the standard library we take modules first, then test suites (correct Python too, but repetitive), and
last what is tables rather than code: encodings, help texts, HTML entities, one machine's build settings.
CPython has some 600 files of the first kind, so of 1,000 files a third are tests. All is read as UTF-8
with `\\n` line ends; hidden files, and folders of caches or installed packages, are left out.
"""

from __future__ import annotations

import glob
import hashlib
import os
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from cutaway.base.errors import DataError
from cutaway.base.files import content_hash
from cutaway.text.config import DataConfig
from cutaway.text.identifiers import public_names

STDLIB_FILES = 1000
_TEST_FOLDERS = {"test", "tests", "idle_test"}
_TABLES = ("encodings/", "pydoc_data/", "html/entities.py", "_sysconfigdata", "config-")
_NOT_SOURCE = {"__pycache__", "site-packages", "dist-packages", "node_modules"}


@dataclass(frozen=True)
class Document:
    """One text with a beginning and an end."""

    name: str
    """Where it came from: a path relative to the source, with the line number when documents are lines."""
    text: str


@dataclass(frozen=True)
class Corpus:
    """Documents to learn from and documents to be measured on."""

    source: str
    documents: Literal["file", "line"]
    train: list[Document]
    validation: list[Document]
    n_files: int
    skipped: dict[str, int] = field(default_factory=dict)
    """How many files (or lines) were left out, by reason."""

    @cached_property
    def hash(self) -> str:
        """Return a hash of everything the documents say, and of the split."""
        parts = [f"{len(self.train)} {self.documents}"]
        parts += [document.text for document in [*self.train, *self.validation]]
        return content_hash(parts)

    @property
    def train_texts(self) -> list[str]:
        """The training documents' texts."""
        return [document.text for document in self.train]

    @property
    def validation_texts(self) -> list[str]:
        """The validation documents' texts."""
        return [document.text for document in self.validation]

    @property
    def n_documents(self) -> int:
        """Number of documents on both sides; a single text split in two counts as one."""
        both = {document.name for document in [*self.train, *self.validation]}
        return len(both)

    def describe(self) -> str:
        """Return one line: how much text there is, and what was left out."""
        n_characters = sum(len(text) for text in self.train_texts + self.validation_texts)
        what = "files" if self.documents == "file" else "lines"
        n_documents = f"{len(self.train):,} + {len(self.validation):,} {what}"
        line = f"{self.source}: {n_documents}, {n_characters:,} characters"
        if self.n_documents == 1:
            line = f"{self.source}: 1 text of {n_characters:,} characters, the last part for validation"
        return line + (f" (left out: {_count_reasons(self.skipped)})" if self.skipped else "")


def read_corpus(config: DataConfig, seed: int = 0) -> Corpus:
    """Read, cut and split the text a run is about.

    Args:
        seed: chooses which documents are kept for validation.

    Raises:
        DataError: nothing is there, or nothing that is text.
    """
    root, paths, ordered = _find_files(config)
    limit = config.max_files or (STDLIB_FILES if config.source in ("stdlib", "stdlib_names") else None)
    skipped: Counter[str] = Counter()
    files: list[Document] = []
    if limit is not None and not ordered:
        paths = sorted(paths, key=lambda path: _path_order(_relative(path, root)))
    for path in paths:
        if len(files) == limit:
            break
        text, reason = _read_text(path)
        if reason:
            skipped[reason] += 1
        else:
            files.append(Document(_relative(path, root), text))
    if not files:
        if len(paths) == 1:
            raise DataError(f"nothing to read in {paths[0]}: it is {next(iter(skipped))}; expected UTF-8 text")
        raise DataError(
            f"nothing to read in {config.source!r}: of {len(paths)} files, "
            f"{_count_reasons(skipped)}; expected UTF-8 text"
        )
    files.sort(key=lambda file: file.name)
    if config.source == "stdlib_names":
        files = [Document("stdlib_names", "\n".join(public_names(file.text for file in files)) + "\n")]
    documents = files
    assert config.documents != "conversation"  # a recipe says so only of what it tunes
    if config.documents == "line":
        documents = list(_lines(files))
        n_blank = sum(file.text.count("\n") + (not file.text.endswith("\n")) for file in files) - len(documents)
        if n_blank:
            skipped["blank lines"] += n_blank
    train, validation = _split(documents, config.validation_fraction, seed)
    return Corpus(config.source, config.documents, train, validation, len(files), dict(skipped))


def _find_files(config: DataConfig) -> tuple[Path, list[Path], bool]:
    """Return the folder names are relative to, the files, and whether they are in order of preference."""
    source = config.source
    if source in ("stdlib", "stdlib_names"):
        root = Path(sysconfig.get_path("stdlib"))
        relative = [path for path in _walk(root) if path.endswith(".py")]
        if not relative:
            raise DataError(
                f"this Python has no standard library source in {root}; give a file or a folder with --data.source"
            )
        return root, [root / path for path in sorted(relative, key=_stdlib_order)], True
    path = Path(source).expanduser()
    if path.is_file():
        return path.parent, [path], False
    if path.is_dir():
        found = sorted(_walk(path))
        if not found:
            raise DataError(f"the folder {source!r} has no files in it; expected text files")
        return path, [path / name for name in found], False
    if glob.has_magic(source):
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
        matched = [match for match in matches if match.is_file()]
        if not matched:
            raise DataError(f"no file matches the pattern {source!r} (looked from {Path.cwd()})")
        return Path(), matched, False
    raise DataError(
        f"there is no file or folder {source!r} (looked from {Path.cwd()}); "
        f"expected 'stdlib', a text file, a folder or a pattern such as 'notes/**/*.md'"
    )


def _walk(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _NOT_SOURCE]
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file():
                yield path.relative_to(root).as_posix()


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _path_order(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()


def _stdlib_order(path: str) -> tuple[int, str]:
    if path.startswith(_TABLES):
        kind = 2
    else:
        kind = 1 if _TEST_FOLDERS.intersection(path.split("/")) else 0
    return kind, _path_order(path)


def _read_text(path: Path) -> tuple[str, str]:
    """Return the text and an empty reason, or an empty text and the reason it cannot be used."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return "", f"unreadable ({(error.strerror or str(error)).lower()})"
    if b"\0" in data:
        return "", "binary"
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "", "not UTF-8"
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return (text, "") if text.strip() else ("", "empty")


def _lines(files: Iterable[Document]) -> Iterator[Document]:
    for file in files:
        for number, line in enumerate(file.text.split("\n"), 1):
            if line.strip():
                yield Document(f"{file.name}:{number}", line)


def _split(documents: list[Document], fraction: float, seed: int) -> tuple[list[Document], list[Document]]:
    if len(documents) == 1:
        (document,) = documents
        middle = int(len(document.text) * (1 - fraction))
        parts = [
            Document(document.name, document.text[:middle]),
            Document(document.name, document.text[middle:]),
        ]
        return parts[:1], [part for part in parts[1:] if part.text]
    if not fraction:
        return documents, []
    keys = [hashlib.sha256(f"{seed}/{document.text}".encode()).digest() for document in documents]
    in_order = sorted(keys)
    n_validation = min(max(1, round(len(documents) * fraction)), len(documents) - 1)
    # Equal texts have equal keys, so comparing keys (not counting) keeps them on one side.
    boundary = in_order[n_validation]
    validation = [document for document, key in zip(documents, keys, strict=True) if key < boundary]
    train = [document for document, key in zip(documents, keys, strict=True) if key >= boundary]
    return train, validation


def _count_reasons(reasons: dict[str, int] | Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
