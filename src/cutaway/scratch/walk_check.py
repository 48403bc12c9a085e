"""The checks of the walk: every derivative against central differences, AdamW against another way to compute it.

    a stage alone      its results weighed at random, as a function of what it reads
    a gradient         the loss as a function of one array, with everything behind it computed anew
    AdamW              m = g - beta1 g,  v = g^2 - beta2 g^2,  m_hat = g,  v_hat = g^2: what a first step comes to;
                       and d loss(weights + share * update) / d share  =  sum(gradient * update)

Both sides are divided by the largest number of the array, so that a difference is a share of that. Look at
`gradient_check`: it only runs the model, and knows nothing of derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cutaway.scratch.array import Array, where
from cutaway.scratch.gradcheck import Row, central_differences
from cutaway.scratch.ops import FloatArray
from cutaway.scratch.walk_model import SENTENCE, STAGES, VOCABULARY, WEIGHTS, Numbers, Stage, run

SMALLEST_SCALE = 0.01
"""Arrays with smaller numbers are compared as if this were their largest: the referee has its rounding, too."""


def compare(name: str, exact: FloatArray, referee: FloatArray, smallest_scale: float = SMALLEST_SCALE) -> list[Row]:
    """Return both, in units of the largest number of the array."""
    scale = max(float(np.abs(referee).max()), smallest_scale)
    return [Row(name, at, float(exact[at] / scale), float(referee[at] / scale)) for at in np.ndindex(exact.shape)]


def words_check(numbers: Numbers) -> list[Row]:
    """Turn the tokens back into words: 1 for each that is the sentence's."""
    tokens = [*numbers("tokens_T")[:1], *numbers("targets_T")]
    words = ["<bos>", *SENTENCE.split(), "<eos>"]
    same = [VOCABULARY[int(token)] == word for token, word in zip(tokens, words, strict=True)]
    return compare("tokens_T", np.array(same, dtype=np.float64), np.ones(len(words)))


def stage_check(stage: Stage, numbers: Numbers, generator: np.random.Generator) -> list[Row]:
    """Compare the derivative of one stage alone with central differences."""
    leaves = {name: Array(numbers(name).copy()) for name in stage.reads}
    pulls: dict[str, FloatArray] = {}

    def weighed() -> Array:
        alone = Numbers(leaves)
        stage.run(alone)
        total = Array(0.0)
        for name, result in alone.items():
            if name not in leaves:
                pull = pulls.setdefault(name, generator.normal(size=result.shape))
                finite = where(np.isfinite(result.data), result, 0.0)  # a masked score of -inf weighs nothing
                total = total + (finite * pull).sum()
        return total

    weighed().backward()
    rows = []
    for name, leaf in leaves.items():
        assert leaf.grad is not None
        rows += compare(name, leaf.grad, central_differences(lambda: float(weighed().data), leaf.data))
    return rows


def gradient_check(place: int, names: Sequence[str], numbers: Numbers) -> list[Row]:
    """Compare gradients with what the loss does when one number is moved and the rest of the model run again."""
    rows = []
    for name in names:
        moved = numbers(name).copy()

        def loss(name: str = name, moved: FloatArray = moved) -> float:
            again = Numbers({**numbers, name: Array(moved)}, fixed={name})
            return float(run(again, STAGES[place:]).data)

        rows += compare(f"d {name}", numbers(f"d {name}"), central_differences(loss, moved))
    return rows


def adamw_check(
    numbers: Numbers, rate: float, betas: tuple[float, float], eps: float, weight_decay: float
) -> list[Row]:
    """Compare AdamW's numbers with the closed form, and the slope of the loss along the update with its prediction."""
    rows = []
    for name in WEIGHTS:
        for part, referee in first_step(numbers(name), numbers(f"d {name}"), rate, betas, eps, weight_decay).items():
            rows += compare(f"{part} {name}", numbers(f"{part} {name}"), referee, smallest_scale=1e-30)
    share = np.zeros(())
    slope = central_differences(lambda: loss_along(numbers, float(share)), share, h=1e-3)
    return rows + compare("slope of the loss", np.asarray(predicted_change(numbers)), slope)


def first_step(
    weight: FloatArray,
    gradient: FloatArray,
    rate: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> dict[str, FloatArray]:
    """Return AdamW's numbers from the closed form of its first step, where the corrected averages are g and g^2."""
    new = weight * (1 - rate * weight_decay)
    new = new - rate * gradient / (np.abs(gradient) + eps)
    return {
        "m": gradient - betas[0] * gradient,
        "v": gradient**2 - betas[1] * gradient**2,
        "m_hat": gradient,
        "v_hat": gradient**2,
        "decay": weight - weight * (1 - rate * weight_decay),
        "update": new - weight,
        "new": new,
    }


def loss_along(numbers: Numbers, share: float) -> float:
    """Return the loss after a share of the update."""
    moved = {name: Array(numbers(name) + share * numbers(f"update {name}")) for name in WEIGHTS}
    return float(run(Numbers(moved)).data)


def predicted_change(numbers: Numbers) -> float:
    """Return what the gradients say the update does to the loss: the sum of gradient times update."""
    return float(sum((numbers(f"d {name}") * numbers(f"update {name}")).sum() for name in WEIGHTS))
