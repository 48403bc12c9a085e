from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as RustTokenizer

from cutaway.base.errors import TokenizerError
from cutaway.text.characters import CharacterTokenizer
from cutaway.text.tokenizer import encode_marked, load_tokenizer
from cutaway.text.tokenizer_files import SEPARATOR

ALPHABET = '\n !abcdefXYZ\t"\\é€😀'


def test_the_vocabulary_is_the_sorted_characters() -> None:
    tokenizer = CharacterTokenizer.train(["banana\n", "cab"], separator=False)
    assert tokenizer.tokens == ["\n", "a", "b", "c", "n"]
    assert tokenizer.encode("can\n") == [3, 1, 4, 0]
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.unknown_id) == (None, None, None)


def test_names_have_26_letters_and_a_separator() -> None:
    names = ["emma", "olivia", "abcdefghijklmnopqrstuvwxyz"]
    tokenizer = CharacterTokenizer.train(names, separator=True)
    assert tokenizer.vocab_size == 27
    assert tokenizer.bos_id == tokenizer.eos_id == 0
    assert tokenizer.prompt_ids("em") == [0, *tokenizer.encode("em")]
    assert tokenizer.prompt_ids("") == [0]
    assert tokenizer.encode_documents(["ab", "c"]).tolist() == [0, 1, 2, 0, 3]


@given(st.text(alphabet=ALPHABET))
def test_decoding_undoes_encoding(text: str) -> None:
    tokenizer = CharacterTokenizer(sorted(ALPHABET))
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode_documents([text]).tolist() == ids


def test_characters_of_very_few_documents_become_unknown() -> None:
    documents = ["plain words " * 5] * 299 + ["plain words ☃"]
    tokenizer = CharacterTokenizer.train(documents, separator=True)
    assert "☃" not in tokenizer.tokens
    ids = tokenizer.encode_documents(["a☃"])
    assert ids.tolist() == [0, *tokenizer.encode("a"), tokenizer.unknown_id]
    assert tokenizer.decode(ids.tolist()) == "a\ufffd"


def test_rare_characters_stay_when_together_they_are_much_of_the_text() -> None:
    documents = [chr(0x4E00 + n) * 3 for n in range(300)]
    assert CharacterTokenizer.train(documents, separator=False).vocab_size == 300


def test_validation_with_new_characters_gets_an_unknown_token() -> None:
    tokenizer = CharacterTokenizer.train(["abc"], ["abd"], separator=False)
    assert tokenizer.encode_documents(["abd"]).tolist() == [1, 2, tokenizer.unknown_id]


def test_a_prompt_with_unseen_characters_names_them() -> None:
    for tokenizer in (
        CharacterTokenizer(["a", "b"]),
        CharacterTokenizer.train(["ab"], ["c"], separator=False),
    ):
        with pytest.raises(TokenizerError, match=r"never saw in training: 'z', 'é'; leave them out"):
            tokenizer.encode("azbé")
    with pytest.raises(TokenizerError, match="'z'"):
        CharacterTokenizer(["a", "b"]).encode_documents(["ab", "az"])


def test_a_big_text_is_encoded_by_table() -> None:
    text = "the quick brown fox\n" * 50_000
    tokenizer = CharacterTokenizer.train([text], separator=False)
    ids = tokenizer.encode_documents([text])
    assert ids.dtype == np.uint16
    assert tokenizer.decode(ids[:20].tolist()) == text[:20]


@pytest.mark.parametrize("separator", [False, True])
def test_other_tools_get_the_same_ids(tmp_path: Path, separator: bool) -> None:
    from transformers import AutoTokenizer

    text = ALPHABET + "fed  cab\n\n\tX" + " don't , a . b"
    tokenizer = CharacterTokenizer.train([text, "☃"] if separator else [text], separator=separator)
    tokenizer.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert theirs(text)["input_ids"] == tokenizer.encode(text)
    assert theirs.decode(tokenizer.encode(text)) == text
    assert RustTokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(text).ids == tokenizer.encode(text)
    assert theirs.bos_token_id == theirs.eos_token_id == tokenizer.bos_id
    assert len(theirs) == tokenizer.vocab_size
    again = load_tokenizer(tmp_path)
    assert isinstance(again, CharacterTokenizer)
    assert again.hash == tokenizer.hash


def test_other_tools_know_the_unknown_token(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = CharacterTokenizer.train(["abc"], ["z"], separator=True)
    tokenizer.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert theirs("azb")["input_ids"] == tokenizer.encode_documents(["azb"]).tolist()[1:]


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    CharacterTokenizer(["a", "b", "c"]).save(tmp_path)
    path = tmp_path / "tokenizer.json"
    data = json.loads(path.read_text())
    data["model"]["vocab"]["c"] = 7
    path.write_text(json.dumps(data))
    with pytest.raises(TokenizerError, match="each once"):
        load_tokenizer(tmp_path)
    path.write_text(path.read_text()[:100])
    with pytest.raises(TokenizerError, match="cannot read the tokenizer file"):
        load_tokenizer(tmp_path)
    with pytest.raises(TokenizerError, match="a token twice"):
        CharacterTokenizer(["a", "a"])


def test_marks_by_name_are_one_token_and_the_rest_is_text() -> None:
    tokenizer = CharacterTokenizer([SEPARATOR, "a", "b"])
    assert encode_marked(tokenizer, f"{SEPARATOR}ab{SEPARATOR}") == [(0, 13), (1, 14), (2, 15), (0, 28)]
    assert encode_marked(tokenizer, "ba") == [(2, 1), (1, 2)]
    with pytest.raises(TokenizerError, match="'c'"):
        encode_marked(tokenizer, f"{SEPARATOR}c")
