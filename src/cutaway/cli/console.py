"""What all verbs share: reading arguments, speaking on standard error, answering on standard output."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from cutaway.base.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

Arguments = TypeVar("Arguments")


def parse(arguments_class: type[Arguments], argv: list[str], verb: str, example: str, default: Any = None) -> Arguments:
    """Read a verb's arguments into its dataclass.

    Raises:
        UsageError: an argument is unknown or does not fit, in one line.
    """
    import tyro

    said = io.StringIO()
    options: dict[str, Any] = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                arguments_class,
                prog=f"cutaway {verb}",
                description=f"{(arguments_class.__doc__ or '').strip()}\n\nexample:  {example}",
                args=argv,
                config=(tyro.conf.AvoidSubcommands, tyro.conf.FlagCreatePairsOff),
                **options,
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise UsageError(f"{_one_line(said.getvalue())}; see `cutaway {verb} --help`") from None


def _one_line(box: str) -> str:
    """Return what a boxed message of several lines says, without box, rules and advice to read the help."""
    lines = [re.sub(r"[\u2500-\u257f]", " ", line).strip() for line in box.splitlines()]
    kept = [line for line in lines[1:] if line and not line.startswith("For full help")]
    return " ".join(" ".join(kept).split()) or box.strip()


def screen() -> Console:
    """Return the console for people, on standard error (standard output is for results)."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def answer_json(value: dict[str, Any]) -> None:
    """Print the machine-readable answer, one line, as the last of standard output."""
    answer(json.dumps(value))


def answer(text: str, end: str = "\n") -> None:
    """Print a result on standard output at once."""
    sys.stdout.write(text + end)
    sys.stdout.flush()
