"""What turns text into numbers and back: the one face of every tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Integer

from cutaway.base.errors import TokenizerError
from cutaway.text.bpe import BPETokenizer
from cutaway.text.characters import CharacterTokenizer
from cutaway.text.config import DataConfig
from cutaway.text.corpus import Corpus
from cutaway.text.tokenizer_files import SEPARATOR, read_json


@runtime_checkable
class Tokenizer(Protocol):
    """Text to token ids and back."""

    bos_id: int | None
    """Stands before every document in training; None when there was one document only."""
    eos_id: int | None
    """Generating this token ends the text."""
    unknown_id: int | None
    """Stands for characters outside the vocabulary, if there are any."""

    @property
    def kind(self) -> str:
        """`characters` or `bpe`."""

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""

    @property
    def hash(self) -> str:
        """A hash of everything that decides the ids."""

    def encode(self, text: str) -> list[int]:
        """Return the text's ids; TokenizerError names characters that were never seen."""

    def encode_documents(self, texts: Iterable[str]) -> Integer[np.ndarray, " N"]:
        """Return the ids of many documents in one array, a separator before each."""

    def prompt_ids(self, text: str) -> list[int]:
        """Return the ids generation starts from."""

    def token_ends(self, text: str) -> list[int]:
        """Return where in the text each token of `encode(text)` ends, in characters; never falling."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text without special tokens."""

    def token_text(self, index: int) -> str:
        """Return one token as text, special tokens by their name."""

    def save(self, folder: Path) -> None:
        """Write tokenizer.json and tokenizer_config.json."""


def encode_marked(tokenizer: Tokenizer, text: str) -> list[tuple[int, int]]:
    """Return the tokens of a text in which marks are written by their names, and where each ends in the text.

    Raises:
        TokenizerError: characters that were never seen.
    """
    if not isinstance(tokenizer, CharacterTokenizer) or tokenizer.eos_id is None:
        return list(zip(tokenizer.encode(text), tokenizer.token_ends(text), strict=True))
    found: list[tuple[int, int]] = []
    start = 0
    for number, part in enumerate(text.split(SEPARATOR)):
        if number:
            start += len(SEPARATOR)
            found.append((tokenizer.eos_id, start))
        found += zip(tokenizer.encode(part), range(start + 1, start + len(part) + 1), strict=True)
        start += len(part)
    return found


def build_tokenizer(config: DataConfig, corpus: Corpus) -> Tokenizer:
    """Learn the tokenizer a run asks for from its training text."""
    if config.tokenizer == "bpe":
        return BPETokenizer.train(corpus.train_texts, config.bpe_vocab_size)
    separator = corpus.n_documents > 1
    return CharacterTokenizer.train(corpus.train_texts, corpus.validation_texts, separator=separator)


def load_tokenizer(folder: Path | str) -> Tokenizer:
    """Read the tokenizer of a model folder, ours or of other tools.

    Raises:
        TokenizerError: there is none, or it is damaged.
    """
    folder = Path(folder)
    if (folder / "tokenizer.json").is_file():
        characters = CharacterTokenizer.from_json(read_json(folder / "tokenizer.json"))
        return characters or BPETokenizer.load(folder)
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        return BPETokenizer.load(folder)
    raise TokenizerError(
        f"there is no tokenizer in {folder}: expected tokenizer.json (or vocab.json and merges.txt); "
        f"transformers' AutoTokenizer(...).save_pretrained converts a SentencePiece tokenizer.model"
    )
