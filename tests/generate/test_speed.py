"""The speed lesson: both ways write the same, and the counts are those PyTorch counts."""

from __future__ import annotations

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cutaway.base.errors import UsageError
from cutaway.base.tap import listening
from cutaway.generate import speed
from cutaway.generate.speed import count_step, count_step_bytes, measure_peaks, measure_speed
from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig
from cutaway.models.count import count_cache_bytes, count_operations, count_writing_operations
from cutaway.models.decoder import Decoder
from cutaway.text.characters import CharacterTokenizer

TOKENIZER = CharacterTokenizer(["\n", *"abcdefghijklmnopqrstuvwxyzABCD"])
V = TOKENIZER.vocab_size
CONFIGS = {
    "ours": GPTConfig(V, 64, 24, 2, 4, ngram_sizes=(2,), ngram_rows=(61,), zero_init_projections=False, init_std=0.3),
    "gpt2": GPTConfig(
        V,
        64,
        24,
        2,
        4,
        positions="learned",
        norm="layer",
        mlp="gelu",
        bias=True,
        tied=True,
        qk_norm=False,
        init_std=0.3,
    ),
    "llama": LlamaConfig(V, 64, 24, 2, 4, n_kv_heads=2, init_std=0.3),
}


def model(kind: str, dtype: torch.dtype = torch.float32) -> Decoder:
    return build(CONFIGS[kind], seed=1, dtype=dtype)


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.slow
def test_operations_are_those_pytorch_counts(kind: str) -> None:
    # somebody listens, so that attention is written out: PyTorch's counter does not know its one kernel for processors
    decoder, config = model(kind), CONFIGS[kind]
    tokens = torch.randint(V, (1, 20))
    decoder.requires_grad_(False)  # the counter stumbles over parameters that are handed on as they are
    cache = decoder.new_cache()
    for start, end in ((0, 13), (13, 14), (14, 15), (15, 20)):
        with torch.no_grad(), listening(lambda name, value: None), FlopCounterMode(display=False) as counter:
            hidden_BTC = decoder.hidden(tokens[:, start:end], cache)
            decoder.lm_head(hidden_BTC[:, -1])
        assert counter.get_total_flops() == count_step(config, end - start, end)


@pytest.mark.parametrize("kind", CONFIGS)
def test_operations_agree_with_the_other_counts(kind: str) -> None:
    config = CONFIGS[kind]
    assert count_step(config, 1, 9) == count_writing_operations(config, 8)
    whole = count_operations(config, 9)
    assert count_step(config, 9, 9) == whole.forward - whole.head + whole.head // 9


@pytest.mark.parametrize("kind", CONFIGS)
def test_bytes_are_those_of_the_weights_and_of_the_kept(kind: str) -> None:
    decoder, config = model(kind), CONFIGS[kind]
    cache = decoder.new_cache(1, 16)
    kept_once = sum(layer.keys[:, 0].nbytes + layer.values[:, 0].nbytes for layer in cache.layers)
    more = count_step_bytes(config, 1, 10) - count_step_bytes(config, 1, 9)
    assert more == kept_once == count_cache_bytes(config, 1) - 8
    tables = [
        decoder.token_embedding.weight,
        *(p for part in decoder.added_embeddings.values() for p in part.parameters()),
    ]
    others = sum(p.nbytes for p in decoder.parameters()) - sum(table.nbytes for table in tables)
    if config.tied:
        others += decoder.lm_head.weight.nbytes
    rows = 3 * sum(table[0].nbytes for table in tables)
    assert count_step_bytes(config, 3, 9) == others + rows + (3 + 9) * kept_once
    assert count_step_bytes(config, 3, 9, "bfloat16") * 2 == count_step_bytes(config, 3, 9)


@pytest.mark.parametrize("kind", CONFIGS)
def test_both_ways_write_the_same(kind: str) -> None:
    found = measure_speed(model(kind), TOKENIZER, "hello", n_tokens=40, rounds=1)
    assert found.is_equal
    assert len(found.text) == len(found.with_cache.tokens) == 40
    assert (found.n_prompt, found.cut) == (5, 0)
    assert found.with_cache.operations[0] == found.without_cache.operations[0]
    assert found.with_cache.operations[-1] < found.without_cache.operations[-1] / 20
    assert found.cache_bytes == count_cache_bytes(CONFIGS[kind], 44)
    assert all(second > 0 for second in found.with_cache.seconds)
    told = json.loads(json.dumps(found.as_dict()))
    assert told["n_new"] == 40
    assert told["with_cache"]["prefill_share_of_peak"] > 0


def test_a_coarse_model_is_measured_too() -> None:
    found = measure_speed(model("ours", torch.bfloat16), TOKENIZER, "hello", n_tokens=4, rounds=1)
    assert found.dtype == "bfloat16"
    again = measure_peaks("bfloat16", torch.get_num_threads())
    assert again.operations_per_second >= found.peaks.operations_per_second > 0
    assert again.bytes_per_second >= found.peaks.bytes_per_second > 0


def test_a_step_is_bound_by_the_slower_of_two() -> None:
    peaks = speed.Peaks(operations_per_second=100.0, bytes_per_second=10.0)
    assert peaks.shortest_seconds(200, 10) == 2.0
    assert peaks.bound_by(200, 10) == "computing"
    assert peaks.shortest_seconds(200, 30) == 3.0
    assert peaks.bound_by(200, 30) == "reading memory"


def test_a_long_prompt_leaves_room_for_the_new_tokens() -> None:
    found = measure_speed(model("llama"), TOKENIZER, "abcdefgh" * 10, n_tokens=8, rounds=1)
    assert (found.n_prompt, found.cut) == (56, 24)
    one = measure_speed(model("llama"), TOKENIZER, "abc", n_tokens=1, rounds=1)
    assert one.with_cache.tokens_per_second is None
    assert "decode_share_of_peak" not in one.as_dict()["with_cache"]


def test_what_cannot_be_measured_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="expected 1 to 63"):
        measure_speed(model("ours"), TOKENIZER, "abc", n_tokens=64)
    with pytest.raises(UsageError, match="was ended"):
        measure_speed(model("ours"), TOKENIZER, "abc", is_wanted=lambda: False)
    monkeypatch.setattr(speed, "PATIENCE_SECONDS", 0.0)
    assert measure_speed(model("ours"), TOKENIZER, "abc", n_tokens=2, rounds=50).rounds == 1
