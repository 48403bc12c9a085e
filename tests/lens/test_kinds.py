"""Heads planted by hand are found under their names, and chance is not taken for a kind."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cutaway.lens.attention import Attention
from cutaway.lens.kinds import ENOUGH, KINDS, head_kinds
from cutaway.lens.prompt import Prompt

IDS = (9, 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4, 3, 3, 8, 3, 2, 7, 9)
T = len(IDS)


def attention_of(*patterns_TS: Tensor) -> Attention:
    return Attention(Prompt(IDS, tuple(map(str, IDS))), torch.stack(patterns_TS)[None].float())


def resting(places: list[list[int]], share: float = 1.0) -> Tensor:
    """A head that gives `share` to the places, alike, and the rest to all; where there is no place, all to all."""
    pattern_TS = torch.ones(T, T).tril() / torch.arange(1, T + 1)[:, None]
    for t, found in enumerate(places):
        if found:
            pattern_TS[t] *= 1 - share
            pattern_TS[t, found] += share / len(found)
    return pattern_TS


SAME = [[s for s in range(t) if IDS[s] == IDS[t]] for t in range(T)]
PLANTED = {
    "previous token": [[t - 1] if t else [] for t in range(T)],
    "first token": [[0] for t in range(T)],
    "same token": SAME,
    "induction": [[s + 1 for s in SAME[t] if s + 1 < t] for t in range(T)],
    "uniform": [[] for t in range(T)],
}


@pytest.mark.parametrize("share", [1.0, 0.7])
@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_head_is_found(kind: str, share: float) -> None:
    kinds = head_kinds(attention_of(resting(PLANTED[kind], share)))
    assert kinds.best(0, 0) == kind
    score = dict(zip(KINDS, kinds.score_LHK[0, 0].tolist(), strict=True))
    # Where an induction head finds nothing it looks everywhere, so its chance is that of a uniform head: close to 0.
    assert score[kind] == pytest.approx(1.0 if kind == "uniform" else share, abs=0.04)
    assert all(score[other] < ENOUGH[other] - 0.05 for other in KINDS if other != kind)


def test_scores_follow_their_formula() -> None:
    torch.manual_seed(0)
    pattern_TS = torch.randn(T, T).masked_fill(torch.ones(T, T).triu(1).bool(), -math.inf).softmax(-1)
    kinds = head_kinds(attention_of(pattern_TS))
    raw, chance = [], []
    for t in range(2, T):
        places = PLANTED["induction"][t]
        if not places:
            continue
        raw.append(sum(float(pattern_TS[t, s]) for s in places))
        by_distance = []
        for s in places:
            d = t - s
            off = [float(pattern_TS[u, u - d]) for u in range(max(d, 2), T) if u - d not in PLANTED["induction"][u]]
            by_distance.append(sum(off) / len(off) if off else 1 / (t + 1))
        chance.append(sum(by_distance))
    r, c = sum(raw) / len(raw), sum(chance) / len(chance)
    k = KINDS.index("induction")
    assert float(kinds.score_LHK[0, 0, k]) == pytest.approx((r - c) / (1 - c), abs=1e-6)
    assert float(kinds.raw_LHK[0, 0, k]) == pytest.approx(r, abs=1e-6)
    assert kinds.positions_K[k] == len(raw)


def test_always_so_far_back_is_no_content() -> None:
    """The text has many equal tokens two back; a head that always looks two back knows nothing of them."""
    ids = tuple(int(i) for i in torch.randint(0, 3, (40,), generator=torch.Generator().manual_seed(1)))
    two_back_TS = torch.eye(40).roll(-2, 1).tril()
    two_back_TS[:2] = torch.eye(40)[:2]
    kinds = head_kinds(Attention(Prompt(ids, tuple(map(str, ids))), two_back_TS[None, None]))
    scores = dict(zip(KINDS, kinds.score_LHK[0, 0].tolist(), strict=True))
    assert abs(scores["same token"]) < 1e-6
    assert abs(scores["induction"]) < 1e-6
    assert float(kinds.raw_LHK[0, 0, KINDS.index("same token")]) > 0.2
    assert kinds.best(0, 0) is None


@pytest.mark.parametrize("n", [1, 2, 3])
def test_what_cannot_be_measured_is_not_a_number(n: int) -> None:
    kinds = head_kinds(Attention(Prompt(tuple(range(n)), tuple("abc"[:n])), torch.eye(n)[None, None]))
    scores = kinds.score_LHK[0, 0]
    assert scores[[2, 3]].isnan().all(), "no token comes twice"
    assert scores[[0, 1, 4]].isnan().all() == (n < 3)
    assert kinds.best(0, 0) is None
