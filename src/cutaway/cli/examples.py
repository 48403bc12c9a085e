"""What a model is tuned on, shown before the first step: one conversation with what is learned marked, and the lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from cutaway.train.watch import ExamplesEvent

OPEN, CLOSE = "[[", "]]"
"""Around what is learned, for those who do not see its colour."""
HEAD, TAIL = 500, 200
"""Characters shown of the beginning and of the end of a long stretch."""
BINS, WIDTH = 8, 40


def show_examples(event: ExamplesEvent, console: Console) -> None:
    """Print one conversation as the model reads it, and how long all of them are."""
    console.print(
        Text("--- one pair as the model reads it; what it learns to write is green and in [[ ]]", "bold cyan")
    )
    shown = Text()
    for text, is_learned in event.stretches:
        if is_learned:
            shown.append(f"{OPEN}{clipped(text)}{CLOSE}", "bold green")
        else:
            shown.append(clipped(text), "dim")
    console.print(shown)
    console.print(Text("--- how long pairs are, in tokens", "bold cyan"))
    for line in histogram(event.train_lengths, event.held_out_lengths):
        console.print(Text(line))
    longest = max([*event.train_lengths, *event.held_out_lengths])
    console.print(Text(f"the longest has {longest:,}; the model sees {event.context_length:,} at once", "dim"))


def clipped(text: str) -> str:
    """Return a text without the middle of a long one; how much is left out is said."""
    if len(text) <= HEAD + TAIL:
        return text
    return f"{text[:HEAD]} ... ({len(text) - HEAD - TAIL:,} characters) ... {text[-TAIL:]}"


def histogram(train: list[int], held_out: list[int]) -> list[str]:
    """Return lengths in bins of equal width, a line each: learned and held out."""
    longest = max([*train, *held_out])
    step = max(1, -(-(longest + 1) // BINS))
    lines = []
    counts = [
        [sum(1 for n in side if n // step == i) for i in range(longest // step + 1)] for side in (train, held_out)
    ]
    most = max(map(max, counts))
    digits = len(f"{longest:,}")
    for i, (learned, held) in enumerate(zip(*counts, strict=True)):
        bar = "#" * round(WIDTH * learned / most) or ("." if learned else "")
        last = min(longest, (i + 1) * step - 1)
        held_too = f" + {held:,} held out" if held else ""
        lines.append(f"{i * step:>{digits},} - {last:>{digits},}  {bar:<{WIDTH}} {learned:,}{held_too}")
    return lines
