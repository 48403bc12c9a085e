"""Gradient checkpointing: the same numbers, fewer of them kept."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cutaway.base.tap import listening
from cutaway.generate.flat import FlatDecoder
from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig
from cutaway.models.decoder import Decoder
from cutaway.tune.checkpointing import checkpoint_blocks
from cutaway.tune.lora import LoRAConfig, add_lora
from cutaway.tune.quantize import quantize_base

B, T, V = 3, 9, 31
LLAMA = LlamaConfig(V, 16, 32, 3, 4, 2, d_ff=80)
GPT = GPTConfig(V, 16, 32, 3, 4, dropout=0.3, zero_init_projections=False)
WAYS: dict[str, Callable[[Decoder], Decoder]] = {
    "full": lambda model: model,
    "lora": lambda model: add_lora(model, LoRAConfig(dropout=0.2)),
    "lora4": lambda model: add_lora(quantize_base(model)),
}


def tokens() -> Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(0))


def step(model: Decoder) -> tuple[Tensor, int]:
    """Return the loss and how many numbers were kept for the backward pass, which is made."""
    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.numel()
        return x

    torch.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        loss = F.cross_entropy(model(tokens()).flatten(0, 1), tokens().flatten())
    loss.backward()
    return loss.detach(), sum(kept.values())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("config", [LLAMA, GPT], ids=["llama", "gpt"])
def test_loss_and_gradients_are_the_same_bit_for_bit(config: ModelConfig, way: str) -> None:
    plain = WAYS[way](build(config))
    model = checkpoint_blocks(copy.deepcopy(plain))
    (expected, kept), (loss, kept_less) = step(plain), step(model)
    assert torch.equal(loss, expected)
    for (name, ours), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        assert ours.grad is None or torch.equal(ours.grad, theirs.grad), name
    assert kept_less < 0.6 * kept


def test_a_copy_is_a_copy_and_writing_is_as_before() -> None:
    model = checkpoint_blocks(build(LLAMA))
    again = copy.deepcopy(model)
    with torch.no_grad():
        before = model(tokens())
        for parameter in model.parameters():
            parameter.zero_()
        assert torch.equal(again(tokens()), before)
        assert FlatDecoder.fits(again)
        cache = again.new_cache(B, T)
        again(tokens()[:, :-1], cache)
        torch.testing.assert_close(again(tokens()[:, -1:], cache)[:, -1], before[:, -1], rtol=1e-4, atol=1e-4)


def test_whoever_listens_hears_every_value_once() -> None:
    model, heard = checkpoint_blocks(build(LLAMA)), []

    def listen(name: str, value: Tensor) -> Tensor:
        heard.append(name)
        return value

    with listening(listen):
        model(tokens()).sum().backward()
    assert heard.count("resid_pre_BTC") == LLAMA.n_layers
