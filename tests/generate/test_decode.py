from __future__ import annotations

import math

import pytest
import torch

from cutaway.base.errors import ConfigError, NonFiniteError, TokenizerError, UsageError
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import Completion, draw_tokens, first_visible, generate
from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig
from cutaway.models.decoder import Decoder
from cutaway.text.bpe import BPETokenizer
from cutaway.text.characters import CharacterTokenizer

TOKENIZER = CharacterTokenizer(["\n", *"abcdefghijklmnopqrstuvwxyzABCD"])
V = TOKENIZER.vocab_size
CONFIGS = {
    "default": GPTConfig(V, 32, 24, 2, 4, n_kv_heads=2, zero_init_projections=False, init_std=0.3),
    "ngrams": GPTConfig(
        V, 32, 24, 2, 4, ngram_sizes=(2, 3), ngram_rows=(61, 97), zero_init_projections=False, init_std=0.3
    ),
    "gpt2": GPTConfig(
        V, 32, 24, 2, 4, positions="learned", norm="layer", mlp="gelu_tanh", bias=True, tied=True,
        qk_norm=False, zero_init_projections=False, init_std=0.3,
    ),
    "llama": LlamaConfig(V, 32, 24, 2, 4, n_kv_heads=2, init_std=0.3),
}  # fmt: skip


def model(kind: str = "default") -> Decoder:
    return build(CONFIGS[kind], seed=1, dtype=torch.float64)


def write(kind: str = "default", **settings) -> Completion:
    extra = {name: settings.pop(name) for name in ("use_cache", "logprobs") if name in settings}
    return generate(model(kind), TOKENIZER, "hello", SamplingConfig(**settings), **extra)[0]


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_cached_equals_uncached_also_past_the_context(kind: str, temperature: float) -> None:
    cached, uncached = (
        write(kind, max_tokens=80, temperature=temperature, use_cache=use_cache, logprobs=1)
        for use_cache in (True, False)
    )
    assert cached.tokens == uncached.tokens
    assert cached.logprobs == pytest.approx(uncached.logprobs, abs=1e-9)
    assert len(cached.tokens) == 80
    assert cached.stop_reason == "max_tokens"


@pytest.mark.parametrize(("length", "context"), [(n, c) for c in (1, 2, 3, 8) for n in range(1, 30)])
def test_the_visible_text_fits_and_moves_in_steps(length: int, context: int) -> None:
    start = first_visible(length, context)
    assert 1 <= length - start <= context
    assert start == 0 or length - start > context - max(1, context // 2)
    assert start % max(1, context // 2) == 0


def test_greedy_equals_transformers() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    ours = build(CONFIGS["gpt2"], seed=1)
    theirs = GPT2LMHeadModel(
        GPT2Config(vocab_size=V, n_positions=32, n_embd=24, n_layer=2, n_head=4, bos_token_id=None, eos_token_id=None)
    ).eval()
    with torch.no_grad():
        theirs.transformer.wte.weight.copy_(ours.token_embedding.weight)
        theirs.transformer.wpe.weight.copy_(ours.added_embeddings["positions"].weight)
        for block, their in zip(ours.blocks, theirs.transformer.h, strict=True):
            attn, mlp = block.attn, block.mlp
            qkv = [attn.q_proj, attn.k_proj, attn.v_proj]
            their.attn.c_attn.weight.copy_(torch.cat([p.weight for p in qkv]).T)
            their.attn.c_attn.bias.copy_(torch.cat([p.bias for p in qkv]))
            their.attn.c_proj.weight.copy_(attn.o_proj.weight.T)
            their.mlp.c_fc.weight.copy_(mlp.up_proj.weight.T)
            their.mlp.c_proj.weight.copy_(mlp.down_proj.weight.T)
    ids = torch.tensor([TOKENIZER.encode("hello")])
    expected = theirs.generate(ids, max_new_tokens=25, do_sample=False, pad_token_id=0)[0, 5:]
    completion = generate(ours, TOKENIZER, "hello", SamplingConfig(max_tokens=25, temperature=0.0))[0]
    assert completion.tokens == expected.tolist()


def test_logprobs_are_those_of_the_model() -> None:
    completion = write(max_tokens=20, top_k=3, temperature=0.5, logprobs=V)
    assert completion.logprobs is not None
    assert completion.top_logprobs is not None
    prompt = TOKENIZER.encode("hello")
    with torch.no_grad():
        logits_BTV = model()(torch.tensor([prompt + completion.tokens]))
    expected_TV = logits_BTV[0, len(prompt) - 1 : -1].float().log_softmax(-1)
    for token, chosen, top, row in zip(
        completion.tokens, completion.logprobs, completion.top_logprobs, expected_TV, strict=True
    ):
        assert chosen == pytest.approx(float(row[token]), abs=1e-5)
        assert math.fsum(math.exp(value) for _, value in top) == pytest.approx(1, abs=1e-5)
        assert [value for _, value in top] == sorted((value for _, value in top), reverse=True)
        assert dict(top)[token] == chosen
    assert write(max_tokens=3).logprobs is None
    assert write(max_tokens=3, logprobs=0).top_logprobs == [[], [], []]


@pytest.mark.slow
def test_the_seed_decides() -> None:
    assert write(seed=3).text == write(seed=3).text != write(seed=4).text


def test_more_tokens_only_lengthen_the_text() -> None:
    assert write(max_tokens=60).text.startswith(write(max_tokens=20).text)


def test_samples_are_the_same_whatever_their_number() -> None:
    config = SamplingConfig(max_tokens=50, temperature=1.0, repetition_penalty=1.2)
    three, two, one = (generate(model(), TOKENIZER, "ab", config, n_samples=n) for n in (3, 2, 1))
    assert three[:2] == two
    assert two[:1] == one
    assert len({sample.text for sample in three}) == 3


def test_pieces_joined_are_the_texts() -> None:
    texts = ["", ""]

    def on_token(sample: int, piece: str) -> None:
        texts[sample] += piece

    config = SamplingConfig(max_tokens=60, temperature=1.5, stop=("a", "bc"))
    completions = generate(model(), TOKENIZER, "hello", config, n_samples=2, on_token=on_token)
    assert texts == [completion.text for completion in completions]
    assert all("a" not in text and "bc" not in text for text in texts)


def test_a_stop_string_ends_the_text_before_it() -> None:
    free = write(max_tokens=40, temperature=1.0)
    stop = free.text[7:10]
    stopped = write(max_tokens=40, temperature=1.0, stop=(stop,))
    assert stopped.stop_reason == "stop"
    assert stopped.text == free.text[: free.text.index(stop)]
    assert stopped.tokens == free.tokens[: free.text.index(stop) + 3]


def test_the_models_own_end_ends_the_text() -> None:
    tokenizer = CharacterTokenizer.train(["abc", "abd", "xyz"], separator=True)
    decoder = build(GPTConfig(tokenizer.vocab_size, 16, 24, 1, 4), seed=0)
    with torch.no_grad():
        decoder.lm_head.weight.zero_()
    completion = generate(decoder, tokenizer, "", SamplingConfig(temperature=0.0))[0]
    assert (completion.text, completion.tokens, completion.stop_reason) == ("", [0], "end")


def test_tokens_that_stand_for_no_text_are_never_drawn() -> None:
    tokenizer = CharacterTokenizer.train(["abc"], ["d"], separator=False)
    decoder = build(GPTConfig(tokenizer.vocab_size + 20, 16, 24, 1, 4), seed=0)
    completion = generate(decoder, tokenizer, "a", SamplingConfig(max_tokens=100, temperature=5.0))[0]
    assert set(completion.text) == set("abc")
    assert len(completion.text) == 100


def test_bpe_text_is_written_too() -> None:
    tokenizer = BPETokenizer.train(["words and ☃ words"], 270)
    decoder = build(GPTConfig(tokenizer.vocab_size, 16, 24, 1, 4), seed=0)
    pieces: list[str] = []
    config = SamplingConfig(max_tokens=60, temperature=1.0)
    completion = generate(decoder, tokenizer, "wor", config, on_token=lambda i, piece: pieces.append(piece))[0]
    assert "".join(pieces) == completion.text
    ids = tokenizer.encode("wor") + completion.tokens
    assert "wor" + completion.text == tokenizer.decode(ids)


def test_dropout_is_off_while_writing_and_comes_back() -> None:
    decoder = build(GPTConfig(V, 16, 24, 1, 4, dropout=0.5, zero_init_projections=False, init_std=0.3), seed=0)
    decoder.train()
    first, again = (generate(decoder, TOKENIZER, "ab", SamplingConfig(max_tokens=30))[0].text for _ in range(2))
    assert first == again
    assert decoder.training


def test_an_empty_prompt_starts_from_a_new_line() -> None:
    config = SamplingConfig(max_tokens=10)
    assert generate(model(), TOKENIZER, "", config) == generate(model(), TOKENIZER, "\n", config)


def test_what_cannot_be_written_gets_one_line() -> None:
    with pytest.raises(TokenizerError, match="never saw in training: '!', 'é'"):
        generate(model(), TOKENIZER, "hé!")
    with pytest.raises(TokenizerError, match="do not belong together"):
        generate(build(GPTConfig(5, 16, 24, 1, 4)), TOKENIZER, "hello")
    with pytest.raises(TokenizerError, match="needs a prompt"):
        generate(model(), CharacterTokenizer(["a"]), "")
    with pytest.raises(UsageError, match="asked for 0 samples"):
        generate(model(), TOKENIZER, "a", n_samples=0)
    with pytest.raises(ConfigError, match="is -1 at t = 2"):
        write(temperature="1-t")
    damaged = model()
    with torch.no_grad():
        damaged.lm_head.weight[3, 0] = math.nan
    with pytest.raises(NonFiniteError, match="not finite at new token 0"):
        generate(damaged, TOKENIZER, "a")


def drawn(kind: str = "default", **extra) -> list[int]:
    config = SamplingConfig(max_tokens=40, temperature=1.0, seed=3, repetition_penalty=1.2)
    steps = draw_tokens(model(kind), TOKENIZER, TOKENIZER.encode("hello"), config, **extra)
    return [int(step.tokens_B[0]) for step in steps]


@pytest.mark.parametrize("kind", CONFIGS)
def test_what_is_given_is_followed_by_what_would_have_come(kind: str) -> None:
    whole = drawn(kind)
    assert drawn(kind, given=whole[:35]) == whole[35:]
    assert drawn(kind, given=whole) == []


def test_a_forced_token_changes_only_what_comes_after_it() -> None:
    whole = drawn()
    other = (whole[7] + 1) % V
    branch = drawn(forced={7: other})
    assert branch[:7] == whole[:7]
    assert branch[7] == other
    assert branch[8:] != whole[8:]
    assert drawn(forced={7: whole[7]}) == whole
    assert drawn(given=[*whole[:7], other]) == branch[8:]


def test_a_token_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match=f"there is no token {V}; the model has 0 to {V - 1}"):
        drawn(forced={3: V})
