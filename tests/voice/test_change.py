"""What tuning moved: laws of the numbers, against SVD of the whole difference and against probabilities read plainly."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from voice.tuned_runs import make_base, make_tuned, make_writing

from cutaway.base.errors import DataError, RunError, UsageError
from cutaway.base.runs import RunFolder
from cutaway.cli.main import main
from cutaway.interop.hub_folder import load_folder
from cutaway.interop.peft_adapter import Factors
from cutaway.microscope.store import load_trace
from cutaway.tune.lora import LoRAConfig, add_lora, save_adapter
from cutaway.voice.before_after import BeforeAfter, held_out_examples, open_both, open_tuned
from cutaway.voice.change import MatrixChange, product, singular_values, weight_change
from cutaway.voice.change_tokens import plain_example, token_changes
from cutaway.voice.change_trace import change_trace


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    base, writing = make_base(home / "base"), make_writing(home / "writing")
    make_tuned(home / "runs", "lora-1", base, writing)
    make_tuned(home / "runs", "full-1", base, writing, "full")
    return home


@pytest.fixture(scope="module")
def lora(home: Path) -> BeforeAfter:
    return open_tuned(RunFolder(home / "runs" / "lora-1"))


@pytest.fixture(scope="module")
def full(home: Path) -> BeforeAfter:
    return open_tuned(RunFolder(home / "runs" / "full-1"))


def test_an_adapter_that_learned_nothing_moved_nothing(home: Path, tmp_path: Path) -> None:
    model, words = load_folder(home / "base")
    assert words is not None
    save_adapter(tmp_path / "adapter", add_lora(model, LoRAConfig(rank=2)), str(home / "base"))
    words.save(tmp_path / "adapter")
    both = open_both(tmp_path / "adapter")
    found = weight_change(both.base, both.tuned, both.factors)
    assert found.is_zero
    assert not any(one.norm for one in (*found.heads, *found.neurons))
    assert "Nothing moved" in found.sentence()
    read = token_changes(both.base, both.tuned, both.tokenizer, [plain_example(words, "the sea was grey")])
    assert read.mean_gain_bits == 0
    assert (read.gained, read.lost, read.kinds_gained, read.kinds_lost) == ((), (), (), ())
    with pytest.raises(UsageError, match="did not move"):
        change_trace(*vars_of(both), "blocks.0.attn.v_proj")


def vars_of(both: BeforeAfter) -> tuple:
    return both.base, both.tuned, None if both.factors is None else {}


def test_the_product_is_the_difference_of_the_merged_weights(lora: BeforeAfter) -> None:
    assert lora.factors is not None
    assert len(lora.factors) == 14
    for name, factor in lora.factors.items():
        before, after = (model.get_parameter(f"{name}.weight") for model in (lora.base, lora.tuned))
        torch.testing.assert_close(after - before, product(factor), atol=1e-6, rtol=0)
        whole = torch.linalg.svdvals(product(factor))
        torch.testing.assert_close(singular_values(factor), whole[:4], atol=1e-5, rtol=1e-4)
        assert float(whole[4]) < 1e-5


def test_by_factors_and_by_difference_the_same_is_found(lora: BeforeAfter) -> None:
    known = weight_change(lora.base, lora.tuned, lora.factors)
    seen = weight_change(lora.base, lora.tuned)
    assert {one.name for one in known.matrices} == {one.name for one in seen.matrices}
    assert known.n_unchanged == seen.n_unchanged == 7  # two tables and five norms
    by_name = {one.name: one for one in seen.matrices}
    for one in known.matrices:
        other = by_name[one.name]
        assert one.learned_rank == 4
        assert one.norm == pytest.approx(other.norm, rel=1e-3)
        assert one.relative == pytest.approx(other.relative, rel=1e-3)
        assert one.stable_rank == pytest.approx(other.stable_rank, rel=1e-3)
        assert one.norm == pytest.approx(math.sqrt(sum(value**2 for value in one.singular_values)), rel=1e-4)
        assert 1 <= (one.stable_rank or 0) <= (one.effective_rank or 0) <= 4.0001
    relative = [one.relative for one in known.matrices]
    assert relative == sorted(relative, reverse=True)


def test_ranks_count_directions() -> None:
    flat = MatrixChange("w", (5, 5), 2.0, 0.1, (1.0, 1.0, 1.0, 1.0))
    assert flat.stable_rank == pytest.approx(4)
    assert flat.effective_rank == pytest.approx(4)
    one = MatrixChange("w", (5, 5), 3.0, 0.1, (3.0, 0.0))
    assert one.stable_rank == one.effective_rank == 1
    assert MatrixChange("v", (5,), 3.0, 0.1, ()).stable_rank is None
    factor = Factors(torch.eye(2, 5), torch.eye(3, 2), -2.0)
    assert singular_values(factor).tolist() == [2.0, 2.0]


@torch.no_grad()
def test_what_was_zero_is_told_last(home: Path) -> None:
    both = open_both(home / "runs" / "full-1" / "model", home / "base")
    both.base.final_norm.weight.zero_()
    found = weight_change(both.base, both.tuned)
    assert found.matrices[-1].name == "final_norm.weight"
    assert found.matrices[-1].as_dict()["relative"] is None
    assert found.matrices[0].name in found.sentence()


@torch.no_grad()
def test_heads_and_neurons_share_the_matrices_out(full: BeforeAfter) -> None:
    found = weight_change(full.base, full.tuned)
    before, after = full.base.blocks[1], full.tuned.blocks[1]
    D = 8
    rows, group = slice(2 * D, 3 * D), slice(D, 2 * D)  # head 2 of four reads with the second of two key/value heads
    parts = [
        [block.attn.q_proj.weight[rows], block.attn.k_proj.weight[group], block.attn.v_proj.weight[group],
         block.attn.o_proj.weight[:, rows]]
        for block in (before, after)
    ]  # fmt: skip
    moved = math.sqrt(sum(float((b - a).square().sum()) for a, b in zip(*parts, strict=True)))
    size = math.sqrt(sum(float(a.square().sum()) for a in parts[0]))
    head = next(one for one in found.heads if (one.layer, one.index) == (1, 2))
    assert head.norm == pytest.approx(moved, rel=1e-4)
    assert head.relative == pytest.approx(moved / size, rel=1e-4)
    first = found.neurons[0]
    mlps = [model.blocks[first.layer].mlp for model in (full.base, full.tuned)]
    moved = math.sqrt(
        sum(
            float((getattr(mlps[1], f"{part}_proj").weight - getattr(mlps[0], f"{part}_proj").weight)
                  .select(axis, first.index).square().sum())
            for part, axis in (("gate", 0), ("up", 0), ("down", 1))
        )
    )  # fmt: skip
    assert first.norm == pytest.approx(moved, rel=1e-4)
    assert {one.name for one in found.matrices} >= {"token_embedding.weight", "lm_head.weight", "final_norm.weight"}
    assert found.n_unchanged == 0


def test_tokens_that_changed_are_those_whose_probability_did(home: Path, lora: BeforeAfter) -> None:
    examples, is_held_out = held_out_examples(RunFolder(home / "runs" / "lora-1"), lora)
    assert is_held_out
    assert len(examples) == 2
    found = token_changes(lora.base, lora.tuned, lora.tokenizer, examples, most=3)
    gains = []
    for example in examples:
        ids = torch.tensor(example.tokens)[None]
        with torch.no_grad():
            logs = [model(ids)[0, :-1].log_softmax(-1).numpy() for model in (lora.base, lora.tuned)]
        for place in np.flatnonzero(example.is_learned):
            first, second = (float(log[place - 1, ids[0, place]]) for log in logs)
            gains.append(((second - first) / math.log(2), math.exp(first), math.exp(second)))
    assert found.n_tokens == len(gains)
    assert found.mean_gain_bits == pytest.approx(sum(gain for gain, _, _ in gains) / len(gains), abs=1e-4)
    gain, before, after = max(gains)
    best = found.gained[0]
    assert (best.gain_bits, best.before, best.after) == pytest.approx((gain, before, after), rel=1e-3)
    assert best.gain_bits == pytest.approx(math.log2(best.after / best.before), rel=1e-6)
    assert len({one.text for one in found.gained}) == 3
    assert found.mean_gain_bits > 0  # it learned something of them: the same words, though other pieces
    document = found.documents[0]
    assert np.isnan(document.gain_bits_T).sum() == (~examples[0].is_learned).sum()
    assert "".join(document.pieces).count("Response") == 1
    assert json.dumps(found.as_dict(), allow_nan=False)
    figure = document.show()
    assert "the largest changes first" in repr(figure)
    assert figure.as_bytes()[:4] == b"CUT1"
    with pytest.raises(DataError, match="nothing to read"):
        token_changes(lora.base, lora.tuned, lora.tokenizer, [plain_example(lora.tokenizer, "")])


@pytest.mark.parametrize("name", ["lora", "full"])
def test_the_change_is_arithmetic_the_microscope_can_take_apart(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    both = request.getfixturevalue(name)
    trace = change_trace(both.base, both.tuned, both.factors, "blocks.1.mlp.up_proj", "me")
    weight, after = (model.get_parameter("blocks.1.mlp.up_proj.weight") for model in (both.base, both.tuned))
    torch.testing.assert_close(trace["product"], (after - weight).detach(), atol=1e-6, rtol=0)
    torch.testing.assert_close(trace["merged"], after.detach(), atol=1e-6, rtol=0)
    exact = torch.linalg.svdvals((after - weight).detach())[: 4 if name == "lora" else 16]
    torch.testing.assert_close(trace["singular_values"], exact, atol=1e-5, rtol=1e-3)
    trace.save(tmp_path / "trace")
    again = load_trace(tmp_path / "trace")
    assert again.verify().ok
    assert ("A" in again) == (name == "lora")
    with pytest.raises(UsageError, match=r"did you mean blocks\.1\.mlp\.up_proj"):
        change_trace(both.base, both.tuned, both.factors, "blocks.1.mlp.up_pro")


def test_what_is_not_there_is_said(home: Path, lora: BeforeAfter, full: BeforeAfter, tmp_path: Path) -> None:
    plain = RunFolder(tmp_path / "plain-1")
    plain.path.mkdir()
    plain.recipe_file.write_text("[data]\nsource = 'gone.jsonl'\n")
    with pytest.raises(RunError, match="no model yet"):
        open_tuned(plain)
    (plain.path / "model").mkdir()
    with pytest.raises(RunError, match="--base MODEL"):
        open_tuned(plain)
    with pytest.raises(DataError, match="give a text with --file"):
        held_out_examples(plain, lora)
    with pytest.raises(UsageError, match="name it with --base"):
        open_both(home / "base")
    small = open_both(home / "runs" / "full-1" / "model", home / "base")
    small.tuned.blocks[0].mlp.up_proj.weight = torch.nn.Parameter(torch.zeros(3, 32))
    with pytest.raises(UsageError, match="different shapes"):
        weight_change(small.base, small.tuned)


def test_the_command(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUTAWAY_RUNS", str(home / "runs"))
    assert main(["voice", "change", "lora-1", "--matrix", "first", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    first = told["weights"]["matrices"][0]
    assert first["learned_rank"] == 4
    assert told["read"] == "held-out answers"
    assert Path(told["trace"]).name == "change-" + first["name"].removesuffix(".weight").replace(".", "-")
    assert main(["voice", "change", "full-1", "--text", "the sea was grey", "--top", "2"]) == 0
    said = capsys.readouterr().out
    assert "the text given: Over" in said
    assert "stable rank" in said
    assert "--matrix first" in said
    assert main(["voice", "change", "nobody"]) == 2
    assert main(["voice", "change", "lora-1", "--top", "0"]) == 2
    assert main(["voice", "change", "lora-1", "--matrix", "blocks.9.x"]) == 2
