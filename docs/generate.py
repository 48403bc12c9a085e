"""Write the generated pages: `make docs`. A test fails when they are not what this would write.

docs/recipe.md       every setting of a recipe, from the docstrings of its fields
docs/step.md         one training step by hand, as `cutaway scratch step` prints it
docs/operations.md   the operations of the array engine, from their table
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from cutaway.base.config import field_docs
from cutaway.diffusion.config import (
    ContrastiveConfig,
    DiTConfig,
    PaintSamplingConfig,
    PathConfig,
    PicturesConfig,
    TextEncoderConfig,
    UNetConfig,
    VAEConfig,
)
from cutaway.generate.config import SamplingConfig
from cutaway.models.config import GPTConfig, LlamaConfig
from cutaway.presets import PRESETS
from cutaway.presets_paint import DIGITS, OTHERS, PHASES
from cutaway.recipe import Recipe
from cutaway.recipe_paint import PaintRecipe
from cutaway.scratch.ops import OPERATIONS
from cutaway.scratch.walk import walk
from cutaway.text.config import DataConfig
from cutaway.train.config import TrainConfig
from cutaway.tune.config import TuneConfig

PAINTED = {
    "pictures": PicturesConfig,
    "model (kind unet)": UNetConfig,
    "model (kind dit)": DiTConfig,
    "model (kind contrastive)": ContrastiveConfig,
    "model.text": TextEncoderConfig,
    "model (kind vae)": VAEConfig,
    "path": PathConfig,
    "sampling": PaintSamplingConfig,
}
SECTIONS = {
    "data": DataConfig,
    "model (kind gpt)": GPTConfig,
    "model (kind llama)": LlamaConfig,
    "train": TrainConfig,
    "generate": SamplingConfig,
    "tune": TuneConfig,
}


def recipe_page() -> str:
    """Return the reference of all settings."""
    lines = [
        "# Every setting of a recipe",
        "",
        "Made by `make docs` from the docstrings beside the settings. On the command line: `--section.name value`;",
        "in a recipe file: `name = value` under `[section]`.",
        "",
        "## Presets",
        "",
    ]
    for name, preset in PRESETS.items():
        lines.append(f"- `{name}`: {' '.join((preset.__doc__ or '').split())}")
    lines += ["", "## recipe", ""]
    lines += rows(Recipe, leave_out=("data", "model", "objective", "train", "generate", "tune"))
    for title, config in SECTIONS.items():
        lines += ["", f"## {title}", "", " ".join((config.__doc__ or "").split()), ""]
        lines += rows(config)
    lines += ["", "# Every setting of a recipe of pictures", "", "## Phases", ""]
    lines += [f"- `{name}`: {phase.summary}" for name, phase in (PHASES | OTHERS | DIGITS).items()]
    lines += ["", "## recipe of pictures", ""]
    lines += rows(PaintRecipe, leave_out=("pictures", "model", "path", "train", "sampling", "start"))
    for title, config in PAINTED.items():
        lines += ["", f"## {title}", "", " ".join((config.__doc__ or "").split()), ""]
        lines += rows(config)
    lines += ["", "`train` is that of every recipe, above; a sequence is a picture, and so is a token."]
    return "\n".join(lines) + "\n"


def rows(config: type, leave_out: tuple[str, ...] = ()) -> list[str]:
    """Return one table row a setting."""
    docs = field_docs(config)
    lines = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for field in dataclasses.fields(config):
        if field.name in leave_out:
            continue
        default = "" if field.default is dataclasses.MISSING else f"`{field.default!r}`"
        lines.append(f"| `{field.name}` | {default} | {docs[field.name].replace('|', chr(92) + '|')} |")
    return lines


def operations_page() -> str:
    """Return the table of the array engine's operations."""
    lines = [
        "# The operations of the array engine",
        "",
        "Made by `make docs` from the table in [ops.py](../src/cutaway/scratch/ops.py). `out` is the result, `g` the",
        "gradient that reached it (d loss / d out), `dx` the gradient of x; `[..]` is 1 where it holds, else 0.",
        "",
        "| operation | out | backward | the same in PyTorch | source |",
        "| --- | --- | --- | --- | --- |",
    ]
    for operation in OPERATIONS.values():
        cells = (operation.formula, operation.gradient, f"`{operation.torch}`", operation.source)
        lines.append(f"| `{operation.name}` | {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


PAGES = {
    "recipe.md": recipe_page,
    "step.md": lambda: walk(0).as_markdown(),
    "operations.md": operations_page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (Path(__file__).parent / name).write_text(page(), encoding="utf-8")
