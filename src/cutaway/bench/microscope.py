"""`cutaway bench microscope`: what recording costs, how soon any number is explained, how long verifying takes.

GPT-2's 124M shape with random weights, 64 tokens. Recording a whole step (forward, backward, AdamW) is timed in turn
with the same step without; recording a forward pass in turn with `torchlens`, which records forward passes.
"""

from __future__ import annotations

import dataclasses
import functools
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from cutaway.base.errors import UsageError
from cutaway.base.memory import keep_freed_memory
from cutaway.bench.alternate import Race, alternate
from cutaway.bench.facts import Fact
from cutaway.microscope.trace import Trace
from cutaway.microscope.tracing import trace
from cutaway.models.build import build
from cutaway.models.config import GPTConfig
from cutaway.models.decoder import Decoder
from cutaway.models.presets import gpt2, plain

N_TOKENS = 64
SCATTER_FROM = 5000
"""Numbers with more terms than this count as scatter-like."""


def run_microscope_bench(
    is_quick: bool, say: Callable[[str], None] = lambda line: None
) -> tuple[list[Race], list[Fact]]:
    """Return the races and the facts."""
    keep_freed_memory()  # for all sides: fresh memory may cost more than recording
    say("a small GPT: verify everything")
    small = step(dataclasses.replace(plain(), vocab_size=65), batch_size=12)
    seconds, report = timed(small.verify)
    facts = [
        Fact(f"verify, 4 x 128, {report.values_checked:,} values", seconds, "s", 5.0),
        Fact("  worst error, in units of the rounding expected", report.worst_error, "", 4.0),
    ]
    shape = dataclasses.replace(plain(context_length=N_TOKENS), vocab_size=65) if is_quick else gpt2()
    rounds = 3 if is_quick else 5
    say("recording a step beside the step")
    model = build(shape)
    tokens = torch.randint(model.config.known_vocab_size, (1, N_TOKENS))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    races = [
        alternate(
            "a step recorded (ours) beside the step itself",
            lambda: timed(lambda: record(model, tokens, optimizer))[0],
            lambda: timed(lambda: one_step(model, tokens, optimizer))[0],
            rounds,
        )
    ]
    facts.append(Fact("recording a step takes that of the plain step", 1 / races[0].ratio, "x", 1.4))
    say("recording a forward pass beside torchlens")
    races.append(alternate("a forward pass recorded, beside torchlens", *forward_turns(model, tokens), rounds, 1.0))
    found = record(model, tokens, optimizer)
    facts += [
        Fact("memory held beside the values themselves", found.memory.size_bytes / values_bytes(found), "x", 1.2),
        *explain_facts(found, 60 if is_quick else 300, say),
    ]
    say("verify everything")
    seconds, report = timed(found.verify)
    facts.append(
        Fact(f"verify, {report.values_checked:,} values of {report.operations:,} operations", seconds, "s", 120.0)
    )
    facts.append(Fact("  operations without a formula", len(report.opaque), "", 0.0))
    facts.append(Fact("  worst error, in units of the rounding expected", report.worst_error, "", 4.0))
    return races, facts


def step(config: GPTConfig, batch_size: int) -> Trace:
    """Return a recorded step of a fresh model."""
    torch.manual_seed(0)
    model = build(config)
    tokens = torch.randint(model.config.known_vocab_size, (batch_size, config.context_length))
    return record(model, tokens, torch.optim.AdamW(model.parameters(), lr=1e-3))


def one_step(model: Decoder, tokens: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Make one training step."""
    optimizer.zero_grad()
    loss_of(tokens)(model(tokens)).backward()
    optimizer.step()


def record(model: Decoder, tokens: torch.Tensor, optimizer: torch.optim.Optimizer) -> Trace:
    """Make and record one training step."""
    optimizer.zero_grad()
    return trace(model, tokens, loss_of(tokens), optimizer)


def loss_of(tokens: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the next-token loss of logits."""
    return lambda logits: F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


def forward_turns(model: Decoder, tokens: torch.Tensor) -> tuple[Callable[[], float], Callable[[], float]]:
    """Return a turn for us and one for torchlens.

    Raises:
        UsageError: torchlens is not installed.
    """
    try:
        import torchlens
    except ImportError:
        raise UsageError("the benchmark needs torchlens beside us; install it: pip install 'cutaway[bench]'") from None

    def turn(record: Callable[[Any, Any], Any]) -> Callable[[], float]:
        def run() -> float:
            with torch.no_grad():
                return timed(lambda: record(model, tokens))[0]

        return run

    return turn(trace), turn(torchlens.trace)


def values_bytes(found: Trace) -> int:
    """Return the size of the values themselves: every result, and everything that was there before."""
    sources = sum(cell.storage.nbytes() for cell in found.memory.cells if cell.is_source)
    results = 0
    for operation in found.operations:
        if not operation.is_view:
            results += sum(place.numel * place.dtype.itemsize for _, place in operation.outputs())
    return sources + results


def explain_facts(found: Trace, n: int, say: Callable[[str], None]) -> list[Fact]:
    """Return how long explaining random numbers takes."""
    say("explaining random numbers")
    generator = random.Random(0)
    addresses = [address for address in found if found.place(address).numel]
    usual: list[float] = []
    scattered: list[float] = []
    for _ in range(n):
        address = generator.choice(addresses)
        index = tuple(generator.randrange(size) for size in found.place(address).shape)
        seconds, told = timed(functools.partial(found.explain, address, index))
        (scattered if told.n_terms > SCATTER_FROM else usual).append(1000 * seconds)
    facts = [Fact(f"explain, {len(usual)} numbers: 95th percentile", statistics.quantiles(usual, n=20)[-1], "ms", 10.0)]
    if scattered:
        facts.append(
            Fact(f"explain, {len(scattered)} sums of over {SCATTER_FROM:,}: worst", max(scattered), "ms", 50.0)
        )
    return facts


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds something took, and what it returned."""
    started = time.perf_counter()
    result = run()
    return time.perf_counter() - started, result
