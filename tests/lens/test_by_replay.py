"""Any recorded model can be ablated and patched: a model of transformers, unmodified, beside PyTorch's own hooks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

import cutaway
from cutaway.base.errors import UsageError
from cutaway.lens.by_replay import ablated, every_position, patched

CLEAN, CORRUPTED = torch.tensor([[3, 1, 4, 1, 5, 9, 2]]), torch.tensor([[3, 1, 7, 1, 8, 9, 2]])
ANSWER, OTHER = 17, 4
BLOCK = {"gpt2": "transformer.h.1", "llama": "model.layers.1"}


def their_model(kind: str) -> nn.Module:
    torch.manual_seed(0)
    sizes = {"vocab_size": 31, "initializer_range": 0.3}
    if kind == "gpt2":
        config = GPT2Config(**sizes, n_positions=16, n_embd=24, n_layer=3, n_head=4, bos_token_id=0, eos_token_id=0)
        return GPT2LMHeadModel(config).eval()
    llama = LlamaConfig(
        **sizes, hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2
    )
    return LlamaForCausalLM(llama).eval()


def by_hook(model: nn.Module, module: str, change: Callable[[Tensor], Tensor]) -> float:
    def hook(module: nn.Module, inputs: object, output: object) -> object:
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    handle = model.get_submodule(module).register_forward_hook(hook)
    with torch.no_grad():
        said_V = model(CORRUPTED).logits[0, -1]
    handle.remove()
    return float(said_V[ANSWER] - said_V[OTHER])


@pytest.mark.parametrize("kind", BLOCK)
def test_a_model_of_transformers_by_replay_and_by_hooks(kind: str) -> None:
    model, block = their_model(kind), BLOCK[kind]
    clean, corrupted = cutaway.trace(model, CLEAN), cutaway.trace(model, CORRUPTED)
    for module in (block, f"{block}.mlp"):
        found = patched(clean, corrupted, every_position(corrupted, f"{module}:out"), ANSWER, OTHER)
        assert len(found) == 7
        for t in range(7):

            def paste(value: Tensor, t: int = t, address: str = f"{module}:out") -> Tensor:
                value = value.clone()
                value[:, t] = clean[address][:, t]
                return value

            assert float(found[t]) == pytest.approx(by_hook(model, module, paste), abs=1e-5)
        plain = by_hook(model, module, lambda value: value)
        assert [float(value) for value in found[:2]] == pytest.approx([plain] * 2, abs=1e-5)
        assert abs(float(found[2]) - plain) > 1e-3
    mlp = f"{block}.mlp"
    for by, change in (("zero", torch.zeros_like), ("mean", lambda x: x.mean(1, keepdim=True).expand_as(x).clone())):
        value = ablated(corrupted, [(f"{mlp}:out", None)], ANSWER, OTHER, by=by)
        assert value == pytest.approx(by_hook(model, mlp, change), abs=1e-5)


def test_a_model_that_is_no_transformer() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 5))
    x = torch.randn(4, 3)
    trace = cutaway.trace(model, x)
    value = ablated(trace, [("1:out", (None, 2))], 1, position=3, logits="2:out")
    hidden = model[1](model[0](x)) * (torch.arange(8) != 2)
    assert value == pytest.approx(float(model[2](hidden)[3, 1].detach()), abs=1e-6)
    with pytest.raises(UsageError, match=r"none of logits, output\.logits, lm_head:out; say with logits="):
        ablated(trace, [("1:out", None)], 1)


def test_bad_places() -> None:
    model = their_model("gpt2")
    clean, corrupted = cutaway.trace(model, CLEAN), cutaway.trace(model, CORRUPTED[:, :5])
    with pytest.raises(UsageError, match=r"shape \[1, 7, 24\] in the clean recording and \[1, 5, 24\] in the other"):
        patched(clean, corrupted, [("transformer.h.1:out", None)], 1)
    with pytest.raises(UsageError, match=r"this trace has no 'transformer.h.7:out'"):
        ablated(clean, [("transformer.h.7:out", None)], 1)
    with pytest.raises(UsageError, match=r"no axis 3"):
        every_position(clean, "transformer.h.1:out", 3)
    with pytest.raises(UsageError, match=r"expected zero or mean"):
        ablated(clean, [("transformer.h.1:out", None)], 1, by="half")
    with pytest.raises(UsageError, match=r"no position 9"):
        ablated(clean, [("transformer.h.1:out", None)], 1, position=9)
