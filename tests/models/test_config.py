"""Sizes that cannot be built are refused in one line that says what would do."""

from __future__ import annotations

import pytest

from cutaway.base.errors import ConfigError
from cutaway.models.config import GPTConfig, LlamaConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"d_model": 24, "n_heads": 5},
            r"d_model 24 cannot be split among model.n_heads 5; .*\[1, 2, 3, 4, 6",
        ),
        ({"d_model": 24, "n_heads": 4, "n_kv_heads": 3}, "n_heads 4 cannot share model.n_kv_heads 3"),
        ({"n_heads": 0}, "n_heads is 0; expected 1 or more"),
        ({"n_layers": -1}, "n_layers is -1"),
        ({"d_ff": 0}, "d_ff is 0"),
        ({"context_length": 0}, "context_length is 0"),
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"d_model": 12, "n_heads": 4}, "a head is 3 wide; expected an even width"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"ngram_dropout": -0.1}, "ngram_dropout is -0.1"),
        ({"ngram_sizes": (1,), "ngram_rows": (9,)}, "ngram_sizes is"),
        ({"ngram_sizes": (2, 2), "ngram_rows": (9, 9)}, "ngram_sizes is"),
        ({"ngram_sizes": (2, 3), "ngram_rows": (9,)}, "ngram_rows is"),
        ({"ngram_sizes": (2,), "ngram_rows": (0,)}, "ngram_rows is"),
        ({"norm_eps": -1.0}, "norm_eps is -1.0"),
        ({"norm_eps": float("nan")}, "norm_eps is nan"),
        ({"rotary_base": 0.0}, "rotary_base is 0.0"),
    ],
)
def test_impossible_gpts_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GPTConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"d_model": 24, "n_heads": 5}, "cannot be split"),
        ({"d_model": 24, "n_heads": 4, "d_head": 5}, "a head is 5 wide"),
        ({"d_head": 0}, "d_head is 0"),
        ({"n_heads": 8, "n_kv_heads": 16}, "cannot share"),
    ],
)
def test_impossible_llamas_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LlamaConfig(**settings)


def test_heads_may_be_of_any_width_where_the_width_is_given() -> None:
    assert LlamaConfig(d_model=24, n_heads=5, d_head=6).head_width == 6


def test_a_head_of_odd_width_is_fine_without_rotation() -> None:
    assert GPTConfig(d_model=12, n_heads=4, positions="learned").d_head == 3


def test_the_llama_mlp_is_as_wide_as_the_paper_makes_it() -> None:
    assert LlamaConfig(d_model=4096).mlp_width == 10944
    assert LlamaConfig(d_model=24, n_heads=4).mlp_width == 64
