"""What the Paint screen asks first: what paints, how a prompt is read, which words there are to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from pydantic import BaseModel, Field

from cutaway.server.lab import TheLab
from cutaway.server.painters import PainterFacts
from cutaway.server.routes import (
    paint_between,
    paint_field,
    paint_gif,
    paint_latent,
    paint_look,
    paint_pictures,
    paint_trace,
    paint_train,
)

if TYPE_CHECKING:
    from cutaway.diffusion.text_conditioner import CaptionTokenizer

router = APIRouter(prefix="/paint")
for _part in (
    paint_pictures,
    paint_look,
    paint_between,
    paint_latent,
    paint_field,
    paint_gif,
    paint_trace,
    paint_train,
):
    router.include_router(_part.router)

LONGEST_PROMPT = 2000
GROUPS = {
    "creature": ("cat", "dog", "rabbit", "bear", "fox", "owl", "fish", "snail"),
    "colour": ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"),
    "size": ("tiny", "small", "big"),
    "worn": ("hat", "scarf", "glasses", "bow", "boots"),
    "place": ("meadow", "night", "beach"),
}
"""Words of our own drawings that may take each other's place."""


class Painters(BaseModel):
    """What can paint."""

    painters: list[PainterFacts]
    """Runs, newest first, then folders, then the one that comes with the package; parts alone are among them."""


class PromptAsked(BaseModel):
    """A prompt as somebody types it."""

    model: str
    prompt: str = Field(max_length=LONGEST_PROMPT)


class PromptWord(BaseModel):
    """A word of a prompt, as it stands between two spaces."""

    text: str
    is_known: bool
    """false: the model never saw it, and it is left out."""
    is_lost: bool = False
    """There is no place for it: the prompt is too long."""


class PromptRead(BaseModel):
    """How a model reads a prompt."""

    words: list[PromptWord]
    unknown: list[str]
    """Each once, as the model cuts it."""


class WordGroup(BaseModel):
    """Words of one kind, which may take each other's place."""

    name: str
    words: list[str]


class Words(BaseModel):
    """The words a model can be told."""

    known: list[str]
    """All of them; empty where the encoder reads pieces of words and so any word."""
    groups: list[WordGroup]
    """Those of our own drawings, by what they say."""


@router.get("/painters")
def painters(lab: TheLab) -> Painters:
    """Return what can paint."""
    return Painters(painters=lab.painters.list())


@router.post("/read")
def read(lab: TheLab, asked: PromptAsked) -> PromptRead:
    """Return how a model reads a prompt: its words, and which of them it never saw."""
    painter = lab.painters.open(asked.model).painter
    chunks = asked.prompt.split()
    if painter.text is None:
        known = not painter.names or asked.prompt.strip() in (*painter.names, "")
        return PromptRead(
            words=[PromptWord(text=chunk, is_known=known) for chunk in chunks],
            unknown=[] if known else [asked.prompt.strip()],
        )
    tokenizer = painter.text.tokenizer
    said = [
        PromptWord(text=chunk, is_known=not tokenizer.unknown_words(chunk), is_lost=is_lost(tokenizer, chunks[: i + 1]))
        for i, chunk in enumerate(chunks)
    ]
    return PromptRead(words=said, unknown=tokenizer.unknown_words(asked.prompt))


def is_lost(tokenizer: CaptionTokenizer, chunks: list[str]) -> bool:
    """Whether there is no place for the last of these."""
    from cutaway.diffusion.word_tokenizer import WordTokenizer

    return isinstance(tokenizer, WordTokenizer) and bool(tokenizer.lost_words(" ".join(chunks)))


@router.get("/words")
def words(lab: TheLab, model: str) -> Words:
    """Return the words a model can be told."""
    from cutaway.diffusion.word_tokenizer import MARKS, WordTokenizer

    painter = lab.painters.open(model).painter
    if painter.text is None:
        return Words(known=list(painter.names), groups=[WordGroup(name="labels", words=list(painter.names))])
    tokenizer = painter.text.tokenizer
    known = sorted(set(tokenizer.inner.get_vocab()) - {*MARKS}) if isinstance(tokenizer, WordTokenizer) else []
    groups = [
        WordGroup(name=name, words=[word for word in group if not tokenizer.unknown_words(word)])
        for name, group in GROUPS.items()
    ]
    return Words(known=known, groups=[group for group in groups if len(group.words) > 1])
