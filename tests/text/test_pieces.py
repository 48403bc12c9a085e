from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as RustTokenizer
from tokenizers import decoders, models, pre_tokenizers

from cutaway.text.bpe import BPETokenizer
from cutaway.text.characters import CharacterTokenizer
from cutaway.text.pieces import cut_up, token_texts

OURS = BPETokenizer.train(["the cat sat on the mat; " * 20], 300)


@given(st.text(max_size=40))
def test_the_bytes_of_all_tokens_are_those_of_the_text(text: str) -> None:
    pieces = cut_up(OURS, text)
    assert [piece.id for piece in pieces] == OURS.prompt_ids(text)
    if "<|endoftext|>" not in text:
        assert b"".join(piece.data for piece in pieces) == text.encode()
    assert all(0 <= piece.start <= piece.end <= len(text) for piece in pieces)


def test_special_tokens_have_a_name_and_no_bytes() -> None:
    first, second, last = cut_up(OURS, "t<|endoftext|>")
    assert (first.text, first.data, first.is_special) == ("<|endoftext|>", b"", True)
    assert (second.text, second.data, second.is_special) == ("t", b"t", False)
    assert (last.text, last.is_special) == ("<|endoftext|>", True)


def test_a_character_in_several_tokens() -> None:
    pieces = cut_up(OURS, "é")[1:]
    assert [piece.data for piece in pieces] == [b"\xc3", b"\xa9"]
    assert [(piece.start, piece.end) for piece in pieces] == [(0, 1), (0, 1)]


@pytest.mark.parametrize(("names", "unknown"), [(["<|unknown|>", "a", "b"], 0), (["a", "b"], None)])
def test_characters_and_unknown_ones(names: list[str], unknown: int | None) -> None:
    pieces = cut_up(CharacterTokenizer(names), "aéb")
    assert [piece.id for piece in pieces] == [names.index("a"), unknown, names.index("b")]
    assert [piece.is_unknown for piece in pieces] == [False, True, False]
    assert b"".join(piece.data for piece in pieces) == "aéb".encode()


def test_blanks_and_bytes_of_other_tokenizers() -> None:
    vocabulary = {"<unk>": 0, "\u2581": 1, "a": 2, "<0xE2>": 3, "<0x82>": 4, "<0xAC>": 5}
    inner = RustTokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    inner.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    pieces = cut_up(BPETokenizer(inner, bos=None, eos=None), "a \u20ac")
    assert [piece.id for piece in pieces] == [2, 1, 3, 4, 5]
    assert b"".join(piece.data for piece in pieces) == "a \u20ac".encode()


def test_tokens_in_the_middle_of_a_character_say_nothing_until_it_is_whole() -> None:
    text = "\u201cno\u201d \U0001f600."
    ids = [*OURS.encode(text), OURS.eos_id]
    texts = token_texts(OURS, ids)
    assert "".join(texts) == text + "<|endoftext|>"
    assert texts[:5] == ("", "", "\u201c", "n", "o")
    assert len(texts) == len(ids)
    assert token_texts(OURS, ids[:2])[-1] != "", "what stays unfinished is shown as such"
