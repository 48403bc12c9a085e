"""`cutaway bench train`: a training step beside `transformers`' GPT-2 and `torch.optim.AdamW`.

Same architecture, same weights (copied from theirs to ours), same batches, in one process, in turn. A step is forward,
backward and optimizer update. "Same precision" changes nothing else; "defaults" is each side as it comes out of the
box: theirs in float32, ours in what `cutaway train` would choose on this machine.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from cutaway.base.errors import UsageError
from cutaway.bench.alternate import Race, alternate
from cutaway.interop.hub_folder import load_folder
from cutaway.models.decoder import Decoder
from cutaway.train.config import TrainConfig
from cutaway.train.optimizers import build_optimizers
from cutaway.train.trainer import autocast

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Size:
    """A model's size and its batch."""

    name: str
    n_layers: int
    n_heads: int
    d_model: int
    context_length: int
    batch_size: int
    vocab_size: int
    turn_steps: int
    bar_defaults: float


SIZES = (
    Size("0.8M (4 layers, 128 wide, context 64, batch 12)", 4, 4, 128, 64, 12, 65, 10, 1.5),
    Size("10.7M (6 layers, 384 wide, context 256, batch 16)", 6, 6, 384, 256, 16, 65, 1, 2.5),
)


def run_train_bench(is_quick: bool = False, say: Callable[[str], None] = lambda line: None) -> list[Race]:
    """Race all sizes and precisions on the current number of threads."""
    races = []
    for size in SIZES:
        rounds = 3 if is_quick else 9
        for what, mine, his, bar in (
            ("float32", "float32", "float32", 1.2),
            ("bfloat16", "bfloat16", "bfloat16", 1.2),
            ("defaults", "bfloat16", "float32", size.bar_defaults),
        ):
            say(f"{size.name}, {what}")
            ours, theirs = build_sides(size)
            ours_turn = turn(ours, size, mine, build_optimizers(ours, TrainConfig(steps=1, optimizer="adamw")))
            theirs_turn = turn(theirs, size, his, [torch.optim.AdamW(theirs.parameters(), lr=1e-3)])
            races.append(alternate(f"{size.name}, {what}", ours_turn, theirs_turn, rounds, bar))
    return races


def build_sides(size: Size) -> tuple[Decoder, Any]:
    """Return our model and theirs with the same weights.

    Raises:
        UsageError: `transformers` is not installed.
    """
    try:
        from transformers import GPT2Config, GPT2LMHeadModel
    except ImportError:
        raise UsageError("the benchmark needs transformers beside us; install it: pip install 'cutaway[dev]'") from None
    config = GPT2Config(
        vocab_size=size.vocab_size,
        n_positions=size.context_length,
        n_embd=size.d_model,
        n_layer=size.n_layers,
        n_head=size.n_heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(config).train()
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours, _ = load_folder(folder)
    return ours.train(), theirs


def turn(model: Any, size: Size, precision: str, optimizers: list[torch.optim.Optimizer]) -> Callable[[], float]:
    """Return a function that makes some training steps and says how long one took."""
    generator = torch.Generator().manual_seed(0)

    def run() -> float:
        started = time.perf_counter()
        for _ in range(size.turn_steps):
            shape = (size.batch_size, size.context_length)
            tokens = torch.randint(size.vocab_size, shape, generator=generator)
            with autocast(precision, CPU):
                if isinstance(model, Decoder):
                    loss = torch.nn.functional.cross_entropy(model(tokens).flatten(0, 1).float(), tokens.flatten())
                else:
                    loss = model(tokens, labels=tokens).loss
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return (time.perf_counter() - started) / size.turn_steps

    return run
