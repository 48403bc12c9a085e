"""`cutaway lens speed`: the same text written with and without keeping keys and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from cutaway.cli.console import answer, answer_json, parse, screen
from cutaway.cli.generate import check_exists

if TYPE_CHECKING:
    from cutaway.generate.speed import Speed, Way

EXAMPLE = 'cutaway lens speed stdlib-1 "def add(a, b):" --max-tokens 64'


@dataclass(frozen=True)
class SpeedArguments:
    """Write the same text with and without the key/value cache: seconds, operations and bytes of every token."""

    model: Annotated[str, tyro.conf.Positional]
    """A run's name or folder (NAME@STEP: a checkpoint of it), a model folder, or hf:owner/name."""
    text: Annotated[str, tyro.conf.Positional]
    """What to continue."""
    max_tokens: int = 32
    """New tokens; the likeliest each time."""
    rounds: int = 5
    """How often each way writes, at most; the medians are shown."""
    threads: int | None = None
    """Processor threads; left out: one for small models, all for large ones."""
    json: bool = False
    """Print one JSON object with every number."""


def speed(argv: list[str]) -> int:
    """Measure and print."""
    arguments = parse(SpeedArguments, argv, "lens speed", EXAMPLE)
    check_exists(arguments.model)

    import torch

    from cutaway import workbench
    from cutaway.generate.speed import measure_speed

    model, tokenizer = workbench.load(arguments.model)
    is_small = sum(p.numel() for p in model.parameters()) < 20_000_000
    torch.set_num_threads(arguments.threads or (1 if is_small else torch.get_num_threads()))
    console = screen()
    with console.status("writing the same text both ways"):
        found = measure_speed(model, tokenizer, arguments.text, arguments.max_tokens, arguments.rounds)
    if found.cut:
        console.print(f"note: the first {found.cut} tokens of the prompt were left out", style="dim", soft_wrap=True)
    if arguments.json:
        answer_json({"model": arguments.model, **found.as_dict()})
    else:
        answer(table(found))
    return 0


def table(found: Speed) -> str:
    """Return what was found as a page of text."""
    n_new = len(found.with_cache.tokens)
    lines = [
        f"{found.n_prompt} tokens read, {n_new} written; {found.parameters:,} parameters in {found.dtype}, "
        f"{found.threads} thread(s), median of {found.rounds} round(s)",
        "both wrote the same" if found.is_equal else "the two texts differ: rounding decided between tokens alike",
        "",
        _row("", "with cache", "without", "ratio"),
    ]
    for name, of in (("reading the prompt", slice(0, 1)), ("writing the rest", slice(1, None)), ("all", slice(None))):
        lines += [_row(name, *_pair(found, of, "seconds", "ms", 1e3), bold=False)]
        lines += [_row("  operations", *_pair(found, of, "operations", "million", 1e-6))]
        lines += [_row("  bytes moved", *_pair(found, of, "bytes", "MB", 1e-6))]
    speeds = [way.tokens_per_second for way in (found.with_cache, found.without_cache)]
    if speeds[0] and speeds[1]:
        lines += [_row("tokens a second", f"{speeds[0]:,.0f}", f"{speeds[1]:,.0f}", f"{speeds[1] / speeds[0]:.2f} x")]
    lines += ["", _row("token", "with cache", "without", "ratio")]
    for t in sorted({0, 1, n_new // 4, n_new // 2, 3 * n_new // 4, n_new - 1}):
        if t < n_new:
            pair = _pair(found, slice(t, t + 1), "seconds", "ms", 1e3)
            lines += [_row(f"  {t} (after {found.n_prompt + t})", *pair)]
    peaks = found.peaks
    lines += [
        "",
        f"the machine at its best: {peaks.operations_per_second / 1e9:.0f} billion operations and "
        f"{peaks.bytes_per_second / 1e9:.1f} GB a second",
    ]
    for name, way in (("with cache", found.with_cache), ("without", found.without_cache)):
        lines += [f"{name}: {sentence}" for sentence in _sentences(found, way)]
    lines += [f"keys and values kept at the end: {found.cache_bytes / 1e3:,.0f} kB"]
    return "\n".join(lines)


def _sentences(found: Speed, way: Way) -> list[str]:
    parts, told = found.parts(way), []
    for key, name in (("prefill", "reading the prompt"), ("decode", "writing")):
        if f"{key}_bound_by" in parts:
            share = 100 * parts[f"{key}_share_of_peak"]
            told.append(f"{name} is bound by {parts[f'{key}_bound_by']}, at {share:.0f} % of the machine's best")
    return told


def _pair(found: Speed, of: slice, field: str, unit: str, scale: float) -> tuple[str, str, str]:
    ours, theirs = (sum(getattr(way, field)[of]) for way in (found.with_cache, found.without_cache))
    ratio = f"{theirs / ours:.1f} x" if ours else "-"
    return f"{ours * scale:,.2f} {unit}", f"{theirs * scale:,.2f} {unit}", ratio


def _row(name: str, ours: str, theirs: str, ratio: str, bold: bool = False) -> str:
    return f"{name:<22}{ours:>20}{theirs:>20}{ratio:>10}"
