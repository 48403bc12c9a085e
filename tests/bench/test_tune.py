"""What `cutaway bench tune` races: both sides learn the same from the same conversations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cutaway.bench import tune, tune_sides
from cutaway.bench.tune import Case, batches_of, run_case
from cutaway.bench.tune_memory import peak
from cutaway.bench.tune_sides import equal_texts, our_side, padded, pairs, save_base, their_side

SMALL = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("peft", reason="peft is not installed")
    path = tmp_path_factory.mktemp("base") / "llama"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tune_sides, "LLAMA", {**tune_sides.LLAMA, **SMALL, "num_key_value_heads": 2})
        save_base(path, "llama")
    return path


@pytest.mark.slow
def test_both_sides_have_the_same_losses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "N_LOSSES", 3)
    monkeypatch.setitem(tune.BATCH, "llama", (2, 20, 8192))
    race, facts = run_case(Case("LoRA", "llama", ("float32", "float32"), True, 3, 1.3), folder, 3)
    assert len(race.ours) == len(race.theirs) == 3
    speed, their_speed, apart = facts
    assert speed.value > 0 < their_speed.value
    assert 0 <= apart.value < 2
    assert apart.bar == 100


def test_and_where_every_token_is_learned(folder: Path) -> None:
    batches = [equal_texts(1, 2, 20, 8192)[0]]
    ours, theirs = our_side(folder, batches, "float32"), their_side(folder, batches, "float32")
    for _ in range(3):
        assert ours() == pytest.approx(theirs(), abs=2e-6)


def test_padding_marks_what_is_not_learned() -> None:
    (batch,) = pairs(1, 3, 50)
    rows = padded(batch)
    for i, one in enumerate(batch):
        n = len(one.tokens)
        assert rows["attention_mask"][i].tolist() == [1] * n + [0] * (rows["input_ids"].shape[1] - n)
        assert int((rows["labels"][i] != -100).sum()) == one.n_learned
        assert rows["labels"][i, :n][one.is_learned].tolist() == one.tokens[one.is_learned].tolist()


def test_batches_are_the_same_every_time() -> None:
    first, again = batches_of("llama", True), batches_of("llama", True)
    assert [one.tokens.tolist() for batch in first for one in batch] == [
        one.tokens.tolist() for batch in again for one in batch
    ]


@pytest.mark.slow
def test_memory_is_measured_in_a_process_of_its_own(folder: Path) -> None:
    held = torch.ones(1 << 30, dtype=torch.uint8)  # ours, not the other process's
    whole, above = peak("ours", "llama", folder, "float32")
    assert len(held) >> 20 > whole > above > 1
