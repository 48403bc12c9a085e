"""Captions to words: every word that the captions know has a number, and what they do not know is said.

    "A red cat!"  ->  <begin> a red cat ! <end> <pad> ...

Whole words, in small letters, and marks of punctuation alone: a drawing's caption has a few hundred words, so each can
have a vector of its own, and a picture of a word's attention is one of a word. Every caption gets the same number of
places, so that any two conditions lie beside each other. A file of the `tokenizers` library.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Bool, Int
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor

from cutaway.base.errors import TokenizerError
from cutaway.base.files import content_hash

PAD, UNKNOWN, BEGIN, END = "<pad>", "<unknown>", "<begin>", "<end>"
MARKS = (PAD, UNKNOWN, BEGIN, END)
FILE = "tokenizer.json"


class WordTokenizer:
    """Words and their numbers."""

    def __init__(self, inner: Tokenizer) -> None:
        self.inner = inner

    @classmethod
    def learn(cls, captions: Iterable[str], context_length: int) -> WordTokenizer:
        """Return a tokenizer of all words of these captions, the most frequent first.

        Args:
            context_length: places of a caption, its begin and end included; what is longer loses its last words.
        """
        counts: Counter[str] = Counter()
        cutter = _cutter()
        for caption in captions:
            counts.update(_words(cutter, caption))
        ordered = sorted(counts, key=lambda word: (-counts[word], word))
        numbers = {
            word: number for number, word in enumerate([*MARKS, *(word for word in ordered if word not in MARKS)])
        }
        inner = _cutter(models.WordLevel(numbers, unk_token=UNKNOWN))
        inner.post_processor = processors.TemplateProcessing(
            single=f"{BEGIN} $A {END}", special_tokens=[(mark, numbers[mark]) for mark in (BEGIN, END)]
        )
        inner.enable_truncation(context_length)
        inner.enable_padding(length=context_length, pad_id=numbers[PAD], pad_token=PAD)
        return cls(inner)

    @classmethod
    def load(cls, folder: Path) -> WordTokenizer:
        """Return the tokenizer of a folder.

        Raises:
            TokenizerError: there is none, or none of ours.
        """
        path = folder / FILE
        try:
            inner = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises no class of its own
            raise TokenizerError(f"no tokenizer can be read from {path}: {error}") from error
        if inner.truncation is None or inner.padding is None or any(inner.token_to_id(mark) is None for mark in MARKS):
            raise TokenizerError(f"{path} is no tokenizer of words: it has no {', '.join(MARKS)}, or no length")
        return cls(inner)

    def save(self, folder: Path) -> None:
        """Write tokenizer.json."""
        folder.mkdir(parents=True, exist_ok=True)
        self.inner.save(str(folder / FILE))

    @property
    def vocab_size(self) -> int:
        """Words, marks included."""
        return self.inner.get_vocab_size()

    @property
    def context_length(self) -> int:
        """Places of a caption."""
        assert self.inner.truncation is not None
        return self.inner.truncation["max_length"]

    @cached_property
    def hash(self) -> str:
        """Of the words and how they are cut."""
        return content_hash([self.inner.to_str()])

    def encode(self, captions: Sequence[str]) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
        """Return the words' numbers, and where there are words (begin and end count as such)."""
        found = self.inner.encode_batch(list(captions))
        shape = (len(found), self.context_length)
        tokens_BT = torch.tensor([one.ids for one in found], dtype=torch.int64).view(shape)
        mask_BT = torch.tensor([one.attention_mask for one in found], dtype=torch.bool).view(shape)
        return tokens_BT, mask_BT

    def words(self, caption: str) -> list[str]:
        """Return the word at each place, as far as there are any: begin, words, end."""
        found = self.inner.encode(caption)
        return [token for token, is_word in zip(found.tokens, found.attention_mask, strict=True) if is_word]

    def unknown_words(self, text: str) -> list[str]:
        """Return the words of a text that no caption had, each once, as they were cut."""
        cut = _words(self.inner, text)
        return list(dict.fromkeys(word for word in cut if self.inner.token_to_id(word) is None))

    def lost_words(self, text: str) -> list[str]:
        """Return the words at the end of a text for which there is no place."""
        return _words(self.inner, text)[self.context_length - 2 :]


def _cutter(model: models.Model | None = None) -> Tokenizer:
    tokenizer = Tokenizer(model or models.WordLevel({UNKNOWN: 0}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def _words(tokenizer: Tokenizer, text: str) -> list[str]:
    assert tokenizer.normalizer is not None
    assert tokenizer.pre_tokenizer is not None
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))]
