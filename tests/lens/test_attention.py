"""Patterns are those of transformers, and those a recording of any model holds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

import cutaway
from cutaway.interop.hub_folder import load_model
from cutaway.lens import attention, logit_lens, of_trace
from cutaway.lens.prompt import Prompt
from cutaway.models.decoder import Decoder
from lens.small_models import CONFIGS, TEXT, TOKENIZER, small_model

disable_progress_bar()
IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5]
PROMPT = Prompt(tuple(IDS), tuple(map(str, IDS)))


def theirs(kind: str) -> PreTrainedModel:
    torch.manual_seed(0)
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    if kind == "gpt2":
        config = GPT2Config(vocab_size=TOKENIZER.vocab_size, n_positions=16, n_embd=24, n_layer=3, n_head=4, **ends)
        model = GPT2LMHeadModel._from_config(config, attn_implementation="eager")
    else:
        sizes = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3, "num_attention_heads": 4}
        config = LlamaConfig(vocab_size=TOKENIZER.vocab_size, num_key_value_heads=2, **sizes, **ends)
        model = LlamaForCausalLM._from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return model.eval()


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[PreTrainedModel, Decoder]:
    """A model of transformers, and ours loaded from its folder."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    model = theirs(request.param)
    model.save_pretrained(folder)
    return model, load_model(folder)


def test_patterns_are_those_of_transformers(both: tuple[PreTrainedModel, Decoder]) -> None:
    model, ours = both
    with torch.no_grad():
        out = model(torch.tensor([IDS]), output_attentions=True)
    torch.testing.assert_close(attention(ours, TOKENIZER, PROMPT).pattern_LHTS, torch.stack(out.attentions)[:, 0],
                               atol=1e-5, rtol=0)  # fmt: skip


def test_every_layer_says_what_transformers_hidden_states_say(both: tuple[PreTrainedModel, Decoder]) -> None:
    model, ours = both
    with torch.no_grad():
        out = model(torch.tensor([IDS]), output_hidden_states=True)
        norm = model.transformer.ln_f if hasattr(model, "transformer") else model.model.norm
        # transformers' last hidden state is behind the final norm already
        logits = [model.lm_head(norm(state)) for state in out.hidden_states[:-1]] + [out.logits]
    p_NTV = torch.cat(logits).softmax(-1)
    found = logit_lens(ours, TOKENIZER, PROMPT, top=4)
    assert len(found.places) == len(p_NTV) == 4
    torch.testing.assert_close(found.top_probability_NTK, p_NTV.topk(4).values, atol=1e-5, rtol=0)
    answers_T = out.logits[0].argmax(-1)
    assert found.final_ids_T.tolist() == answers_T.tolist()
    answer_p_NT = p_NTV.gather(-1, answers_T.expand(4, -1)[..., None])[..., 0]
    torch.testing.assert_close(found.final_probability_NT, answer_p_NT, atol=1e-5, rtol=0)
    kl_NT = torch.nn.functional.kl_div(
        p_NTV.log(), p_NTV[-1:].log().expand_as(p_NTV), log_target=True, reduction="none"
    )
    torch.testing.assert_close(found.kl_NT, kl_NT.sum(-1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", CONFIGS)
def test_rows_are_shares_of_the_past(kind: str) -> None:
    model = small_model(kind)
    found = attention(model, TOKENIZER, TEXT)
    T = len(found.prompt.ids)
    assert found.pattern_LHTS.shape == (3, 4, T, T)
    assert len(found.heads) == 12
    torch.testing.assert_close(found.pattern_LHTS.sum(-1), torch.ones(3, 4, T))
    assert not found.pattern_LHTS.triu(1).any()
    torch.testing.assert_close(found.over_all_TS, found.over_heads_LTS.mean(0))
    assert model.training, "whoever asks leaves the model as it was"


def test_half_precision_and_a_long_text() -> None:
    found = attention(small_model("llama", torch.bfloat16), TOKENIZER, TEXT * 3)
    assert found.prompt.cut == len(TEXT) * 3 - 32
    assert found.pattern_LHTS.dtype is torch.float32
    torch.testing.assert_close(found.pattern_LHTS.sum(-1), torch.ones(3, 4, 32), atol=0.02, rtol=0)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_trace_of_ours_holds_the_same(kind: str) -> None:
    model = small_model(kind).eval()
    found = attention(model, TOKENIZER, TEXT)
    traced = of_trace(cutaway.trace(model, found.prompt.tokens))
    assert [one.address for one in traced] == [f"blocks.{i}.attn.pattern" for i in range(3)]
    T = len(found.prompt.ids)
    for one, pattern_HTS in zip(traced, found.pattern_LHTS, strict=True):
        torch.testing.assert_close(one.pattern.view(4, T, T), pattern_HTS)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_a_trace_of_transformers(implementation: str, both: tuple[PreTrainedModel, Decoder]) -> None:
    model, ours = both
    model.set_attn_implementation(implementation)
    try:
        traced = of_trace(cutaway.trace(model, {"input_ids": torch.tensor([IDS])}))
    finally:
        model.set_attn_implementation("eager")
    assert [one.module.rpartition(".")[2] in ("attn", "self_attn") for one in traced] == [True] * 3
    ours_LHTS = attention(ours, TOKENIZER, PROMPT).pattern_LHTS
    torch.testing.assert_close(torch.cat([one.pattern for one in traced]), ours_LHTS, atol=1e-5, rtol=0)


class Mixed(nn.Module):
    """A classifier, a choice among experts, attention written by hand the other way round, and a blend of words."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.gate = nn.Linear(4, 7), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        classes = self.words(x).softmax(-1)
        experts = self.gate(x).softmax(-1) * x
        values = x * 2
        seen = values.T @ (x @ experts.T).softmax(-1).T
        return classes @ self.words.weight + seen.T


def test_a_softmax_that_weighs_nothing_is_no_attention() -> None:
    torch.manual_seed(0)
    traced = of_trace(cutaway.trace(Mixed(), torch.randn(3, 4)))
    assert [tuple(one.pattern.shape) for one in traced] == [(3, 3)]


def test_dropout_and_cross_attention() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerDecoderLayer(24, 4, 40, dropout=0.2, batch_first=True)
    traced = of_trace(cutaway.trace(layer, (torch.randn(2, 5, 24), torch.randn(2, 6, 24)), loss=lambda out: out.sum()))
    assert [(one.module, tuple(one.pattern.shape)) for one in traced] == [
        ("self_attn", (2, 4, 5, 5)),
        ("multihead_attn", (2, 4, 5, 6)),
    ]
