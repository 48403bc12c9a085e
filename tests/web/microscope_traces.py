"""Traces that the tests of the microscope's screen look at: a step of a small GPT, and tensors of every odd kind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import nn

import cutaway
from cutaway.bench.microscope import loss_of
from cutaway.microscope.trace import Trace
from cutaway.models.build import build
from cutaway.models.presets import plain

TEXT = "squares ab"
TOKENS = list(TEXT)


def write_traces(home: Path) -> dict[str, Trace]:
    """Write the traces into a lab's folder and return them."""
    made = {"gpt": small_step(0), "later": small_step(1), "odd": odd_tensors()}
    for name, trace in made.items():
        trace.save(home / name)
    return made


def small_step(n: int) -> Trace:
    """Return the step n of training a small GPT."""
    torch.manual_seed(0)
    shape = dataclasses.replace(plain(context_length=16, d_model=24, n_layers=2, n_heads=4), vocab_size=31)
    model = build(shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    tokens = torch.tensor([[ord(letter) % 31 for letter in TEXT]])
    for _ in range(n + 1):
        optimizer.zero_grad()
        trace = cutaway.trace(model, tokens, loss_of(tokens), optimizer)
    axes = ["scores BHTS", "pattern BHTS", "z BTHD"]
    trace.notes = {"model": "small", "text": TEXT, "tokens": TOKENS, "axes": axes}
    return trace


def odd_tensors() -> Trace:
    """Return a recording of tensors of many kinds, sizes and numbers of axes."""
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    broken = normal(12, 16)
    broken[0, 5], broken[3, 7], broken[4, 2] = float("nan"), float("inf"), -float("inf")
    signs = torch.where(torch.rand(1024, 1024, generator=generator) < 0.5, -1.0, 1.0)
    tensors = {
        "broken": broken,
        "half": normal(6, 9).half(),
        "brain": normal(5, 7).bfloat16(),
        "whole": torch.arange(40).reshape(5, 8) * 1000 - 7,
        "yes": normal(4, 6) > 0,
        "square": signs * (0.5 + torch.rand(1024, 1024, generator=generator)),
        "many": normal(1100, 1300),
        "four": normal(2, 3, 7, 11),
        "line": normal(300),
        "double": normal(4, 5).double().exp(),
        "single": torch.tensor(2.5),
        "empty": normal(0, 3),
    }

    class Odd(nn.Module):
        def forward(self, **given: torch.Tensor) -> torch.Tensor:
            for value in given.values():
                if value.is_floating_point():
                    value.neg()
            return given["four"].sum()

    return cutaway.trace(Odd(), tensors)
