"""A task small enough to train in a test: fit noisy targets with two matrices."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cutaway.base.objective import Probe, Sample, Validation
from cutaway.base.runs import RunFolder
from cutaway.base.seed import torch_generator
from cutaway.train.config import TrainConfig
from cutaway.train.distributed import World
from cutaway.train.trainer import Outcome, Trainer
from cutaway.train.watch import StepEvent, Watcher


class ToyObjective:
    """Regression from 6 to 3 numbers; dropout makes the random numbers matter."""

    sequences_per_epoch = 64
    tokens_per_sequence = 3

    def __init__(self, seed: int = 0, dropout: float = 0.1) -> None:
        torch.manual_seed(seed)
        self.model: nn.Module = nn.Sequential(
            nn.Linear(6, 24), nn.Tanh(), nn.Dropout(dropout), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 3)
        )
        self.poison_at: int | None = None

    def batch(self, first: int, count: int) -> Any:
        rows = [
            torch.randn(9, generator=torch_generator(7, (first + i) % self.sequences_per_epoch)) for i in range(count)
        ]
        if self.poison_at is not None and first >= self.poison_at:
            rows[0][0] = float("inf")
        both = torch.stack(rows)
        return both[:, :6], both[:, 6:] + both[:, :3]

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        inputs, targets = batch
        return nn.functional.mse_loss(model(inputs), targets)

    def validate(self, model: nn.Module, max_tokens: int | None = None) -> Validation:
        loss = float(self.loss(model, self.batch(0, 16)))
        return Validation(loss, loss, 48)

    def sample(self, model: nn.Module, step: int) -> Sample:
        torch.rand(3)  # somebody else draws random numbers: the run must not notice
        return Sample(f"sample {step}")

    @property
    def probe(self) -> Probe:
        return Probe(torch.linspace(-1, 1, 12).view(2, 6), "two rows", ("one", "two"))


ALONE = World(0, 1, torch.device("cpu"))


def config(**settings: Any) -> TrainConfig:
    defaults: dict[str, Any] = {
        "steps": 40, "batch_size": 8, "precision": "float32", "compile": "off", "threads": 1, "validate_every": 10,
        "learning_rate": 0.01,
    }  # fmt: skip
    return TrainConfig(**{**defaults, **settings})


def run_in(folder: Path) -> RunFolder:
    folder.mkdir(exist_ok=True)
    return RunFolder(folder)


def train(
    folder: Path, objective: ToyObjective | None = None, watcher: Watcher | None = None, **settings: Any
) -> Outcome:
    trainer = Trainer(objective or ToyObjective(), config(**settings), run_in(folder), ALONE, watcher)
    trainer.resume()
    return trainer.train()


class StopAt(Watcher):
    """Asks politely, as Ctrl-C does, in the middle of a step."""

    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, event: StepEvent) -> None:
        if event.step == self.at:
            os.kill(os.getpid(), signal.SIGINT)
