"""Tokens to batches: a corpus as one long array on disk, read through windows.

Encoded tokens are kept in the cache folder under the hash of the text and the tokenizer, in one file: a
header with a checksum, then both arrays, memory-mapped. A damaged file is noticed and made again.

Every epoch cuts the text into windows that do not overlap, at another random offset, in another random
order. Which windows a batch has is a pure function of (seed, first, count): nothing to save when training
stops, and ranks share a batch by slicing the numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, Integer
from torch import Tensor

from cutaway.base.errors import CutawayError, DataError
from cutaway.base.files import cache_folder, content_hash, replacing_file
from cutaway.base.seed import numpy_generator
from cutaway.text.corpus import Corpus
from cutaway.text.tokenizer import Tokenizer

_HEADER_BYTES = 512
_FORMAT = "cutaway tokens 1"


@dataclass(frozen=True)
class EncodedText:
    """One side of a corpus as tokens."""

    tokens: Integer[np.ndarray, " N"]
    n_bytes: int
    """Bytes of UTF-8 that all tokens after the first stand for (the first is never predicted)."""
    n_unknown: int
    """How many tokens are the unknown token."""


@dataclass(frozen=True)
class EncodedCorpus:
    """Both sides of a corpus as tokens."""

    train: EncodedText
    validation: EncodedText


def encode_corpus(corpus: Corpus, tokenizer: Tokenizer) -> EncodedCorpus:
    """Return the corpus as tokens, from the cache if it was encoded before."""
    path = cache_folder() / "tokens" / f"{content_hash([_FORMAT, corpus.hash, tokenizer.hash])}.tokens"
    arrays = _read_tokens(path)
    if arrays is None:
        arrays = (
            tokenizer.encode_documents(corpus.train_texts),
            tokenizer.encode_documents(corpus.validation_texts),
        )
        try:
            _write_tokens(path, *arrays)
            arrays = _read_tokens(path) or arrays
        except CutawayError:
            pass  # a cache that cannot be written costs time only: go on with the arrays in memory
    line_end = 1 if corpus.documents == "line" else 0
    sides = []
    for tokens, texts in zip(arrays, (corpus.train_texts, corpus.validation_texts), strict=True):
        n_bytes = sum(len(text.encode()) + line_end for text in texts)
        if tokenizer.bos_id is None and len(tokens):
            n_bytes -= len(tokenizer.decode([int(tokens[0])]).encode())
        n_unknown = 0 if tokenizer.unknown_id is None else int(np.count_nonzero(tokens == tokenizer.unknown_id))
        sides.append(EncodedText(tokens, n_bytes, n_unknown))
    return EncodedCorpus(*sides)


def _write_tokens(path: Path, train: Integer[np.ndarray, " N"], validation: Integer[np.ndarray, " M"]) -> None:
    digest = hashlib.sha256(train.tobytes())
    digest.update(validation.tobytes())
    header = {
        "format": _FORMAT,
        "dtype": train.dtype.name,
        "train": len(train),
        "validation": len(validation),
        "sha256": digest.hexdigest(),
    }
    with replacing_file(path) as aside, aside.open("wb") as file:
        file.write(json.dumps(header).encode().ljust(_HEADER_BYTES))
        train.tofile(file)
        validation.tofile(file)


def _read_tokens(path: Path) -> tuple[Integer[np.ndarray, " N"], Integer[np.ndarray, " M"]] | None:
    """Return both arrays, memory-mapped, or None if the file is missing or not as it was written."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(_HEADER_BYTES))
        n_train, n_all = header["train"], header["train"] + header["validation"]
        tokens = np.memmap(path, dtype=header["dtype"], mode="r", offset=_HEADER_BYTES)
        whole = header["format"] == _FORMAT and len(tokens) == n_all
        if not whole or hashlib.sha256(tokens.data).hexdigest() != header["sha256"]:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return tokens[:n_train], tokens[n_train:]


class Windows:
    """The endless stream of training sequences.

    Args:
        tokens: the training text.
        context_length: targets in one sequence.
        seed: chooses offsets and orders.
    """

    def __init__(self, tokens: Integer[np.ndarray, " N"], context_length: int, seed: int) -> None:
        if len(tokens) < context_length + 1:
            raise DataError(
                f"the training text has {len(tokens):,} tokens, too few for one window "
                f"of context {context_length} (it takes {context_length + 1}); "
                f"use more text or a smaller --model.context-length"
            )
        self.tokens = tokens
        self.context_length = context_length
        self.seed = seed
        n_targets = len(tokens) - 1
        # One window less than would fit leaves room to move them all by an offset.
        self.sequences_per_epoch = max(1, (n_targets + 1) // context_length - 1)
        self._n_offsets = n_targets - self.sequences_per_epoch * context_length + 1
        self._epoch_starts = lru_cache(maxsize=2)(self._compute_epoch_starts)

    def _compute_epoch_starts(self, epoch: int) -> Integer[np.ndarray, " N"]:
        generator = numpy_generator(self.seed, "windows", epoch)
        offset = generator.integers(self._n_offsets)
        return offset + self.context_length * generator.permutation(self.sequences_per_epoch)

    def starts(self, first: int, count: int) -> Integer[np.ndarray, " B"]:
        """Return where in the text sequences first .. first+count-1 begin."""
        starts = []
        while count > 0:
            epoch, index = divmod(first, self.sequences_per_epoch)
            part = self._epoch_starts(epoch)[index : index + count]
            starts.append(part)
            first, count = first + len(part), count - len(part)
        return np.concatenate(starts) if starts else np.empty(0, dtype=np.int64)

    def batch(self, first: int, count: int) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
        """Return sequences first .. first+count-1 of the endless stream: tokens, and the token after each."""
        positions = self.starts(first, count)[:, None] + np.arange(self.context_length + 1)
        tokens = torch.from_numpy(self.tokens[positions].astype(np.int64))
        return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


class ValidationWindows:
    """The whole validation text, every token but the first exactly once a target.

    Iterating gives (tokens_BT, targets_BT) batches of full windows, then what is left as one shorter window.

    Args:
        encoded: the validation text.
        context_length: targets in one full window.
        batch_size: windows in one batch.
    """

    def __init__(self, encoded: EncodedText, context_length: int, batch_size: int) -> None:
        if len(encoded.tokens) < 2:
            raise DataError(
                f"the validation text has {len(encoded.tokens)} tokens, too few to measure a loss on "
                f"(it takes 2); use more text or a larger --data.validation-fraction"
            )
        self.tokens = encoded.tokens
        self.n_bytes = encoded.n_bytes
        self.n_targets = len(encoded.tokens) - 1
        self.context_length = context_length
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]]:
        n_windows = self.n_targets // self.context_length
        for first in range(0, n_windows, self.batch_size):
            yield self._windows(first, min(self.batch_size, n_windows - first), self.context_length)
        if rest := self.n_targets % self.context_length:
            yield self._windows(n_windows, 1, rest)

    def _windows(self, first: int, count: int, length: int) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
        starts = (first + np.arange(count)) * self.context_length
        tokens = torch.from_numpy(self.tokens[starts[:, None] + np.arange(length + 1)].astype(np.int64))
        return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    def bits_per_byte(self, loss_nats: float) -> float:
        """Return the mean loss of all targets spread over the bytes they stand for."""
        return loss_nats * self.n_targets / self.n_bytes / float(np.log(2))
