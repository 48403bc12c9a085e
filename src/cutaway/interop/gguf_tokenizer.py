"""A byte-level BPE tokenizer in a GGUF file: every token with its type, the merges, the special ids.

llama.cpp cuts text into words with a pattern it has built in and only the pattern's name stands in the file
(`tokenizer.ggml.pre`). A tokenizer that cuts in a way llama.cpp has no name for would give other tokens without a word, so
it is refused, as are tokens that are characters or SentencePiece's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as RustTokenizer

from cutaway.base.errors import ModelFormatError, UsageError
from cutaway.interop.chat_template import render
from cutaway.interop.gguf_kinds import CHARACTERS
from cutaway.text.bpe import BPETokenizer
from cutaway.text.tokenizer import Tokenizer

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""Types of tokens, gguf.TokenType."""
BYTE_LEVEL: dict[str, Any] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
CUTS: dict[str, dict[str, Any]] = {
    "gpt-2": BYTE_LEVEL,
    "llama-bpe": {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": LLAMA3}, "behavior": "Isolated", "invert": False},
            BYTE_LEVEL | {"use_regex": False},
        ],
    },
    "smollm": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTE_LEVEL]},
}
"""How llama.cpp's patterns are written in a tokenizer.json, by their names."""
IGNORE_MERGES = {"llama-bpe"}
"""Patterns with which a word that is a token is taken whole."""


@dataclass(frozen=True)
class Vocabulary:
    """What of a tokenizer stands in the file."""

    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str]
    bos_id: int | None
    eos_id: int | None
    add_bos: bool
    chat_template: str | None


def vocabulary(tokenizer: Tokenizer, vocab_size: int, chat_template: str | None = None) -> Vocabulary:
    """Return a tokenizer as the file holds it; rows of the model beyond its tokens are named `[PAD..]`.

    Raises:
        UsageError: llama.cpp cannot do what it does.
    """
    if not isinstance(tokenizer, BPETokenizer):
        raise UsageError(CHARACTERS)
    described = json.loads(tokenizer.inner.to_str())
    model = described["model"]
    if model.get("type") != "BPE" or described.get("normalizer") or model.get("byte_fallback"):
        raise refusal("is not byte-level BPE")
    if described.get("pre_tokenizer") is None:
        raise refusal("does not cut text into words first")
    pre = next((name for name, cut in CUTS.items() if same_cut(cut, described["pre_tokenizer"])), None)
    if pre is None:
        raise refusal("cuts text into words in a way that has no name there")
    if bool(model.get("ignore_merges")) != (pre in IGNORE_MERGES):
        raise refusal(f"cuts like {pre} but joins pieces otherwise")
    texts = {index: text for text, index in tokenizer.inner.get_vocab(with_added_tokens=True).items()}
    added = {one["id"]: one for one in described["added_tokens"]}
    if max(texts) >= vocab_size:
        raise UsageError(f"the tokenizer has {max(texts) + 1:,} tokens but the model only {vocab_size:,}; they differ")
    types = [token_type(added.get(i), texts.get(i)) for i in range(vocab_size)]
    merges = [one if isinstance(one, str) else " ".join(one) for one in model["merges"]]
    add_bos = tokenizer.starts_with_bos
    if chat_template is not None and tokenizer.bos is not None:
        add_bos = template_writes(chat_template, tokenizer.bos, tokenizer.eos or "")
    return Vocabulary(
        pre=pre,
        tokens=[texts.get(i, f"[PAD{i}]") for i in range(vocab_size)],
        types=types,
        merges=merges,
        bos_id=tokenizer.bos_id,
        eos_id=tokenizer.eos_id,
        add_bos=add_bos,
        chat_template=chat_template,
    )


def refusal(why: str) -> UsageError:
    """Return the error for a tokenizer llama.cpp does not have."""
    return UsageError(
        f"the tokenizer {why}, so llama.cpp would read other tokens; export to hf, and try llama.cpp's own "
        f"convert_hf_to_gguf.py on that folder"
    )


def same_cut(known: dict[str, Any], found: dict[str, Any]) -> bool:
    """Whether two descriptions cut alike; trimming offsets changes no token."""
    if known["type"] != found.get("type"):
        return False
    if known["type"] == "Sequence":
        parts = found.get("pretokenizers", [])
        return len(parts) == len(known["pretokenizers"]) and all(map(same_cut, known["pretokenizers"], parts))
    return all(found.get(key, value) == value for key, value in known.items() if key != "trim_offsets")


def token_type(added: dict[str, Any] | None, text: str | None) -> int:
    """Return a token's type as llama.cpp's converter does: added tokens that look like marks are marks."""
    if text is None:
        return UNUSED
    if added is None:
        return NORMAL
    looks_special = text.startswith("<|") and text.endswith("|>")
    return CONTROL if added["special"] or looks_special else USER_DEFINED


def template_writes(template: str, bos: str, eos: str) -> bool:
    """Whether a chat template itself begins with the mark of a document's beginning."""
    marks = {"bos_token": bos, "eos_token": eos, "unk_token": "", "pad_token": ""}
    return bool(bos) and render(template, marks, [{"role": "user", "content": "x"}]).startswith(bos)


def vocabulary_of(values: Mapping[str, Any]) -> Vocabulary:
    """Return the vocabulary a file's settings describe.

    Raises:
        ModelFormatError: it has another kind of tokenizer.
    """
    key = "tokenizer.ggml."
    if values.get(f"{key}model") != "gpt2" or values.get(f"{key}pre") not in CUTS:
        raise ModelFormatError(
            f"the GGUF file's tokenizer is {values.get(f'{key}model')!r} with words cut as "
            f"{values.get(f'{key}pre')!r}; expected 'gpt2' and one of {sorted(CUTS)}"
        )
    return Vocabulary(
        pre=values[f"{key}pre"],
        tokens=list(values[f"{key}tokens"]),
        types=list(values[f"{key}token_type"]),
        merges=list(values[f"{key}merges"]),
        bos_id=values.get(f"{key}bos_token_id"),
        eos_id=values.get(f"{key}eos_token_id"),
        add_bos=bool(values.get(f"{key}add_bos_token", False)),
        chat_template=values.get("tokenizer.chat_template"),
    )


def tokenizer_of(found: Vocabulary) -> BPETokenizer:
    """Return the tokenizer a vocabulary describes, built from the file alone."""
    numbered = [(i, token, kind) for i, (token, kind) in enumerate(zip(found.tokens, found.types, strict=True))]
    described = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": CUTS[found.pre],
        "decoder": BYTE_LEVEL,
        "model": {
            "type": "BPE",
            "vocab": {token: i for i, token, kind in numbered if kind != UNUSED},
            "merges": [one.split(" ") for one in found.merges],
            "ignore_merges": found.pre in IGNORE_MERGES,
        },
    }
    inner = RustTokenizer.from_str(json.dumps(described))
    inner.add_special_tokens([AddedToken(t, normalized=False) for t in of_type(found, CONTROL)])
    inner.add_tokens([AddedToken(t, normalized=False) for t in of_type(found, USER_DEFINED)])
    texts = [None if i is None else found.tokens[i] for i in (found.bos_id, found.eos_id)]
    return BPETokenizer(inner, bos=texts[0], eos=texts[1], starts_with_bos=found.add_bos)


def of_type(found: Vocabulary, kind: int) -> Sequence[str]:
    """Return the tokens of one type."""
    return [token for token, its_kind in zip(found.tokens, found.types, strict=True) if its_kind == kind]
