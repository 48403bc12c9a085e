"""`cutaway bench scratch`: what fusing buys, what arrays buy, how large a graph may be, how fast history is.

The engines learn the same name in turn in one process, each turn some whole training steps. "Plain" is the scalar
engine with every + and * a node of its own.
"""

from __future__ import annotations

import itertools
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from string import ascii_lowercase

from cutaway.bench.alternate import Race, alternate
from cutaway.bench.facts import Fact
from cutaway.scratch.microgpt import (
    RATE,
    ArrayGPT,
    NameModel,
    ValueGPT,
    Vocabulary,
    draw_weights,
    learn_names,
    no_garbage_collector,
    plain_dot,
    read_names,
)
from cutaway.scratch.playground import Playground, PlaygroundConfig

KNOWN_LOSSES = ("3.3660", "2.6497")
KNOWN_NAMES = (
    "kamon ann karai jaire vialan karia yeran anna areli kaina "
    "konna keylen liole alerin earan lenne kana lara alela anton"
)
"""Published by A. Karpathy with "microgpt", 2026-02-12, for the list of 32,033 first names."""
HISTORY_STEPS = 100_000

MILLION = """
import resource, sys, time
from cutaway.scratch.value import Value
x = y = Value(1.0)
for _ in range(500_000):
    y = y * x + x
started = time.perf_counter()
y.backward()
seconds = time.perf_counter() - started
assert x.grad == 500_001 * 500_002 / 2  # y = x + x^2 + ... + x^500001
unit = 1 if sys.platform == "darwin" else 1024
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)
"""


def run_scratch_bench(
    names_file: str, is_quick: bool, say: Callable[[str], None] = lambda line: None
) -> tuple[list[Race], list[Fact], str]:
    """Return the races, what was measured alone, and what came of the known answer.

    Args:
        names_file: the published list of names, for the known answer; "" for names invented on the spot.
    """
    names = read_names(Path(names_file)) if names_file else stand_in_names()
    rounds = 3 if is_quick else 9
    with no_garbage_collector():
        say("fused and plain dot, numbers and arrays")
        races = [
            alternate("a step on numbers, fused dot beside plain", *pair(names, ValueGPT, 3, plain, 1), rounds, 4.0),
            alternate("a step on arrays beside plain numbers", *pair(names, ArrayGPT, 100, plain, 1), rounds, 200.0),
        ]
    say("a graph of a million nodes")
    backward_seconds, peak_mb = million_nodes()
    say(f"a history of {HISTORY_STEPS:,} steps")
    facts = [
        Fact("a graph of a million nodes: backward", backward_seconds, "s"),
        Fact("a graph of a million nodes: peak memory of the process", peak_mb, "MB", 1500.0),
        *history(HISTORY_STEPS // 10 if is_quick else HISTORY_STEPS),
    ]
    return races, facts, known_answer(names, say) if names_file else "known answer: not asked (--data names.txt)"


def stand_in_names() -> list[str]:
    """Return names as long as first names are, where the real list is not there."""
    generator = random.Random(0)
    return ["".join(generator.choices(ascii_lowercase, k=generator.choice((4, 5, 6, 6, 7, 8)))) for _ in range(999)]


def plain(weights: dict[str, list[list[float]]]) -> ValueGPT:
    """Return the scalar engine with every + and * a node."""
    return ValueGPT(weights, plain_dot)


def pair(
    names: Sequence[str],
    ours: Callable[[dict[str, list[list[float]]]], NameModel],
    our_steps: int,
    theirs: Callable[[dict[str, list[list[float]]]], NameModel],
    their_steps: int,
) -> tuple[Callable[[], float], Callable[[], float]]:
    """Return a turn for each side: so many training steps on names of the usual length, seconds for one."""
    vocabulary = Vocabulary.of(names)
    weights = draw_weights(len(vocabulary), random.Random(0))
    length = sorted(map(len, names))[len(names) // 2]
    usual = itertools.cycle([vocabulary.encode(name) for name in names if len(name) == length])

    def turn(make: Callable[[dict[str, list[list[float]]]], NameModel], steps: int) -> Callable[[], float]:
        model = make(weights)

        def run() -> float:
            started = time.perf_counter()
            for _ in range(steps):
                model.train_step(next(usual), RATE)
            return (time.perf_counter() - started) / steps

        return run

    return turn(ours, our_steps), turn(theirs, their_steps)


def million_nodes() -> tuple[float, float]:
    """Return the seconds of a backward pass through a million nodes and the peak megabytes, in a process of its own."""
    said = subprocess.run([sys.executable, "-c", MILLION], capture_output=True, text=True, check=True).stdout.split()
    return float(said[0]), float(said[1])


def history(steps: int) -> list[Fact]:
    """Return how long a 2-4-1 network's history takes to make and to walk in, and what it holds."""
    playground = Playground(PlaygroundConfig())
    started = time.perf_counter()
    playground.run(steps)
    per_step = (time.perf_counter() - started) / steps
    generator, seconds = random.Random(0), []
    for _ in range(200):
        target = generator.randrange(steps)
        started = time.perf_counter()
        playground.seek(target)
        seconds.append(time.perf_counter() - started)
    name = f"a history of {steps:,} steps, 2-4-1"
    return [
        Fact(f"{name}: a step", 1e6 * per_step, "us"),
        Fact(f"{name}: seek, median of 200", 1e3 * statistics.median(seconds), "ms", 50.0),
        Fact(f"{name}: seek, worst of 200", 1e3 * max(seconds), "ms", 50.0),
    ]


def known_answer(names: list[str], say: Callable[[str], None]) -> str:
    """Learn with both engines and compare with what was published."""
    said = []
    for engine in ("array", "value"):
        say(f"the known answer, engine {engine}")
        lesson = learn_names(names, engine)
        losses = f"{lesson.losses[0]:.4f}", f"{lesson.losses[-1]:.4f}"
        agrees = losses == KNOWN_LOSSES and " ".join(lesson.invented) == KNOWN_NAMES
        said.append(f"{engine}: {'yes' if agrees else f'NO: losses {losses}, {lesson.invented}'}")
    return f"the published losses and 20 names: {'; '.join(said)}"
