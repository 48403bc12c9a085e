"""What tuning moved: how far each matrix, along how many directions, and which heads and neurons.

    D = W_tuned - W_base                  LoRA: D = scale * B A, kept apart from W and so known exactly
    relative = |D| / |W|                  |.| the root of the sum of squares (Frobenius)
    stable rank = |D|^2 / s_1^2           s_1 >= s_2 >= ...: the singular values of D (Rudelson & Vershynin 2007)
    effective rank = exp(-sum p ln p)     p = s / sum s (Roy & Vetterli 2007)

Both ranks count directions: 1 where one direction holds all of the change, n where n hold equal parts. Stable rank asks how
many as strong as the strongest, effective rank how many at all. The singular values of B A come from the small factors:
with B = Q R and A^T = P S they are those of R S^T. A head is its rows of W_q, W_k, W_v and its columns of W_o; a neuron
of an MLP its rows of the matrices that read and its column of the one that writes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.base.errors import UsageError
from cutaway.interop.peft_adapter import Factors
from cutaway.models.decoder import Decoder
from cutaway.nn.attention import Attention

MOST_NEURONS = 20


@dataclass(frozen=True)
class MatrixChange:
    """How far one of the model's parameters moved."""

    name: str
    shape: tuple[int, ...]
    norm: float
    """|D|."""
    relative: float
    """|D| / |W|; of a parameter that was all zeros, infinite if it moved."""
    singular_values: tuple[float, ...]
    """Largest first; empty for a vector."""
    learned_rank: int | None = None
    """Of a LoRA: the rank it was given."""

    @property
    def stable_rank(self) -> float | None:
        """Directions as strong as the strongest; None for a vector or where nothing moved."""
        if not self.singular_values or not self.singular_values[0]:
            return None
        return (self.norm / self.singular_values[0]) ** 2

    @property
    def effective_rank(self) -> float | None:
        """Directions at all; None for a vector or where nothing moved."""
        total = sum(self.singular_values)
        shares = [value / total for value in self.singular_values if value > 0] if total else []
        return math.exp(-sum(share * math.log(share) for share in shares)) if shares else None

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON; what is not a number is null."""
        numbers = {"norm": self.norm, "relative": self.relative}
        return {
            "name": self.name,
            "shape": list(self.shape),
            **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
            "stable_rank": self.stable_rank,
            "effective_rank": self.effective_rank,
            "learned_rank": self.learned_rank,
            "singular_values": list(self.singular_values),
        }


@dataclass(frozen=True)
class PartChange:
    """How far a head or a neuron moved."""

    layer: int
    index: int
    norm: float
    relative: float

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return vars(self) | {"relative": self.relative if math.isfinite(self.relative) else None}


@dataclass(frozen=True)
class WeightChange:
    """What tuning moved in the weights."""

    matrices: tuple[MatrixChange, ...]
    """The one that moved farthest, for its size, first; those that were all zeros last."""
    heads: tuple[PartChange, ...]
    """All of them, in the model's order."""
    neurons: tuple[PartChange, ...]
    """Those that moved farthest, for their size."""
    n_unchanged: int
    """Parameters that did not move."""

    @property
    def is_zero(self) -> bool:
        """Whether nothing moved."""
        return not self.matrices

    def sentence(self) -> str:
        """Say it in words."""
        if self.is_zero:
            return "Nothing moved: the tuned model is the base."
        first = next((one for one in self.matrices if one.singular_values), self.matrices[0])
        rank = first.stable_rank
        wide = "" if rank is None else f", along about {rank:.1f} directions as strong as the strongest"
        return (
            f"{len(self.matrices):,} of {len(self.matrices) + self.n_unchanged:,} parameters moved. Farthest for its size "
            f"{first.name}, by {first.relative:.2%} of it{wide}."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        parts = {name: [one.as_dict() for one in getattr(self, name)] for name in ("matrices", "heads", "neurons")}
        return {**parts, "n_unchanged": self.n_unchanged, "sentence": self.sentence()}


Deltas = dict[str, Tensor]


@torch.no_grad()
def weight_change(base: Decoder, tuned: Decoder, factors: Mapping[str, Factors] | None = None) -> WeightChange:
    """Return what moved between two models of one shape.

    Args:
        factors: the corrections of a LoRA by the names of their layers; the difference is then their product, exactly,
            not what is left of it after it was added and rounded.

    Raises:
        UsageError: the models are of different shapes.
    """
    before, after = dict(base.named_parameters()), dict(tuned.named_parameters())
    if {n: p.shape for n, p in before.items()} != {n: p.shape for n, p in after.items()}:
        raise UsageError("these two models have different shapes, so nothing moved from one to the other")
    if factors is not None:
        factors = {f"{layer}.weight": one for layer, one in factors.items()}
    found: list[MatrixChange] = []
    deltas: Deltas = {}
    for name, weight in before.items():
        factor = None if factors is None else factors.get(name)
        if factors is not None and factor is None:
            continue
        delta = product(factor) if factor is not None else after[name].detach().float() - weight.detach().float()
        if not delta.any():
            continue
        values = singular_values(factor) if factor is not None else spectrum(delta)
        norm, size = float(delta.norm()), float(weight.detach().float().norm())
        rank = None if factor is None else len(factor.A)
        found.append(
            MatrixChange(
                name, tuple(weight.shape), norm, norm / size if size else math.inf, tuple(values.tolist()), rank
            )
        )
        deltas[name] = delta
    found.sort(key=lambda one: (not math.isfinite(one.relative), -one.relative))
    heads, neurons = head_changes(base, deltas), neuron_changes(base, deltas)
    return WeightChange(tuple(found), tuple(heads), tuple(neurons), len(before) - len(found))


def product(factor: Factors) -> Float[Tensor, "O I"]:
    """Return scale * B A."""
    return (factor.B.detach().float() @ factor.A.detach().float()) * factor.scale


def singular_values(factor: Factors) -> Float[Tensor, " R"]:
    """Return the singular values of scale * B A from its small factors, largest first."""
    B_OR, A_RI = factor.B.detach().double(), factor.A.detach().double()
    small = torch.linalg.qr(B_OR).R @ torch.linalg.qr(A_RI.T).R.T
    return torch.linalg.svdvals(small).mul(abs(factor.scale)).float()


def spectrum(delta: Tensor) -> Float[Tensor, " N"]:
    """Return the singular values of a matrix, largest first; of a vector none."""
    return torch.linalg.svdvals(delta) if delta.dim() == 2 else delta.new_empty(0)


def head_changes(base: Decoder, deltas: Deltas) -> list[PartChange]:
    """Return how far every query head moved; keys and values that heads share count for each of them."""
    found = []
    for layer, block in enumerate(base.blocks):
        attn = block.attn
        assert isinstance(attn, Attention)
        D, shared = attn.d_head, attn.n_heads // attn.n_kv_heads
        moved, size = torch.zeros(attn.n_heads), torch.zeros(attn.n_heads)
        for part in "qkvo":
            name = f"blocks.{layer}.attn.{part}_proj.weight"
            for sums, matrix in ((moved, deltas.get(name)), (size, base.get_parameter(name).detach().float())):
                if matrix is not None:
                    rows = matrix.T if part == "o" else matrix
                    squares = rows.reshape(-1, D * rows.shape[1]).square().sum(1)
                    sums += squares.repeat_interleave(shared) if part in "kv" else squares
        found += parts(layer, moved, size)
    return found


def neuron_changes(base: Decoder, deltas: Deltas) -> list[PartChange]:
    """Return the neurons of the MLPs that moved farthest for their size."""
    found: list[PartChange] = []
    for layer in range(len(base.blocks)):
        names = [f"blocks.{layer}.mlp.{part}_proj.weight" for part in ("gate", "up", "down")]
        there = [name for name in names if name in dict(base.named_parameters())]
        down = names[-1]
        width = base.get_parameter(down).shape[1]
        moved, size = torch.zeros(width), torch.zeros(width)
        for name in there:
            for sums, matrix in ((moved, deltas.get(name)), (size, base.get_parameter(name).detach().float())):
                if matrix is not None:
                    sums += matrix.square().sum(0 if name == down else 1)
        found += [one for one in parts(layer, moved, size) if one.norm]
    return sorted(found, key=lambda one: -one.relative)[:MOST_NEURONS]


def parts(layer: int, moved: Tensor, size: Tensor) -> list[PartChange]:
    """Return parts from their sums of squares."""
    return [
        PartChange(layer, index, math.sqrt(a), math.sqrt(a / b) if b else (math.inf if a else 0.0))
        for index, (a, b) in enumerate(zip(moved.tolist(), size.tolist(), strict=True))
    ]


def farthest(found: Sequence[PartChange], n: int) -> list[PartChange]:
    """Return the parts that moved farthest for their size."""
    return sorted((one for one in found if one.norm), key=lambda one: -one.relative)[:n]
