"""Each optimizer beside PyTorch's own or its formula."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cutaway.models.build import build
from cutaway.models.config import GPTConfig
from cutaway.nn.embedding import NGramEmbedding
from cutaway.train.config import TrainConfig
from cutaway.train.optimizers import Muon, RowAdaGrad, build_optimizers, orthogonalize, set_rates


def test_orthogonalize_makes_singular_values_about_one() -> None:
    torch.manual_seed(0)
    for shape in ((3, 24, 24), (2, 11, 40), (2, 40, 11)):
        matrices = torch.randn(shape) + 3 * torch.eye(*shape[1:])
        turned = orthogonalize(matrices, dtype=torch.float32)
        values = torch.linalg.svdvals(turned)
        assert values.min() > 0.1
        assert values.max() < 1.3
        # the same singular vectors: the turned matrix, times the original's transpose, is symmetric
        product = turned @ matrices.mT
        assert torch.allclose(product, product.mT, atol=1e-3 * float(product.abs().max()))


def test_muon_is_pytorchs() -> None:
    torch.manual_seed(0)
    shapes = [(24, 24), (40, 24), (24, 40), (24, 24)]
    ours = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [nn.Parameter(p.detach().clone()) for p in ours]
    mine = Muon(ours, lr=0.02, momentum=0.95, weight_decay=0.1)
    reference = torch.optim.Muon(theirs, lr=0.02, momentum=0.95, weight_decay=0.1, nesterov=True)
    for _ in range(5):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        mine.step()
        reference.step()
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, atol=2e-3), float((a - b).abs().max())


def test_muon_refuses_what_is_no_matrix() -> None:
    with pytest.raises(ValueError, match="Muon takes matrices"):
        Muon([nn.Parameter(torch.zeros(3))])


def test_muon_takes_a_convolution_for_a_matrix() -> None:
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.randn(24, 6, 3, 3).to(memory_format=torch.channels_last))
    matrix = nn.Parameter(kernel.detach().flatten(1).clone())
    for parameter in (kernel, matrix):
        optimizer = Muon([parameter], lr=0.02, weight_decay=0.1)
        for step in range(3):
            gradient = torch.randn(24, 54, generator=torch.Generator().manual_seed(step))
            parameter.grad = gradient.view(parameter.shape)
            optimizer.step()
    assert torch.equal(kernel.detach().flatten(1), matrix.detach())
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.GroupNorm(2, 6))
    muon = build_optimizers(model, TrainConfig())[0]
    assert isinstance(muon, Muon)
    assert [p.shape for group in muon.param_groups for p in group["params"]] == [(6, 3, 3, 3)]


def test_row_adagrad_sparse_equals_dense_equals_formula() -> None:
    torch.manual_seed(0)
    tables = [nn.Parameter(torch.randn(31, 6, dtype=torch.float64)) for _ in range(2)]
    with torch.no_grad():
        tables[1].copy_(tables[0])
    expected, sums = tables[0].detach().clone(), torch.zeros(31, dtype=torch.float64)
    optimizers = [RowAdaGrad([table], lr=0.05) for table in tables]
    for _ in range(4):
        rows = torch.randint(31, (7,))
        for table, is_sparse in zip(tables, (True, False), strict=True):
            table.grad = None
            (torch.nn.functional.embedding(rows, table, sparse=is_sparse) ** 2).sum().backward()
        assert tables[1].grad is not None
        dense = tables[1].grad.clone()
        for optimizer in optimizers:
            optimizer.step()
        sums += dense.square().mean(1)
        touched = sums > 0
        expected[touched] -= 0.05 * dense[touched] / sums[touched].sqrt()[:, None]
    for table in tables:
        assert torch.allclose(table.detach(), expected, atol=1e-9)


def test_every_parameter_has_exactly_one_optimizer() -> None:
    model = build(
        GPTConfig(
            vocab_size=31,
            d_model=24,
            n_layers=2,
            n_heads=4,
            context_length=11,
            ngram_sizes=(2, 3),
            ngram_rows=(700, 512),
        )
    )
    for name in ("muon", "adamw"):
        optimizers = build_optimizers(model, TrainConfig(optimizer=name))
        owned = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
        assert len(owned) == len(set(owned)) == len(list(model.parameters()))
        assert any(isinstance(optimizer, Muon) for optimizer in optimizers) == (name == "muon")
    tables = {module.weight for module in model.modules() if isinstance(module, NGramEmbedding)}
    assert {p for o in optimizers if isinstance(o, RowAdaGrad) for g in o.param_groups for p in g["params"]} == tables


def test_rates_follow_the_schedule_and_momentum_warms_up() -> None:
    model = nn.Sequential(nn.Linear(6, 24), nn.Linear(24, 6))
    config = TrainConfig(schedule="stable", warmup_fraction=0.1, decay_fraction=0.5)
    optimizers = build_optimizers(model, config)
    shares = [set_rates(optimizers, step, 200, config) for step in range(200)]
    assert shares[0] == pytest.approx(1 / 20)
    assert shares[19:101] == [1.0] * 82
    assert shares[150] == pytest.approx(0.5)
    assert 0 < shares[-1] < 0.02
    muon = optimizers[0]
    assert isinstance(muon, Muon)
    set_rates(optimizers, 0, 200, config)
    assert muon.param_groups[0]["momentum"] == 0.85
    set_rates(optimizers, 100, 200, config)
    assert muon.param_groups[0]["momentum"] == 0.95
