"""The corrected matrix: the same output and gradients as the corrected output."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from cutaway.base.tap import listening
from cutaway.interop.hub_folder import load_folder, save_folder
from cutaway.models.build import build
from cutaway.models.config import LlamaConfig
from cutaway.tune import lora
from cutaway.tune.corrected import CorrectedMatrix, pays
from cutaway.tune.lora import Adapter, LoRALinear, load_adapter

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # theirs
N, N_IN, N_OUT, R = 200, 24, 40, 3
SCALE = 8 / R


def factors(dtype: torch.dtype, n_rows: int = N) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((n_rows, N_IN), (N_OUT, N_IN), (N_OUT,), (R, N_IN), (N_OUT, R))
    x, W, b, A, B = (torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)
    return x.requires_grad_(), W, b, A.requires_grad_(), B.requires_grad_()


def test_the_derivative_is_that_of_the_function() -> None:
    x, W, b, A, B = factors(torch.float64, 7)
    assert torch.autograd.gradcheck(lambda x, A, B: CorrectedMatrix.apply(x, W, b, A, B, SCALE), (x, A, B))


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_it_is_the_plain_formula(dtype: torch.dtype, limit: float) -> None:
    x, W, b, A, B = factors(dtype)
    found = CorrectedMatrix.apply(x, W, b, A, B, SCALE)
    expected = nn.functional.linear(x, W, b) + nn.functional.linear(nn.functional.linear(x, A), B) * SCALE
    torch.testing.assert_close(found, expected, rtol=limit, atol=limit * expected.abs().max().item())
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
    ours, plain = (torch.autograd.grad((y * weights).sum(), (x, A, B)) for y in (found, expected))
    for a, b_ in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b_, rtol=limit, atol=limit * b_.abs().max().item())


def layer_of(dropout: float = 0.0) -> LoRALinear:
    linear = nn.Linear(N_IN, N_OUT).requires_grad_(False)
    _, _, _, A, B = factors(torch.float32)
    return LoRALinear(linear, Adapter(nn.Parameter(A.detach()), nn.Parameter(B.detach()), SCALE, dropout))


def test_it_is_used_where_it_pays_and_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []

    class Noted(CorrectedMatrix):
        @staticmethod
        def forward(ctx: object, x: Tensor, *rest: object) -> Tensor:
            used.append(len(x))
            return CorrectedMatrix.forward(ctx, x, *rest)

    monkeypatch.setattr(lora, "CorrectedMatrix", Noted)
    layer = layer_of()
    many, few = torch.randn(N, N_IN), torch.randn(7, N_IN)
    layer(many)
    assert used == [N]
    layer(few)
    layer_of(0.5)(many)
    with listening(lambda name, value: None):
        layer(many)
    with torch.autocast("cpu", torch.bfloat16):
        layer(many)
    copy.deepcopy(layer).bfloat16()(many.bfloat16())
    assert used == [N]
    layer_of(0.5).eval()(many)
    assert used == [N, N]
    assert not pays(7, N_IN, N_OUT)


def test_the_first_block_is_asked_for_no_gradient_of_its_input() -> None:
    x, W, b, A, B = factors(torch.float32)
    CorrectedMatrix.apply(x.detach(), W, b, A, B, SCALE).sum().backward()
    assert x.grad is None
    assert A.grad is not None


def test_in_16_bits_it_is_as_near_the_exact_one_as_the_plain_formula() -> None:
    x, W, b, _, _ = factors(torch.float32)
    layer = layer_of()
    with torch.no_grad():
        layer.weight.copy_(W)
        layer.bias.copy_(b)
    weights = torch.randn(N, N_OUT, generator=torch.Generator().manual_seed(1))
    learning = (x, layer.adapter.A, layer.adapter.B)

    def answers(forward: Callable[[Tensor], Tensor]) -> list[Tensor]:
        y = forward(x)
        return [y.float(), *torch.autograd.grad((y.float() * weights).sum(), learning)]

    def plain(x: Tensor) -> Tensor:
        return nn.functional.linear(x, layer.weight, layer.bias) + layer.adapter(x)

    exact = answers(plain)
    with torch.autocast("cpu", torch.bfloat16):
        quick, usual = answers(layer), answers(plain)
        assert type(layer(x).grad_fn).__name__ == "CorrectedOutputBackward"
    for found, other, true in zip(quick, usual, exact, strict=True):
        assert found.dtype is torch.float32
        assert (found - true).norm() < 1.2 * (other - true).norm() < 0.1 * true.norm()


def test_the_rounded_weight_follows_the_weight() -> None:
    layer, x = layer_of(), torch.randn(N, N_IN)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        first, again = layer(x), layer(x)
        assert torch.equal(first, again)
        assert layer.weight_in(torch.bfloat16) is layer.weight_in(torch.bfloat16)
        layer.weight.add_(1)
        assert (layer(x) - first).abs().max() > 0.5


def test_a_whole_model_has_the_gradients_of_peft(tmp_path: Path) -> None:
    model = build(LlamaConfig(31, 64, 24, 2, 4, 2, d_ff=40, init_std=0.2))
    save_folder(tmp_path / "base", model)
    torch.manual_seed(0)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    theirs = get_peft_model(theirs, LoraConfig(r=R, lora_alpha=8, target_modules="all-linear"))
    with torch.no_grad():
        generator = torch.Generator().manual_seed(1)
        for parameter in theirs.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    theirs.save_pretrained(tmp_path / "adapter")
    ours = load_adapter(tmp_path / "adapter", load_folder(tmp_path / "base")[0])
    tokens = torch.randint(31, (4, 64), generator=torch.Generator().manual_seed(2))
    labels = tokens.clone()
    labels[:, :20] = -100
    expected = theirs(input_ids=tokens, labels=labels).loss
    targets = torch.cat([labels[:, 1:], torch.full((4, 1), -100)], dim=1)
    wanted = (targets[:1] >= 0).flatten().nonzero()[:, 0]
    counted = targets[:, wanted]
    found = ours(tokens, wanted=wanted, targets=counted.flatten(), divisor=counted.numel())
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    expected.backward()
    found.backward()
    named = dict(theirs.named_parameters())
    for block in range(2):
        for mine, his in (("attn.q_proj", "self_attn.q_proj"), ("mlp.down_proj", "mlp.down_proj")):
            adapter = ours.get_submodule(f"blocks.{block}.{mine}").adapter
            for factor in "AB":
                grad = named[f"base_model.model.model.layers.{block}.{his}.lora_{factor}.default.weight"].grad
                assert grad.abs().max() > 1e-3
                torch.testing.assert_close(getattr(adapter, factor).grad, grad, rtol=1e-6, atol=1e-6)
