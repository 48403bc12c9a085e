"""Pieces to prompts and answers, in tiers, with whole pieces held out.

    draft          a rough draft, given by the person  ->  the finished piece
    essay, note    its topic                           ->  the piece
    message        what it answered                    ->  the message
    continuation   the opening                         ->  the rest
    paragraph      topic and the paragraph before      ->  the next paragraph  (about ten times as many)

No piece makes more than a set share of the training pairs: a long one would otherwise be what the model learns. Paragraphs
go first, spread evenly. The person may change every topic in topics.toml.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from cutaway.base.errors import DataError, UsageError, suggest
from cutaway.base.files import write_text
from cutaway.interop.conversations import Conversation, conversation
from cutaway.voice.piece import Piece, slug
from cutaway.voice.split import Split, split

TIERS = ("draft", "essay", "note", "message", "continuation", "paragraph")
PROMPTS = {
    "draft": "Rewrite this rough draft as a finished piece.\n\n{draft}",
    "essay": "Write an essay about this topic: {topic}",
    "note": "Write a short note about this topic: {topic}",
    "message": "{asked}",
    "continuation": "Continue this piece.\n\n{opening}",
    "paragraph": "Write the next paragraph of a piece about this topic: {topic}\n\n{before}",
    "first paragraph": "Write the first paragraph of a piece about this topic: {topic}",
}
OPENING_WORDS = 40
REST_WORDS = 60
"""A continuation shorter than this teaches little."""
PARAGRAPH_WORDS = 25
"""Shorter paragraphs go together with the next."""
FEWEST_PAIRS, FEWEST_PIECES = 10, 3
TOPIC_WORDS = 16


@dataclass(frozen=True)
class PairSettings:
    """How pairs are made."""

    seed: int = 0
    held_out_share: float = 0.1
    largest_share: float = 0.15
    tiers: tuple[str, ...] = TIERS


@dataclass(frozen=True)
class Pair:
    """A prompt, its answer, and the piece both are from."""

    prompt: str
    response: str
    tier: str
    source: str
    date: str | None = None

    def conversation(self) -> Conversation:
        """Return it as other tools keep it."""
        about = {"tier": self.tier, "source": self.source} | ({"date": self.date} if self.date else {})
        return conversation(self.prompt, self.response, **about)


@dataclass(frozen=True)
class Pairs:
    """The pairs to train on and those held out."""

    train: list[Pair]
    held_out: list[Pair]
    split: Split
    dropped: dict[str, int]
    """How many pairs of a piece were left out to keep it under the largest share."""
    largest: tuple[str, float]
    """The piece with most training pairs and its share of them."""
    remarks: list[str]

    def tiers(self) -> dict[str, dict[str, int]]:
        """Return how many pairs of each tier are in training and held out."""
        train, held = Counter(pair.tier for pair in self.train), Counter(pair.tier for pair in self.held_out)
        return {tier: {"train": train[tier], "held_out": held[tier]} for tier in TIERS if train[tier] or held[tier]}


def make_pairs(
    pieces: Sequence[Piece],
    settings: PairSettings | None = None,
    topics: dict[str, str] | None = None,
    drafts: dict[str, str] | None = None,
) -> Pairs:
    """Make pairs of all finished pieces and hold whole pieces out.

    Args:
        topics: by the piece's name; where none is given the title or first sentence serves.
        drafts: rough drafts by the name of their finished piece.

    Raises:
        UsageError: a setting makes no sense.
        DataError: there are too few pieces or pairs, or a draft belongs to no piece.
    """
    settings = settings or PairSettings()
    _check(settings)
    topics, drafts = topics or {}, drafts or {}
    finished = [piece for piece in pieces if piece.kind not in ("footnote", "draft", "page")]
    if lost := sorted(set(drafts) - {piece.name for piece in finished}):
        known = [piece.name for piece in finished]
        raise DataError(
            f"the draft {lost[0]!r} belongs to no finished piece{suggest(lost[0], known)}; name it like one"
        )
    made = {
        piece.name: [
            pair
            for pair in pairs_of(piece, topics.get(piece.name) or topic_of(piece), drafts.get(piece.name, ""))
            if pair.tier in settings.tiers
        ]
        for piece in finished
    }
    total, makers = sum(map(len, made.values())), sum(1 for mine in made.values() if mine)
    if total < FEWEST_PAIRS or makers < FEWEST_PIECES:
        raise DataError(
            f"{total} pairs from {makers} pieces are too few: at least {FEWEST_PAIRS} pairs from {FEWEST_PIECES} pieces "
            f"are needed, and about 100 pairs from 20 pieces before a held-out loss says much; import more writing"
        )
    parted = split([piece for piece in finished if made[piece.name]], settings.held_out_share, settings.seed)
    train, dropped, remarks = under_share([made[name] for name in parted.train], settings)
    counts = Counter(pair.source for pair in train)
    name, count = counts.most_common(1)[0]
    held = [pair for name in parted.held_out for pair in made[name]]
    return Pairs(train, held, parted, dropped, (name, count / len(train)), remarks)


def _check(settings: PairSettings) -> None:
    if not 0 < settings.held_out_share < 1:
        raise UsageError(f"the held-out share is {settings.held_out_share}; expected between 0 and 1, as 0.1")
    if not 0 < settings.largest_share <= 1:
        raise UsageError(f"the largest share is {settings.largest_share}; expected above 0 and at most 1, as 0.15")
    for tier in settings.tiers:
        if tier not in TIERS:
            raise UsageError(f"there is no tier {tier!r}{suggest(tier, TIERS)}; there is {', '.join(TIERS)}")


def pairs_of(piece: Piece, topic: str, draft: str = "") -> list[Pair]:
    """Return every pair of one piece, the most telling first."""

    def pair(prompt: str, response: str, tier: str, **words: str) -> Pair:
        return Pair(PROMPTS[prompt].format(**words), response, tier, piece.name, piece.date)

    found = []
    text = piece.text.strip()
    if not text:
        return []
    if draft.strip():
        found.append(pair("draft", text, "draft", draft=draft.strip()))
    if piece.kind in ("message", "reply"):
        if piece.prompt.strip():
            found.append(pair("message", text, "message", asked=piece.prompt.strip()))
    else:
        tier = "essay" if piece.kind == "essay" else "note"
        found.append(pair(tier, text, tier, topic=topic))
    paragraphs = paragraphs_of(piece)
    opening, rest = _opening(paragraphs)
    if rest:
        found.append(pair("continuation", rest, "continuation", opening=opening))
    if len(paragraphs) > 1:
        found.append(pair("first paragraph", paragraphs[0], "paragraph", topic=topic))
        for before, after in pairwise(paragraphs):
            found.append(pair("paragraph", after, "paragraph", topic=topic, before=before))
    return found


def paragraphs_of(piece: Piece) -> list[str]:
    """Return a piece's paragraphs; headings and short ones go together with what follows."""
    found: list[str] = []
    held = ""
    for block in piece.blocks:
        if block.kind == "rule":
            continue
        held = f"{held}\n\n{block.text}" if held else block.text
        if block.kind != "heading" and len(held.split()) >= PARAGRAPH_WORDS:
            found.append(held)
            held = ""
    if held and found:
        found[-1] += f"\n\n{held}"
    elif held:
        found.append(held)
    return found


def _opening(paragraphs: list[str]) -> tuple[str, str]:
    """Return the first paragraphs of forty words or more, and the rest if it is worth continuing."""
    for count in range(1, len(paragraphs)):
        opening, rest = "\n\n".join(paragraphs[:count]), "\n\n".join(paragraphs[count:])
        if len(opening.split()) >= OPENING_WORDS:
            return opening, rest if len(rest.split()) >= REST_WORDS else ""
    return "", ""


def topic_of(piece: Piece) -> str:
    """Return what a piece is about: its title, else its first sentence, shortened."""
    if piece.title.strip():
        return piece.title.strip().rstrip(".")
    words = re.sub(r"[*_#>`]+", "", piece.text).split()
    first: list[str] = []
    for word in words[:TOPIC_WORDS]:
        first.append(word)
        if word.endswith((".", "!", "?")) and len(first) > 2:
            break
    return " ".join(first).rstrip(".,;:")


def under_share(by_piece: list[list[Pair]], settings: PairSettings) -> tuple[list[Pair], dict[str, int], list[str]]:
    """Leave pairs out until no piece has more than its share of those that remain.

    With m pairs at most from each piece there are sum(min(n, m)) in all; the largest m not above the share of that
    is taken.
    """
    counts = [len(mine) for mine in by_piece]
    most = max(counts)
    while most > 1 and most > settings.largest_share * sum(min(count, most) for count in counts):
        most -= 1
    remarks = []
    if most > settings.largest_share * sum(min(count, most) for count in counts):
        needed = -(-1 // settings.largest_share)
        remarks.append(
            f"{len(by_piece)} pieces cannot all stay under {settings.largest_share:.0%} of the pairs; that takes "
            f"{needed:.0f} or more, so nothing was left out"
        )
        most = max(counts)
    kept, dropped = [], {}
    for mine in by_piece:
        if len(mine) > most:
            dropped[mine[0].source] = len(mine) - most
        kept += _thinned(mine, most, settings.seed)
    return kept, dropped, remarks


def _thinned(mine: list[Pair], most: int, seed: int) -> list[Pair]:
    """Return at most so many pairs: whole-piece tiers before paragraphs, paragraphs by a draw the seed decides."""

    def rank(pair: Pair) -> tuple[bool, bytes]:
        drawn = hashlib.sha256(f"{seed}\0{pair.source}\0{pair.prompt}".encode()).digest()
        return pair.tier == "paragraph", drawn if pair.tier == "paragraph" else b""

    chosen = {id(pair) for pair in sorted(mine, key=rank)[:most]}
    return [pair for pair in mine if id(pair) in chosen]


def read_topics(path: Path) -> dict[str, str]:
    """Return the topics a person keeps in a file; none if there is no file.

    Raises:
        DataError: the file is broken; the line is named.
    """
    if not path.is_file():
        return {}
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}; mend that line or delete the file") from error
    for name, topic in data.items():
        if not isinstance(topic, str) or not topic.strip():
            raise DataError(f"{path}: the topic of {name!r} is empty or no text; write one or delete the line")
    return data


def write_topics(path: Path, pieces: Sequence[Piece], changed: Mapping[str, str] | None = None) -> None:
    """Write a topic for every piece, keeping those the person changed; an empty one is the title again."""
    known = read_topics(path) | {name: " ".join(topic.split()) for name, topic in (changed or {}).items()}
    lines = ["# What each piece is about, as its prompts say it. Change any line; yours are kept."]
    for piece in pieces:
        if piece.kind not in ("footnote", "draft", "page"):
            topic = known.get(piece.name) or topic_of(piece)
            lines.append(f"{json.dumps(piece.name)} = {json.dumps(topic, ensure_ascii=False)}")
    write_text(path, "\n".join(lines).replace("\x7f", "") + "\n")


def match_drafts(drafts: Sequence[Piece], finished: Sequence[Piece]) -> dict[str, str]:
    """Return drafts by the name of their finished piece, matched by file name or title.

    Raises:
        DataError: a draft fits no piece.
    """
    by_key: dict[str, str] = {}
    for piece in finished:
        for key in (piece.name, slug(piece.title), slug(piece.source.rsplit("/", 1)[-1].rsplit(".", 1)[0])):
            by_key.setdefault(key, piece.name)
    found: dict[str, list[str]] = defaultdict(list)
    for draft in drafts:
        stem = slug(draft.source.rsplit("/", 1)[-1].rsplit(".", 1)[0])
        name = by_key.get(stem) or by_key.get(slug(draft.title))
        if name is None:
            raise DataError(
                f"the draft {draft.source} fits no piece by name or title{suggest(stem, by_key)}; rename it"
            )
        found[name].append(draft.text)
    return {name: texts[0] for name, texts in found.items()}
