"""4-bit weights: those of bitsandbytes bit for bit, as good as published, and learned through exactly."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from cutaway.base.errors import UsageError
from cutaway.generate.flat import FlatDecoder
from cutaway.interop.hub_folder import save_folder
from cutaway.models.build import build
from cutaway.models.config import LlamaConfig
from cutaway.models.decoder import Decoder
from cutaway.tune.lora import (
    LoRAConfig,
    LoRANF4Linear,
    adapter_parameters,
    add_lora,
    bake,
    load_adapter,
    lora_layers,
    merge,
    remove_lora,
    save_adapter,
    unmerge,
)
from cutaway.tune.quantize import LEVELS, NF4Linear, dequantize, dequantize_base, quantize, quantize_base

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # peft's own
B, T, V = 3, 17, 31
CONFIG = LlamaConfig(V, 32, 48, 2, 4, 2, d_ff=80)


@pytest.fixture(name="theirs", scope="module")
def _theirs() -> Any:
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it misses a kernel that it can do without
    import bitsandbytes.functional

    return bitsandbytes.functional


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def tokens(seed: int = 0) -> Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(seed))


def four_bit(**settings: Any) -> Decoder:
    return quantize_base(build(CONFIG, **settings))


def in_floats(model: Decoder) -> Decoder:
    """Return an ordinary model with the rounded weights."""
    return dequantize_base(copy.deepcopy(model))


# ---- the numbers ----


def test_levels_are_the_quantiles_of_the_paper() -> None:
    quantile, most = NormalDist().inv_cdf, 1 - (1 / 30 + 1 / 32) / 2
    upper = [quantile(most + (0.5 - most) * i / 8) for i in range(9)]
    lower = [-quantile(most + (0.5 - most) * i / 7) for i in range(7)]
    expected = [level / upper[0] for level in sorted(lower + upper)]
    assert pytest.approx(expected, abs=3e-7) == LEVELS


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(256, 1088), (64, 65), (3, 34)])
def test_bit_for_bit_those_of_bitsandbytes(shape: tuple[int, int], dtype: torch.dtype, theirs: Any) -> None:
    weight = (normal(*shape) * normal(shape[0], 1, seed=1)).to(dtype)
    weight[0] = 0  # whole blocks of nothing
    packed, absmax = quantize(weight)
    codes, state = theirs.quantize_4bit(weight, blocksize=64, quant_type="nf4")
    assert torch.equal(packed[: len(codes)], codes.view(-1))
    assert torch.equal(absmax, state.absmax)
    ours = NF4Linear(packed, absmax, None, shape, dtype).weight
    assert torch.equal(ours, theirs.dequantize_4bit(codes, state))
    assert ours.dtype is dtype


def test_the_error_is_the_published_one_and_less_than_that_of_even_steps() -> None:
    weight = normal(1024, 1024)
    error = dequantize(*quantize(weight)).view_as(weight) - weight
    # "nf4", blocks of 64: mean over 1,000 normal matrices of this size, bitsandbytes, tests/test_functional.py
    assert error.abs().mean() == pytest.approx(0.072792, abs=2e-4)
    assert (error.abs() / (weight.abs() + 1e-8)).mean() == pytest.approx(0.203299, abs=2e-3)
    blocks = weight.view(-1, 64)
    step = blocks.abs().amax(dim=1, keepdim=True) / 7
    even = (blocks / step).round() * step - blocks
    assert error.norm() < 0.87 * even.norm()


def test_the_error_is_what_the_levels_say() -> None:
    """Numbers x = absmax * u fall to the nearest level: the mean of |u - nearest| over a fine grid of u."""
    u = torch.linspace(-1, 1, 64 * 5001).view(5001, 64)
    u[:, 0] = 1.0  # so that every block's absmax is 1
    nearest = (u[..., None] - torch.tensor(LEVELS)).abs().amin(-1)
    error = (dequantize(*quantize(u * 0.37)).view_as(u) / 0.37 - u).abs()
    torch.testing.assert_close(error, nearest, rtol=0, atol=2e-7)


def test_four_and_a_half_bits_a_weight() -> None:
    layer = NF4Linear.from_linear(nn.Linear(512, 384, bias=False))
    held = sum(x.numel() * x.element_size() for x in [*layer.parameters(), *layer.buffers()])
    assert 8 * held / (512 * 384) == 4.5


# ---- the model ----


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("has_bias", [True, False])
def test_gradients_are_those_through_the_rounded_matrix(has_bias: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = NF4Linear.from_linear(nn.Linear(40, 56, bias=has_bias, dtype=dtype))
    plain, results = layer.to_linear(), []
    for module in (layer, plain):
        x = normal(B, T, 40).to(dtype).requires_grad_()
        y = module(x)
        y.square().sum().backward()
        results.append((y, x.grad, module.bias.grad if has_bias else torch.zeros(1)))
        module.zero_grad()
    for ours, expected in zip(*results, strict=True):
        assert torch.equal(ours, expected)


def test_no_float_copy_is_kept_for_the_backward_pass() -> None:
    layer = NF4Linear.from_linear(nn.Linear(40, 56))
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        layer(normal(B, T, 40).requires_grad_())
    assert not [x for x in kept if x.numel() >= 40 * 56]


def test_in_autocast_as_an_ordinary_layer() -> None:
    layer = NF4Linear.from_linear(nn.Linear(40, 56))
    x, again = (normal(B, T, 40).requires_grad_() for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        ours, expected = layer(x), layer.to_linear()(again)
    ours.float().square().sum().backward()
    expected.float().square().sum().backward()
    assert ours.dtype is torch.bfloat16
    assert torch.equal(ours, expected)
    assert x.grad is not None
    assert torch.equal(x.grad, again.grad)


def test_adapters_get_the_gradients_of_the_rounded_float_model() -> None:
    ours, plain = four_bit(), in_floats(four_bit())
    assert {type(x) for _, x in lora_layers(add_lora(ours))} == {LoRANF4Linear}
    add_lora(plain)
    for model in (ours, plain):
        for seed, parameter in enumerate(adapter_parameters(model).values()):
            parameter.data.copy_(normal(*parameter.shape, seed=seed) * 0.1)
        F.cross_entropy(model(tokens()).flatten(0, 1), tokens(1).flatten()).backward()
    torch.testing.assert_close(ours(tokens()), plain(tokens()), rtol=1e-5, atol=1e-6)  # the same, summed otherwise
    expected = adapter_parameters(plain)
    for name, parameter in adapter_parameters(ours).items():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0
        torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-4, atol=1e-6)
    assert {name for name, p in ours.named_parameters() if p.requires_grad} == set(expected)


def train(model: Decoder, parameters: list[nn.Parameter], step: int, n_steps: int) -> list[float]:
    """Teach the model which token comes `step` after the one it reads; return the losses."""
    optimizer, losses = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=0.0), []
    for i in range(n_steps):
        loss = F.cross_entropy(model(tokens(i)).flatten(0, 1), (tokens(i) + step).remainder(V).flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.slow
def test_learns_as_lora_in_full_precision_does() -> None:
    base = build(CONFIG)
    assert train(base, list(base.parameters()), 1, 60)[-1] < 0.5
    curves = []
    for model in (copy.deepcopy(base), quantize_base(copy.deepcopy(base))):
        add_lora(model, LoRAConfig(rank=4))
        curves.append(train(model, list(adapter_parameters(model).values()), 0, 40))
    full, rounded = curves
    assert full[0] > 5
    assert rounded[-1] < 0.5
    assert max(abs(a - b) for a, b in zip(full, rounded, strict=True)) < 0.5
    assert abs(full[-1] - rounded[-1]) < 0.1


def test_merging_makes_floats_of_the_rounded_weights() -> None:
    model = add_lora(four_bit(), LoRAConfig(rank=3, projections=("q_proj", "down_proj"))).eval()
    for parameter in adapter_parameters(model).values():
        parameter.data.copy_(normal(*parameter.shape) * 0.1)
    expected, before = model(tokens()), in_floats(remove_lora(copy.deepcopy(model)))
    merge(model)
    torch.testing.assert_close(model(tokens()), expected, rtol=1e-5, atol=1e-5)
    unmerge(model)
    torch.testing.assert_close(model(tokens()), expected, rtol=1e-5, atol=1e-5)
    plain = bake(model)
    assert {type(x) for x in plain.blocks.modules() if hasattr(x, "in_features")} == {nn.Linear}
    torch.testing.assert_close(plain(tokens()), expected, rtol=1e-5, atol=1e-5)
    q_proj = "blocks.1.attn.q_proj.weight"
    assert not torch.equal(plain.get_parameter(q_proj), before.get_parameter(q_proj))
    k_proj = "blocks.1.attn.k_proj.weight"
    assert torch.equal(plain.get_parameter(k_proj), before.get_parameter(k_proj))


def test_adapters_travel_and_peft_reads_them(tmp_path: Path) -> None:
    model = add_lora(four_bit(), LoRAConfig(rank=3)).eval()
    for parameter in adapter_parameters(model).values():
        parameter.data.copy_(normal(*parameter.shape) * 0.1)
    save_adapter(tmp_path / "adapter", model)
    again = load_adapter(tmp_path / "adapter", four_bit()).eval()
    assert torch.equal(again(tokens()), model(tokens()))
    save_folder(tmp_path / "base", in_floats(four_bit()))
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter")
    torch.testing.assert_close(model(tokens()), theirs.eval()(tokens()).logits, rtol=1e-5, atol=1e-5)


def test_writes_step_by_step_as_it_reads() -> None:
    model = four_bit().eval()
    cache = model.new_cache(B, T)
    with torch.no_grad():
        model(tokens()[:, :9], cache)
        flat = FlatDecoder(model, cache, 40)
        torch.testing.assert_close(flat.step(tokens()[:, 9:10]), model(tokens()[:, :10])[:, -1], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_model_without_layers_to_round_is_refused() -> None:
    with pytest.raises(UsageError, match="before add_lora"):
        quantize_base(four_bit())
    with pytest.raises(UsageError, match="before add_lora"):
        quantize_base(add_lora(build(CONFIG)))
