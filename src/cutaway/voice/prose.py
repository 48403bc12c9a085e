"""Words, sentences and paragraphs of a text, by rules that hold for every language in the same way.

A word is a run of letters and digits, apostrophes inside it included (`don't`), without case (word_spans.py). In scripts
without blanks (Chinese, Japanese, Thai, ...) every character is one. A sentence ends with a paragraph, or at . ! ? and
their like, closing quotes and brackets included, unless a small letter follows. A full stop after one letter (J. S. Bach)
or after consonants alone (Mr., Mrs., Dr., St., vs.) ends nothing.
These rules err now and then, in one's own writing and in a model's alike, which is what a comparison needs.
"""

from __future__ import annotations

import itertools
import re

from cutaway.voice.word_spans import WORD

_BEYOND = re.compile("[\u0300-\u036f\u0483-\u1fff\u3000-\U0010ffff]")
"""Where a text has one of these, words may be more than runs of letters."""
_SIMPLE_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_END = re.compile(
    r"(?:[.!?\u2026]+[\"'\u2019\u201d\u00bb)\]]*(?=\s)|[\u3002\uff01\uff1f]+[\u300d\u300f\u201d\u2019]*)\s*"
)
_OPENING = "\"'\u2018\u201c\u00ab([\u2014\u2013- \t\n"
_ABBREVIATION = re.compile(r"(?:^|[\s(\"'\u2018\u201c])(?:[^\W\d_]|[B-DF-HJ-NP-TV-XZ]?[b-df-hj-np-tv-xz]{1,3})\.$")
_FENCE = re.compile(r"^(```|~~~).*?(^\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_LINES_OF_MARKS = re.compile(
    r"^[ \t]*(?:#{1,6} .*|>.*|(?:[-*_][ \t]*){3,}|[^\n]*\n(?==+[ \t]*$)=+)[ \t]*$", re.MULTILINE
)
_BULLET = re.compile(r"^[ \t]*(?:[-*+]|\d+[.)])[ \t]+", re.MULTILINE)
_EMPHASIS = re.compile(r"(\*{1,3}|_{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)", re.DOTALL)
_FOOTNOTE = re.compile(r"\[\^[^\]\n]+\]")

_SAME = str.maketrans({**dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'), **dict.fromkeys("\u2018\u2019\u201a", "'"),
                       **dict.fromkeys("\u2014\u2013\u2015", "-")})  # fmt: skip
_DASHES, _ELLIPSIS = re.compile(r"-{2,}"), re.compile(r"\.{3,}")


def prose(text: str) -> str:
    """Return the running text of Markdown: no headings, quotes, code, rules, bullets, emphasis or footnote marks."""
    for pattern, by in ((_FENCE, ""), (_LINES_OF_MARKS, ""), (_BULLET, ""), (_FOOTNOTE, ""), (_EMPHASIS, r"\2")):
        text = pattern.sub(by, text)
    return re.sub(r"\n(?:[ \t]*\n)+", "\n\n", text.replace("\r\n", "\n")).strip()


def even_marks(text: str) -> str:
    """Return the text with one kind of double and single quotes, dashes and ellipses: which one is the editor's doing."""
    return _ELLIPSIS.sub("\u2026", _DASHES.sub("-", text.translate(_SAME)))


def word_pattern(text: str) -> re.Pattern[str]:
    """Return the pattern of this text's words: a fast one, unless its script needs more."""
    return WORD if _BEYOND.search(text) else _SIMPLE_WORD


def words(text: str) -> list[str]:
    """Return the words, without case, all apostrophes the same."""
    return word_pattern(text).findall(text.casefold().replace("\u2019", "'"))


def paragraphs(text: str) -> list[str]:
    """Return the parts between empty lines; in a text without empty lines, the lines."""
    text = text.strip()
    parts = re.split(r"\n\s*\n", text)
    if len(parts) == 1:
        parts = text.split("\n")
    return [part.strip() for part in parts if part.strip()]


def sentences(text: str) -> list[str]:
    """Return the sentences of all paragraphs."""
    found = []
    for paragraph in paragraphs(text):
        start = 0
        for end in _END.finditer(paragraph):
            after = paragraph[end.end() :].lstrip(_OPENING)[:1]
            before = paragraph[start : end.end()].rstrip()
            if after and not after.islower() and not _ABBREVIATION.search(before):
                found.append(before)
                start = end.end()
        found.append(paragraph[start:].strip())
    return [sentence for sentence in found if _SIMPLE_WORD.search(sentence)]


def stretches(text: str, n_words: int) -> list[str]:
    """Return the text in parts of exactly so many words, as it is written; what is left at the end is left out."""
    starts = [match.start() for match in word_pattern(text).finditer(text)]
    edges = [*starts[n_words::n_words]]
    if starts and len(starts) % n_words == 0:
        edges.append(len(text))
    return [text[a:b].rstrip() for a, b in itertools.pairwise([0, *edges])]
