"""Runs of 32 pixels, which the judge can look at, and a judge that knows nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from paint_runs import tiny

from cutaway.bench.paint_painter import Plan
from cutaway.diffusion.config import PicturesConfig
from cutaway.diffusion.judge import Judge, JudgeNetwork
from cutaway.workbench import train

PLAN = Plan(count=16, n_reference=40, n_training=50, calls=(3,), guidances=(2.0,))


def small_judge() -> Judge:
    torch.manual_seed(0)
    return Judge(JudgeNetwork(width=2).eval(), {"kind": 0.5, "colour": 0.9}, "small")


def train_phases(home: Path, *phases: str) -> None:
    for phase in phases:
        recipe = dataclasses.replace(tiny(phase), pictures=PicturesConfig(size=32, held_out=8))
        train(recipe, runs=home)
