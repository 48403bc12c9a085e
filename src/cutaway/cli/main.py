"""`cutaway VERB ...`: find the verb, run it, turn what went wrong into one line.

Each verb is one file in this folder with a `main(arguments) -> exit code`; it is imported only when asked for, so that
help and usage errors need no torch.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

from cutaway.base.errors import CutawayError, UsageError, suggest

VERBS = {
    "lab": "open the lab in the browser: playground, training, microscope (also `cutaway` alone)",
    "scratch": "deep learning with no framework: a GPT that invents names, one training step by hand",
    "train": "train a language model: a preset, a recipe file, or a run to continue",
    "generate": "let a run or a model folder write",
    "voice": "your own writing: from an export to a model tuned on it, and a report on what it learned",
    "paint": "a picture from a sentence: train the way there phase by phase, then paint",
    "lens": "where a model looks, what each layer would say, which part made it say that",
    "trace": "record one training step of a model on a text, every number of it",
    "explain": "a number of a trace: the arithmetic that made it, and where that came from",
    "verify": "recompute every number of a trace and compare",
    "plan": "what can be trained in how many minutes on this machine, and to what loss",
    "runs": "list, show, compare and remove runs",
    "bench": "measure speed and loss beside peers",
    "doctor": "what this machine has, and what that means",
}

USAGE = """\
cutaway: build, train and open up real neural networks

usage: cutaway     cutaway VERB [arguments]     cutaway VERB --help     cutaway --version

{verbs}

start here:  cutaway
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 bad usage."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments:
        arguments = ["lab"]
    if arguments[0] in ("-h", "--help", "help"):
        width = max(map(len, VERBS))
        print(USAGE.format(verbs="\n".join(f"  {verb:<{width}}  {what}" for verb, what in VERBS.items())), end="")
        return 0
    if arguments[0] == "--version":
        from cutaway import __version__

        print(f"cutaway {__version__}")
        return 0
    verb = arguments[0]
    try:
        if verb not in VERBS:
            raise UsageError(f"there is no verb {verb!r}{suggest(verb, VERBS)}; see `cutaway --help`")
        return importlib.import_module(f"cutaway.cli.{verb}").main(arguments[1:])
    except CutawayError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("stopped by Ctrl-C", 1)
    except BrokenPipeError:  # whoever read our output has enough; leave nothing for Python to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        return _fail("out of memory: a smaller model, batch or context needs less (see `cutaway plan`)", 1)


def run() -> NoReturn:
    """Run the command line of this process and leave."""
    code = main()
    if "WORLD_SIZE" in os.environ:  # one of torchrun's ranks
        # gloo's threads may still be letting go of the last tensors. They would need the interpreter for that while it
        # shuts down, which aborts the process (pytorch#179291). Everything is written and the group is left: just go.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _fail(message: str, code: int) -> int:
    print(f"cutaway: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    run()
