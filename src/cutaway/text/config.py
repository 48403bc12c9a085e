"""What a run reads. Importing this loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DataConfig:
    """Which text, how it is cut into documents, and how documents become tokens."""

    source: str = "stdlib"
    """The text: `stdlib` (the standard library of this Python), or a file, a folder or a glob pattern."""
    documents: Literal["file", "line"] = "file"
    """What one document is: a whole `file`, or each `line` of it (a list of names)."""
    max_files: int | None = None
    """At most this many files, chosen by a hash of their paths, so the same ones every time."""
    validation_fraction: float = 0.1
    """Share of the documents (of the text, when there is one document) kept aside to measure the loss on."""
    tokenizer: Literal["characters", "bpe"] = "characters"
    """Tokens are `characters`, or `bpe` pieces: byte-level byte-pair encoding learned from the training text."""
    bpe_vocab_size: int = 4096
    """Number of BPE tokens to learn, special ones included."""
