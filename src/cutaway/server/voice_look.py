"""What a tuning would learn, before it starts: an example as the model reads it, and how long all are.

Tokens are counted with the base's own tokenizer and chat template, through the functions the training uses; PyTorch is not
needed for that. Counting some hundred pairs takes a second, so the last few looks are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cutaway.base.errors import CutawayError, TokenizerError
from cutaway.server.voice_writing import Stamp, conversations, stamp

SHOWN = 40
"""So many examples can be looked at one after the other."""


@dataclass(frozen=True)
class Look:
    """The pairs of a folder as a base would read them."""

    shown: list[tuple[str, list[tuple[str, bool]]]]
    """Names of examples and their stretches, each learned or only read."""
    learned: list[int]
    """Tokens of every pair to learn."""
    held_out: list[int]
    n_learned: int
    """Tokens that count, of all pairs to learn."""
    context: int
    has_template: bool
    """Whether the base came with a chat template of its own."""
    problems: list[str]
    """Pairs that cannot be learned, and why."""


def look(train: Path, held_out: Path | None, base: Path, context: int | None = None) -> Look:
    """Return how a base would read the pairs.

    Raises:
        CutawayError: the base has no tokenizer, or cannot be asked in the form of a conversation.
    """
    return _look(
        stamp(train), stamp(held_out) if held_out else None, stamp(base / "tokenizer.json"), str(base), context
    )


@lru_cache(maxsize=4)
def _look(train: Stamp, held_out: Stamp | None, _: Stamp, base: str, context: int | None) -> Look:
    from cutaway.interop.adapter_folder import chain
    from cutaway.text.tokenizer import load_tokenizer
    from cutaway.tune.chat_form import chat_form
    from cutaway.tune.examples import make_example
    from cutaway.tune.find_base import base_config

    folder = Path(base)
    place = next((one for one in chain(folder) if (one / "tokenizer.json").is_file()), folder)
    tokenizer = load_tokenizer(place)
    form = chat_form(folder, tokenizer)
    problems: list[str] = []
    sides: list[list[tuple[str, list[tuple[str, bool]], int, int]]] = []
    for file in (train, held_out):
        found: list[tuple[str, list[tuple[str, bool]], int, int]] = []
        for number, one in enumerate(conversations(Path(file[0])) if file else (), 1):
            name = f"{one.about.get('source') or 'pair'}, {one.about.get('tier') or 'pair'} {number}"
            try:
                example = make_example(one, form, name)
            except CutawayError as error:
                problems.append(str(error))
                continue
            marked = example.marked(form) if len(found) < SHOWN and file is train else []
            found.append((name, marked, len(example.tokens), example.n_learned))
        sides.append(found)
    if not sides[0]:
        raise TokenizerError(f"none of the pairs can be read by this base: {problems[0]}" if problems else "no pairs")
    return Look(
        shown=[(name, marked) for name, marked, _, _ in sides[0][:SHOWN]],
        learned=[count for _, _, count, _ in sides[0]],
        held_out=[count for _, _, count, _ in sides[1]],
        n_learned=sum(count for *_, count in sides[0]),
        context=context or base_config(folder).context_length,
        has_template=form.is_own,
        problems=problems,
    )
