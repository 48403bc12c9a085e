from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as RustTokenizer
from tokenizers import models, pre_tokenizers, processors

from cutaway.base.errors import TokenizerError
from cutaway.text.bpe import BPETokenizer
from cutaway.text.tokenizer import load_tokenizer

TEXTS = ["def squares(n):\n    return [x**2 for x in range(n)]\n" * 20, "def cubes(n):\n    pass\n" * 20]
TOKENIZER = BPETokenizer.train(TEXTS, 290)


def test_it_learns_frequent_pieces_the_same_way_every_time() -> None:
    assert TOKENIZER.vocab_size == 290
    assert TOKENIZER.bos_id == TOKENIZER.eos_id == 0
    assert TOKENIZER.hash == BPETokenizer.train(TEXTS, 290).hash
    assert len(TOKENIZER.encode(TEXTS[0])) < len(TEXTS[0]) / 2
    assert "def" in {TOKENIZER.token_text(index) for index in range(290)}


@given(st.text())
def test_any_text_can_be_spelled(text: str) -> None:
    ids = TOKENIZER.encode_documents([text]).tolist()
    assert ids[0] == TOKENIZER.bos_id
    assert TOKENIZER.decode(ids) == text


def test_a_document_that_quotes_the_separator_is_not_cut() -> None:
    text = "a <|endoftext|> b"
    assert TOKENIZER.encode_documents([text]).tolist().count(0) == 1
    assert TOKENIZER.encode(text).count(0) == 1
    assert TOKENIZER.encode_documents([text]).tolist().count(0) == 1


def test_many_documents_are_one_array_with_separators() -> None:
    ids = TOKENIZER.encode_documents(["def", "pass é"]).tolist()
    assert ids == [0, *TOKENIZER.encode("def"), 0, *TOKENIZER.encode("pass é")]
    assert TOKENIZER.prompt_ids("def") == [0, *TOKENIZER.encode("def")]


def test_other_tools_get_the_same_ids(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    TOKENIZER.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    text = "def squares(n):\n\n    don't  é☃ , a .\n"
    assert theirs(text)["input_ids"] == TOKENIZER.encode(text)
    assert theirs.decode(TOKENIZER.encode(text)) == text
    assert theirs.bos_token_id == theirs.eos_token_id == 0
    again = load_tokenizer(tmp_path)
    assert again.hash == TOKENIZER.hash
    assert again.prompt_ids("def") == TOKENIZER.prompt_ids("def")


def test_gpt2s_older_pair_of_files_is_read(tmp_path: Path) -> None:
    data = json.loads(TOKENIZER.inner.to_str())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(data["vocab"]))
    merges = [" ".join(pair) for pair in data["merges"]]
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    again = load_tokenizer(tmp_path)
    assert again.encode("def squares(é)") == TOKENIZER.encode("def squares(é)")
    assert again.eos_id == 0


def test_a_llama_like_file_keeps_its_own_special_tokens(tmp_path: Path) -> None:
    inner = RustTokenizer(models.BPE(json.loads(TOKENIZER.inner.to_str())["model"]["vocab"], []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.add_special_tokens(["<|begin|>", "<|end|>"])
    inner.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", 290)])
    inner.save(str(tmp_path / "tokenizer.json"))
    config = {"bos_token": {"content": "<|begin|>"}, "eos_token": "<|end|>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = load_tokenizer(tmp_path)
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.vocab_size) == (290, 291, 292)
    assert tokenizer.prompt_ids("ab") == [290, *tokenizer.encode("ab")]
    assert tokenizer.token_text(291) == "<|end|>"
    tokenizer.save(tmp_path / "saved")
    saved = load_tokenizer(tmp_path / "saved")
    assert (saved.bos_id, saved.eos_id, saved.hash) == (290, 291, tokenizer.hash)


def test_a_prompt_of_a_model_without_separator_gets_none(tmp_path: Path) -> None:
    TOKENIZER.inner.save(str(tmp_path / "tokenizer.json"))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.bos_id is None
    assert tokenizer.prompt_ids("ab") == tokenizer.encode("ab")


def test_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="there is no tokenizer in"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "BPE"}}')
    with pytest.raises(TokenizerError, match="cannot read the tokenizer"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("[]")
    with pytest.raises(TokenizerError, match="not a JSON object"):
        load_tokenizer(tmp_path)
