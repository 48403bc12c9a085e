"""What kind of head is it? Five kinds, each with a score measured on the user's own text.

For a query position t >= 2 (so that no two of the kinds mean the same place) and a kind with the places P(t):

    previous token   P(t) = {t - 1}
    first token      P(t) = {0}, where many heads rest that have nothing to say (Xiao et al. 2023, arXiv:2309.17453)
    same token       P(t) = the earlier positions with the same token as t
    induction        P(t) = the positions right after those (not t itself): what came next last time
                     (Olsson et al. 2022, arXiv:2209.11895)

    raw    = mean over t with a nonempty P(t) of sum(s in P(t): pattern[t,s])
    score  = (raw - chance) / (1 - chance)        0: what chance gives, 1: everything goes there, below 0: less

Chance for the first two is a head that looks everywhere alike: 1/(t+1). For the other two it is the same head where
there is nothing to find: its mean share at the same distance on pairs (t, s) that are no such places. A head that
always looks four tokens back therefore scores 0 even where the token four back is the same one.

    uniform          score = mean of (exp(H[t]) - 1) / t,  H the entropy of row t in nats: exp(H) is how many places
                     the head reads in effect; 1 when all t + 1 alike, 0 when only one

A head is called by its highest score if that is at least `ENOUGH` of the kind and at least `FEWEST` positions
counted. Look at the number of positions: three repetitions in a text prove little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cutaway.lens.attention import Attention

KINDS = ("previous token", "first token", "same token", "induction", "uniform")
ENOUGH = {"previous token": 0.4, "first token": 0.4, "same token": 0.4, "induction": 0.4, "uniform": 0.75}
"""A head is called by a kind from this score on."""
FEWEST = 3
"""Of fewer positions than these a score is shown, but no head is called by it."""


@dataclass(frozen=True)
class HeadKinds:
    """Scores of every head for every kind, on one text."""

    kinds: tuple[str, ...]
    score_LHK: Float[Tensor, "L H K"]
    """At most 1; NaN where the text has no position to measure it on."""
    raw_LHK: Float[Tensor, "L H K"]
    """The mean share before correction (uniform: the mean entropy as a share of the largest, ln(t + 1))."""
    positions_K: tuple[int, ...]
    """On how many positions each kind was measured."""

    def best(self, layer: int, head: int) -> str | None:
        """Return the kind the head is called by, or None."""
        scores = self.score_LHK[layer, head].tolist()
        fits = [
            (score, kind)
            for score, kind, n in zip(scores, self.kinds, self.positions_K, strict=True)
            if n >= FEWEST and not math.isnan(score) and score >= ENOUGH[kind]
        ]
        return max(fits)[1] if fits else None


def head_kinds(attention: Attention) -> HeadKinds:
    """Return the scores of every head."""
    pattern_LHTS = attention.pattern_LHTS
    places = places_of(torch.tensor(attention.prompt.ids))
    columns = []
    for kind in KINDS[:4]:
        place_TS = places[kind]
        raw_LH = shares(pattern_LHTS, place_TS)
        if kind in ("same token", "induction"):
            chance_LH = shares_by_distance(pattern_LHTS, place_TS)
        else:
            chance_LH = shares(uniform(len(place_TS)), place_TS).expand_as(raw_LH)
        # A head that looks there wherever there is such a place leaves no room above chance.
        score_LH = (raw_LH - chance_LH) / (1 - chance_LH).clamp(min=1e-9)
        columns.append((score_LH, raw_LH, int(place_TS.any(1).sum())))
    columns.append(spread(pattern_LHTS))
    return HeadKinds(
        KINDS,
        torch.stack([score for score, _, _ in columns], -1).float(),
        torch.stack([raw for _, raw, _ in columns], -1).float(),
        tuple(n for _, _, n in columns),
    )


def places_of(ids_T: Tensor) -> dict[str, Bool[Tensor, "T S"]]:
    """Return for each kind which positions s it means at each position t."""
    T = len(ids_T)
    t_T1, s_1S = torch.arange(T)[:, None], torch.arange(T)[None]
    is_same_TS = (ids_T[:, None] == ids_T[None]) & (s_1S < t_T1)
    after_TS = torch.zeros(T, T, dtype=torch.bool)
    after_TS[:, 1:] = is_same_TS[:, :-1]
    counts_T1 = t_T1 >= 2
    return {
        "previous token": (s_1S == t_T1 - 1) & counts_T1,
        "first token": (s_1S == 0) & counts_T1,
        "same token": is_same_TS & counts_T1,
        "induction": after_TS & (s_1S < t_T1) & counts_T1,
    }


def shares(pattern_LHTS: Float[Tensor, "*L T S"], place_TS: Bool[Tensor, "T S"]) -> Float[Tensor, "*L"]:
    """Return the mean share that goes to the places, over the positions that have one; NaN if none has."""
    given_LHN = pattern_LHTS.flatten(-2)[..., place_TS.flatten()].double()
    return given_LHN.sum(-1) / place_TS.any(1).sum()


def uniform(T: int) -> Float[Tensor, "T S"]:
    """Return the pattern of a head that looks everywhere alike."""
    return torch.ones(T, T, dtype=torch.float64).tril() / torch.arange(1, T + 1, dtype=torch.float64)[:, None]


def shares_by_distance(pattern_LHTS: Tensor, place_TS: Bool[Tensor, "T S"]) -> Float[Tensor, "L H"]:
    """Return the share the places would get by distance alone: for each the head's mean share at t - s off the places.

    A distance that only ever leads to such places gets what a uniform head gives.
    """
    T = len(place_TS)
    uniform_TS = uniform(T)
    sum_LH = torch.zeros(pattern_LHTS.shape[:2], dtype=torch.float64)
    for distance in range(1, T):
        # along one distance: t = distance, distance + 1, ..., of which those from 2 on count
        counted = slice(max(0, 2 - distance), None)
        place_N = place_TS.diagonal(-distance)[counted]
        if not place_N.any():
            continue
        if place_N.all():
            sum_LH += uniform_TS.diagonal(-distance)[counted].sum()
        else:
            off_LHN = pattern_LHTS.diagonal(-distance, -2, -1)[..., counted][..., ~place_N].double()
            sum_LH += off_LHN.mean(-1) * place_N.sum()
    return sum_LH / place_TS.any(1).sum()


def spread(pattern_LHTS: Tensor) -> tuple[Tensor, Tensor, int]:
    """Return the score of kind `uniform`, the raw entropy as a share of the largest, and how many positions counted."""
    T = pattern_LHTS.shape[2]
    # layer by layer: what is computed on the way is as large as the patterns
    entropy_LHT = torch.stack([torch.special.entr(one[:, 2:].double()).sum(-1) for one in pattern_LHTS])
    t = torch.arange(T, dtype=torch.float64)[2:]
    return ((entropy_LHT.exp() - 1) / t).mean(-1), (entropy_LHT / (t + 1).log()).mean(-1), max(0, T - 2)
