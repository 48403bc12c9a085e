"""`cutaway bench train`: a training step beside `transformers`' GPT-2 and `torch.optim.AdamW`.

Same architecture, same weights (copied from theirs to ours), same batches, in turn, each side in a process of its own
(`apart.py`), which ours sets up as `cutaway train` does. A step is forward, backward and optimizer update. "Same precision"
changes nothing else; "defaults" is each side as it comes out of the box: theirs in float32, ours in what `cutaway train`
would choose on this machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from cutaway.base.errors import UsageError
from cutaway.bench.alternate import Race, alternate
from cutaway.bench.apart import Apart
from cutaway.interop.hub_folder import load_folder
from cutaway.models.decoder import Decoder
from cutaway.session import prepare_process
from cutaway.train.config import TrainConfig
from cutaway.train.optimizers import build_optimizers
from cutaway.train.trainer import autocast

CPU = torch.device("cpu")
RATE = 1e-3


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
    """Race all sizes and precisions on the current number of threads.

    Raises:
        UsageError: `transformers` is not installed.
    """
    races = []
    for size in SIZES:
        rounds = 3 if is_quick else 9
        with tempfile.TemporaryDirectory() as folder:
            save_weights(size, Path(folder))
            for what, mine, his, bar in (
                ("float32", "float32", "float32", 1.2),
                ("bfloat16", "bfloat16", "bfloat16", 1.2),
                ("defaults", "bfloat16", "float32", size.bar_defaults),
            ):
                say(f"{size.name}, {what}")
                with (
                    Apart(our_side, Path(folder), size, mine) as ours,
                    Apart(their_side, Path(folder), size, his) as theirs,
                ):
                    turns = a_step(ours, size), a_step(theirs, size)
                    races.append(alternate(f"{size.name}, {what}", *turns, rounds, bar))
    return races


def a_step(side: Apart[float], size: Size) -> Callable[[], float]:
    """Return what lets a side take a turn and returns the seconds of one step."""
    return lambda: side() / size.turn_steps


def save_weights(size: Size, folder: Path) -> None:
    """Write random weights for both sides to load.

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
    GPT2LMHeadModel(config).save_pretrained(folder)


def our_side(folder: Path, size: Size, precision: str) -> Callable[[], float]:
    """Return our turn: some steps, as `cutaway train` makes them; the last loss is returned."""
    train = TrainConfig(
        steps=1, optimizer="adamw", learning_rate=RATE, weight_decay=0.0, beta2=0.999, threads=torch.get_num_threads()
    )
    prepare_process(train)
    model, _ = load_folder(folder)
    return turn(model.train(), size, precision, build_optimizers(model, train))


def their_side(folder: Path, size: Size, precision: str) -> Callable[[], float]:
    """Return their turn: the same steps in a plain loop."""
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(folder).train()
    return turn(model, size, precision, [torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)])


def turn(model: Any, size: Size, precision: str, optimizers: list[torch.optim.Optimizer]) -> Callable[[], float]:
    """Return a function that makes some training steps and returns the last loss."""
    generator = torch.Generator().manual_seed(0)

    def run() -> float:
        for _ in range(size.turn_steps):
            shape = (size.batch_size, size.context_length)
            tokens = torch.randint(size.vocab_size, shape, generator=generator)
            with autocast(precision, CPU):
                if isinstance(model, Decoder):
                    next_tokens = F.pad(tokens[:, 1:], (0, 1), value=-100)  # as theirs moves its labels
                    loss = F.cross_entropy(model(tokens).flatten(0, 1).float(), next_tokens.flatten())
                else:
                    loss = model(tokens, labels=tokens).loss
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return run
