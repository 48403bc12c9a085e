"""A text as words with their places, for finding where words stand again.

Case, the marks between words, and curly or straight apostrophes do not count: a sentence with another comma is a copy.
Scripts that write without spaces (Chinese, Japanese, Thai, Khmer, Burmese, ...) count by character, so that a run of words
means about the same everywhere.
"""

from __future__ import annotations

import re

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    "\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u0900-\u0963\u0966-\u0dff"
)
"""Signs that belong to the letter before: accents, vowels of Hebrew, Arabic and the Indic scripts."""
_LETTER = rf"(?:[^\W_{_UNSPACED}]|[{_MARKS}])"
WORD = re.compile(rf"[{_UNSPACED}]|{_LETTER}+(?:['\u2019]{_LETTER}+)*")


def word_spans(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    """Return the words as they are compared, and where each begins and ends in the text."""
    found = list(WORD.finditer(text))
    return [match[0].casefold().replace("\u2019", "'") for match in found], [match.span() for match in found]
