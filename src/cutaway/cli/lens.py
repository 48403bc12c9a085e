"""`cutaway lens QUESTION MODEL "text"`: where a model looks, what each layer would say, which part made it say that.

Each question is a function in one of the files named below; it is imported only when asked, so that help needs no torch.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

from cutaway.base.errors import UsageError, suggest

EXAMPLE = 'cutaway lens attention stdlib-1 "def add(a, b):"'


class Question(NamedTuple):
    """Something to ask a model."""

    module: str
    """The file in this folder with the function that answers, of the question's name."""
    what: str


QUESTIONS = {
    "attention": Question("lens_attention", "where every head looks in a text, and what kind of head it is"),
    "layers": Question("lens_layers", "what each layer would say next, at every position (the logit lens)"),
    "surprisal": Question("lens_surprisal", "how surprised a model is by every token of a text; two models compared"),
    "induction": Question(
        "lens_induction", "which heads continue what they have seen before, and when they learned it"
    ),
    "why": Question("lens_cause", "which parts made a token likely: a sum over embeddings, heads and MLPs"),
    "ablate": Question("lens_cause", "what changes without a head, an MLP or a neuron"),
    "patch": Question("lens_cause", "which activations carry the difference between two prompts"),
    "speed": Question("lens_speed", "the same text written with and without keeping keys and values"),
}

USAGE = """\
usage: cutaway lens QUESTION MODEL [text] [options]     cutaway lens QUESTION --help

{questions}

MODEL is a run, a checkpoint of one (stdlib-1@400), a model folder, or hf:owner/name; --json prints one JSON object.

example:  {example}
"""


def main(argv: list[str]) -> int:
    """Answer one question on standard output."""
    if argv and argv[0] in ("-h", "--help"):
        print(USAGE.format(questions=listed(), example=EXAMPLE), end="")
        return 0
    if not argv:
        raise UsageError(f"lens what? ask one of {', '.join(QUESTIONS)}; see `cutaway lens --help`")
    name = argv[0]
    if name not in QUESTIONS:
        raise UsageError(f"there is no `cutaway lens {name}`{suggest(name, QUESTIONS)}; see `cutaway lens --help`")
    return getattr(importlib.import_module(f"cutaway.cli.{QUESTIONS[name].module}"), name)(argv[1:])


def listed() -> str:
    """Return the questions, a line each."""
    width = max(map(len, QUESTIONS))
    return "\n".join(f"  {name:<{width}}  {question.what}" for name, question in QUESTIONS.items())
