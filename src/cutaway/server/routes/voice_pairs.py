"""What the Writing tab asks about pairs: topics, drafts, making pairs, and looking at them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from cutaway.base.errors import CutawayError, DataError, UsageError
from cutaway.server import voice_uploads
from cutaway.server.lab import Lab, TheLab
from cutaway.server.voice_folders import find_writing, read_json

router = APIRouter(prefix="/voice")


class Topic(BaseModel):
    """What a piece is about, as its prompts say it."""

    piece: str
    title: str
    kind: str
    topic: str
    suggested: str
    """From its title or first sentence; what stands there where the person wrote none."""


class Topics(BaseModel):
    """All topics of a folder."""

    topics: list[Topic]


class TopicsAsked(BaseModel):
    """Topics that were changed; an empty one is the suggested one again."""

    writing: str
    topics: dict[str, str]


class DraftsAsked(BaseModel):
    """An upload with rough drafts, named or titled like the finished pieces."""

    writing: str
    upload: str


class Drafts(BaseModel):
    """The pieces of which there is a rough draft."""

    pieces: list[str]


class PairsAskedFor(BaseModel):
    """How to make pairs."""

    writing: str
    seed: int = 0
    held_out: float = 0.1
    largest_share: float = 0.15
    tiers: list[str] = []
    """None: all."""
    model: str = ""
    """The model whose tokens are counted; none: estimated from words."""
    context: int | None = None


class TierCount(BaseModel):
    """How many pairs of a tier there are."""

    tier: str
    train: int
    held_out: int


class SplitPairSaid(BaseModel):
    """A pair that does not fit, and where it would be parted."""

    source: str
    tier: str
    tokens: int
    parts: int
    after: list[str]


class BudgetSaid(BaseModel):
    """What fits a context."""

    context: int
    fits: int
    parts: int
    tokens: int
    longest: int
    split: list[SplitPairSaid]


class PairsReport(BaseModel):
    """What was made."""

    train: int
    held_out: int
    tiers: list[TierCount]
    train_pieces: int
    held_out_pieces: list[str]
    moved: list[str]
    near_duplicates: list[list[str]]
    overlapping: list[tuple[str, str, float]]
    """(held out, training, share of 13-grams) of what little is left in common."""
    largest_piece: str
    largest_share: float
    dropped: dict[str, int]
    drafts: list[str]
    tokens: str
    """`counted` or `estimated`."""
    budgets: list[BudgetSaid]
    remarks: list[str]
    settings: dict[str, Any]


class PairsNow(BaseModel):
    """The pairs of a folder."""

    report: PairsReport | None
    is_stale: bool
    """Whether pieces, topics or drafts changed after the pairs were made."""
    all_tiers: list[str]
    drafts: list[str]
    """The pieces of which there is a rough draft now."""
    drafts_problem: str
    titles: dict[str, str]


class PairHead(BaseModel):
    """A pair in the list."""

    index: int
    tier: str
    source: str
    title: str
    prompt: str
    response: str
    """Their first words."""
    words: int
    """Of the answer."""


class PairList(BaseModel):
    """Some of the pairs of a side."""

    total: int
    pairs: list[PairHead]


class Turn(BaseModel):
    """One message of a pair."""

    role: str
    text: str


class PairShown(BaseModel):
    """One pair, whole."""

    index: int
    side: str
    tier: str
    source: str
    title: str
    date: str | None
    turns: list[Turn]


FIRST_WORDS = 24


@router.get("/topics")
def topics(lab: TheLab, writing: str) -> Topics:
    """Return what each piece is about."""
    return topics_now(find_writing(lab.home, writing))


@router.post("/topics")
def save_topics(lab: TheLab, asked: TopicsAsked) -> Topics:
    """Save topics the person wrote."""
    from cutaway.voice.pairs import write_topics
    from cutaway.voice.writing_folder import pieces_of

    folder = find_writing(lab.home, asked.writing)
    pieces = pieces_of(folder)
    known = {piece.name for piece in pieces}
    for name in asked.topics:
        if name not in known:
            raise DataError(f"there is no piece {name!r} in {asked.writing}; it may have been imported anew")
    write_topics(folder / "topics.toml", pieces, asked.topics)
    return topics_now(folder)


def topics_now(folder: Path) -> Topics:
    """Return what each piece is about."""
    from cutaway.voice.pairs import read_topics, topic_of
    from cutaway.voice.writing_folder import pieces_of

    known = read_topics(folder / "topics.toml")
    return Topics(
        topics=[
            Topic(
                piece=piece.name,
                title=piece.title,
                kind=piece.kind,
                topic=known.get(piece.name) or topic_of(piece),
                suggested=topic_of(piece),
            )
            for piece in pieces_of(folder)
            if piece.kind not in ("footnote", "draft", "page")
        ]
    )


@router.post("/drafts")
def save_drafts(lab: TheLab, asked: DraftsAsked) -> Drafts:
    """Keep rough drafts that were uploaded, if every one fits a piece; they take the place of those before."""
    from cutaway.voice.writing_folder import DRAFTS, drafts_of, pieces_of

    folder = find_writing(lab.home, asked.writing)
    with voice_uploads.given(lab.home, asked.upload) as source:
        found = drafts_of(folder, pieces_of(folder), source)
        place = folder / DRAFTS
        shutil.rmtree(place, ignore_errors=True)
        if source.is_dir():
            shutil.copytree(source, place)
        else:
            place.mkdir()
            shutil.copy(source, place / source.name)
    return Drafts(pieces=sorted(found))


@router.delete("/drafts")
def forget_drafts(lab: TheLab, writing: str) -> Drafts:
    """Take the rough drafts away."""
    from cutaway.voice.writing_folder import DRAFTS

    shutil.rmtree(find_writing(lab.home, writing) / DRAFTS, ignore_errors=True)
    return Drafts(pieces=[])


@router.get("/pairs")
def pairs(lab: TheLab, writing: str) -> PairsNow:
    """Return what is known of a folder's pairs."""
    return pairs_now(find_writing(lab.home, writing))


@router.post("/pairs")
def make_pairs(lab: TheLab, asked: PairsAskedFor) -> PairsNow:
    """Make pairs, hold whole pieces out, and write both sides."""
    from cutaway.voice.pairs import TIERS
    from cutaway.voice.writing_folder import PairsAsked, pairs_in

    folder = find_writing(lab.home, asked.writing)
    pairs_in(
        folder,
        PairsAsked(
            seed=asked.seed,
            held_out=asked.held_out,
            largest_share=asked.largest_share,
            tiers=tuple(asked.tiers or TIERS),
            tokenizer=model_folder(lab, asked.model) if asked.model else None,
            context=asked.context,
        ),
    )
    return pairs_now(folder)


def model_folder(lab: Lab, name: str) -> Path:
    """Return the folder of a model of the lab: its settings and tokenizer."""
    from cutaway.server.model_places import find_place

    return find_place(name, lab.home, lab.models.given).folder


def pairs_now(folder: Path) -> PairsNow:
    """Return what is known of a folder's pairs."""
    from cutaway.voice.pairs import TIERS
    from cutaway.voice.writing_folder import DRAFTS, drafts_of, pieces_of

    pieces = pieces_of(folder)
    try:
        drafts, problem = sorted(drafts_of(folder, pieces)), ""
    except CutawayError as error:
        drafts, problem = [], str(error)
    said = read_json(folder / "pairs.json")
    report = None
    if said:
        report = PairsReport(
            **{name: value for name, value in said.items() if name in PairsReport.model_fields and name != "tiers"}
            | {"train_pieces": said.get("train_pieces", 0), "drafts": said.get("drafts", [])},
            tiers=[TierCount(tier=tier, **counts) for tier, counts in said["tiers"].items()],
            largest_piece=said["largest"]["piece"],
            largest_share=said["largest"]["share"],
        )
    sources = ("pieces.jsonl", "cleaned.jsonl", "topics.toml", DRAFTS)
    made = _time(folder / "pairs.json")
    return PairsNow(
        report=report,
        is_stale=bool(said)
        and (any(_time(folder / name) > made for name in sources) or sorted(said.get("drafts", [])) != drafts),
        all_tiers=list(TIERS),
        drafts=drafts,
        drafts_problem=problem,
        titles={piece.name: piece.title or piece.name for piece in pieces},
    )


def _time(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@router.get("/pair-list")
def pair_list(
    lab: TheLab, writing: str, side: str = "train", tier: str = "", source: str = "", offset: int = 0, limit: int = 40
) -> PairList:
    """Return pairs of a side, of one tier or one piece if asked."""
    folder = find_writing(lab.home, writing)
    titles = titles_of(folder)
    found = [
        (index, one)
        for index, one in enumerate(side_of(folder, side))
        if (not tier or one.about.get("tier") == tier) and (not source or one.about.get("source") == source)
    ]
    heads = []
    for index, one in found[max(0, offset) : max(0, offset) + min(limit, 200)]:
        name = str(one.about.get("source", ""))
        first, last = one.messages[0].content.split(), one.messages[-1].content.split()
        heads.append(
            PairHead(
                index=index,
                tier=str(one.about.get("tier", "")),
                source=name,
                title=titles.get(name, name),
                prompt=" ".join(first[:FIRST_WORDS]),
                response=" ".join(last[:FIRST_WORDS]),
                words=len(last),
            )
        )
    return PairList(total=len(found), pairs=heads)


@router.get("/pair")
def pair(lab: TheLab, writing: str, side: str, index: int) -> PairShown:
    """Return one pair, whole."""
    folder = find_writing(lab.home, writing)
    every = side_of(folder, side)
    if not 0 <= index < len(every):
        raise DataError(f"there is no pair {index} in {side}; it has {len(every)}")
    one = every[index]
    name = str(one.about.get("source", ""))
    return PairShown(
        index=index,
        side=side,
        tier=str(one.about.get("tier", "")),
        source=name,
        title=titles_of(folder).get(name, name),
        date=one.about.get("date"),
        turns=[Turn(role=message.role, text=message.content) for message in one.messages],
    )


def titles_of(folder: Path) -> dict[str, str]:
    """Return the pieces' titles by their names."""
    from cutaway.server.voice_writing import imported

    return {piece.name: piece.title or piece.name for piece in imported(folder)}


def side_of(folder: Path, side: str) -> list[Any]:
    """Return the pairs of a side.

    Raises:
        UsageError: there is no such side.
        DataError: no pairs were made.
    """
    from cutaway.server.voice_writing import conversations

    if side not in ("train", "held_out"):
        raise UsageError(f"there is no side {side!r}; there is train and held_out")
    path = next((path for ending in ("jsonl", "txt") if (path := folder / f"{side}.{ending}").is_file()), None)
    if path is None:
        raise DataError(f"{folder.name} has no pairs yet; make them first")
    return conversations(path)
