"""What is read is what the model computes; what is edited reaches everything after it; names are the microscope's."""

from __future__ import annotations

import pytest
import torch

import cutaway
from cutaway.base.errors import UsageError
from cutaway.lens.activations import names, read
from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig

TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9]])
CONFIGS = [
    GPTConfig(vocab_size=20, d_model=16, n_layers=3, n_heads=2, context_length=16),
    GPTConfig(vocab_size=20, d_model=16, n_layers=2, n_heads=2, context_length=16, positions="learned", norm="layer",
              mlp="gelu_tanh", bias=True, tied=True, qk_norm=False, dropout=0.5),
    LlamaConfig(vocab_size=20, d_model=16, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=24, context_length=16),
]  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS, ids=["ours", "gpt2", "llama"])
def test_names_and_values_are_the_microscopes(config):
    torch.manual_seed(0)
    model = build(config)
    values = read(model, TOKENS)
    assert list(values) == names(model)
    model.eval()
    trace = cutaway.trace(model, TOKENS)
    addresses = set(trace.addresses())
    same = [name for name in values if name in addresses]
    assert {f"blocks.{i}.attn.pattern" for i in range(config.n_layers)} <= set(same)
    assert len(same) >= 8 * config.n_layers
    for name in same:
        torch.testing.assert_close(values[name], torch.as_tensor(trace[name]).reshape(values[name].shape))


def test_an_edit_reaches_everything_after_it():
    torch.manual_seed(0)
    model = build(CONFIGS[2])
    before = read(model, TOKENS)
    after = read(model, TOKENS, edits={"blocks.0.resid_post": lambda x: x * 0})
    assert torch.equal(after["blocks.0.mlp_out"], before["blocks.0.mlp_out"])
    assert not after["blocks.1.resid_pre"].any()
    assert not torch.allclose(after["logits"], before["logits"])
    assert torch.equal(read(model, TOKENS, {"embed"})["logits"], before["logits"]), "nothing stays edited"


def test_what_the_model_does_not_have_is_named():
    model = build(CONFIGS[0])
    with pytest.raises(UsageError, match=r"no 'blocks.7.attn_out'.*did you mean"):
        read(model, TOKENS, edits={"blocks.7.attn_out": lambda x: x})
    with pytest.raises(UsageError, match=r"returned \(1, 6\); expected \(1, 6, 16\)"):
        read(model, TOKENS, edits={"embed": lambda x: x[..., 0]})
