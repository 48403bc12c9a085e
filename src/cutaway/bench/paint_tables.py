"""What was measured of a run of pictures, as plain tables."""

from __future__ import annotations

from typing import Any

from cutaway.bench.facts import plain_table
from cutaway.bench.paint_painter import BEST_OF, HELD_OUT_BAR, KIND_BAR, SEEN_BAR, Measured
from cutaway.bench.paint_run import Examined
from cutaway.bench.paint_vae import Through
from cutaway.bench.paint_ways import Way
from cutaway.diffusion.evaluate import PromptAccuracy

BARS = {"seen": SEEN_BAR, "held out": HELD_OUT_BAR, "labels": KIND_BAR}


def report(examined: Examined) -> str:
    """Return all tables of a run, one below the other."""
    parts = [told_lines(examined.told)] if examined.told else []
    found = examined.found
    if isinstance(found, Through):
        back = (
            f"{found.psnr_db:.2f} dB back from the latents; FID {found.fid:.2f}, of the drawings {found.fid_fresh:.2f}"
        )
        parts += [back, marks_table(found.sets)]
    if isinstance(found, Measured):
        parts += [marks_table(found.sets)] if found.sets else []
        parts += [
            f"{name}, the best of {BEST_OF} drafts by the reader: {share.right} of {share.asked}, {100 * share.value:.1f} %"
            for name, share in found.chosen.items()
        ]
        parts += [distances_table(found), ways_table(found)]
    return "\n\n".join(parts)


def told_lines(told: dict[str, Any]) -> str:
    """Return what a run measured itself, in a few lines."""
    lines = [
        f"{told['parameters'] or 0:,} parameters, {told['steps']:,} steps, {told['pictures']:,} pictures, "
        f"{told['seconds']:,.0f} s, {told['status']}"
    ]
    if told["loss"] is not None:
        own = told["loss_without_average"]
        lines.append(f"held-out loss {told['loss']:.4f}" + (f"; without the average {own:.4f}" if own else ""))
    if told["losses"]:
        lines.append("at noise level " + ", ".join(f"t = {t}: {loss:.4f}" for t, loss in told["losses"].items()))
    lines += [f"{name.replace('_', ' ')}: {value:.4f}" for name, value in told["held_out"].items()]
    return "\n".join(lines)


def marks_table(sets: dict[str, PromptAccuracy]) -> str:
    """Return the shares of right pictures with their intervals, set by set."""
    rows = [("", "right", "95 % interval", "bar")]
    for name, marks in sets.items():
        shares = {f"{name}: all that was asked": (marks.overall, BARS.get(name))}
        for attribute, share in marks.attributes.items():
            shares[f"  {attribute}"] = share, KIND_BAR if attribute == "kind" and name in BARS else None
        for what, (share, bar) in shares.items():
            low, high = share.interval
            right = f"{share.right} of {share.asked}, {100 * share.value:.1f} %"
            rows.append((what, right, f"{100 * low:.1f} to {100 * high:.1f} %", f"{100 * bar:.0f} %" if bar else "-"))
    return plain_table(rows)


def distances_table(found: Measured) -> str:
    """Return the distances beside those of as many fresh drawings."""
    far = found.distances
    rows = [
        ("", "painted", "fresh drawings"),
        ("FID to fresh drawings, in the judge's features", f"{far.fid:.2f}", f"{far.fid_fresh:.2f}"),
        ("diversity: mean distance between two", f"{far.diversity:.2f}", f"{far.diversity_fresh:.2f}"),
        (
            f"nearest of {far.n_training:,} training drawings, of the range",
            f"{100 * far.nearest:.2f} %",
            f"{100 * far.nearest_fresh:.2f} %",
        ),
        ("nearer to one than all but 1 % of fresh drawings", f"{100 * far.nearer:.1f} %", "1.0 %"),
    ]
    if far.nearest_through is not None and far.nearer_through is not None:
        through = f"{100 * far.nearest_through:.2f} %", f"{100 * far.nearer_through:.1f} %"
        rows += [
            ("nearest, of fresh drawings through the latents", "-", through[0]),
            ("nearer, of these", "-", through[1]),
        ]
    return plain_table(rows)


def ways_table(found: Measured) -> str:
    """Return what came of the other ways to paint."""
    ways: list[tuple[str, Way]] = [("as usual", found.usual)]
    ways += [("without the average", found.unaveraged)] if found.unaveraged else []
    ways += [("", way) for way in (*found.by_calls, *found.by_guidance)]
    rows = [("", "sampler", "steps", "calls", "guidance", "FID", "diversity", "right")]
    for what, way in ways:
        right = f"{100 * way.right.value:.1f} %" if way.right else "-"
        sizes = (str(way.steps), str(way.calls), f"{way.guidance:g}", f"{way.fid:.2f}", f"{way.diversity:.2f}")
        rows.append((what, way.sampler, *sizes, right))
    return plain_table(rows)


def examples_list(found: Measured) -> str:
    """Return what the examples were to show, numbered row by row, and what is wrong with them."""
    shown = [
        found.sets[name].marked[i] for name, places in found.examples.items() if name in found.sets for i in places
    ]
    lines = []
    for number, one in enumerate(shown, 1):
        wrong = ", ".join(name for name, is_right in one.verdict.items() if not is_right)
        lines.append(f"{number:2} {f'wrong {wrong}' if wrong else 'right'}: {one.prompt}")
    return "\n".join(lines)
