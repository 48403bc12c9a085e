"""How a text is cut: its tokens one by one, with what each stands for in characters and in bytes.

A byte-level tokenizer writes each byte as one printable character of its own (Radford et al. 2019), so that a token can
begin or end in the middle of a character; taken apart here, the bytes of all tokens are again exactly those of the text.
Other tokenizers (SentencePiece) write a blank as U+2581 and a byte they have no letter for as <0xE2>.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cutaway.text.bpe import BPETokenizer
from cutaway.text.characters import CharacterTokenizer
from cutaway.text.tokenizer import Tokenizer

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
MOST_TOKENS_OF_A_CHARACTER = 8
"""A character has four bytes at most, and a token may hold the end of one and the beginning of the next."""


@dataclass(frozen=True)
class Piece:
    """One token of a text."""

    id: int | None
    """None: the tokenizer has no token for this character, and none that stands for unknown ones."""
    text: str
    """What it reads as alone; special tokens by their name."""
    data: bytes
    """Its part of the text in UTF-8; empty for special tokens."""
    start: int
    """Its first character in the text; tokens that share a character share its place."""
    end: int
    is_special: bool = False
    """It stands for no text: the mark of a beginning or an end."""
    is_unknown: bool = False


def cut_up(tokenizer: Tokenizer, text: str) -> list[Piece]:
    """Return the tokens of a text as a model would read them, the mark of the beginning first where there is one."""
    found = []
    if tokenizer.bos_id is not None and getattr(tokenizer, "starts_with_bos", True):
        found.append(Piece(tokenizer.bos_id, tokenizer.token_text(tokenizer.bos_id), b"", 0, 0, is_special=True))
    if isinstance(tokenizer, BPETokenizer):
        return [*found, *_of_bpe(tokenizer, text)]
    assert isinstance(tokenizer, CharacterTokenizer)
    return [*found, *_of_characters(tokenizer, text)]


def _of_characters(tokenizer: CharacterTokenizer, text: str) -> Iterator[Piece]:
    ids = {token: index for index, token in enumerate(tokenizer.tokens) if len(token) == 1}
    for i, character in enumerate(text):
        is_known = character in ids
        index = ids[character] if is_known else tokenizer.unknown_id
        yield Piece(index, character, character.encode("utf-8", "replace"), i, i + 1, is_unknown=not is_known)


def _of_bpe(tokenizer: BPETokenizer, text: str) -> Iterator[Piece]:
    inner = tokenizer.inner
    encoding = inner.encode(text, add_special_tokens=False)
    special = {index for index, token in inner.get_added_tokens_decoder().items() if token.special}
    unknown = getattr(inner.model, "unk_token", None)
    is_byte_level = _is_byte_level(tokenizer)
    for index, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
        name = inner.id_to_token(index) or ""
        is_special = index in special
        is_unknown = unknown is not None and name == unknown
        data = b"" if is_special else text[start:end].encode() if is_unknown else _bytes(name, is_byte_level)
        yield Piece(index, tokenizer.token_text(index), data, start, end, is_special, is_unknown)


def _bytes(name: str, is_byte_level: bool) -> bytes:
    if is_byte_level and all(character in _BYTES for character in name):
        return bytes(_BYTES[character] for character in name)
    byte = _BYTE.fullmatch(name)
    return bytes([int(byte[1], 16)]) if byte else name.replace("\u2581", " ").encode()


def _is_byte_level(tokenizer: BPETokenizer) -> bool:
    return '"ByteLevel"' in json.dumps(json.loads(tokenizer.inner.to_str()).get("decoder"))


def _byte_characters() -> dict[str, int]:
    """Return which character a byte-level tokenizer writes for each byte: itself if printable, else one from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTES = _byte_characters()


def token_texts(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[str, ...]:
    """Return tokens as text, special ones by their name; of a character cut into several tokens the last has all of it.

    Joined they are the text, where a token alone may be a third of a quotation mark.
    """
    texts: list[str] = []
    held: list[int] = []
    for token in ids:
        held.append(token)
        text = tokenizer.token_text(token) if len(held) == 1 else tokenizer.decode(held)
        if text.endswith("\ufffd") and len(held) < MOST_TOKENS_OF_A_CHARACTER:
            texts.append("")
            continue
        texts.append(text)
        held = []
    if held:
        texts[-1] = tokenizer.decode(held)
    return tuple(texts)
