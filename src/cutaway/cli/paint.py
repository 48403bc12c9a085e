"""`cutaway paint`: a picture from a sentence, and the way there, phase by phase."""

from __future__ import annotations

import importlib

from cutaway.base.errors import UsageError, suggest
from cutaway.cli.paint_guide import guide

ACTIONS = {
    "train": ("paint_train", "train", "train one phase, or all of them one after the other"),
    "export": ("paint_export", "export", "write a run's painter into one small folder, to keep or to give away"),
}
"""By name: the module of this package, its function, and what it does."""
USAGE = """\
usage: cutaway paint "WORDS" [--run RUN] [--seed 3] [--n 8] [--guidance 4] [--steps 30] [--best-of 4]
                             [--out cat.png] [--gif cat.gif]
       cutaway paint                        what is trained, what comes next
       cutaway paint ACTION [arguments]     cutaway paint ACTION --help     cutaway paint WORDS --help

{actions}

Each takes --json for one JSON object.

example:  cutaway paint train all  &&  cutaway paint "a cat wearing a tiny hat" --seed 3 --n 8 --out cat.png
"""


def main(argv: list[str]) -> int:
    """Do one action, or paint what the words say."""
    if argv and argv[0] in ("-h", "--help"):
        width = max(map(len, ACTIONS))
        lines = (f"  {name:<{width}}  {what}" for name, (_, _, what) in ACTIONS.items())
        print(USAGE.format(actions="\n".join(lines)), end="")
        return 0
    if not argv or argv == ["--json"]:
        guide(argv)
        return 0
    if argv[0] in ACTIONS:
        module, function, _ = ACTIONS[argv[0]]
        getattr(importlib.import_module(f"cutaway.cli.{module}"), function)(argv[1:])
        return 0
    if len(argv) > 1 and not argv[1].startswith("-"):
        said = " ".join(word for word in argv if not word.startswith("-"))
        raise UsageError(
            f"{argv[1]!r} was not expected after {argv[0]!r}{suggest(argv[0], ACTIONS)}; "
            f'what is to be painted stands in quotes: cutaway paint "{said}"'
        )
    from cutaway.cli.paint_words import paint_words

    paint_words(argv)
    return 0
