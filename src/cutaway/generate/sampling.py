"""From logits to one token: pure functions, one for each step, to be used alone or in a row.

    penalise_repetition   shrink logits of tokens already written      Keskar et al. 2019, arXiv:1909.05858
    apply_temperature     logits / temperature: below 1, likely tokens gain
    keep_top_k            the k likeliest tokens stay                  Fan et al. 2018, arXiv:1805.04833
    keep_top_p            the fewest that reach a probability stay     Holtzman et al. 2019, arXiv:1904.09751
    keep_min_p            those at least a share of the best stay      Nguyen et al. 2024, arXiv:2407.01082
    draw                  one random number picks a token by its probability

What does not stay gets the logit -inf, hence probability 0. `stages` is all of them in this order; `choose_token` draws
from the last, and `steps.py` shows each.
The randomness is passed in: a number from 0 to 1 for each text, which points into the line of
probabilities laid end to end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cutaway.generate.config import SamplingConfig


def penalise_repetition(
    logits: Float[Tensor, "B V"], seen: Bool[Tensor, "B V"], penalty: float
) -> Float[Tensor, "B V"]:
    """Divide the positive logits of seen tokens by the penalty, multiply the negative ones by it."""
    penalised = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(seen, penalised, logits)


def apply_temperature(logits: Float[Tensor, "*B V"], temperature: float) -> Float[Tensor, "*B V"]:
    """Divide all logits by a temperature above 0."""
    return logits / temperature


def keep_top_k(logits: Float[Tensor, "*B V"], k: int) -> Float[Tensor, "*B V"]:
    """Keep the k likeliest tokens, and any as likely as the last of them."""
    if k >= logits.shape[-1]:
        return logits
    kth_best = logits.topk(k, dim=-1).values[..., -1:]
    return logits.masked_fill(logits < kth_best, -math.inf)


def keep_top_p(logits: Float[Tensor, "*B V"], p: float) -> Float[Tensor, "*B V"]:
    """Keep the smallest set of likeliest tokens whose probabilities sum to at least p."""
    best_first, order = logits.sort(dim=-1, descending=True)
    probabilities = best_first.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities
    left_out = before >= p
    left_out[..., 0] = False
    return logits.masked_fill(torch.zeros_like(left_out).scatter(-1, order, left_out), -math.inf)


def keep_min_p(logits: Float[Tensor, "*B V"], p: float) -> Float[Tensor, "*B V"]:
    """Keep the tokens at least p times as likely as the likeliest."""
    if p == 0:
        return logits
    best = logits.amax(dim=-1, keepdim=True)
    return logits.masked_fill(logits < best + math.log(p), -math.inf)


def draw(logits: Float[Tensor, "B V"], uniforms: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
    """Return the token each number from 0 to 1 points at when probabilities are laid end to end."""
    ends = logits.double().softmax(dim=-1).cumsum(dim=-1)
    targets = uniforms[:, None] * ends[:, -1:]
    return torch.searchsorted(ends, targets, right=True)[:, 0].clamp_(max=logits.shape[-1] - 1)


def keep_likeliest(logits: Float[Tensor, "*B V"]) -> Float[Tensor, "*B V"]:
    """Keep the likeliest token alone, the first of several."""
    is_other = torch.ones_like(logits, dtype=torch.bool).scatter_(-1, logits.argmax(dim=-1, keepdim=True), False)
    return logits.masked_fill(is_other, -math.inf)


Stage = Literal["raw", "repetition_penalty", "temperature", "top_k", "top_p", "min_p"]


def stages(
    logits: Float[Tensor, "B V"], config: SamplingConfig, temperature: float, seen: Bool[Tensor, "B V"] | None = None
) -> Iterator[tuple[Stage, Float[Tensor, "B V"]]]:
    """Yield the logits as they come and after each step the settings ask for; the last are drawn from.

    Args:
        temperature: this position's; 0 keeps the likeliest token alone, and the filters after it have nothing to do.
        seen: tokens already in each text; needed for a repetition penalty.
    """
    yield "raw", logits
    if config.repetition_penalty != 1 and seen is not None:
        logits = penalise_repetition(logits, seen, config.repetition_penalty)
        yield "repetition_penalty", logits
    if temperature == 0:
        yield "temperature", keep_likeliest(logits)
        return
    logits = apply_temperature(logits, temperature)
    yield "temperature", logits
    if config.top_k is not None:
        logits = keep_top_k(logits, config.top_k)
        yield "top_k", logits
    if config.top_p is not None and config.top_p < 1:
        logits = keep_top_p(logits, config.top_p)
        yield "top_p", logits
    if config.min_p is not None:
        logits = keep_min_p(logits, config.min_p)
        yield "min_p", logits


def choose_token(
    logits: Float[Tensor, "B V"],
    config: SamplingConfig,
    temperature: float,
    uniforms: Float[Tensor, " B"],
    seen: Bool[Tensor, "B V"] | None = None,
) -> Int[Tensor, " B"]:
    """Return one token for each text: every step the settings ask for (`stages`), then the draw."""
    for _, after in stages(logits, config, temperature, seen):
        logits = after
    if temperature == 0:
        return logits.argmax(dim=-1)
    return draw(logits, uniforms)
