"""Texts a person gives to the lab: kept in one folder of the home, under a checked name, up to a size."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from cutaway.base.errors import UsageError
from cutaway.base.files import check_name, replacing_file
from cutaway.server.lab import TheLab
from cutaway.server.safety import MAX_UPLOAD_BYTES

router = APIRouter()

UPLOADS = "uploads"
"""The folder of texts a person has given, beside the runs."""


class Upload(BaseModel):
    """A text that was kept."""

    source: str
    """What to give as `data.source`."""
    characters: int
    lines: int


@router.post("/uploads/{name}")
async def upload(lab: TheLab, name: str, request: Request) -> Upload:
    """Keep a text file for training on; the body is the file. A file of the same name and text is kept once."""
    path = lab.home / UPLOADS / check_name(name, "file name")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_UPLOAD_BYTES:
            raise UsageError(
                f"{name!r} is larger than {MAX_UPLOAD_BYTES >> 20} MB; put it into a folder and give its path instead"
            )
        parts.append(part)
    data = b"".join(parts)
    return await run_in_threadpool(keep_upload, path, data)


def keep_upload(path: Path, data: bytes) -> Upload:
    """Write an uploaded text.

    Raises:
        UsageError: it is not text, or another text of this name is there.
    """
    if b"\0" in data:
        raise UsageError(f"{path.name!r} is not text but binary; expected a text file in UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path.name!r} is not text in UTF-8; save it as UTF-8 and try again") from None
    if not text.strip():
        raise UsageError(f"{path.name!r} is empty; expected a text file")
    if path.parent.is_symlink() or path.is_symlink():
        raise UsageError(f"{path} is a link; the lab does not write through links")
    if path.exists() and path.read_bytes() != data:
        raise UsageError(f"there is another text called {path.name!r} already; rename yours")
    with replacing_file(path) as aside:
        aside.write_bytes(data)
    return Upload(source=str(path), characters=len(text), lines=len(text.splitlines()))
