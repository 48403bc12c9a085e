"""How soon the microscope screen answers, on a step of GPT-2's 124M shape: explanations of numbers, pieces of tensors.

A trace of random weights and 64 tokens is recorded into a temporary folder (about 5 GB, deleted afterwards), a lab serves
it, and random numbers of random tensors are asked for over HTTP, as the page asks for them.
"""

from __future__ import annotations

import http.client
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import torch

from cutaway.bench.browser import serving
from cutaway.bench.facts import Fact

CLICKS, CLICKS_IF_QUICK = 300, 60
SLICES = 20
SIDE = 1024


def run_microscope_screen_bench(
    is_quick: bool, say: Callable[[str], None] = lambda line: None, folder: Path | None = None
) -> list[Fact]:
    """Return what was measured.

    Args:
        folder: where to record; left out: a temporary one. It is emptied afterwards.
    """
    from cutaway.server.app import create_app
    from cutaway.server.lab import Lab

    with tempfile.TemporaryDirectory(dir=folder) as home:
        say("recording a step of GPT-2 124M")
        seconds, size = record_into(Path(home) / "traces" / "gpt2", is_quick)
        facts = [Fact(f"a step of {size / 1e9:.1f} GB recorded and written", seconds, "s")]
        app = create_app(Lab(Path(home)))
        with serving(app) as address:
            ask = Asker(address)
            say("opening it")
            facts.append(Fact("opened, to the first overview", 1000 * ask.timed("overview")[0], "ms", 5000.0))
            warm = [1000 * ask.timed("overview")[0] for _ in range(5)]
            facts.append(Fact("overview", statistics.median(warm), "ms", 100.0))
            facts.append(Fact("  its size", len(ask.get("overview")) / 1e6, "MB", 1.0))
            facts += clicks(ask, CLICKS_IF_QUICK if is_quick else CLICKS, say)
            facts += slices(ask, say)
    return facts


def record_into(folder: Path, is_quick: bool) -> tuple[float, int]:
    """Record a step; return how long that took and how large it is."""
    import dataclasses

    from cutaway.bench.microscope import N_TOKENS, record
    from cutaway.models.build import build
    from cutaway.models.presets import gpt2, plain

    started = time.perf_counter()
    torch.manual_seed(0)
    shape = dataclasses.replace(plain(context_length=N_TOKENS), vocab_size=65) if is_quick else gpt2()
    model = build(shape)
    tokens = torch.randint(model.config.known_vocab_size, (1, N_TOKENS))
    trace = record(model, tokens, torch.optim.AdamW(model.parameters(), lr=1e-4))
    trace.notes |= {"model": "gpt2", "text": "random tokens"}
    trace.save(folder)
    return time.perf_counter() - started, sum(file.stat().st_size for file in folder.iterdir())


class Asker:
    """Asks the lab, over one connection, as a page does."""

    def __init__(self, address: str) -> None:
        self.connection = http.client.HTTPConnection(address.removeprefix("http://"))

    def get(self, what: str, **query: Any) -> bytes:
        """Return an answer of the microscope about the trace."""
        self.connection.request("GET", f"/api/microscope/{what}?{urlencode({'trace': 'traces/gpt2', **query})}")
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{what} {query}: {content[:300]!r}")
        return content

    def timed(self, what: str, **query: Any) -> tuple[float, bytes]:
        """Return how many seconds an answer takes, and the answer."""
        started = time.perf_counter()
        content = self.get(what, **query)
        return time.perf_counter() - started, content


def clicks(ask: Asker, n: int, say: Callable[[str], None]) -> list[Fact]:
    """Return how long it takes until a click on a random number of a random tensor is answered."""
    say("asking for random numbers")
    overview = json.loads(ask.get("overview"))
    tensors = [pair for pair in zip(overview["addresses"], overview["shapes"], strict=True) if 0 not in pair[1]]
    generator = random.Random(0)
    took: dict[str, list[float]] = {"explain": [], "users": [], "across": []}
    for _ in range(n):
        address, shape = generator.choice(tensors)
        index = ",".join(str(generator.randrange(size)) for size in shape)
        for what, seconds in took.items():
            seconds.append(1000 * ask.timed(what, address=address, index=index)[0])
    names = {"explain": "click to explanation, server", "users": "who used it", "across": "what belongs to it"}
    return [
        Fact(f"{names[what]}, {n} numbers: 95th percentile", statistics.quantiles(seconds, n=20)[-1], "ms", bar)
        for (what, seconds), bar in zip(took.items(), (50.0, 100.0, 50.0), strict=True)
    ]


def slices(ask: Asker, say: Callable[[str], None]) -> list[Fact]:
    """Return how long a large piece of a tensor takes, and a whole one in blocks."""
    overview = json.loads(ask.get("overview"))
    tables = [pair for pair in zip(overview["addresses"], overview["shapes"], strict=True) if len(pair[1]) == 2]
    say("asking for pieces of tensors")
    wide = [(a, s) for a, s in tables if min(s) >= 512 and s[0] * s[1] >= SIDE * SIDE] or [
        max(tables, key=lambda p: p[1])
    ]
    generator = random.Random(1)
    exact, pooled = [], []
    for _ in range(SLICES):
        address, (rows, columns) = generator.choice(wide)
        height = min(rows, SIDE * SIDE // min(columns, SIDE))
        first = generator.randrange(rows - height + 1)
        query = {"first_row": first, "last_row": first + height, "last_column": min(columns, SIDE)}
        ask.get("tensor", address=address, **query)  # from the disk the first time
        exact.append(1000 * ask.timed("tensor", address=address, **query)[0])
        pooled.append(1000 * ask.timed("tensor", address=address, most=256 * 256)[0])
    return [
        Fact("a piece of 1,048,576 numbers, 95th percentile", statistics.quantiles(exact, n=20)[-1], "ms", 15.0),
        Fact("a whole matrix in blocks, the slowest", max(pooled), "ms"),
    ]
