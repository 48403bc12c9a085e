"""Tokens are characters: the smallest vocabulary, nothing to learn, every token readable.

The vocabulary is the sorted characters of the training text, after the special tokens. Where there are
many documents, characters found in very few of them (an emoji in one of a thousand files) would each cost
a row of the model's tables and never be learned: they, and characters only the validation text has, become
one unknown token, counted by whoever encodes. A text without such characters has no unknown token.

Encoding a whole corpus is one NumPy table lookup over its code points.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from cutaway.base.errors import TokenizerError
from cutaway.base.files import content_hash
from cutaway.text.tokenizer_files import SEPARATOR, UNKNOWN, write_tokenizer

_N_CODE_POINTS = 0x110000
_MOST_UNKNOWN = 0.001


class CharacterTokenizer:
    """One token a character.

    Args:
        tokens: every token's text, in the order of the ids; `SEPARATOR` and `UNKNOWN` may be among them.
    """

    kind = "characters"
    starts_with_bos = True

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = list(tokens)
        ids = {token: index for index, token in enumerate(self.tokens)}
        if len(ids) != len(self.tokens):
            raise TokenizerError("a character tokenizer lists a token twice; every token must be different")
        self.bos_id: int | None = ids.get(SEPARATOR)
        self.eos_id: int | None = self.bos_id
        self.unknown_id: int | None = ids.get(UNKNOWN)
        self._ids = {token: index for token, index in ids.items() if len(token) == 1}
        self._texts = ["\ufffd" if token == UNKNOWN else "" if token == SEPARATOR else token for token in self.tokens]

    @classmethod
    def train(
        cls, texts: Iterable[str], validation_texts: Iterable[str] = (), *, separator: bool
    ) -> CharacterTokenizer:
        """Take the characters of the training texts as vocabulary.

        Args:
            validation_texts: only asked whether they need the unknown token.
            separator: whether documents are to be told apart by a separator token.
        """
        in_documents: Counter[str] = Counter()
        totals: Counter[str] = Counter()
        n_documents = 0
        for text in texts:
            counts = _count_characters(text)
            in_documents.update(counts.keys())
            totals.update(counts)
            n_documents += 1
        enough = min(10, math.ceil(n_documents / 100))
        rare = {character for character, n in in_documents.items() if n < enough}
        if sum(totals[character] for character in rare) > _MOST_UNKNOWN * totals.total():
            rare = set()
        known = sorted(set(totals) - rare)
        unknown = bool(rare) or any(set(text) - set(known) for text in validation_texts)
        return cls([SEPARATOR] * separator + [UNKNOWN] * unknown + known)

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return len(self.tokens)

    @cached_property
    def hash(self) -> str:
        """Return a hash of the vocabulary."""
        return content_hash(["characters", *self.tokens])

    def encode(self, text: str) -> list[int]:
        """Return the ids of the text's characters.

        Raises:
            TokenizerError: a character is not in the vocabulary.
        """
        try:
            return [self._ids[character] for character in text]
        except KeyError:
            unseen = sorted(set(text) - set(self._ids))
        named = ", ".join(repr(character) for character in unseen[:8]) + (", ..." if len(unseen) > 8 else "")
        raise TokenizerError(
            f"the text has characters this model never saw in training: {named}; leave them out, "
            f"or train on text that has them (or with --data.tokenizer bpe, which can spell anything)"
        )

    def encode_documents(self, texts: Iterable[str]) -> Integer[np.ndarray, " N"]:
        """Return the ids of all the documents, each after a separator if there is one.

        Unseen characters become the unknown token.

        Raises:
            TokenizerError: there are unseen characters and no unknown token.
        """
        pieces = []
        for text in texts:
            if self.bos_id is not None:
                pieces.append(np.array([self.bos_id], dtype=self._table.dtype))
            ids = self._table[np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)]
            if self.unknown_id is None and ids.size and ids.max() == self.vocab_size:
                self.encode(text)
            pieces.append(ids)
        return np.concatenate(pieces) if pieces else np.empty(0, dtype=self._table.dtype)

    @cached_property
    def _table(self) -> Integer[np.ndarray, " N"]:
        unknown = self.vocab_size if self.unknown_id is None else self.unknown_id
        table = np.full(_N_CODE_POINTS, unknown, dtype=np.uint16 if self.vocab_size < 0xFFFF else np.uint32)
        for character, index in self._ids.items():
            table[ord(character)] = index
        return table

    def prompt_ids(self, text: str) -> list[int]:
        """Return the ids generation starts from: the text as the beginning of a document."""
        return ([] if self.bos_id is None else [self.bos_id]) + self.encode(text)

    def token_ends(self, text: str) -> list[int]:
        """Return where in the text each token of `encode(text)` ends."""
        return list(range(1, len(text) + 1))

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text; separators vanish, an unknown character is shown as U+FFFD."""
        texts, n = self._texts, len(self._texts)
        return "".join([texts[index] for index in ids if index < n])

    def token_text(self, index: int) -> str:
        """Return one token as text, special tokens by their name."""
        return self.tokens[index]

    def save(self, folder: Path) -> None:
        """Write tokenizer.json and tokenizer_config.json, which `tokenizers` and `transformers` read."""
        vocabulary = {token: index for index, token in enumerate(self.tokens)}
        specials = [token for token in (SEPARATOR, UNKNOWN) if token in vocabulary]
        data = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {
                    "id": vocabulary[token],
                    "content": token,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": True,
                }
                for token in specials
            ],
            "normalizer": None,
            "pre_tokenizer": {
                "type": "Split",
                "pattern": {"Regex": "[\\s\\S]"},
                "behavior": "Isolated",
                "invert": False,
            },
            "post_processor": None,
            "decoder": {"type": "Fuse"},
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": UNKNOWN},
        }
        write_tokenizer(
            Path(folder),
            json.dumps(data, ensure_ascii=False, indent=1),
            separator=SEPARATOR if SEPARATOR in vocabulary else None,
            unknown=UNKNOWN if UNKNOWN in vocabulary else None,
        )

    @classmethod
    def from_json(cls, data: dict) -> CharacterTokenizer | None:
        """Return the tokenizer a parsed tokenizer.json describes, or None if it is of another kind."""
        model = data.get("model", {})
        vocabulary = model.get("vocab")
        if model.get("type") != "WordLevel" or not isinstance(vocabulary, dict):
            return None
        if any(len(token) != 1 and token not in (SEPARATOR, UNKNOWN) for token in vocabulary):
            return None
        if sorted(vocabulary.values()) != list(range(len(vocabulary))):
            raise TokenizerError(
                f"the ids of a character tokenizer must be 0 to {len(vocabulary) - 1}, each once; the file was altered"
            )
        return cls(sorted(vocabulary, key=vocabulary.__getitem__))


def _count_characters(text: str) -> dict[str, int]:
    """Count characters; many times faster than Counter on long texts."""
    if len(text) < 1000:
        return Counter(text)
    values, counts = np.unique(np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32), return_counts=True)
    return {chr(value): int(count) for value, count in zip(values, counts, strict=True)}
