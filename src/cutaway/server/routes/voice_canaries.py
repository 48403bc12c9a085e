"""The prompts every model answers, as a person may change them: what stands in canaries.toml of the writing."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from cutaway.base.errors import DataError, UsageError
from cutaway.server.lab import TheLab
from cutaway.server.voice_folders import find_writing

router = APIRouter(prefix="/voice/canaries")


class CanarySaid(BaseModel):
    """A prompt."""

    model_config = ConfigDict(extra="forbid")
    name: str
    """Empty: named when it is saved."""
    kind: Literal["known", "new", "long"]
    text: str
    max_tokens: int
    source: str = ""
    """The piece it is about, if there is one."""


class CanariesSaid(BaseModel):
    """Prompts, and how all of them are answered."""

    model_config = ConfigDict(extra="forbid")
    prompts: list[CanarySaid]
    temperature: float
    top_p: float | None = None
    seed: int
    samples: int
    """Answers to each prompt."""


class CanariesToKeep(CanariesSaid):
    """Prompts to be kept."""

    writing: str


@router.get("")
def canaries(lab: TheLab, writing: str) -> CanariesSaid:
    """Return a writing folder's prompts; chosen and written down the first time."""
    from cutaway.voice.canaries import canaries_of

    found = canaries_of(find_writing(lab.home, writing))
    return CanariesSaid.model_validate({"prompts": [vars(one) for one in found.prompts], **vars(found.settings)})


@router.post("")
def keep(lab: TheLab, asked: CanariesToKeep) -> CanariesSaid:
    """Keep prompts as a person wrote them. Answers to prompts that stay as they were stay too."""
    from cutaway.voice.canaries import FILE, canaries_from, write_canaries

    folder = find_writing(lab.home, asked.writing)
    if not asked.prompts:
        raise UsageError("there is no prompt left; add one")
    said = asked.model_dump(exclude={"writing"}, exclude_none=True)
    names = {one.name for one in asked.prompts}
    for one in said["prompts"]:
        one["text"] = one["text"].strip()
        one["name"] = one["name"].strip() or free_name(one["kind"], names)
        names.add(one["name"])
    try:
        found = canaries_from(said, "your prompts")
    except DataError as error:
        raise UsageError(str(error)) from None
    write_canaries(folder / FILE, found)
    return canaries(lab, asked.writing)


def free_name(kind: str, taken: set[str]) -> str:
    """Return the first free of new-1, new-2, ..."""
    number = 1
    while f"{kind}-{number}" in taken:
        number += 1
    return f"{kind}-{number}"
