"""Style in numbers that can be counted: distance, vocabulary, punctuation, openings; one's own writing beside a model's.

All texts are cut into stretches of the same number of words, as many as nearly every text has, since nearly every figure
depends on a text's length. The yardstick is the spread between one's own stretches (yardstick.py). One's own texts must
be ones that the model did not train on (held out): beside training texts a model that copies would look perfect.

Vocabulary richness is the moving-average type-token ratio (Covington and McFall 2010): the share of different words among
50 that follow each other, averaged over all places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cutaway.voice.cut import cut
from cutaway.voice.delta import WordRate, deltas, group_deltas, word_rates
from cutaway.voice.openings import Openings, openings
from cutaway.voice.prose import even_marks, word_pattern, words
from cutaway.voice.yardstick import Compared, as_plain, compared

MOST_WORDS, LEAST_WORDS = 1000, 80
"""Of a stretch."""
WINDOW = 50
MARKS_SHOWN = 8
MARKS = {
    ",": "commas", ".": "full stops", ";": "semicolons", ":": "colons", "-": "dashes", "?": "question marks",
    "!": "exclamation marks", '"': "quotation marks", "'": "single quotes", "(": "brackets", "\u2026": "ellipses",
}  # fmt: skip


@dataclass(frozen=True)
class Style:
    """Everything counted."""

    n_words: int
    """Of each stretch; 0: the texts are too short."""
    n_own: int
    """Texts of one's own that are long enough."""
    n_outputs: int
    delta: Compared
    """Of single stretches."""
    group_delta: Compared
    """Of texts taken together: sees smaller differences, since chance evens out."""
    richness: Compared
    punctuation: dict[str, Compared]
    """By name, the most frequent in one's own writing first."""
    openings: Openings
    words: tuple[WordRate, ...]
    """Frequent words whose use differs most."""

    def all(self) -> list[Compared]:
        """Return every figure with a yardstick."""
        return [self.delta, self.group_delta, self.richness, *self.punctuation.values(), self.openings.first_sentence]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it, and the sentences."""
        found: dict[str, Any] = as_plain(self) | {"sentence": self.sentence()}
        for name in ("delta", "group_delta", "richness"):
            found[name] = getattr(self, name).as_dict()
        found["punctuation"] = {name: one.as_dict() for name, one in self.punctuation.items()}
        found["openings"] |= {
            "sentence": self.openings.sentence(),
            "first_sentence": self.openings.first_sentence.as_dict(),
        }
        found["words"] = [as_plain(one) | {"sentence": one.sentence()} for one in self.words]
        return found

    def sentence(self) -> str:
        """Say in one sentence how many figures are within the spread of one's own writing."""
        known = [one for one in self.all() if not one.why]
        if not known:
            return f"Style: not enough data to say ({self.delta.why})."
        outside = [one.name[:1].lower() + one.name[1:] for one in known if one.verdict != "within"]
        rest = f"; outside: {', '.join(outside)}" if outside else ""
        return (
            f"Style: {len(known) - len(outside)} of {len(known)} figures of the model's texts lie where yours do, "
            f"measured on stretches of {self.n_words} words{rest}."
        )


def style(own: Mapping[str, str], outputs: Mapping[str, str], seed: int = 0) -> Style:
    """Compare a model's texts with one's own.

    Args:
        own: texts the model did not train on, by name.
        outputs: what it wrote, by name.
        seed: of the permutations.
    """
    parts = cut(own, outputs, MOST_WORDS, LEAST_WORDS)
    ours, theirs = parts.flat()
    missing = parts.missing
    own_delta, output_delta = ([], []) if missing else deltas(parts.own, theirs)
    size, own_groups, output_groups = (0, [], []) if missing else group_deltas(parts.own, parts.outputs, seed)
    own_different, output_different = ([WINDOW * richness(words(part)) for part in side] for side in (ours, theirs))
    return Style(
        parts.n_words,
        len(parts.own),
        len(parts.outputs),
        compared(
            "Distance from the rest of your writing (Burrows' Delta)", "", own_delta, output_delta, missing=missing
        ),
        compared(f"The same distance of {size} texts together", "", own_groups, output_groups, missing=missing),
        compared(f"Different words among {WINDOW}", "", own_different, output_different, 1, missing),
        punctuation(ours, theirs, parts.n_words, missing),
        openings(own, outputs, seed),
        () if missing else word_rates(parts.own, theirs),
    )


def punctuation(own: Sequence[str], outputs: Sequence[str], n_words: int, missing: str) -> dict[str, Compared]:
    """Compare the rates of the marks that are most frequent in one's own stretches, by their names."""
    counts, output_counts = ([marks_of(part) for part in side] for side in (own, outputs))
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    found = {}
    for mark in sorted(total, key=lambda mark: (-total[mark], mark))[:MARKS_SHOWN]:
        name = MARKS.get(mark, f"`{mark}`")
        ours, theirs = ([100 * one[mark] / n_words for one in side] for side in (counts, output_counts))
        found[name] = compared(name.capitalize(), "in 100 words", ours, theirs, missing=missing)
    return found


def richness(tokens: Sequence[str]) -> float:
    """Return the moving-average type-token ratio; of a text shorter than the window, its share of different words."""
    if len(tokens) <= WINDOW:
        return len(set(tokens)) / len(tokens) if tokens else 0.0
    inside = Counter(tokens[:WINDOW])
    different = len(inside)
    for leaves, comes in zip(tokens, tokens[WINDOW:], strict=False):
        inside[comes] += 1
        inside[leaves] -= 1
        if not inside[leaves]:
            del inside[leaves]
        different += len(inside)
    return different / WINDOW / (len(tokens) - WINDOW + 1)


def marks_of(text: str) -> Counter[str]:
    """Count punctuation: kinds of quotes, dashes and brackets taken together, `...` one ellipsis, `--` one dash."""
    text = even_marks(word_pattern(text).sub("w", text))
    text = text.replace("w-w", "ww")  # a hyphen within a word
    return Counter("(" if mark == ")" else mark for mark in text if not (mark.isalnum() or mark.isspace()))
