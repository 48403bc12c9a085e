"""One figure of every kind, of small models."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import torch

import cutaway
from cutaway import lens
from cutaway.base.runs import JsonLines
from cutaway.lens.ablate import scan
from cutaway.microscope.trace import Trace
from cutaway.notebook import Figure
from lens.small_models import TEXT, TOKENIZER, small_model


@functools.cache
def a_trace() -> Trace:
    """A step of a small network."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    return cutaway.trace(network, torch.randn(5, 3), loss=lambda out: out.square().mean())


def a_run(folder: Path) -> cutaway.Run:
    """A run that diverged: some of its numbers are none."""
    folder.mkdir()
    (folder / "recipe.toml").write_text('name = "x"\n')
    lines = JsonLines(folder / "metrics.jsonl")
    for step in range(1, 40):
        line = {"step": step, "loss": 4.0 / step if step < 30 else math.nan, "grad_norm": 0.5}
        lines.append(line | ({"validation_loss": 4.25 / step} if step % 10 == 1 else {}))
    lines.close()
    return cutaway.Run(folder)


def figures(folder: Path) -> dict[str, Figure]:
    """Return one of each kind, by kind."""
    model = small_model("ours")
    surprisal = lens.surprisal(model, TOKENIZER, TEXT)
    other = lens.surprisal(small_model("gpt2"), TOKENIZER, TEXT)
    results = [
        lens.attention(model, TOKENIZER, TEXT),
        lens.logit_lens(model, TOKENIZER, TEXT, include_mid=True),
        lens.attribute(model, TOKENIZER, TEXT),
        lens.patch(model, TOKENIZER, TEXT, TEXT[:-1] + "e", answer=TEXT[0], other=TEXT[1]),
        surprisal,
        lens.compare(surprisal, other),
        lens.induction(model, TOKENIZER, n_sequences=2, length=4),
        lens.ablate(model, TOKENIZER, TEXT, ["1.0"]),
        scan(model, TOKENIZER, TEXT),
        a_run(folder / "small-run"),
    ]
    made = [result.show() for result in results]
    made.append(a_trace().show("0.weight:grad", (3, 2)))
    return {figure.kind: figure for figure in made}
