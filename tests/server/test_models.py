"""Which models a lab has, what is said of them without PyTorch, and which stay open."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from server.labs import training
from server.model_folders import KINDS, save_model

from cutaway import workbench
from cutaway.base.errors import CutawayError, ModelFormatError, RunError, UsageError
from cutaway.cli import main as command_line
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import generate
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.server.models import OpenModels
from cutaway.server.turns import Turns


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    home = folder / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUTAWAY_RUNS", str(home))
        words = training(folder, "fox", 20, "--train.checkpoint-every", "10", "--train.keep-checkpoints", "all")
        assert command_line.main(words) == 0
    for kind in KINDS:
        save_model(home / "models" / kind, kind)
    return home


def test_what_is_said_equals_the_model(home: Path) -> None:
    models = OpenModels(home)
    listed = {facts.name: facts for facts in models.list()}
    assert next(iter(listed)) == "fox"
    assert {f"models/{kind}" for kind in KINDS} <= set(listed)
    assert any(name.startswith("fox@") for name in listed)
    for name, facts in listed.items():
        opened = models.open(name)
        model = opened.model
        assert facts.parameters == sum(parameter.numel() for parameter in model.parameters())
        assert facts.size_bytes == sum(parameter.nbytes for parameter in model.parameters())
        assert (facts.layers, facts.heads, facts.context_length) == (
            len(model.blocks),
            model.config.n_heads,
            model.config.context_length,
        )
        assert facts.tokenizer == opened.tokenizer.kind
        assert facts.vocab_size == opened.tokenizer.vocab_size
        assert facts.problem is None
        assert not model.training
    assert {listed[f"models/{kind}"].family for kind in KINDS} == {"gpt", "gpt2", "llama"}


def test_a_checkpoint_is_the_model_of_that_step(home: Path) -> None:
    models = OpenModels(home)
    name = next(facts.name for facts in models.list() if facts.kind == "checkpoint")
    step = int(name.partition("@")[2])
    opened = models.open(name)
    expected = workbench.Run(home / "fox").at_checkpoint(step).model
    for ours, theirs in zip(opened.model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    loaded, _ = workbench.load(str(home / name))
    assert torch.equal(loaded.token_embedding.weight, opened.model.token_embedding.weight)


def test_the_route_answers_the_list(home: Path) -> None:
    with TestClient(create_app(Lab(home))) as client:
        answered = client.get("/api/models").json()["models"]
        assert [facts["name"] for facts in answered] == [facts.name for facts in OpenModels(home).list()]
        assert client.get("/api/models/models/gpt2").json()["family"] == "gpt2"
        missing = client.get("/api/models/models/gpt")
        assert missing.status_code == 404
        assert "did you mean models/gpt2" in missing.json()["error"]


def test_asking_what_there_is_needs_no_torch(home: Path) -> None:
    asked = (
        "import sys; from pathlib import Path\n"
        "from cutaway.server.app import create_app; from cutaway.server.lab import Lab\n"
        f"lab = Lab(Path({str(home)!r})); create_app(lab); assert len(lab.models.list()) > 3\n"
        "print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


@pytest.mark.parametrize(
    "name", ["../x", "models/../fox", "models/.hidden", "models/a/b", "", "@3", "/etc", "fox@../1"]
)
def test_no_name_leads_out_of_the_folder(home: Path, name: str) -> None:
    with pytest.raises((UsageError, RunError)):
        OpenModels(home).open(name)


def test_links_are_not_followed(home: Path, tmp_path: Path) -> None:
    outside = save_model(tmp_path / "outside")
    (tmp_path / "runs" / "models").mkdir(parents=True)
    (tmp_path / "runs" / "models" / "x").symlink_to(outside)
    models = OpenModels(tmp_path / "runs")
    assert models.list() == []
    with pytest.raises(RunError, match="--model PATH"):
        models.open("models/x")


def test_folders_that_were_given_have_names(home: Path, tmp_path: Path) -> None:
    given = [save_model(tmp_path / "a" / "gpt2", "gpt2", seed=3), save_model(tmp_path / "b" / "mine")]
    models = OpenModels(home, given)
    assert [facts.name for facts in models.list()][-2:] == ["models/gpt2-2", "models/mine"]
    theirs, _ = workbench.load(given[0])
    assert torch.equal(models.open("models/gpt2-2").model.token_embedding.weight, theirs.token_embedding.weight)
    with pytest.raises(UsageError, match=r"no config\.json"):
        OpenModels(home, [tmp_path])


def test_those_not_used_for_longest_make_room(home: Path) -> None:
    one = OpenModels(home).open("models/gpt2").needed_bytes
    models = OpenModels(home, budget_bytes=int(2.6 * one))
    first = models.open("models/gpt2")
    models.open("models/llama")
    assert models.open("models/gpt2") is first
    models.open("models/ours")
    assert models.open_names()[-1] == "models/ours"
    assert "models/llama" not in models.open_names()


def test_what_does_not_fit_is_refused_before_it_is_loaded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = OpenModels(home, budget_bytes=20_000)
    monkeypatch.setattr(models, "_load", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(CutawayError, match=r"needs about \d+ MB .*float32\), more than the 0 MB"):
        models.open("models/gpt2")


def test_a_better_model_written_over_the_old_is_noticed(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    save_model(home / "models" / "x", seed=1)
    models = OpenModels(home)
    before = models.open("models/x")
    assert models.open("models/x") is before
    save_model(home / "models" / "x", seed=2, d_model=32)
    after = models.open("models/x")
    assert after is not before
    assert after.model.config.d_model == after.facts.d_model == 32
    assert models.open_names() == ["models/x"]


def test_a_model_that_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_model(tmp_path / "runs" / "models" / "x", seed=1)
    models = OpenModels(tmp_path / "runs")
    load, loads = models._load, []

    def load_slowly(*given: Any) -> Any:
        loads.append(given)
        opened = load(*given)
        if len(loads) == 1:
            save_model(folder, seed=2)
        if len(loads) == 2:
            save_model(folder, seed=3)
            raise ModelFormatError("half of each")
        return opened

    monkeypatch.setattr(models, "_load", load_slowly)
    opened = models.open("models/x")
    assert len(loads) == 3
    expected, _ = workbench.load(folder)
    assert torch.equal(opened.model.token_embedding.weight, expected.token_embedding.weight)
    assert models.open("models/x") is opened


@pytest.mark.slow
def test_who_is_let_go_leaves_no_memory_behind(home: Path) -> None:
    models = OpenModels(home, budget_bytes=int(1.2 * OpenModels(home).open("models/gpt2").needed_bytes))
    opened = models.open("models/gpt2")
    generate(opened.model, opened.tokenizer, "abc", SamplingConfig(max_tokens=40))  # copies its weights
    seen = weakref.ref(opened.model)
    del opened
    models.open("models/llama")
    gc.collect()
    assert seen() is None


def test_what_is_broken_says_so_in_the_list(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    folder = save_model(home / "models" / "x")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    save_model(home / "models" / "y").joinpath("tokenizer.json").unlink()
    settings = json.loads((save_model(home / "models" / "z") / "config.json").read_text())
    (home / "models" / "z" / "config.json").write_text(json.dumps(settings | {"model_type": "bert"}))
    models = OpenModels(home)
    problems = [facts.problem or "" for facts in models.list()]
    assert ["truncated" in problems[0], "no tokenizer.json" in problems[1], "'bert'" in problems[2]] == [True] * 3
    for facts in models.list():
        with pytest.raises(CutawayError):
            models.open(facts.name)


def test_many_who_ask_at_once_share_one_load(home: Path) -> None:
    models = OpenModels(home)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(models.open("models/llama"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(opened is found[0] for opened in found)


def test_turns_go_to_who_waited_longest_and_long_work_gives_way() -> None:
    turns, order, started = Turns(), [], threading.Event()

    def short(name: str) -> None:
        with turns:
            order.append(name)

    def long() -> None:
        with turns:
            started.set()
            for step in range(3):
                order.append(f"long {step}")
                while turns.n_waiting < (3 if step == 0 else 0):
                    time.sleep(0.001)
                turns.give_way()

    worker = threading.Thread(target=long)
    worker.start()
    started.wait()
    others = []
    for number in range(3):
        others.append(threading.Thread(target=short, args=(f"short {number}",)))
        others[-1].start()
        while turns.n_waiting <= number and not order[1:]:
            time.sleep(0.001)
    for thread in (worker, *others):
        thread.join()
    assert order == ["long 0", "short 0", "short 1", "short 2", "long 1", "long 2"]
