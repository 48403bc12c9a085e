"""A run on the terminal: a bar with what matters, a sample now and then; plain lines where nobody can see a bar
move."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from cutaway.base.objective import Validation
from cutaway.cli.examples import show_examples
from cutaway.train.watch import ExamplesEvent, StepEvent, Watcher

SAMPLE_LINES = 9
PLAIN_LINE_SECONDS = 10.0


class TimeLeft(ProgressColumn):
    """Time left at the speed of late."""

    def render(self, task: Task) -> Text:
        """Return minutes and seconds."""
        return Text(clock(task.fields.get("left")) + " left", style="cyan")


class TerminalWatcher(Watcher):
    """Shows a run while it trains. Use as a context manager.

    Args:
        unit: what a token is called: `chars`, `tokens` or `pictures`.
    """

    def __init__(self, console: Console, unit: str = "chars") -> None:
        self.console, self.unit = console, unit
        self.validation: Validation | None = None
        self.last: StepEvent | None = None
        self._lined = 0.0
        self._progress = Progress(
            TextColumn("[bold]{task.completed:,.0f}[/]/{task.total:,.0f} steps"),
            BarColumn(bar_width=None),
            TextColumn("loss [bold]{task.fields[loss]}[/]  val [bold green]{task.fields[val]}[/]"),
            TextColumn("{task.fields[speed]}", style="magenta"),
            TimeLeft(),
            console=console,
            expand=True,
            auto_refresh=False,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> TerminalWatcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._progress.refresh()
            self._progress.stop()

    def say(self, message: str) -> None:
        """Print one line."""
        self._print(Text(message, style="dim"))

    def examples(self, event: ExamplesEvent) -> None:
        """Show what is learned."""
        show_examples(event, self.console)

    def step(self, event: StepEvent) -> None:
        """Move the bar."""
        is_first, self.last = self.last is None, event
        left = (event.total_steps - event.step) * event.tokens / event.step / max(event.tokens_per_second, 1e-9)
        fields: dict[str, Any] = {
            "loss": f"{event.loss_nats:.3f}",
            "val": f"{self.validation.loss_nats:.3f}" if self.validation else "  -  ",
            "speed": f"{event.tokens_per_second:,.0f} {self.unit}/s",
            "left": left,
        }
        if self.console.is_terminal:
            if self._task is None:
                self._task = self._progress.add_task("", total=event.total_steps, **fields)
                self._progress.start()
            self._progress.update(self._task, completed=event.step, refresh=self._is_time(0.1), **fields)
        elif self._is_time(PLAIN_LINE_SECONDS) or is_first or event.step == event.total_steps:
            self.console.print(
                f"step {event.step:,}/{event.total_steps:,}  loss {fields['loss']}  val {fields['val']}  "
                f"{fields['speed']}  {clock(left)} left"
            )

    def validated(self, step: int, validation: Validation, is_best: bool) -> None:
        """Remember the loss on held-out text."""
        self.validation = validation

    def sampled(self, step: int, text: str, picture: Path | None = None) -> None:
        """Show what the model writes or paints."""
        if picture is not None:
            self._painted(step, picture)
            return
        if not text.strip():
            return
        lines = text.expandtabs(4).splitlines()[:SAMPLE_LINES]
        self._print(self._after(step))
        for line in lines:
            room = self.console.width - 3
            self._print(Text("  " + (line if len(line) <= room else line[: room - 1] + "\u2026")))

    def _painted(self, step: int, picture: Path) -> None:
        from cutaway.cli.half_blocks import show_picture

        self._print(self._after(step))
        self._print(Text(f"  {picture}", style="dim"), is_whole=True)
        if (shown := show_picture(picture, self.console)) is not None:
            self._print(shown)

    def _after(self, step: int) -> Text:
        val = f", val {self.validation.loss_nats:.3f}" if self.validation else ""
        return Text(f"--- after {step:,} steps{val}", style="bold cyan")

    def _print(self, text: Text, is_whole: bool = False) -> None:
        """Print above the bar; a path stays in one piece, to be copied."""
        (self._progress.console if self._task is not None else self.console).print(text, soft_wrap=is_whole)

    def _is_time(self, seconds: float) -> bool:
        now = time.monotonic()
        if now - self._lined < seconds:
            return False
        self._lined = now
        return True


def clock(seconds: float | None) -> str:
    """Return seconds as `1:05` or `2:03:04`."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
