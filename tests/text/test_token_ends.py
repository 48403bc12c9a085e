"""Where tokens end in the text: each token's text stands between two ends."""

from __future__ import annotations

import pytest

from cutaway.text.bpe import BPETokenizer
from cutaway.text.characters import CharacterTokenizer

TEXT = "naïve 日本 🎉\n\tdef add(a, b): return a + b  # café"


def test_characters_end_one_after_the_other() -> None:
    tokenizer = CharacterTokenizer(sorted(set(TEXT)))
    assert tokenizer.token_ends(TEXT) == list(range(1, len(TEXT) + 1))
    assert tokenizer.token_ends("") == []


@pytest.mark.parametrize("vocab_size", [257, 300])
def test_between_the_ends_stands_what_the_tokens_say(vocab_size: int) -> None:
    tokenizer = BPETokenizer.train([TEXT] * 3, vocab_size)
    ids, ends = tokenizer.encode(TEXT), tokenizer.token_ends(TEXT)
    assert len(ids) == len(ends)
    assert ends[-1] == len(TEXT)
    start, group = 0, []
    for i, (index, end) in enumerate(zip(ids, ends, strict=True)):
        group.append(index)
        if i + 1 == len(ends) or ends[i + 1] > end:
            assert tokenizer.decode(group) == TEXT[start:end]
            start, group = end, []
    assert tokenizer.token_ends("") == []
