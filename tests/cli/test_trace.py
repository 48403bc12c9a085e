"""A model's step on the terminal: recorded, explained, verified; every wrong word is one line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import cutaway
from cutaway.cli.heat import heat
from cutaway.cli.main import main
from cutaway.microscope.store import load_trace

TINY = [
    "--model.d-model", "24", "--model.n-layers", "3", "--model.n-heads", "4", "--model.context-length", "16",
    "--model.ngram-sizes", "2", "--model.ngram-rows", "64", "--train.batch-size", "8", "--train.steps", "20",
    "--train.validate-every", "20", "--train.threads", "1", "--train.precision", "float32", "--train.compile", "off",
    "--name", "fox",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and a trace of it."""
    home = tmp_path_factory.mktemp("home")
    text = home / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog; " * 60)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("CUTAWAY_RUNS", str(home / "runs"))
        assert main(["train", "stdlib", "--data.source", str(text), *TINY]) == 0
        assert main(["trace", "fox", "--text", "the quick bro"]) == 0
    return home


@pytest.fixture
def home(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in."""
    shutil.copytree(trained, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setenv("CUTAWAY_RUNS", "runs")
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path / "home"


def out(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == code
    return capsys.readouterr().out


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    return json.loads(out(capsys, *arguments, "--json", code=code).splitlines()[-1])


# ------------------------------------------------------------------------------------------------------- trace


def test_the_recorded_step_is_the_step(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The loss and the new weights of the trace are those of the same step without a microscope."""
    found = answer(capsys, "trace", "fox", "--text", "the quick bro", "--lr", "0.01")
    model, tokenizer = cutaway.load("fox")
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=0.01)
    tokens = torch.tensor([tokenizer.prompt_ids("the quick bro")])
    torch.manual_seed(0)
    loss = torch.nn.functional.cross_entropy(model(tokens)[0, :-1], tokens[0, 1:])
    loss.backward()
    optimizer.step()
    assert found["loss"] == pytest.approx(float(loss.detach()), rel=1e-6)
    assert "".join(found["tokens"]) == "the quick bro"
    assert set(found["operations"]) == {"forward", "backward", "optimizer"}
    trace = load_trace(found["trace"])
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(
            trace[f"{name}:new"], parameter.detach(), rtol=0, atol=2e-4
        )  # Adam's first step: a sign
        torch.testing.assert_close(trace[f"{name}:grad"], parameter.grad, rtol=1e-3, atol=1e-6)
    assert torch.equal(trace["input.tokens"], tokens)


@pytest.mark.parametrize("clip", [100.0, 0.01, 0.0])
@pytest.mark.slow
def test_from_a_checkpoint_the_step_is_the_one_training_would_make(
    home: Path, capsys: pytest.CaptureFixture[str], clip: float
) -> None:
    """Muon, AdamW and row-wise AdaGrad with what they remember, at their rates, after clipping: the trainer's update."""
    from cutaway.base.runs import RunFolder
    from cutaway.train.checkpoint import list_checkpoints
    from cutaway.train.config import TrainConfig
    from cutaway.train.distributed import World
    from cutaway.train.language import NextToken
    from cutaway.train.trainer import Trainer
    from cutaway.workbench import Run

    recipe = home / "runs/fox/recipe.toml"
    recipe.write_text(re.sub(r"(?m)^clip_norm = .*", f"clip_norm = {clip}", recipe.read_text()))
    first = list_checkpoints(home / "runs/fox/checkpoints")[0]
    found = answer(capsys, "trace", "fox", "--text", "the quick bro", "--checkpoint", first.name)
    assert (found["checkpoint"], found["lr"]) == (int(first.name), None)
    assert found["optimizers"] == ["Muon", "AdamW", "RowAdaGrad"]
    stopped = Run(home / "runs/fox").at_checkpoint(int(first.name))
    tokens = torch.tensor([stopped.tokenizer.prompt_ids("the quick bro")])

    class Objective(NextToken):
        tokens_per_sequence = sequences_per_epoch = 1

        def batch(self, first: int, count: int) -> Any:
            torch.manual_seed(0)  # as the recording, for dropout
            return tokens

        def loss(self, model: torch.nn.Module, batch: Any) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(model(batch)[0, :-1].float(), batch[0, 1:])

    objective = object.__new__(Objective)
    for name in ("windows", "validation", "write", "probe"):
        setattr(objective, name, None)
    objective.model = stopped.model
    config: TrainConfig = stopped.config
    trainer = Trainer(objective, config, RunFolder(home / "runs/fox"), World(0, 1, torch.device("cpu")))
    trainer.optimizers, trainer.state = stopped.optimizers, stopped.state
    if stopped.state.step == config.steps:
        stopped.state.step -= 1
    _, loss, norm, _ = trainer.update(False)
    trace = load_trace(Path(found["trace"]))
    assert trace["loss"].item() == pytest.approx(loss, rel=1e-6)
    assert (norm > clip > 0) == (clip == 0.01)
    moved = 0
    for name, weight in stopped.model.named_parameters():
        if f"{name}:new" in trace:
            assert torch.allclose(trace[f"{name}:new"], weight, rtol=1e-5, atol=1e-7), name
            moved += int(not torch.equal(trace[f"{name}:new"], trace[name]))
    assert moved > 5
    assert trace.verify().ok
    assert not trace.verify().opaque


def test_rates_are_the_checkpoint_s(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["trace", "fox", "--text", "the", "--checkpoint", "20", "--lr", "0.1"]) == 2
    assert "a checkpoint is stepped at the run's own rates" in capsys.readouterr().err
    assert main(["trace", "fox", "--text", "the", "--checkpoint", "7"]) == 1
    assert "has no checkpoint of step 7; it has " in capsys.readouterr().err


@pytest.mark.slow
def test_what_is_printed_leads_on(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The tree names the modules, the numbered folders count up, and every next command works as printed."""
    said = out(capsys, "trace", "fox", "--text", "the dog")
    assert re.search(r"attn  1x7x24 .*forward", said)
    assert "1 to 2  like 0" in said  # the blocks look alike
    assert "saved    runs/fox/traces/2" in said
    commands = re.findall(r"^next     cutaway (.*)$", said, re.M)
    assert len(commands) == 5
    for command in commands:
        words = [word.strip('"') for word in command.split(" ")]
        assert out(capsys, *words)
    assert "saved    trace-1" in out(capsys, "trace", "runs/fox/model", "--text", "the dog")
    assert "saved    kept" in out(capsys, "trace", "fox", "--text", "the dog", "--out", "kept")
    assert "saved    kept" in out(
        capsys, "trace", "fox", "--text", "the fox", "--out", "kept"
    )  # a trace may be replaced
    assert load_trace("kept").notes["text"] == "the fox"


@pytest.mark.parametrize(("flag", "phases"), [("--forward", {"forward"}), ("--no-optimizer", {"forward", "backward"})])
def test_a_part_of_a_step(home: Path, capsys: pytest.CaptureFixture[str], flag: str, phases: set[str]) -> None:
    found = answer(capsys, "trace", "fox", "--text", "the dog", flag)
    assert set(found["operations"]) == phases
    assert found["lr"] is None
    said = out(capsys, "trace", "fox", "--text", "the dog", flag)
    for command in re.findall(r"^next     cutaway (.*)$", said, re.M):
        assert out(capsys, *[word.strip('"') for word in command.split(" ")])


def test_text_from_standard_input(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("the fox"))
    assert answer(capsys, "trace", "fox", "--text", "-")["text"] == "the fox"


# ------------------------------------------------------------------------------------------------------- explain


def test_a_number_and_where_it_came_from(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = load_trace("runs/fox/traces/1")
    said = out(capsys, "explain", "fox", "lm_head.weight:grad[3,7]")
    e = trace.explain("lm_head.weight:grad", (3, 7))
    assert f"lm_head.weight:grad[3,7] = {e.value!r}" in said  # all its digits
    assert e.formula in said
    assert f"recomputed {e.recomputed!r}" in said
    assert "agrees" in said
    shown = re.findall(r"^ *[\d.]+%.* (\S+\[[\d,]+\])\s*$", said, re.M)
    assert shown == [f"{t.address}[{','.join(map(str, t.index))}]" for t in e.terms[: len(shown)]]
    assert 0 < len(shown) < len(e.terms)
    assert f"{len(e.terms) - len(shown)} more (--all-terms)" in said
    every = out(capsys, "explain", "fox", "lm_head.weight:grad[3,7]", "--all-terms")
    assert len(re.findall(r"^ *[\d.]+%", every, re.M)) == len(e.terms)
    found = answer(capsys, "explain", "fox", "lm_head.weight:grad[-25,7]")  # counted from the end
    assert (found["value"], len(found["terms"])) == (e.value, len(e.terms))


def test_why(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = out(capsys, "explain", "fox", "lm_head.weight:grad[3,7]", "--why", "3")
    assert len(said.splitlines()) > 4
    found = answer(capsys, "explain", "fox", "lm_head.weight:grad[3,7]", "--why", "3")
    for part in found["parts"]:
        assert f"{part['address']}[{','.join(map(str, part['index']))}]" in said
    assert sum(part["share"] for part in found["parts"]) + found["left_out"] == pytest.approx(1)


def test_a_tensor(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pattern = load_trace("runs/fox/traces/1")["blocks.0.attn.pattern"]
    found = answer(capsys, "explain", "fox", "blocks.0.attn.pattern")
    assert found["shape"] == list(pattern.shape)
    assert found["mean"] == pytest.approx(float(pattern.mean()))
    assert found["zeros"] == int((pattern == 0).sum()) > 0
    said = out(capsys, "explain", "fox", "blocks.0.attn.pattern[0,2]")
    rows = re.findall(r"^ *\d+ ((?:[ +-].)+)$", said, re.M)
    for row, numbers in zip(rows, pattern[0, 2], strict=True):
        marks = [row[i : i + 2] for i in range(0, len(row), 2)]
        assert [mark == " ." for mark in marks] == (numbers == 0).tolist()  # the causal mask, as characters
    assert "exactly 0" in said
    assert "next     cutaway explain fox" in said


def test_list(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = load_trace("runs/fox/traces/1")
    said = out(capsys, "explain", "fox", "--list", "blocks.1.attn.")
    assert [line.split("  ")[0] for line in said.splitlines()] == trace.addresses("blocks.1.attn.")
    assert len(answer(capsys, "explain", "fox", "--list", "")["addresses"]) == len(trace.addresses())


# ------------------------------------------------------------------------------------------------------- verify


def test_verify(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = out(capsys, "verify", "fox")
    assert "every number agrees" in said
    assert re.search(r"^mm .* [\d,]+ ", said, re.M)
    found = answer(capsys, "verify", "fox")
    assert found["ok"]
    assert found["values_checked"] > 10_000
    assert len(answer(capsys, "verify", "fox", "--gradients", "3")["gradients"]) == 3
    assert "by central differences" in out(capsys, "verify", "fox", "--gradients", "1")


def test_a_changed_number_is_found(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One float of one activation in the file, changed by a hundredth: exit code 1, and its address."""
    folder = home / "runs/fox/traces/1"
    trace = load_trace(folder)
    address = "blocks.1.attn.scores"
    numbers = trace[address].numpy().tobytes()
    data = (folder / "data.safetensors").read_bytes()
    assert data.count(numbers) == 1
    first = data.index(numbers)
    changed = (np.frombuffer(numbers[:4], np.float32) * 1.01).astype(np.float32).tobytes()
    (folder / "data.safetensors").write_bytes(data[:first] + changed + data[first + 4 :])
    said = out(capsys, "verify", "fox", code=1)
    assert "NUMBERS DIFFER" in said
    assert f"WRONG: {address}" in said
    assert not answer(capsys, "verify", "fox", code=1)["ok"]
    index = ",".join("0" * len(trace.place(address).shape))
    assert "DIFFERS" in out(capsys, "explain", "fox", f"{address}[{index}]")


def test_impossible_arithmetic_is_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only an altered trace asks for it, whatever it is."""

    def impossible(*_: Any, **__: Any) -> None:
        raise ValueError("array is too big")

    monkeypatch.setattr("cutaway.microscope.trace.Trace.verify", impossible)
    monkeypatch.setattr("cutaway.microscope.trace.Trace.explain", impossible)
    for arguments in (["verify", "fox"], ["explain", "fox", "loss"]):
        capsys.readouterr()
        assert main(arguments) == 1
        assert (
            "a number of fox cannot be recomputed (ValueError: array is too big); the trace was altered, or"
            in capsys.readouterr().err
        )


# ------------------------------------------------------------------------------------------------------- wrong words

WRONG = [
    (["explain", "fox", "nothing"], 2, "this trace has no 'nothing'"),
    (["explain", "fox", "blocks.0.attn.patern"], 2, "did you mean blocks.0.attn.pattern"),
    (["explain", "fox", "pattern"], 2, "did you mean blocks.0.attn.pattern or blocks.1.attn.pattern"),
    (["explain", "fox", "--list", "blocs"], 2, "this trace has no 'blocs'"),
    (["explain", "fox", "loss[0]"], 2, "loss has shape []; there is no number at [0]"),
    (["explain", "fox", "lm_head.weight[99,0]"], 2, "24]; there is no number at [99, 0]"),
    (["explain", "fox", "lm_head.weight[0,0,0]"], 2, "there is no number at [0, 0, 0]"),
    (
        ["explain", "fox", "lm_head.weight[a]"],
        2,
        "no address with an index; expected something like lm_head.weight[0,2]",
    ),
    (["explain", "fox", "lm_head.weight[1"], 2, "no address with an index"),
    (["explain", "fox", "lm_head.weight", "--why", "2"], 2, "--why follows one number"),
    (["explain", "fox", "loss", "--why", "-1"], 2, "--why is -1"),
    (["explain", "fox"], 2, "explain what?"),
    (["explain", "nobody", "loss"], 1, "nobody is not there; `cutaway trace"),
    (["explain", "../home", "loss"], 1, "is not a trace (no graph.json)"),
    (["explain", "runs/fox/model", "loss"], 1, "is not a trace (no graph.json)"),
    (["explain", "broken", "loss"], 1, "broken cannot be opened: graph.json is cut off"),
    (["explain", "foreign", "loss"], 1, "graph.json is of something else than a trace"),
    (["verify", "broken"], 1, "broken cannot be opened"),
    (["verify", "nobody"], 1, "nobody is not there"),
    (["verify", "fox", "--gradients", "-1"], 2, "--gradients is -1"),
    (["trace", "fox"], 2, "there is no text to record a step on"),
    (["trace", "fox", "--text", ""], 2, "there is no text"),
    (["trace", "fox", "--text", "t"], 1, "a next token to learn needs 2 or more"),
    (["trace", "fox", "--text", "t" * 17], 2, "the text is 17 tokens and fox reads 16; shorten it"),
    (["trace", "fox", "--text", "THE"], 1, "never saw in training"),
    (["trace", "fox", "--text", "the", "--lr", "0"], 2, "--lr is 0"),
    (["trace", "fox", "--text", "the", "--out", "runs/fox"], 2, "exists and is not a trace; take another folder"),
    (["trace", "nobody", "--text", "the"], 2, "there is no run 'nobody'"),
    (["trace", "/tmp", "--text", "the"], 2, "holds neither a model"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "line"), WRONG, ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else ""
)
def test_one_clear_line(
    home: Path, arguments: list[str], code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in (("broken", '{"format": "cutaway tr'), ("foreign", '{"nodes": []}')):
        (home / name).mkdir()
        (home / name / "graph.json").write_text(content)
    before = sorted(home.rglob("*"))
    capsys.readouterr()
    assert main(arguments) == code
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert sorted(home.rglob("*")) == before  # nothing half-written


def test_a_run_without_a_trace_says_how_to_make_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(home / "runs/fox/traces")
    capsys.readouterr()
    assert main(["verify", "fox"]) == 1
    assert "run 'fox' has no trace yet; `cutaway trace fox --text \"...\"` makes one" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------- heat maps


def printed(values: Any, width: int = 80, **settings: Any) -> str:
    import io

    console = Console(file=io.StringIO(), width=width, **settings)
    picture, _ = heat(values, width)
    console.print(picture)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_picture_says_sign_and_size_without_colour() -> None:
    table = np.array([[9.0, -4.5, 0.0], [np.nan, np.inf, -np.inf], [0.1, -9.0, 3.0]])
    plain = printed(table)
    assert plain.splitlines() == ["  0", "0 +9-4 .", "1  ?+!-!", "2 +0-9+3"]
    legend = heat(table)[1]
    assert all(word in legend for word in ("9 is 9,", "exactly 0", "not a number", "infinite"))


def test_colour_adds_nothing_but_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.random.default_rng(0).standard_normal((5, 7))
    coloured = printed(table, force_terminal=True, color_system="truecolor")
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == printed(table)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "48;2" not in printed(table, force_terminal=True)


@pytest.mark.parametrize("shape", [(1,), (77,), (5000,), (1, 1), (3, 400), (300, 2), (64, 300), (2000, 2000)])
def test_any_size_fits(shape: tuple[int, ...]) -> None:
    """Lines are never longer than asked for; what was put together is said, and is the mean."""
    values = np.random.default_rng(0).standard_normal(shape)
    picture, legend = heat(values, 60, 20)
    lines = picture.plain.split("\n")
    assert len(lines) <= 21
    assert max(map(len, lines)) <= 60
    fits = len(values) <= 20 * 20 if len(shape) == 1 else shape[0] <= 20 and shape[1] <= 20
    assert fits == ("mean of" not in legend)


def test_blocks_are_means() -> None:
    table = np.kron(np.array([[1.0, -0.5], [0.0, 0.25]]), np.ones((30, 60)))
    picture, legend = heat(table, 9, 2)
    assert picture.plain.splitlines()[1:] == ["  0 +9-4", " 30  .+2"]
    assert "the mean of 1800 numbers (30 x 60)" in legend
