"""A tuned run, from base and pairs to a folder others load: resumed exactly, kept small, refused where it must be."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from toy import StopAt
from transformers import AutoModelForCausalLM
from tune.small import make_base, make_writing, pairs

import cutaway
from cutaway import workbench
from cutaway.base.errors import ConfigError, CutawayError, ModelFormatError, RunError
from cutaway.base.runs import RunFolder, read_jsonl
from cutaway.branch import branch_recipe
from cutaway.interop.conversations import write_conversations
from cutaway.presets_voice import tuned
from cutaway.recipe import Recipe
from cutaway.run_facts import facts
from cutaway.train.checkpoint import load_checkpoint, load_weights
from cutaway.train.watch import ExamplesEvent, Watcher
from cutaway.tune.chat_form import chat_form
from cutaway.tune.config import TuneConfig
from cutaway.tune.examples import make_example
from cutaway.tune.lora import lora_layers
from cutaway.tune.sft import Answering, surprisals

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # theirs
METHODS = ("lora", "full", "lora4")
QUICK: dict[str, Any] = {"epochs": None, "steps": 6, "precision": "float32", "threads": 1, "validate_every": 2}


def recipe_of(place: Path, method: str = "lora", tune: dict[str, Any] | None = None, **train: Any) -> Recipe:
    made = tuned(str(place / "base"), place / "voice", method, **(tune or {}))  # type: ignore[arg-type]
    generate = dataclasses.replace(made.generate, max_tokens=4)
    return dataclasses.replace(made, train=dataclasses.replace(made.train, **{**QUICK, **train}), generate=generate)


def numbers(run: RunFolder) -> list[dict[str, Any]]:
    timed = ("seconds", "tokens_per_second", "memory_bytes")
    return [{k: v for k, v in line.items() if k not in timed} for line in read_jsonl(run.path / "metrics.jsonl")]


@dataclasses.dataclass
class Heard(Watcher):
    """Keeps what is said."""

    lines: list[str] = dataclasses.field(default_factory=list)
    shown: list[ExamplesEvent] = dataclasses.field(default_factory=list)

    def say(self, message: str) -> None:
        self.lines.append(message)

    def examples(self, event: ExamplesEvent) -> None:
        self.shown.append(event)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, pairs, and a run of each method."""
    place = tmp_path_factory.mktemp("tuned")
    make_base(place / "base", "llama", "bpe")
    make_writing(place / "voice", 8, 3)
    return place


@pytest.fixture(scope="module")
def runs(place: Path) -> dict[str, workbench.Run]:
    return {
        method: workbench.train(recipe_of(place, method, keep_checkpoints="all"), name=method, runs=place / "runs")
        for method in METHODS
    }


@pytest.mark.parametrize("method", METHODS)
def test_it_learns_and_says_from_where_to_where(method: str, runs: dict[str, workbench.Run]) -> None:
    summary = runs[method].summary() or {}
    assert summary["status"] == "finished"
    assert summary["after"]["train"]["loss"] < summary["before"]["train"]["loss"]
    assert summary["after"]["held_out"]["loss"] == pytest.approx(summary["validation_loss"], rel=1e-6)
    assert (summary["trained_parameters"] < summary["parameters"]) == (method != "full")
    assert (summary["pairs"], summary["held_out_pairs"]) == (8, 3)
    recipe = runs[method].recipe
    assert recipe.tune is not None
    assert recipe.tune.base_hash
    assert recipe.data.text_hash
    told = facts(runs[method])
    assert told.has_model
    assert told.validation_loss == summary["validation_loss"]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_loaded_run_is_what_was_measured(method: str, place: Path, runs: dict[str, workbench.Run]) -> None:
    run = runs[method]
    model, tokenizer = cutaway.load(run)
    assert not list(lora_layers(model))
    form = chat_form(run.model_folder, tokenizer)
    held = [make_example(one, form) for one in pairs(3, first=8)]
    found = surprisals(model, held)
    loss = sum(float(one.sum()) for one in found) / sum(map(len, found))
    assert loss == pytest.approx((run.summary() or {})["validation_loss"], rel=1e-5)
    at_best, _ = run.load((run.summary() or {})["best_step"])
    for name, parameter in model.state_dict().items():
        torch.testing.assert_close(at_best.state_dict()[name], parameter, rtol=1e-5, atol=1e-6)
    assert run.generate("Write.", max_tokens=4) == run.generate("Write.", max_tokens=4)


@pytest.mark.parametrize("method", METHODS)
def test_others_load_it(method: str, place: Path, runs: dict[str, workbench.Run]) -> None:
    folder = runs[method].model_folder
    ours, _ = cutaway.load(runs[method])
    tokens = torch.randint(300, (2, 9), generator=torch.Generator().manual_seed(0))
    if method == "full":
        theirs: Any = AutoModelForCausalLM.from_pretrained(folder)
    else:
        theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(place / "base"), folder)
    with torch.no_grad():
        torch.testing.assert_close(ours(tokens), theirs.eval()(tokens).logits, rtol=1e-4, atol=1e-5)
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(folder)
    asked = [{"role": "user", "content": "Write."}]
    ids = words.apply_chat_template(asked, add_generation_prompt=True, tokenize=True, return_dict=False)
    assert ids == chat_form(folder, cutaway.load(runs[method])[1]).prompt_ids(asked)


def test_checkpoints_hold_what_learns(runs: dict[str, workbench.Run]) -> None:
    sizes = {}
    for method in METHODS:
        weights = load_weights(runs[method].checkpoints_folder / "2")
        assert all(".adapter." in name for name in weights) == (method != "full")
        sizes[method] = sum(tensor.numel() for tensor in weights.values())
    assert sizes["lora"] == sizes["lora4"] == (runs["lora"].summary() or {})["trained_parameters"]
    stopped = runs["lora"].at_checkpoint(4)
    assert stopped.state.step == 4
    assert list(lora_layers(stopped.model))
    assert {name.partition(":")[0] for name in load_checkpoint(runs["lora"].checkpoints_folder / "4")[2]} == set(
        load_weights(runs["lora"].checkpoints_folder / "4")
    )


@pytest.mark.parametrize("method", ["lora", "full"])
def test_resumed_equals_uninterrupted(method: str, place: Path, runs: dict[str, workbench.Run], tmp_path: Path) -> None:
    recipe = recipe_of(place, method, keep_checkpoints="all")
    parts = workbench.train(recipe, name="parts", runs=tmp_path, watcher=StopAt(3))
    assert parts.status() == "stopped"
    assert (tmp_path / "parts" / "before.json").is_file()
    parts = workbench.resume(parts)
    assert parts.status() == "finished"
    assert numbers(parts) == numbers(runs[method])
    for name in ("model", "optimizer"):
        files = [run.checkpoints_folder / "6" / f"{name}.safetensors" for run in (parts, runs[method])]
        assert files[0].read_bytes() == files[1].read_bytes()
    summaries = [run.summary() or {} for run in (parts, runs[method])]
    assert summaries[0]["before"] == summaries[1]["before"]
    assert summaries[0]["after"] == summaries[1]["after"]


def test_what_is_said_before_the_first_step(place: Path, tmp_path: Path) -> None:
    heard = Heard()
    workbench.train(recipe_of(place, tune={"projections": ("q_proj", "v_proj")}, steps=1), runs=tmp_path, watcher=heard)
    said = "\n".join(heard.lines)
    assert "8 pairs of" in said
    assert "8 pairs are few" in said
    assert "attention alone are known to learn worse" in said
    assert "no chat template" in said
    (event,) = heard.shown
    assert [is_learned for _, is_learned in event.stretches] == [False, True]
    assert len(event.train_lengths) == 8


@pytest.mark.slow
def test_the_same_numbers_with_checkpointing_and_in_parts(place: Path, tmp_path: Path) -> None:
    both = [
        workbench.train(recipe_of(place, "full", tune, steps=3, **train), name=name, runs=tmp_path)
        for name, tune, train in (
            ("plain", {}, {}),
            ("again", {"checkpointing": True}, {}),
            ("parts", {}, {"accumulate": 2}),
        )
    ]
    losses = [[line["loss"] for line in run.metrics()] for run in both]
    assert losses[0] == losses[1]
    assert losses[0] == pytest.approx(losses[2], rel=1e-4)


@pytest.mark.slow
def test_early_stopping_keeps_the_best(place: Path, tmp_path: Path) -> None:
    """At a rate far too high the held-out loss rises: the run ends and the weights from before are kept."""
    recipe = recipe_of(place, "full", learning_rate=0.2, steps=200, validate_every=1, patience=2)
    run = workbench.train(recipe, runs=tmp_path)
    summary = run.summary() or {}
    assert summary["stopped_early"]
    assert summary["status"] == "finished"
    assert summary["steps"] == summary["best_step"] + 2 < 200


def test_a_base_that_changed_is_refused(place: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(place / "base", mine / "base")
    shutil.copytree(place / "voice", mine / "voice")
    run = workbench.train(recipe_of(mine), runs=tmp_path / "runs", watcher=StopAt(3))
    assert run.load()
    make_base(mine / "base", "llama", "bpe", seed=1)
    with pytest.raises(RunError, match=r"base .* has changed since the run started"):
        workbench.resume(run)
    with pytest.raises(ModelFormatError, match="has changed since"):
        run.load()


def test_changed_pairs_are_refused(place: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(place / "base", mine / "base")
    make_writing(mine / "voice", 8, 3)
    run = workbench.train(recipe_of(mine), runs=tmp_path / "runs", watcher=StopAt(3))
    write_conversations(mine / "voice" / "held_out.jsonl", pairs(2, first=3))
    with pytest.raises(RunError, match=r"train.jsonl' has changed since"):
        workbench.resume(run)


@pytest.mark.slow
def test_a_run_tuned_on_a_tuned_run(place: Path, runs: dict[str, workbench.Run]) -> None:
    recipe = tuned("lora", place / "voice", runs=place / "runs", rank=2)
    quick = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, **{**QUICK, "steps": 2}))
    run = workbench.train(quick, name="twice", runs=place / "runs")
    before = (run.summary() or {})["before"]["held_out"]["loss"]
    assert before == pytest.approx((runs["lora"].summary() or {})["after"]["held_out"]["loss"], rel=1e-5)
    assert cutaway.load(run)
    assert (run.recipe.tune or recipe.tune).base == "lora"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda base: (base / "model.safetensors").rename(base / "pytorch_model.bin"), "a pickle"),
        (lambda base: (base / "tokenizer.json").unlink(), r"no tokenizer\.json"),
        (lambda base: make_base(base.parent / "x", "llama", "characters"), "do not belong together"),
    ],
)
def test_bases_that_cannot_be_tuned_are_one_line(break_it: Any, said: str, place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "base", tmp_path / "base")
    made = break_it(tmp_path / "base")
    if isinstance(made, Path) and made.name == "x":
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(made / name, tmp_path / "base" / name)
        config = json.loads((tmp_path / "base" / "config.json").read_text())
        assert config["vocab_size"] == 300
    make_writing(tmp_path / "voice", 4, 2)
    with pytest.raises(CutawayError, match=said):
        workbench.train(recipe_of(tmp_path), runs=tmp_path / "runs")
    assert not list((tmp_path / "runs").glob("*"))


def test_pairs_held_out_by_source_where_no_file_is_given(place: Path, tmp_path: Path) -> None:
    recipe = recipe_of(place, steps=1)
    alone = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, held_out="", validation_fraction=0.25))
    summary = workbench.train(alone, runs=tmp_path).summary() or {}
    assert (summary["pairs"], summary["held_out_pairs"]) == (6, 2)
    nothing = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, held_out="", validation_fraction=0.0))
    with pytest.raises(CutawayError, match="no pairs are held out"):
        workbench.train(nothing, runs=tmp_path)


def test_a_branch_with_nothing_changed_makes_the_same_numbers(place: Path, runs: dict[str, workbench.Run]) -> None:
    recipe = branch_recipe(runs["lora"], 4, place / "runs")
    branch = workbench.train(recipe, name="branch", runs=place / "runs")
    kept = [{k: v for k, v in line.items() if k != "inherited"} for line in numbers(branch)]
    assert kept == numbers(runs["lora"])
    other = dataclasses.replace(recipe, tune=dataclasses.replace(recipe.tune or TuneConfig(), rank=2))
    with pytest.raises(ConfigError, match=r"tune.rank is 2 but was 16"):
        workbench.train(other, runs=place / "runs")


NO_MORE = (
    "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"
)


@pytest.mark.slow
def test_out_of_memory_in_the_middle_keeps_the_run_and_proposes_less(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, calls = Answering.loss, []

    def planted(self: Answering, model: torch.nn.Module, batch: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) > 3:
            raise RuntimeError(NO_MORE)
        return loss(self, model, batch)

    monkeypatch.setattr(Answering, "loss", planted)
    with pytest.raises(RunError) as caught:
        workbench.train(recipe_of(place), name="run", runs=tmp_path)
    message, run = str(caught.value), RunFolder(tmp_path / "run")
    assert "\n" not in message
    assert f"go on with `cutaway train {run.path} --from-step 2 --train.accumulate " in message
    summary = run.summary()
    assert summary is not None
    assert (summary["status"], summary["reason"]) == ("failed", message)
    monkeypatch.undo()
    assert (workbench.resume(tmp_path / "run").summary() or {})["status"] == "finished"


def test_what_does_not_fit_is_refused_before_the_base_is_loaded(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cutaway.session_memory.free_memory", lambda device: 200_000_000)
    heard = Heard()
    with monkeypatch.context() as context:
        context.setattr("cutaway.session_tuned.open_base", lambda *any: pytest.fail("loaded"))
        with pytest.raises(ConfigError, match=r"memory: about .* free .*too little: .*; or .* with --anyway"):
            workbench.train(recipe_of(place), name="run", runs=tmp_path, watcher=heard)
    assert not (tmp_path / "run").exists()
    assert any(line.startswith("memory: about ") for line in heard.lines)
    workbench.train(recipe_of(place, tune={"anyway": True}, steps=2), name="run", runs=tmp_path)
