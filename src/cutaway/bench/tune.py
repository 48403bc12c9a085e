"""`cutaway bench tune`: a step of fine-tuning beside `transformers` and `peft`.

Same architecture, weights, adapter and conversations (`tune_sides.py`), in turn, each side in a process of its own
(`apart.py`), which ours sets up as `cutaway voice tune` does. "every token" is texts of one length, all of which is
learned: nothing to gain from padding or from learning answers only. "pairs" is prompts and answers of uneven length,
of which the answers are learned. "defaults" is each side as it comes: theirs in float32, ours in the precision that
`cutaway voice tune` would choose here (it times both). The losses of both sides are compared step by step, and the
memory of processes that take some steps (`tune_memory.py`).
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cutaway.bench.alternate import Race, alternate
from cutaway.bench.apart import Apart
from cutaway.bench.facts import Fact
from cutaway.bench.tune_memory import peak
from cutaway.bench.tune_sides import equal_texts, our_side, pairs, save_base, their_side
from cutaway.tune.examples import Example

LOSS_BAR = 1e-4
N_LOSSES = 20


@dataclass(frozen=True)
class Case:
    """One race."""

    what: str
    kind: str
    precisions: tuple[str, str]
    """Ours ("faster": the faster one here), theirs."""
    is_pairs: bool
    rounds: int
    bar: float | None = None
    is_fused: bool = False
    """Whether theirs gets PyTorch's fused AdamW, which nobody's documentation asks for."""


CASES = (
    Case("LoRA, Llama 8 x 256, every token, float32", "llama", ("float32", "float32"), False, N_LOSSES, 1.3),
    Case("LoRA, Llama 8 x 256, every token, bfloat16", "llama", ("bfloat16", "bfloat16"), False, 9, 1.3),
    Case("LoRA, Llama 8 x 256, pairs, float32", "llama", ("float32", "float32"), True, 9),
    Case("LoRA, Llama 8 x 256, pairs, defaults", "llama", ("faster", "float32"), True, 9, 2.0),
    Case("full, GPT-2 124M, every token, float32", "gpt2", ("float32", "float32"), False, N_LOSSES, 1.2),
    Case("full, GPT-2 124M, pairs, float32", "gpt2", ("float32", "float32"), True, 3),
    Case("full, GPT-2 124M, every token, bfloat16", "gpt2", ("bfloat16", "bfloat16"), False, 3, 1.2),
    Case("the same beside a fused AdamW", "gpt2", ("bfloat16", "bfloat16"), False, 3, None, True),
)
BATCH = {"llama": (8, 256, 8192), "gpt2": (2, 128, 50257)}
"""Texts in a batch, tokens in each, vocabulary."""


def run_tune_bench(
    is_quick: bool = False, say: Callable[[str], None] = lambda line: None
) -> tuple[list[Race], list[Fact]]:
    """Race both kinds of tuning on the current number of threads, and measure their memory.

    Args:
        is_quick: LoRA only, three rounds.

    Raises:
        UsageError: `transformers` or `peft` is not installed.
    """
    races, facts = [], []
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("llama",) if is_quick else ("llama", "gpt2"):
            save_base(Path(folder) / kind, kind)
            for case in CASES:
                if case.kind == kind:
                    say(case.what)
                    race, more = run_case(case, Path(folder) / kind, 3 if is_quick else case.rounds)
                    races.append(race)
                    facts += more
            if sys.platform.startswith("linux"):
                say(f"{kind}: memory")
                facts += memory(kind, Path(folder) / kind)
    return races, facts


def run_case(case: Case, folder: Path, rounds: int) -> tuple[Race, list[Fact]]:
    """Race the sides; return the race, their speed in tokens and how far their losses are apart."""
    batches = batches_of(case.kind, case.is_pairs)
    mine, theirs = case.precisions
    if mine == "faster":
        mine = faster(folder, batches)
    what = case.what if mine == case.precisions[0] else f"{case.what} ({mine} beside {theirs})"
    with (
        Apart(our_side, folder, batches, mine) as ours,
        Apart(their_side, folder, batches, theirs, case.is_fused) as other,
    ):
        race = alternate(what, ours, other, rounds, case.bar)
    n_tokens = statistics.mean(len(one.tokens) - 1 for batch in batches for one in batch) * len(batches[0])
    facts = [
        Fact(f"{what}: {side}", n_tokens / statistics.median(seconds), "tokens/s")
        for side, seconds in (("ours", race.ours), ("theirs", race.theirs))
    ]
    if mine == theirs == "float32" and rounds >= N_LOSSES:
        apart = max(abs(a - b) for a, b in zip(ours.results[:N_LOSSES], other.results[:N_LOSSES], strict=True))
        facts.append(Fact(f"{what}: first {N_LOSSES} losses, largest difference, millionths", 1e6 * apart, "", 100))
    return race, facts


def batches_of(kind: str, is_pairs: bool) -> list[list[Example]]:
    """Return a few batches, gone through again and again so that the losses fall."""
    n_texts, length, vocab_size = BATCH[kind]
    return pairs(4, n_texts, vocab_size) if is_pairs else equal_texts(4, n_texts, length, vocab_size)


def faster(folder: Path, batches: list[list[Example]]) -> str:
    """Return the precision in which our side is faster here."""
    with Apart(our_side, folder, batches, "bfloat16") as rounded, Apart(our_side, folder, batches, "float32") as exact:
        race = alternate("", rounded, exact, rounds=3)
    return "bfloat16" if race.ratio > 1 else "float32"


def memory(kind: str, folder: Path) -> list[Fact]:
    """Return the highest memory of a process of each side that takes some steps, whole and above its libraries."""
    facts = []
    for precision in ("float32", "bfloat16") if kind == "llama" else ("float32",):
        theirs, ours = peak("theirs", kind, folder, precision), peak("ours", kind, folder, precision)
        for what, mine, bar in zip(("process", "above the libraries"), ours, theirs, strict=True):
            facts.append(Fact(f"{kind}, {precision}: peak memory, {what} (theirs: the bar)", mine, "MB", round(bar)))
    return facts
