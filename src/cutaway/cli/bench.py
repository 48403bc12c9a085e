"""`cutaway bench`: speed and loss, beside a peer in the same run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cutaway.base.errors import UsageError, suggest
from cutaway.cli.console import answer, answer_json, parse, screen

if TYPE_CHECKING:
    from cutaway.bench.alternate import Race

KINDS = {
    "train": "a training step beside transformers + torch.optim.AdamW",
    "generate": "tokens a second beside transformers' generate",
    "scratch": "the engines from scratch: fused beside plain, arrays beside numbers, large graphs, long histories",
    "microscope": "recording beside not recording and beside torchlens, explaining, verifying",
    "lab": "the web app: a training that is watched, memory, how soon it answers and draws",
    "lens": "activation patching beside transformer_lens",
    "tune": "a step of LoRA and of full fine-tuning beside transformers + peft, losses, memory",
    "paint": "a diffusion transformer beside diffusers'; with --run, whether what a run paints is what was asked",
    "loss": "time to a loss: our default recipe beside a plain one",
}
EXAMPLE = "cutaway bench train --threads 1"


@dataclass(frozen=True)
class BenchArguments:
    """Measure beside a peer, taking turns, and print medians and their ratio."""

    kind: Annotated[str, tyro.conf.Positional]
    """`train`, `generate`, `scratch`, `microscope`, `lab`, `lens`, `tune`, `paint` or `loss`."""
    quick: bool = False
    """Fewer rounds: a rough answer soon."""
    threads: int | None = None
    """Processor threads, for both sides; left out: 1, and with `paint --run` all there are."""
    seeds: int = 3
    """`loss`: how many seeds."""
    data: str = ""
    """`loss`: the text; left out: the standard library. `scratch`: a list of names, for the known answer."""
    run: str = ""
    """`paint`: the run (or a painter's folder) whose pictures are judged; `all`: the newest finished run of every phase."""
    prompts: int = 256
    """`paint --run`: how many prompts of combinations it saw, as many it never saw, and pictures in every comparison."""
    out: Path = Path("measured")
    """`paint --run`: the folder for measured.json and the pictures; other runs measured there before stay in it."""
    json: bool = False
    """Print one JSON object with every figure."""


def main(argv: list[str]) -> int:
    """Run one benchmark and print its table."""
    arguments = parse(BenchArguments, argv, "bench", EXAMPLE)
    if arguments.kind not in KINDS:
        raise UsageError(
            f"there is no benchmark {arguments.kind!r}{suggest(arguments.kind, KINDS)}; there is {', '.join(KINDS)}"
        )
    judges = arguments.kind == "paint" and bool(arguments.run)
    if min(1 if arguments.threads is None else arguments.threads, arguments.seeds, arguments.prompts) < 1:
        raise UsageError("--threads, --seeds and --prompts must be 1 or more")

    import torch

    from cutaway.cli.doctor import processor
    from cutaway.train.pace import usable_cores

    threads = arguments.threads or (usable_cores() if judges else 1)
    torch.set_num_threads(threads)
    console = screen()

    def say(line: str) -> None:
        console.print(line, style="dim")

    machine = f"{processor()}, {threads} thread(s), torch {torch.__version__}"
    result: dict[str, Any] = {"machine": machine}
    if arguments.kind == "train":
        from cutaway.bench.train import run_train_bench

        races = run_train_bench(arguments.quick, say)
        result["races"] = [race.as_dict() for race in races]
        text = race_table(races)
    elif arguments.kind == "generate":
        from cutaway.bench.generate import run_generate_bench

        races = run_generate_bench(arguments.quick, say)
        result["races"] = [race.as_dict() for race in races]
        text = race_table(races)
    elif arguments.kind == "scratch":
        from cutaway.bench.facts import fact_table
        from cutaway.bench.scratch import run_scratch_bench

        races, facts, known = run_scratch_bench(arguments.data, arguments.quick, say)
        result |= {"races": [race.as_dict() for race in races], "facts": [fact.as_dict() for fact in facts]}
        result["known_answer"] = known
        text = f"{race_table(races)}\n\n{fact_table(facts)}\n\n{known}"
    elif arguments.kind == "microscope":
        from cutaway.bench.facts import fact_table
        from cutaway.bench.microscope import run_microscope_bench

        races, facts = run_microscope_bench(arguments.quick, say)
        result |= {"races": [race.as_dict() for race in races], "facts": [fact.as_dict() for fact in facts]}
        text = f"{race_table(races)}\n\n{fact_table(facts)}"
    elif arguments.kind == "lens":
        from cutaway.bench.facts import fact_table
        from cutaway.bench.lens import run_lens_bench

        races, facts = run_lens_bench(arguments.quick, say)
        result |= {"races": [race.as_dict() for race in races], "facts": [fact.as_dict() for fact in facts]}
        text = f"{race_table(races)}\n\n{fact_table(facts)}"
    elif arguments.kind == "tune":
        from cutaway.bench.facts import fact_table
        from cutaway.bench.tune import run_tune_bench

        races, facts = run_tune_bench(arguments.quick, say)
        result |= {"races": [race.as_dict() for race in races], "facts": [fact.as_dict() for fact in facts]}
        text = f"{race_table(races)}\n\n{fact_table(facts)}"
    elif judges:
        from cutaway.cli.bench_painter import bench_painters

        figures, text = bench_painters(arguments.run, arguments.prompts, arguments.quick, arguments.out, machine, say)
        result |= figures
    elif arguments.kind == "paint":
        from cutaway.bench.facts import fact_table
        from cutaway.bench.paint_speed import run_paint_bench

        races, facts = run_paint_bench(arguments.quick, say)
        result |= {"races": [race.as_dict() for race in races], "facts": [fact.as_dict() for fact in facts]}
        text = f"{race_table(races)}\n\n{fact_table(facts)}"
    elif arguments.kind == "lab":
        from cutaway.bench.facts import fact_table
        from cutaway.bench.lab import run_lab_bench

        facts = run_lab_bench(arguments.quick, say)
        result["facts"] = [fact.as_dict() for fact in facts]
        text = fact_table(facts)
    else:
        from cutaway.bench.loss import loss_table, run_loss_bench

        result |= run_loss_bench(arguments.data or None, arguments.seeds, arguments.quick, say)
        text = loss_table(result)
    if arguments.json:
        answer_json(result)
    else:
        answer(f"{machine}\n{text}")
    return 0


def race_table(races: list[Race]) -> str:
    """Return races as a plain table."""
    from cutaway.bench.facts import plain_table

    rows = [("", "ours", "theirs", "ratio", "bar")]
    for race in races:
        facts = race.as_dict()
        rows.append(
            (
                race.what,
                f"{facts['ours_ms']:.2f} ms",
                f"{facts['theirs_ms']:.2f} ms",
                f"{race.ratio:.2f} x",
                f"{race.bar:.1f} x" if race.bar else "-",
            )
        )
    return plain_table(rows)
