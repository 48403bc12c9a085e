"""Words: each has a number, unknown ones are said, and a saved tokenizer is the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cutaway.base.errors import TokenizerError
from cutaway.diffusion.word_tokenizer import BEGIN, END, WordTokenizer

CAPTIONS = ["a red cat", "a blue dog, wearing a hat", "A red dog!"]


@pytest.fixture
def tokenizer() -> WordTokenizer:
    return WordTokenizer.learn(CAPTIONS, context_length=9)


def test_words_have_numbers_and_places(tokenizer: WordTokenizer) -> None:
    tokens_BT, mask_BT = tokenizer.encode(["a red cat", ""])
    assert tokens_BT.shape == mask_BT.shape == (2, 9)
    assert mask_BT.sum(dim=1).tolist() == [5, 2]
    known = tokenizer.inner.get_vocab()
    assert tokens_BT[0].tolist() == [2, known["a"], known["red"], known["cat"], 3, 0, 0, 0, 0]
    assert tokenizer.words("A Red cat!") == [BEGIN, "a", "red", "cat", "!", END]
    assert known["a"] == 4  # the most frequent
    assert tokenizer.vocab_size == 4 + len({"a", "red", "cat", "blue", "dog", ",", "wearing", "hat", "!"})


def test_no_captions_are_no_rows(tokenizer: WordTokenizer) -> None:
    tokens_BT, mask_BT = tokenizer.encode([])
    assert tokens_BT.shape == mask_BT.shape == (0, 9)


def test_unknown_words_are_said_once(tokenizer: WordTokenizer) -> None:
    assert tokenizer.unknown_words("a purple cat, a Purple zebra") == ["purple", "zebra"]
    assert tokenizer.unknown_words("A RED CAT") == []
    assert tokenizer.words("a purple cat") == [BEGIN, "a", "<unknown>", "cat", END]


def test_a_mark_in_a_caption_is_not_the_mark(tokenizer: WordTokenizer) -> None:
    tokens_BT, _ = tokenizer.encode(["a <end> cat"])
    assert (tokens_BT[0] == 3).sum() == 1


def test_long_captions_lose_their_last_words(tokenizer: WordTokenizer) -> None:
    text = "a red cat a red dog a blue hat"
    tokens_BT, mask_BT = tokenizer.encode([text])
    assert mask_BT.all()
    assert tokens_BT[0, -1] == 3
    assert tokenizer.lost_words(text) == ["blue", "hat"]
    assert tokenizer.lost_words("a red cat a red dog a") == []


def test_saved_and_read_again(tokenizer: WordTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "model")
    again = WordTokenizer.load(tmp_path / "model")
    assert again.hash == tokenizer.hash
    assert again.context_length == 9
    assert torch.equal(again.encode(CAPTIONS)[0], tokenizer.encode(CAPTIONS)[0])
    assert WordTokenizer.learn(CAPTIONS[:2], 9).hash != tokenizer.hash


def test_other_files_are_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    with pytest.raises(TokenizerError, match="no tokenizer can be read"):
        WordTokenizer.load(tmp_path)
    Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(TokenizerError, match="no tokenizer of words"):
        WordTokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(TokenizerError, match="no tokenizer can be read"):
        WordTokenizer.load(tmp_path)
