"""What `cutaway bench lens` races: both sides draw the same map, of prompts that differ everywhere."""

from __future__ import annotations

import pytest
import torch

from cutaway.bench import lens as bench

TINY = {"n_layer": 2, "n_head": 2, "n_embd": 16, "n_positions": 16, "vocab_size": 65}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_both_sides_draw_the_same_map(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformer_lens", reason="transformer_lens is not installed")
    monkeypatch.setattr(bench, "SMALL", TINY)
    monkeypatch.setattr(bench, "N_TOKENS", 5)
    races, facts = bench.run_lens_bench(is_quick=True)
    assert [len(race.ours) for race in races] == [len(race.theirs) for race in races] == [3, 3]
    assert all(seconds > 0 for race in races for seconds in (*race.ours, *race.theirs))
    by_name = {fact.what: fact for fact in facts}
    differences = [fact for name, fact in by_name.items() if "largest difference" in name]
    assert len(differences) == 2
    assert all(0 <= fact.value < 10 for fact in differences)
    assert facts[0].bar == 5000
    assert facts[0].value < 5000


def test_no_patch_is_spared() -> None:
    tokenizer = bench.CharacterTokenizer([chr(0x10000 + i) for i in range(65)])
    clean, corrupted = bench.two_prompts(tokenizer, 30)
    assert len(clean.ids) == len(corrupted.ids) == 30
    assert clean.ids[0] != corrupted.ids[0]
    assert torch.tensor(clean.ids + corrupted.ids).max() < 65
