"""Tokens are frequent pieces of bytes: byte-pair encoding, learned from the training text.

Start from the 256 bytes; again and again give the most frequent pair of neighbours a token of its own.
Frequent words become one token, rare ones stay spelled out, and any text at all can be encoded (Sennrich
et al. 2016; on bytes: Radford et al. 2019). Learning and encoding are done by the `tokenizers` library.
The same class serves any tokenizer.json, also of GPT-2 and Llama folders.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Integer
from tokenizers import Tokenizer as RustTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from cutaway.base.errors import TokenizerError
from cutaway.base.files import content_hash
from cutaway.text.tokenizer_files import SEPARATOR, read_json, special_token, write_tokenizer


class BPETokenizer:
    """A tokenizer.json, ours or anyone's.

    Args:
        inner: the tokenizer of the `tokenizers` library.
        starts_with_bos: whether a prompt is preceded by the document separator.
    """

    kind = "bpe"

    def __init__(self, inner: RustTokenizer, *, bos: str | None, eos: str | None, starts_with_bos: bool = True) -> None:
        self.inner = inner
        self.bos, self.eos = bos, eos
        self.bos_id: int | None = inner.token_to_id(bos) if bos is not None else None
        self.eos_id: int | None = inner.token_to_id(eos) if eos is not None else None
        self.unknown_id: int | None = None
        self.starts_with_bos = starts_with_bos and self.bos_id is not None

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> BPETokenizer:
        """Learn `vocab_size` tokens (fewer if the text has no more pairs) from the training texts."""
        inner = _byte_level(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[SEPARATOR],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        inner.train_from_iterator(texts, trainer)
        return cls(inner, bos=SEPARATOR, eos=SEPARATOR)

    @classmethod
    def load(cls, folder: Path) -> BPETokenizer:
        """Read a folder with tokenizer.json, or with GPT-2's older pair vocab.json and merges.txt.

        Raises:
            TokenizerError: the files are missing or damaged.
        """
        path = folder / "tokenizer.json"
        try:
            if path.is_file():
                inner = RustTokenizer.from_file(str(path))
            else:
                inner = _byte_level(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
        except Exception as error:  # the library raises plain Exception
            raise TokenizerError(f"cannot read the tokenizer in {folder}: {error}; copy or save it again") from error
        settings: dict = {}
        for name in ("special_tokens_map.json", "tokenizer_config.json"):
            if (folder / name).is_file():
                settings |= read_json(folder / name)
        if not path.is_file():
            settings = {"bos_token": SEPARATOR, "eos_token": SEPARATOR} | settings
        bos, eos = special_token(settings, "bos_token"), special_token(settings, "eos_token")
        learned_here = settings.get("tokenizer_class") == "PreTrainedTokenizerFast" and bos == eos == SEPARATOR
        adds_bos = bos is not None and inner.encode("").ids[:1] == [inner.token_to_id(bos)]
        return cls(inner, bos=bos, eos=eos, starts_with_bos=learned_here or adds_bos)

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return self.inner.get_vocab_size()

    @cached_property
    def hash(self) -> str:
        """Return a hash of the whole tokenizer."""
        return content_hash(["bpe", self.inner.to_str()])

    def encode(self, text: str) -> list[int]:
        """Return the ids of the text, without special tokens around it.

        Raises:
            TokenizerError: a tokenizer that cannot spell every text met something it does not know.
        """
        try:
            return self.inner.encode(text, add_special_tokens=False).ids
        except Exception as error:  # the library raises plain Exception
            raise TokenizerError(f"this tokenizer cannot encode the text: {error}") from error

    def encode_documents(self, texts: Iterable[str]) -> Integer[np.ndarray, " N"]:
        """Return the ids of all the documents, each after a separator if there is one."""
        dtype = np.uint16 if self.vocab_size <= 0xFFFF else np.uint32
        before = [] if self.bos_id is None else [self.bos_id]
        self.inner.encode_special_tokens = True  # a document that quotes a special token's name only quotes it
        pieces = [
            np.array(before + encoding.ids, dtype=dtype)
            for encoding in self.inner.encode_batch_fast(list(texts), add_special_tokens=False)
        ]
        self.inner.encode_special_tokens = False
        return np.concatenate(pieces) if pieces else np.empty(0, dtype=dtype)

    def prompt_ids(self, text: str) -> list[int]:
        """Return the ids generation starts from: for our own models, the beginning of a document."""
        if self.starts_with_bos and self.bos_id is not None:
            return [self.bos_id, *self.encode(text)]
        return self.encode(text)

    def token_ends(self, text: str) -> list[int]:
        """Return where in the text each token of `encode(text)` ends, in characters.

        Tokens that share a character (pieces of its bytes) end where it ends, all of them.
        """
        ends = [end for _, end in self.inner.encode(text, add_special_tokens=False).offsets]
        ends = np.maximum.accumulate(np.array(ends, dtype=np.int64)).tolist() if ends else []
        return [*ends[:-1], len(text)] if ends else []

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text; special tokens vanish, bytes that are no UTF-8 are shown as U+FFFD."""
        return self.inner.decode(ids, skip_special_tokens=True)

    def token_text(self, index: int) -> str:
        """Return one token as text, special tokens by their name."""
        token = self.inner.id_to_token(index)
        if token is None:
            return f"<{index}>"
        return self.inner.decode([index], skip_special_tokens=True) or token

    def save(self, folder: Path) -> None:
        """Write tokenizer.json and tokenizer_config.json, which `tokenizers` and `transformers` read."""
        text = json.dumps(json.loads(self.inner.to_str()), ensure_ascii=False, indent=1)
        write_tokenizer(Path(folder), text, separator=self.bos, end=self.eos)


def _byte_level(model: models.BPE) -> RustTokenizer:
    inner = RustTokenizer(model)
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([SEPARATOR])
    return inner
