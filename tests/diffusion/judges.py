"""A judge that sees perfectly: it is told beforehand what the pictures show, in their order."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as functional
from torch import Tensor

from cutaway.diffusion.judge import QUESTIONS, Judge, JudgeNetwork, answers_of
from cutaway.diffusion.scene import Scene


class Told(JudgeNetwork):
    """Answers what it was told, a picture after the other."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        super().__init__(width=2)
        self.scenes = list(scenes)

    def ask(self, x_BCYX: Tensor) -> dict[str, Tensor]:
        now, self.scenes = self.scenes[: len(x_BCYX)], self.scenes[len(x_BCYX) :]
        answers = answers_of(now)
        return {
            name: functional.one_hot(answers[name].clamp(min=0), len(QUESTIONS[name])).float() for name in QUESTIONS
        }


def told_judge(scenes: Sequence[Scene]) -> Judge:
    return Judge(Told(scenes).eval(), {}, "told")
