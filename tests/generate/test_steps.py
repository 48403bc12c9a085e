"""What is told of a token is what happened to it."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cutaway.base.errors import ConfigError, UsageError
from cutaway.generate import decode
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import Completion, explain_token, generate
from cutaway.generate.sampling import choose_token
from cutaway.generate.steps import Step, explain_step
from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig
from cutaway.models.decoder import Decoder
from cutaway.text.characters import CharacterTokenizer

TOKENIZER = CharacterTokenizer(["\n", *"abcdefghijklmnopqrstuvwxyzABCD"])
V = TOKENIZER.vocab_size
CONFIGS = {
    "ours": GPTConfig(V, 32, 24, 2, 4, ngram_sizes=(2,), ngram_rows=(61,), zero_init_projections=False, init_std=0.3),
    "gpt2": GPTConfig(
        V,
        32,
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
    "llama": LlamaConfig(V, 32, 24, 2, 4, n_kv_heads=2, init_std=0.3),
}
ALL_STAGES = SamplingConfig(
    max_tokens=60, temperature="0.4+t/30", top_k=9, top_p=0.9, min_p=0.05, repetition_penalty=1.3, seed=5
)


def model(kind: str = "ours") -> Decoder:
    return build(CONFIGS[kind], seed=1, dtype=torch.float64)


def told(config: SamplingConfig, kind: str = "ours", **extra) -> tuple[Completion, list[Step]]:
    steps: list[Step] = []
    completion = generate(model(kind), TOKENIZER, "hello", config, on_step=lambda i, step: steps.append(step), **extra)[
        0
    ]
    return completion, steps


settings = st.fixed_dictionaries(
    {
        "temperature": st.sampled_from([0.0, 0.3, 1.0, 2.5]),
        "top_k": st.none() | st.integers(1, V + 3),
        "top_p": st.none() | st.floats(0.05, 1),
        "min_p": st.none() | st.floats(0, 1),
        "repetition_penalty": st.sampled_from([1.0, 0.7, 1.5]),
    }
)


@given(seed=st.integers(0, 10_000), uniform=st.floats(0, 0.999999), chosen=settings)
def test_the_step_draws_what_choose_token_draws(seed: int, uniform: float, chosen: dict) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits_BV = 3 * torch.randn(1, V, generator=generator)
    seen_BV = torch.rand(1, V, generator=generator) < 0.3
    config = SamplingConfig(**chosen)
    uniforms = torch.tensor([uniform], dtype=torch.float64)
    expected = int(choose_token(logits_BV, config, config.temperature, uniforms, seen_BV))
    step = explain_step(logits_BV[0], config, config.temperature, seen_BV[0], uniform)
    assert step.drawn == step.chosen.id == expected
    start, end = step.interval
    assert start - 1e-12 <= uniform <= end + 1e-12
    assert end - start == pytest.approx(step.probability)


@given(seed=st.integers(0, 10_000), chosen=settings)
def test_every_number_is_that_of_its_stage(seed: int, chosen: dict) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits_V = 3 * torch.randn(V, generator=generator)
    config = SamplingConfig(**chosen)
    step = explain_step(logits_V, config, config.temperature, torch.zeros(V, dtype=torch.bool), n_candidates=V)
    assert step.stages[0].name == "raw"
    for i, stage in enumerate(step.stages):
        shares = [one.probabilities[i] for one in step.candidates]
        assert math.fsum(shares) == pytest.approx(1)
        assert stage.n_kept == sum(share > 0 for share in shares)
        assert stage.entropy_bits == pytest.approx(-sum(p * math.log2(p) for p in shares if p > 0), abs=1e-9)
        for one in step.candidates:
            assert math.isinf(one.logits[i]) == (one.probabilities[i] == 0)
    for one in step.candidates:
        gone = [stage.name for stage, p in zip(step.stages, one.probabilities, strict=True) if p == 0]
        assert one.removed_by == (gone[0] if gone else None)
        assert one.rank == 1 + int((logits_V > logits_V[one.id]).sum())
    raw = [one.probabilities[0] for one in step.candidates]
    assert raw == sorted(raw, reverse=True)


def test_a_worked_example() -> None:
    logits_V = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    step = explain_step(logits_V, SamplingConfig(temperature=1.0, top_k=2, repetition_penalty=1.0), 1.0, uniform=0.7)
    assert [stage.name for stage in step.stages] == ["raw", "temperature", "top_k"]
    assert [stage.n_kept for stage in step.stages] == [4, 4, 2]
    assert [stage.entropy_bits for stage in step.stages] == pytest.approx([1.75, 1.75, 0.9182958], abs=1e-6)
    assert [stage.setting for stage in step.stages] == [None, 1.0, 2]
    assert step.chosen.id == 1
    assert step.chosen.probabilities == pytest.approx((0.25, 0.25, 1 / 3))
    assert step.interval == pytest.approx((2 / 3, 1))
    assert [one.removed_by for one in step.candidates] == [None, None, "top_k", "top_k"]


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_steps_of_a_text_are_its_tokens(kind: str) -> None:
    completion, steps = told(ALL_STAGES, kind, logprobs=1)
    assert [step.chosen.id for step in steps] == completion.tokens
    assert [step.t for step in steps] == list(range(60))
    assert not any(step.is_forced for step in steps)
    assert completion.logprobs is not None
    for step, logprob in zip(steps, completion.logprobs, strict=True):
        assert math.exp(logprob) == pytest.approx(step.chosen.probabilities[0], rel=1e-5)
        assert [stage.name for stage in step.stages] == [
            "raw",
            "repetition_penalty",
            "temperature",
            "top_k",
            "top_p",
            "min_p",
        ]
        kept = [stage.n_kept for stage in step.stages]
        assert kept[:3] == [V] * 3
        assert kept[3] >= kept[4] >= kept[5] >= 1


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_token_explained_later_is_explained_the_same_also_past_the_context(kind: str) -> None:
    completion, steps = told(ALL_STAGES, kind)
    for t in (0, 1, 20, 33, 59):
        again = explain_token(model(kind), TOKENIZER, "hello", completion.tokens[: t + 1], ALL_STAGES)
        ours, before = again.as_dict(TOKENIZER.token_text), steps[t].as_dict(TOKENIZER.token_text)
        assert numbers(ours) == pytest.approx(numbers(before), abs=1e-6)
        assert again.drawn == steps[t].drawn


def numbers(value) -> list[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for one in value for number in numbers(one)]
    return [float(value)] if isinstance(value, int | float) else []


def test_a_token_somebody_chose_is_told_as_such() -> None:
    completion, steps = told(ALL_STAGES)
    other = next(one.id for one in steps[7].candidates if one.removed_by == "top_k")
    branch, branch_steps = told(ALL_STAGES, forced={7: other})
    assert branch.tokens[:7] == completion.tokens[:7]
    assert branch.tokens[7] == other == branch_steps[7].chosen.id
    assert branch_steps[7].is_forced
    assert branch_steps[7].drawn == completion.tokens[7]
    assert branch_steps[7].probability == 0
    assert branch_steps[7].chosen.removed_by == "top_k"
    beginning = [*completion.tokens[:7], other]
    assert told(ALL_STAGES, forced=beginning)[0].tokens == branch.tokens


def test_tokens_that_are_never_drawn_are_told_as_such() -> None:
    tokenizer = CharacterTokenizer.train(["abc"], ["d"], separator=False)
    decoder = build(GPTConfig(tokenizer.vocab_size + 3, 16, 24, 1, 4), seed=0)
    steps: list[Step] = []
    config = SamplingConfig(max_tokens=3, temperature=5.0)
    generate(decoder, tokenizer, "a", config, on_step=lambda i, step: steps.append(step))
    assert [stage.name for stage in steps[0].stages] == ["raw", "no_text", "temperature"]
    assert steps[0].stages[0].n_kept - steps[0].stages[1].n_kept == 4
    assert {one.removed_by for one in steps[0].candidates} == {None, "no_text"}


def test_a_step_is_json() -> None:
    _, steps = told(ALL_STAGES)
    again = json.loads(json.dumps(steps[3].as_dict(TOKENIZER.token_text), allow_nan=False))
    assert again["chosen"]["text"] == TOKENIZER.token_text(steps[3].chosen.id)


def test_tokens_go_on_where_text_does() -> None:
    ids = TOKENIZER.encode("hello")
    config = SamplingConfig(max_tokens=20)
    assert generate(model(), TOKENIZER, ids, config) == generate(model(), TOKENIZER, "hello", config)
    with pytest.raises(UsageError, match="there is no token 99"):
        generate(model(), TOKENIZER, [99], config)
    with pytest.raises(UsageError, match="there are 0 new tokens"):
        explain_token(model(), TOKENIZER, "a", [], config)


def test_a_prompt_that_is_too_long_is_cut_and_said() -> None:
    config = SamplingConfig(max_tokens=5)
    whole = generate(model(), TOKENIZER, "abcdefgh" * 5, config)[0]
    assert whole.prompt_cut == 16
    kept = generate(model("gpt2"), TOKENIZER, ("abcdefgh" * 5)[16:], config)[0]
    assert kept.prompt_cut == 0
    assert kept.tokens == generate(model("gpt2"), TOKENIZER, "abcdefgh" * 5, config)[0].tokens


def test_nobody_who_wants_it_ends_the_text_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def is_wanted() -> bool:
        asked.append(True)
        return len(asked) <= 4

    config = SamplingConfig(max_tokens=50)
    written = generate(model(), TOKENIZER, "hello", config, is_wanted=is_wanted)[0]
    assert written.stop_reason == "unwanted"
    assert written.tokens == generate(model(), TOKENIZER, "hello", config)[0].tokens[:4]
    asked.clear()
    monkeypatch.setattr(decode, "READ_AT_ONCE", 4)
    reading = generate(model(), TOKENIZER, "hello" * 6, config, is_wanted=is_wanted)[0]
    assert reading.tokens == []  # nobody waited until the long prompt was read


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_long_prompt_read_in_parts_is_read_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config, prompt = SamplingConfig(max_tokens=30, temperature=1.0), "thequickbrownfoxjumpsover"
    at_once = generate(model(kind), TOKENIZER, prompt, config, logprobs=0)[0]
    monkeypatch.setattr(decode, "READ_AT_ONCE", 7)
    in_parts = generate(model(kind), TOKENIZER, prompt, config, logprobs=0)[0]
    assert in_parts.tokens == at_once.tokens
    assert in_parts.logprobs == pytest.approx(at_once.logprobs, abs=1e-6)


def test_settings_that_do_nothing_are_noted() -> None:
    assert SamplingConfig().notes(65) == []
    note = SamplingConfig(temperature=0.0, top_k=3, min_p=0.1).notes()[0]
    assert "at temperature 0 the likeliest token is taken, whatever top_k and min_p" in note
    assert SamplingConfig(temperature="0.5*t", top_k=3).notes() == []
    assert "only 31 tokens" in SamplingConfig(top_k=31).notes(31)[0]
    assert "as temperature 0" in SamplingConfig(top_k=1).notes()[0]
    assert len(SamplingConfig(top_p=1, min_p=0).notes()) == 2
    with pytest.raises(ConfigError):
        SamplingConfig(top_p=0)
