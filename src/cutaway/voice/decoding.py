"""Bytes to text, saying which encoding they were in.

UTF-8 is tried first: other encodings are almost never valid UTF-8 by chance. What is not is read line by line, so that a
file that was pasted together from UTF-8 and Windows-1252 comes out right, and the lines are named.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from cutaway.base.errors import DataError

MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True)
class Decoded:
    """Text, and how it was read."""

    text: str
    encoding: str
    remark: str = ""
    """What the person should know, if anything."""


def decode(data: bytes, name: str, declared: str | None = None) -> Decoded:
    """Return the text of a file.

    Args:
        declared: what the file says of itself, believed where it is not UTF-8.

    Raises:
        DataError: it is no text.
    """
    for mark, encoding in MARKS:
        if data.startswith(mark):
            try:
                return Decoded(_lines(data[len(mark) :].decode(encoding)), encoding)
            except UnicodeDecodeError as error:
                raise DataError(f"{name} begins as {encoding} and is not; save it as UTF-8") from error
    if b"\0" in data:
        raise DataError(f"{name} is not text (it holds zero bytes)")
    try:
        return Decoded(_lines(data.decode("utf-8")), "utf-8")
    except UnicodeDecodeError:
        pass
    if declared and codecs_knows(declared):
        try:
            return Decoded(_lines(data.decode(declared)), declared, f"read as {declared}, as it says of itself")
        except UnicodeDecodeError:
            pass
    lines, other, utf8 = [], [], False
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        try:
            lines.append(line.decode("utf-8"))
            utf8 = utf8 or not line.isascii()
        except UnicodeDecodeError:
            lines.append(_windows(line))
            other.append(number)
    text = _lines("".join(lines))
    if not utf8:
        return Decoded(text, "windows-1252", "not UTF-8; read as Windows-1252")
    named = ", ".join(map(str, other[:5])) + (f" and {len(other) - 5} more" if len(other) > 5 else "")
    return Decoded(text, "mixed", f"mixed encodings: UTF-8, but Windows-1252 at line {named}")


def codecs_knows(name: str) -> bool:
    """Whether Python has a text encoding of this name."""
    try:
        return codecs.lookup(name)._is_text_encoding
    except (LookupError, ValueError):
        return False


def _windows(line: bytes) -> str:
    """Windows-1252 leaves five bytes undefined; they are read as browsers read them."""
    return "".join(bytes([byte]).decode("cp1252", errors="ignore") or chr(byte) for byte in line)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
