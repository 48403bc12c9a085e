"""Take away what is not the writing, by rules with names, each of which can be left out.

Importing keeps everything; every rule here looks at the kind a block had in its source, or at a whole paragraph's words,
and never at a word inside a sentence, except for URLs and footnote marks. Every change is kept (before, after, rule), so
that the person sees what each rule did and can run again without it. Paragraphs, emphasis, headings, quotes, lists stay.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from cutaway.base.errors import UsageError, suggest
from cutaway.voice.piece import WRITING, Block, Footnote, Piece

RULES = {
    "subscription_boxes": "boxes and lines that ask to subscribe",
    "share_buttons": "buttons and lines that ask to share, comment or like",
    "thanks_for_reading": "short paragraphs that thank for reading",
    "embeds": "cards of other posts",
    "captions": "captions of pictures",
    "mail_quotes": "what a mail quotes of others",
    "signatures": "signatures of mails",
    "footnote_marks": "footnote marks; the footnotes become pieces of their own",
    "urls": "addresses of links and pictures; the words of a link stay",
    "boilerplate": "paragraphs that stand in three or more different pieces",
}
KIND_RULES = {"subscribe": "subscription_boxes", "button": "share_buttons", "caption": "captions", "embed": "embeds",
              "reply_quote": "mail_quotes", "signature": "signatures"}  # fmt: skip
LINE_WORDS = 40
"""A paragraph longer than this is the writer's own, whatever it begins with."""
REPEATED_IN = 3
SUBSCRIBE = re.compile(
    r"^(subscribe( now| here| for free| to (get|receive|my|our|the)\b.*)?|type your email.*"
    r"|sign up( now| for my newsletter.*)?|upgrade to paid|become a (free or )?paid subscriber.*"
    r"|.{0,60}is a reader-supported publication.*)[.!:\u2026]*$",
    re.IGNORECASE,
)
SHARE = re.compile(
    r"^(share( this( post| article)?)?|share .{1,40}|leave a comment|comment|like|restack|tweet( this)?|refer a friend"
    r"|give a gift subscription|get more from .{1,40} in the substack app|click here to (tweet|share).*)[.!]*$",
    re.IGNORECASE,
)
THANKS = re.compile(r"^(thanks|thank you)( so much| very much)? for (reading|subscribing|being here)\b", re.IGNORECASE)
BUTTON_WORDS = 8
FOOTNOTE_MARK = re.compile(r"[ \t]?\[\^[^\]\s]{1,40}\]")
BARE_URL = re.compile(r"<?\b(https?://|www\.)[^\s<>\"]+[^\s<>\".,;:!?')\]*_]/?>?", re.IGNORECASE)


@dataclass(frozen=True)
class Change:
    """One block before and after a rule; after is empty where it was taken away."""

    piece: str
    rule: str
    before: str
    after: str


@dataclass(frozen=True)
class Cleaned:
    """The pieces that are left, and everything that was changed."""

    pieces: list[Piece]
    changes: list[Change]
    emptied: list[str]
    """Pieces of which nothing was left."""

    def counts(self) -> dict[str, dict[str, int]]:
        """Return for every rule how many blocks it changed, in how many pieces, and how many words it took."""
        answer = {}
        for rule in RULES:
            mine = [change for change in self.changes if change.rule == rule]
            words = sum(len(change.before.split()) - len(change.after.split()) for change in mine)
            answer[rule] = {"blocks": len(mine), "pieces": len({change.piece for change in mine}), "words": words}
        return answer

    def diff(self) -> str:
        """Return all changes as a diff, by piece, each under the rule that made it."""
        by_piece: dict[str, list[Change]] = defaultdict(list)
        for change in self.changes:
            by_piece[change.piece].append(change)
        lines = []
        for name, changes in by_piece.items():
            lines += [f"--- imported/{name}", f"+++ cleaned/{name}"]
            for change in changes:
                lines.append(f"@@ {change.rule} @@")
                lines += [f"-{line}" for line in change.before.split("\n")]
                lines += [f"+{line}" for line in change.after.split("\n")] if change.after else []
        return "\n".join(lines) + ("\n" if lines else "")


def clean(pieces: Sequence[Piece], without: Collection[str] = ()) -> Cleaned:
    """Apply all rules but those left out.

    Raises:
        UsageError: a rule to be left out does not exist.
    """
    for rule in without:
        if rule not in RULES:
            raise UsageError(f"there is no rule {rule!r}{suggest(rule, RULES)}; there is {', '.join(RULES)}")
    changes: list[Change] = []
    on = [rule for rule in RULES if rule not in without]
    left = [_furniture(piece, on, changes) for piece in pieces]
    if "footnote_marks" in on:
        left = [one for piece in left for one in _part_footnotes(piece, changes)]
    else:
        left = [_with_notes_below(piece) for piece in left]
    if "urls" in on:
        left = [_rewritten(piece, "urls", without_urls, changes) for piece in left]
    if "boilerplate" in on:
        left = _without_repeated(left, changes)
    kept = [piece for piece in left if any(block.kind != "rule" for block in piece.blocks)]
    names = {piece.name for piece in kept}
    return Cleaned(kept, changes, [piece.name for piece in left if piece.name not in names])


def _furniture(piece: Piece, on: Collection[str], changes: list[Change]) -> Piece:
    kept = []
    for block in piece.blocks:
        rule = KIND_RULES.get(block.kind) or _line_rule(block)
        if rule is not None and rule in on:
            changes.append(Change(piece.name, rule, block.text, ""))
        elif block.text.strip():
            kept.append(block if block.kind in WRITING else Block("paragraph", block.text))
    return dataclasses.replace(piece, blocks=tuple(kept))


def _line_rule(block: Block) -> str | None:
    """Return the rule that takes a paragraph as a whole, by its words."""
    if block.kind != "paragraph" or len(block.text.split()) > LINE_WORDS:
        return None
    words = re.sub(r"[*_`]+", "", without_urls(block.text)).strip()
    if THANKS.match(words):
        return "thanks_for_reading"
    if SUBSCRIBE.match(words):
        return "subscription_boxes"
    is_link = block.text.lstrip("*_ ").startswith("[")
    if SHARE.match(words) and (is_link or len(words.split()) <= 3) and len(words.split()) <= BUTTON_WORDS:
        return "share_buttons"
    return None


def _part_footnotes(piece: Piece, changes: list[Change]) -> list[Piece]:
    """Return the piece without marks, and its footnotes as pieces."""
    bare = _rewritten(piece, "footnote_marks", lambda text: FOOTNOTE_MARK.sub("", text), changes)
    notes = [
        Piece(f"{piece.name}-footnote-{number}", piece.title, "footnote", piece.source, _paragraphs(note), piece.date)
        for number, note in enumerate(piece.footnotes, 1)
        if note.text.strip()
    ]
    return [dataclasses.replace(bare, footnotes=()), *notes]


def _paragraphs(note: Footnote) -> tuple[Block, ...]:
    return tuple(Block("paragraph", part) for part in note.text.split("\n\n") if part.strip())


def _with_notes_below(piece: Piece) -> Piece:
    below = tuple(Block("paragraph", f"[^{note.label}]: {note.text}") for note in piece.footnotes)
    return dataclasses.replace(piece, blocks=piece.blocks + below, footnotes=())


def _rewritten(piece: Piece, rule: str, rewrite: Callable[[str], str], changes: list[Change]) -> Piece:
    blocks = []
    for block in piece.blocks:
        text = block.text if block.kind == "code" else rewrite(block.text)
        if text != block.text:
            changes.append(Change(piece.name, rule, block.text, text))
        if text.strip():
            blocks.append(dataclasses.replace(block, text=text))
    return dataclasses.replace(piece, blocks=tuple(blocks))


def without_urls(text: str) -> str:
    """Return Markdown with the words of its links, without their addresses and without pictures."""
    out: list[str] = []
    place = 0
    while place < len(text):
        opening = text.find("[", place)
        if opening < 0:
            break
        closing = _closing(text, opening, "[", "]")
        end = _closing(text, closing + 1, "(", ")") if closing > 0 and text[closing + 1 : closing + 2] == "(" else -1
        if end < 0:
            out.append(text[place : opening + 1])
            place = opening + 1
            continue
        is_picture = text[opening - 1 : opening] == "!"
        out.append(text[place : opening - is_picture])
        out.append("" if is_picture else without_urls(text[opening + 1 : closing]))
        place = end + 1
    bare = "".join(out) + text[place:]
    found = BARE_URL.sub("", bare)
    if found == bare:
        return bare
    lines = [re.sub(r"[ \t]{2,}", " ", re.sub(r"\([ \t]*\)", "", line)) for line in found.split("\n")]
    return re.sub(r" +([.,;:!?])(?=\s|$)", r"\1", "\n".join(line.rstrip() for line in lines)).strip()


def _closing(text: str, place: int, opening: str, closing: str) -> int:
    """Return where the bracket at `place` closes within its paragraph, or -1."""
    depth = 0
    for index in range(place, min(len(text), place + 3000)):
        if text[index] == "\\":
            continue
        if text[index] == opening:
            depth += 1
        elif text[index] == closing:
            depth -= 1
            if depth == 0:
                return index
    return -1


def _without_repeated(pieces: list[Piece], changes: list[Change]) -> list[Piece]:
    """Take away paragraphs that stand in several pieces that are otherwise different.

    A piece that is there twice is not boilerplate: pieces that share most of their words count once.
    """
    keys = [{_key(block): len(block.text.split()) for block in piece.blocks if _can_repeat(block)} for piece in pieces]
    where: dict[str, list[int]] = defaultdict(list)
    for index, mine in enumerate(keys):
        for key in mine:
            where[key].append(index)
    shared: Counter[tuple[int, int]] = Counter()
    for key, places in where.items():
        if 2 <= len(places) <= 200:
            for i, first in enumerate(places):
                for second in places[i + 1 :]:
                    shared[first, second] += keys[first][key]
    same = list(range(len(pieces)))
    sizes = [sum(mine.values()) for mine in keys]
    for (first, second), words in shared.items():
        if words >= 0.6 * max(sizes[first], sizes[second]):
            old, new = same[second], same[first]
            same = [new if one == old else one for one in same]
    repeated = {key for key, places in where.items() if len({same[place] for place in places}) >= REPEATED_IN}
    kept = []
    for piece in pieces:
        blocks = []
        for block in piece.blocks:
            if _can_repeat(block) and _key(block) in repeated:
                changes.append(Change(piece.name, "boilerplate", block.text, ""))
            else:
                blocks.append(block)
        kept.append(dataclasses.replace(piece, blocks=tuple(blocks)))
    return kept


def _can_repeat(block: Block) -> bool:
    return block.kind in ("paragraph", "list", "quote") and len(block.text.split()) >= 3


def _key(block: Block) -> str:
    """Return the words alone: punctuation, case and numbers (of an issue, of a week) do not tell boilerplate apart."""
    return " ".join(re.findall(r"[^\W\d_]+", block.text.casefold()))
