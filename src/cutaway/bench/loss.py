"""`cutaway bench loss`: how soon our default recipe reaches a plain recipe's loss, and how far it gets in the same
time.

The plain recipe is the usual small GPT for a laptop: GPT-2's parts, 4 layers, 4 heads, 128 wide, context 64, batch 12,
AdamW at 1e-3 with warm-up and cosine, 2,000 steps in float32. Ours gets exactly the wall time the plain run took (on
the same thread, right after it), everything included but the pauses in which the loss is measured, for both. The loss
is that of all held-out text.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cutaway.base.memory import keep_freed_memory
from cutaway.base.runs import RunFolder
from cutaway.budget import make_objective, read_text
from cutaway.models.build import build
from cutaway.models.presets import plain
from cutaway.presets import characters
from cutaway.recipe import Recipe
from cutaway.text.config import DataConfig
from cutaway.train.config import TrainConfig
from cutaway.train.distributed import World
from cutaway.train.pace import measure_pace
from cutaway.train.trainer import Trainer

ALONE = World(0, 1, torch.device("cpu"))
PLAIN_STEPS = 2000
FIFTH = 0.2
SETTLED_AFTER_STEPS = 20
MOST_MEASURED = 300_000
"""Held-out tokens measured: all of them in a small text, batches spread evenly over a large one."""


def plain_recipe(data: DataConfig, seed: int, steps: int = PLAIN_STEPS) -> Recipe:
    """Return the usual small GPT."""
    train = TrainConfig(
        steps=steps,
        batch_size=12,
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=0.1,
        beta2=0.95,
        schedule="cosine",
        warmup_fraction=0.05,
        final_fraction=0.1,
        precision="float32",
        compile="off",
        threads=1,
        seed=seed,
    )
    return Recipe("plain", data=data, model=plain(), train=train)


def run_loss_bench(
    source: str | None, n_seeds: int, is_quick: bool, say: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Race the two recipes and return every figure.

    Args:
        source: the text, or None for the standard library.
    """
    keep_freed_memory()  # for both sides
    torch.set_flush_denormal(True)
    data = DataConfig(source=source or "stdlib")
    steps = PLAIN_STEPS // 10 if is_quick else PLAIN_STEPS
    runs: list[dict[str, Any]] = []
    for seed in range(n_seeds):
        theirs = follow(plain_recipe(data, seed, steps), None, say)
        say(f"seed {seed}: plain {theirs['loss']:.4f} in {theirs['seconds']:.1f} s")
        ours = follow(characters(data, theirs["seconds"], seed), theirs["seconds"], say, [FIFTH])
        first = ours["marks"][0]["loss"]
        say(f"seed {seed}: ours {first:.4f} after a fifth of that, {ours['loss']:.4f} in {ours['seconds']:.1f} s")
        runs.append({"seed": seed, "plain": theirs, "ours": ours})
    median = statistics.median
    return {
        "data": data.source,
        "runs": runs,
        "plain_loss": median(run["plain"]["loss"] for run in runs),
        "plain_seconds": median(run["plain"]["seconds"] for run in runs),
        "ours_loss": median(run["ours"]["loss"] for run in runs),
        "ours_loss_after_a_fifth": median(run["ours"]["marks"][0]["loss"] for run in runs),
    }


def follow(
    recipe: Recipe, seconds: float | None, say: Callable[[str], None], marks: list[float] | None = None
) -> dict[str, Any]:
    """Train a recipe, timed without the pauses for measuring, and return its losses.

    Args:
        seconds: time it may take, the timing of its own speed included; None: the recipe says how many steps.
        marks: shares of the time at which to measure on the way.
    """
    torch.set_num_threads(1)
    _, tokenizer, encoded = read_text(recipe)
    model = build(dataclasses.replace(recipe.model, vocab_size=tokenizer.vocab_size), recipe.train.seed)
    objective = make_objective(recipe, model, encoded)
    config, spent = recipe.train, 0.0
    if seconds is not None:
        started = time.perf_counter()
        pace = measure_pace(objective, dataclasses.replace(config, threads=1), ALONE.device, seconds)
        spent = time.perf_counter() - started
        steps = max(1, int((seconds - spent) / pace.seconds_per_step))
        say(pace.describe())
        config = dataclasses.replace(
            config, minutes=None, steps=steps, precision=pace.precision, compile="off", threads=1
        )
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(objective, config, RunFolder(Path(folder)), ALONE)
        due, measured = sorted(marks or []), []
        started = time.perf_counter() - spent
        while trainer.state.step < trainer.total_steps:
            trainer.update(wants_layers=False)
            elapsed = time.perf_counter() - started
            if seconds is not None and trainer.state.step >= SETTLED_AFTER_STEPS:
                # others use this machine too: end when the time is up, not when the guess said
                share = max(elapsed - spent, 1e-9) / max(seconds - spent, 1e-9)
                trainer.total_steps = max(trainer.state.step, round(trainer.state.step / share))
            if seconds is not None and due and elapsed >= due[0] * seconds:
                measured.append(
                    {"seconds": elapsed, "step": trainer.state.step, "loss": trainer.measure(MOST_MEASURED).loss_nats}
                )
                due.pop(0)
                started += time.perf_counter() - started - elapsed
        elapsed = time.perf_counter() - started
        validation = trainer.measure(MOST_MEASURED)
    return {
        "loss": validation.loss_nats,
        "bits_per_byte": validation.bits_per_byte,
        "seconds": elapsed,
        "steps": trainer.state.step,
        "tokens": trainer.state.tokens,
        "parameters": sum(p.numel() for p in model.parameters()),
        "marks": measured,
    }


def loss_table(result: dict[str, Any]) -> str:
    """Return the race as a plain table."""
    lines = [f"{'seed':<6}{'plain':>10}{'seconds':>10}{'ours, 1/5':>12}{'ours':>10}{'seconds':>10}"]
    for run in result["runs"]:
        theirs, ours = run["plain"], run["ours"]
        lines.append(
            f"{run['seed']:<6}{theirs['loss']:>10.4f}{theirs['seconds']:>10.1f}{ours['marks'][0]['loss']:>12.4f}"
            f"{ours['loss']:>10.4f}{ours['seconds']:>10.1f}"
        )
    lines.append(
        f"held-out loss in nats a character on {result['data']}; medians: plain {result['plain_loss']:.4f}, ours "
        f"{result['ours_loss_after_a_fifth']:.4f} in a fifth of its time and {result['ours_loss']:.4f} in the same time"
    )
    return "\n".join(lines)
