from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from cutaway.generate.config import SamplingConfig
from cutaway.generate.sampling import (
    apply_temperature,
    choose_token,
    draw,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalise_repetition,
)

B, V = 3, 31


def random_logits(seed: int) -> torch.Tensor:
    return 3 * torch.randn(B, V, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    return torch.equal(ours.isinf(), theirs.isinf()) and torch.allclose(
        ours.nan_to_num(neginf=0), theirs.nan_to_num(neginf=0)
    )


@given(seed=st.integers(0, 10_000), temperature=st.floats(0.05, 5))
def test_temperature_agrees_with_transformers(seed: int, temperature: float) -> None:
    logits = random_logits(seed)
    assert same(apply_temperature(logits, temperature), TemperatureLogitsWarper(temperature)(None, logits))


@given(seed=st.integers(0, 10_000), k=st.integers(1, 40))
def test_top_k_agrees_with_transformers(seed: int, k: int) -> None:
    logits = random_logits(seed)
    assert same(keep_top_k(logits, k), TopKLogitsWarper(k)(None, logits))


@given(seed=st.integers(0, 10_000), p=st.floats(0.01, 0.99))
def test_top_p_agrees_with_transformers(seed: int, p: float) -> None:
    logits = random_logits(seed)
    assert same(keep_top_p(logits, p), TopPLogitsWarper(p)(None, logits))


@given(seed=st.integers(0, 10_000), p=st.floats(0.001, 1))
def test_min_p_agrees_with_transformers(seed: int, p: float) -> None:
    logits = random_logits(seed)
    assert same(keep_min_p(logits, p), MinPLogitsWarper(p)(None, logits))


@given(seed=st.integers(0, 10_000), penalty=st.floats(0.2, 5), n=st.integers(1, 50))
def test_repetition_penalty_agrees_with_transformers(seed: int, penalty: float, n: int) -> None:
    logits = random_logits(seed)
    ids = torch.randint(0, V, (B, n), generator=torch.Generator().manual_seed(seed))
    seen = torch.zeros(B, V, dtype=torch.bool).scatter_(1, ids, True)
    assert same(penalise_repetition(logits, seen, penalty), RepetitionPenaltyLogitsProcessor(penalty)(ids, logits))


def test_top_p_keeps_the_fewest_that_reach_the_probability() -> None:
    logits = torch.tensor([[0.1, 0.5, 0.15, 0.25]]).log()
    assert keep_top_p(logits, 0.7).isfinite().tolist() == [[False, True, False, True]]
    assert keep_top_p(logits, 0.001).isfinite().tolist() == [[False, True, False, False]]


def test_min_p_zero_and_a_large_k_keep_everything() -> None:
    logits = random_logits(0)
    assert torch.equal(keep_min_p(logits, 0.0), logits)
    assert torch.equal(keep_top_k(logits, V), logits)


@given(seed=st.integers(0, 1000))
def test_a_draw_points_into_the_line_of_probabilities(seed: int) -> None:
    logits = keep_top_k(random_logits(seed), 5)
    u = torch.rand(B, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for row, point, token in zip(logits.softmax(-1), u, draw(logits, u), strict=True):
        assert row[token] > 0
        assert row[:token].sum() <= point + 1e-12
        assert row[: token + 1].sum() >= point - 1e-12


def test_draws_follow_the_probabilities() -> None:
    probabilities = torch.tensor([0.5, 0.2, 0.0, 0.3], dtype=torch.float64)
    u = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    tokens = draw(probabilities.log().expand(1000, 4), u)
    assert torch.bincount(tokens, minlength=4).tolist() == [500, 200, 0, 300]


@pytest.mark.parametrize("u", [0.0, 1 - 2**-53])
def test_the_ends_of_the_line_are_never_an_impossible_token(u: float) -> None:
    logits = torch.full((1, V), -math.inf)
    logits[0, 4] = 0.0
    assert draw(logits, torch.tensor([u], dtype=torch.float64)).tolist() == [4]


def test_choosing_is_the_steps_in_order() -> None:
    config = SamplingConfig(top_k=9, top_p=0.9, min_p=0.05, repetition_penalty=1.3)
    logits, u = random_logits(5), torch.rand(B, dtype=torch.float64)
    seen = torch.rand(B, V) < 0.3
    steps = apply_temperature(penalise_repetition(logits, seen, 1.3), 0.7)
    steps = keep_min_p(keep_top_p(keep_top_k(steps, 9), 0.9), 0.05)
    assert torch.equal(choose_token(logits, config, 0.7, u, seen), draw(steps, u))


def test_temperature_zero_is_greedy_after_the_penalty() -> None:
    logits, u = random_logits(5), torch.zeros(B, dtype=torch.float64)
    assert torch.equal(choose_token(logits, SamplingConfig(top_k=2), 0.0, u), logits.argmax(-1))
    seen = torch.zeros(B, V, dtype=torch.bool)
    seen.scatter_(1, logits.argmax(-1, keepdim=True), True)
    punished = choose_token(logits, SamplingConfig(repetition_penalty=50.0), 0.0, u, seen)
    assert (punished != logits.argmax(-1)).all()
