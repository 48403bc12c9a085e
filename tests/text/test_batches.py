from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cutaway.base.errors import DataError
from cutaway.text import batches
from cutaway.text.batches import EncodedCorpus, EncodedText, ValidationWindows, Windows, encode_corpus
from cutaway.text.config import DataConfig
from cutaway.text.corpus import Corpus, read_corpus
from cutaway.text.tokenizer import Tokenizer, build_tokenizer


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    monkeypatch.setenv("CUTAWAY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "words.txt").write_text("".join(f"word é{n}\n" for n in range(200)))
    return read_corpus(DataConfig(str(tmp_path / "words.txt"), documents="line"))


@pytest.fixture
def tokenizer(corpus: Corpus) -> Tokenizer:
    return build_tokenizer(DataConfig(), corpus)


def same(left: EncodedCorpus, right: EncodedCorpus) -> bool:
    return all(
        np.array_equal(a.tokens, b.tokens) and (a.n_bytes, a.n_unknown) == (b.n_bytes, b.n_unknown)
        for a, b in ((left.train, right.train), (left.validation, right.validation))
    )


def test_tokens_are_mapped_from_the_cache_and_count_their_bytes(corpus: Corpus, tokenizer: Tokenizer) -> None:
    first, again = encode_corpus(corpus, tokenizer), encode_corpus(corpus, tokenizer)
    assert same(first, again)
    assert isinstance(first.train.tokens.base, np.memmap) or isinstance(first.train.tokens, np.memmap)
    assert first.train.tokens.tolist() == tokenizer.encode_documents(corpus.train_texts).tolist()
    assert first.train.n_bytes == sum(len(f"{text}\n".encode()) for text in corpus.train_texts)


def test_one_text_does_not_count_the_bytes_nobody_predicts(tmp_path: Path, corpus: Corpus) -> None:
    (tmp_path / "one.txt").write_text("é" + "ab" * 50)
    one = read_corpus(DataConfig(str(tmp_path / "one.txt")))
    encoded = encode_corpus(one, build_tokenizer(DataConfig(), one))
    assert encoded.train.n_bytes == len(encoded.train.tokens) - 1


@pytest.mark.parametrize("damage", ["truncate", "flip", "header", "empty"])
def test_a_damaged_cache_is_noticed_and_made_again(
    corpus: Corpus, tokenizer: Tokenizer, tmp_path: Path, damage: str
) -> None:
    whole = encode_corpus(corpus, tokenizer)
    expected = EncodedText(np.array(whole.train.tokens), whole.train.n_bytes, whole.train.n_unknown)
    (path,) = (tmp_path / "cache" / "tokens").iterdir()
    data = bytearray(path.read_bytes())
    if damage == "truncate":
        data = data[:-100]
    elif damage == "flip":
        data[700] ^= 1
    elif damage == "header":
        data[:512] = b"not json".ljust(512)
    else:
        data = bytearray()
    path.unlink()
    path.write_bytes(data)
    again = encode_corpus(corpus, tokenizer)
    assert np.array_equal(again.train.tokens, expected.tokens)
    assert batches._read_tokens(path) is not None


def test_a_cache_that_cannot_be_written_is_done_without(
    corpus: Corpus, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CUTAWAY_CACHE", str(tmp_path / "file"))
    encoded = encode_corpus(corpus, tokenizer)
    assert encoded.train.tokens.tolist() == tokenizer.encode_documents(corpus.train_texts).tolist()


ENCODE_OFTEN = """
import sys
import numpy as np
from cutaway.text import batches
from cutaway.text.config import DataConfig
from cutaway.text.corpus import read_corpus
from cutaway.text.tokenizer import build_tokenizer

corpus = read_corpus(DataConfig(sys.argv[1], documents="line"))
tokenizer = build_tokenizer(DataConfig(), corpus)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(30):
    encoded = batches.encode_corpus(corpus, tokenizer)
    for path in (batches.cache_folder() / "tokens").iterdir():
        path.unlink(missing_ok=True)
print(int(encoded.train.tokens.astype(np.int64).sum()))
"""


@pytest.mark.slow
def test_two_processes_may_fill_the_cache_at_once(corpus: Corpus, tokenizer: Tokenizer, tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENCODE_OFTEN, str(tmp_path / "words.txt")]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for worker in workers:
        assert worker.stdout
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()
    sums = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    assert sums == [int(tokenizer.encode_documents(corpus.train_texts).astype(np.int64).sum())] * 2


@given(n_tokens=st.integers(9, 200), context_length=st.integers(1, 8), seed=st.integers(0, 5))
def test_an_epoch_is_windows_that_do_not_overlap(n_tokens: int, context_length: int, seed: int) -> None:
    windows = Windows(np.arange(n_tokens, dtype=np.uint16), context_length, seed)
    tokens, targets = windows.batch(3 * windows.sequences_per_epoch, windows.sequences_per_epoch)
    assert torch.equal(targets, tokens + 1)
    flat = targets.flatten().tolist()
    assert len(set(flat)) == len(flat)
    assert min(flat) >= 1
    assert max(flat) < n_tokens
    assert windows.sequences_per_epoch >= max(1, (n_tokens - 1) // context_length - 1)


def test_a_batch_depends_on_its_numbers_only() -> None:
    text = np.random.default_rng(0).integers(0, 31, 1000).astype(np.uint16)
    windows = Windows(text, 7, seed=3)
    n = windows.sequences_per_epoch
    whole, _ = windows.batch(0, 3 * n)
    part, _ = Windows(text, 7, seed=3).batch(n - 2, 5)
    assert torch.equal(part, whole[n - 2 : n + 3])
    assert whole.dtype == torch.int64
    assert not torch.equal(windows.batch(0, n)[0], windows.batch(n, n)[0])
    assert not torch.equal(windows.batch(0, n)[0], Windows(text, 7, seed=4).batch(0, n)[0])


def test_every_offset_and_so_every_token_comes_up() -> None:
    windows = Windows(np.arange(50, dtype=np.uint16), 8, seed=0)
    seen = set(windows.batch(0, 100 * windows.sequences_per_epoch)[1].flatten().tolist())
    assert seen == set(range(1, 50))


def test_a_text_shorter_than_the_context_is_refused() -> None:
    with pytest.raises(DataError, match=r"has 64 tokens, too few for one window of context 64 \(it takes 65\)"):
        Windows(np.zeros(64, dtype=np.uint16), 64, 0)
    assert Windows(np.zeros(65, dtype=np.uint16), 64, 0).sequences_per_epoch == 1
    with pytest.raises(DataError, match="validation text has 1 tokens"):
        ValidationWindows(EncodedText(np.zeros(1, dtype=np.uint16), 1, 0), 64, 8)


@given(n_tokens=st.integers(2, 100), context_length=st.integers(1, 12), batch_size=st.integers(1, 5))
@pytest.mark.slow
def test_validation_predicts_every_token_once(n_tokens: int, context_length: int, batch_size: int) -> None:
    windows = ValidationWindows(EncodedText(np.arange(n_tokens, dtype=np.uint16), 1, 0), context_length, batch_size)
    seen: list[int] = []
    for tokens, targets in windows:
        assert torch.equal(targets, tokens + 1)
        assert tokens.shape[0] <= batch_size
        seen += targets.flatten().tolist()
    assert seen == list(range(1, n_tokens))
    assert windows.n_targets == n_tokens - 1


def test_bits_per_byte_of_a_uniform_guess() -> None:
    windows = ValidationWindows(EncodedText(np.zeros(101, dtype=np.uint16), 100, 0), 8, 4)
    assert windows.bits_per_byte(float(np.log(256))) == pytest.approx(8.0)
