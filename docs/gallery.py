"""Write docs/losses.md, what a loss looks like, from runs: `python docs/gallery.py RUN [RUN ...]`.

Every sample is one the run wrote while it trained, beside the held-out loss measured at that step. Nothing is chosen by
hand: of each run, the first sample at or below each mark, and the last one.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cutaway.base.config import read_toml
from cutaway.base.runs import RunFolder, open_run
from cutaway.recipe import Recipe

MARKS = (7.0, 5.0, 4.5, 4.0, 3.5, 3.25, 3.0, 2.75, 2.5, 2.25, 2.0, 1.9, 1.8, 1.7, 1.6, 1.5, 1.4, 1.3, 1.2, 1.1, 1.0)
MOST_LINES = 10


def page(runs: list[RunFolder]) -> str:
    """Return the gallery of some runs."""
    lines = [
        "# What a loss looks like",
        "",
        "Samples that runs wrote while they trained, beside the loss on held-out text at that moment: in bits a byte,",
        "so that models with other tokenizers compare, and in nats a character. Made by `docs/gallery.py`; nothing is",
        "chosen by hand.",
    ]
    for run in runs:
        recipe = read_toml(Recipe, run.recipe_file)
        size = f"{recipe.model.n_layers} layers, {recipe.model.d_model} wide, context {recipe.model.context_length}"
        lines += [
            "",
            f"## {Path(recipe.data.source).name}",
            "",
            f"{size}; {(run.summary() or {}).get('parameters', 0):,} parameters.",
        ]
        measured = {line["step"]: line for line in run.metrics() if "validation_loss" in line}
        samples = {sample["step"]: sample["text"] for sample in run.samples()}
        marks = list(MARKS)
        last = max(measured.keys() & samples.keys())
        for step in sorted(measured.keys() & samples.keys()):
            bits, nats = measured[step]["bits_per_byte"], measured[step]["validation_loss"]
            passed = [mark for mark in marks if bits <= mark]
            if not passed and step != last:
                continue
            marks = [mark for mark in marks if mark < min(passed, default=0.0)]
            seconds = measured[step]["seconds"]
            lines += [
                "",
                f"### {bits:.2f} bits a byte ({nats:.2f} nats), step {step:,}, after {seconds:.0f} s",
                "",
                "```text",
            ]
            lines += [
                line.rstrip()[:110]
                for line in samples[step].expandtabs(4).replace("```", "'''").split("\n")[:MOST_LINES]
            ]
            lines += ["```"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "losses.md").write_text(page([open_run(name) for name in sys.argv[1:]]), encoding="utf-8")
