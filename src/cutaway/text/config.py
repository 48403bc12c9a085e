"""What a run reads. Importing this loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cutaway.base.errors import ConfigError


@dataclass(frozen=True)
class DataConfig:
    """Which text, how it is cut into documents, and how documents become tokens."""

    source: str = "stdlib"
    """The text: `stdlib` (the standard library of this Python), `stdlib_names` (the names it defines), or a file, a
    folder or a glob pattern."""
    held_out: str = ""
    """Of conversations: the file to measure the loss on; empty: a share of the source's sources is kept aside."""
    documents: Literal["file", "line", "conversation"] = "file"
    """What one document is: a whole `file`, each `line` of it (a list of names), or each `conversation` of a file of
    prompts and answers (to tune a model on)."""
    max_files: int | None = None
    """At most this many files, chosen by a hash of their paths, so the same ones every time; left out: all of
    them (1,000 of `stdlib`)."""
    validation_fraction: float = 0.1
    """Share of the documents (of the text, when there is one document) kept aside to measure the loss on."""
    tokenizer: Literal["characters", "bpe"] = "characters"
    """Tokens are `characters`, or `bpe` pieces: byte-level byte-pair encoding learned from the text."""
    bpe_vocab_size: int = 4096
    """Number of BPE tokens to learn, special ones included."""
    text_hash: str | None = None
    """Hash of the text and its split, noted when a run starts: a run goes on only with the text it began with."""

    def __post_init__(self) -> None:
        if self.max_files is not None and self.max_files < 1:
            raise ConfigError(f"data.max_files is {self.max_files}; expected 1 or more, or nothing for all files")
        if not 0 <= self.validation_fraction < 1:
            raise ConfigError(
                f"data.validation_fraction is {self.validation_fraction}; "
                f"expected a share from 0 up to, not including, 1"
            )
        if self.bpe_vocab_size < 257:
            raise ConfigError(
                f"data.bpe_vocab_size is {self.bpe_vocab_size}; "
                f"expected 257 or more (256 bytes and a document separator)"
            )
