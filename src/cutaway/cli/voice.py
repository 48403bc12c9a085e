"""`cutaway voice ACTION`: from an export of one's writing to a tuned model and an honest report on it."""

from __future__ import annotations

import importlib
from pathlib import Path

from cutaway.base.errors import UsageError, suggest
from cutaway.cli.voice_guide import guide

ACTIONS = {
    "import": ("voice_writing", "import_", "read an export or a folder of writing into a folder of pieces"),
    "clean": (
        "voice_writing",
        "clean_",
        "take away subscription boxes, share buttons, addresses; show what was removed",
    ),
    "pairs": ("voice_writing", "pairs_", "make prompts and answers, hold whole pieces out, say what fits which model"),
    "tune": ("voice_tune", "tune", "tune a model on the pairs: small corrections or all of it, in 32, 16 or 4 bits"),
    "prefer": ("voice_prefer", "prefer", "let a tuned model prefer your answers to its own (DPO), as a new run"),
    "best": ("voice_best", "best", "of several answers of a tuned model choose the one that reads most like you"),
    "canaries": ("voice_canaries", "canaries", "answer fixed prompts with a tuned model and its base, side by side"),
    "report": ("voice_report", "report", "say whether it learned your voice or your essays, on one page"),
    "compare": ("voice_compare", "compare", "rate the answers of several models blind, and see who wins how often"),
    "change": ("voice_change", "change", "what tuning moved: matrices, directions, heads, the tokens now likelier"),
    "resplit": ("voice_memory", "resplit", "train again with other texts held out, for intervals that mean something"),
    "plant": ("voice_memory", "plant", "put random secrets among the pairs, to see later what a model gives away"),
    "export": ("voice_export", "export_", "write a model for other programs: hf, adapter or gguf, with its card"),
    "serve": ("voice_serve", "serve_", "let other people ask your models, in turn, on a page with nothing else"),
}
"""By name: the module of this package, its function, and what it does."""
USAGE = """\
usage: cutaway voice [FOLDER]               what is done, what comes next
       cutaway voice ACTION [arguments]     cutaway voice ACTION --help

{actions}

Each takes the folder the one before it wrote (voice/, if none is named); --json prints one JSON object.

example:  cutaway voice import my-export.zip --out voice/  &&  cutaway voice clean voice/  &&  cutaway voice pairs voice/
"""


def main(argv: list[str]) -> int:
    """Do one action."""
    if argv and argv[0] in ("-h", "--help"):
        width = max(map(len, ACTIONS))
        lines = (f"  {name:<{width}}  {what}" for name, (_, _, what) in ACTIONS.items())
        print(USAGE.format(actions="\n".join(lines)), end="")
        return 0
    if not argv or argv[0].startswith("--") or (argv[0] not in ACTIONS and Path(argv[0]).is_dir()):
        guide(argv)
        return 0
    if argv[0] not in ACTIONS:
        raise UsageError(
            f"there is no `cutaway voice {argv[0]}`{suggest(argv[0], ACTIONS)}; see `cutaway voice --help`"
        )
    module, function, _ = ACTIONS[argv[0]]
    getattr(importlib.import_module(f"cutaway.cli.{module}"), function)(argv[1:])
    return 0
