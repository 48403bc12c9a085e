"""The tables of docs/paint, from what `cutaway bench paint --run all` measured: plain functions of its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cutaway.presets_paint import PHASES

Figures = dict[str, Any]
"""Of one run, as they stand in measured.json."""
LOSSES = {
    "unet": "error of the velocity, pixels",
    "dit": "error of the velocity, pixels",
    "labels": "error of the velocity, pixels",
    "text": "nats a picture, among 128",
    "words": "error of the velocity, pixels",
    "vae": "errors of pixels and edges, and KL",
    "latents": "error of the velocity, latents",
}
"""What each loss is an error of; those of different things do not compare."""
SAMPLERS = {"euler": "Euler", "heun": "Heun", "dpm++": "DPM-Solver++"}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a table of a page."""
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.1f} %"


def millions(count: int | None) -> str:
    """Return a number of parameters."""
    return f"{(count or 0) / 1e6:.2f}M"


def trained(one: Figures) -> str:
    """Return how long a run trained and on what."""
    size, minutes = millions(one["parameters"]), one["seconds"] / 60
    return f"{size} parameters, {one['steps']:,} steps, {one['pictures']:,} pictures, {minutes:.0f} minutes"


def main_table(one: Figures) -> str:
    """Return what is known of a painter, line by line, beside fresh drawings and beside the last weights."""
    far, own = one["distances"], one["unaveraged"]
    of_own = (
        [f"{one['loss_without_average']:.4f}", f"{own['fid']:.2f}", f"{own['diversity']:.2f}"] if own else ["-"] * 3
    )
    rows = [
        ("held-out loss", f"{one['loss']:.4f}", of_own[0], "-"),
        *((f"... at t = {t}", f"{loss:.4f}", "-", "-") for t, loss in one["losses"].items()),
        ("FID in the judge's features", f"{far['fid']:.2f}", of_own[1], f"{far['fid_fresh']:.2f}"),
        ("diversity", f"{far['diversity']:.2f}", of_own[2], f"{far['diversity_fresh']:.2f}"),
        (
            f"nearest of {far['n_training']:,} training drawings",
            f"{percent(far['nearest'])} of the range", "-", f"{percent(far['nearest_fresh'])} of the range",
        ),
        ("nearer to one than all but 1 % of fresh drawings", percent(far["nearer"]), "-", "1.0 %"),
    ]  # fmt: skip
    if far.get("nearest_through") is not None:  # an autoencoder smooths, and what is smooth is nearer to all
        rows += [
            (
                "nearest, of fresh drawings that went through the latents",
                "-",
                "-",
                f"{percent(far['nearest_through'])} of the range",
            ),
            ("... nearer than all but 1 % of fresh drawings", "-", "-", percent(far["nearer_through"])),
        ]
    if right := one["usual"]["right"]:
        rows.insert(0, ("right, of all that was asked", percent(right["share"]), "-", "-"))
        if own and own["right"]:
            rows[0] = (*rows[0][:2], percent(own["right"]["share"]), "-")
    return f"{trained(one)}.\n\n" + table(("", "average of the weights", "last weights", "fresh drawings"), rows)


def calls_table(one: Figures) -> str:
    """Return FID by calls of the model and sampler."""
    by_calls: dict[int, dict[str, float]] = {}
    for way in one["by_calls"]:
        by_calls.setdefault(way["calls"], {})[way["sampler"]] = way["fid"]
    rows = [(str(calls), *(f"{fids[name]:.2f}" for name in SAMPLERS)) for calls, fids in by_calls.items()]
    return table(("calls of the model", *(f"FID, {name}" for name in SAMPLERS.values())), rows)


def guidance_table(one: Figures) -> str:
    """Return what guidance does to rightness, FID and diversity."""
    rows = [
        (f"{way['guidance']:g}", percent(way["right"]["share"]), f"{way['fid']:.2f}", f"{way['diversity']:.2f}")
        for way in one["by_guidance"]
    ]
    return table(("guidance", "right", "FID", "diversity"), rows)


def told(share: Figures | None) -> str:
    """Return a share with its interval."""
    if share is None:
        return "-"
    low, high = share["interval"]
    return f"{percent(share['share'])} ({100 * low:.1f} to {100 * high:.1f}) of {share['asked']}"


def chosen_line(one: Figures) -> str:
    """Return how many are right where each picture is the best of several drafts."""
    sets = ", ".join(f"{told(share)} ({name})" for name, share in one["chosen"].items())
    return f"**All that was asked, the best of {one['best_of']} drafts chosen by the reader:** {sets}."


def marks_table(sets: Mapping[str, Figures]) -> str:
    """Return the judge's marks, attribute by attribute, a column a set."""
    names = list(dict.fromkeys(name for marks in sets.values() for name in marks["attributes"]))
    rows = [("**all that was asked**", *(told(marks["overall"]) for marks in sets.values()))]
    rows += [
        (name.replace("_", " "), *(told(marks["attributes"].get(name)) for marks in sets.values())) for name in names
    ]
    return table(("", *sets), rows)


def wrong_ones(one: Figures) -> str:
    """Return what is wrong on the pictures shown, those that are right left out."""
    lines, number = [], 0
    for name, places in one["examples"].items():
        for place in places:
            number += 1
            marked = one["prompts"][name]["marked"][place]
            wrong = [attribute.replace("_", " ") for attribute, is_right in marked["verdict"].items() if not is_right]
            if wrong:
                lines.append(f"- picture {number}, {marked['prompt']!r}: {', '.join(wrong)}")
    return "\n".join(lines) or "- nothing is wrong on any of them"


def retrieval(one: Figures) -> str:
    """Return how well captions and pictures find each other."""
    found = one["held_out"]
    return (
        f"The model that reads: {trained(one)}. Held-out loss {one['loss']:.4f} nats a picture among 128 (last weights "
        f"{one['loss_without_average']:.4f}). Of the held-out pairs, the picture most like a caption is one that it "
        f"describes in {percent(found['picture_of_caption'])}, the other way round in "
        f"{percent(found['caption_of_picture'])}. Told apart from its captions that are wrong in one thing: "
        f"{percent(found['wrong_captions_told'])}. What words alone foresee of the picture encoder's map has an error of "
        f"{found['foresight_error']:.2f} (of the mean: 1)."
    )


def through(one: Figures) -> str:
    """Return what a drawing loses in the latents."""
    return (
        f"The autoencoder: {trained(one)}. {one['psnr_db']:.1f} dB on fresh drawings; FID {one['fid']:.2f} (of the "
        f"drawings themselves {one['fid_fresh']:.2f}).\n\n{marks_table(one['prompts'])}"
    )


def of_words(one: Figures) -> str:
    """Return the tables of a painter that reads words."""
    parts = [main_table(one), marks_table(one["prompts"])]
    parts += [chosen_line(one)] if one.get("chosen") else []
    return "\n\n".join([*parts, wrong_ones(one), guidance_table(one), calls_table(one)])


NUMBERS: dict[str, Callable[[Mapping[str, Figures]], str]] = {
    "unet": lambda all_: f"{main_table(all_['unet'])}\n\n{calls_table(all_['unet'])}",
    "dit": lambda all_: f"{main_table(all_['dit'])}\n\n{calls_table(all_['dit'])}",
    "labels": lambda all_: "\n\n".join(make(all_["labels"]) for make in (main_table, guidance_table, calls_table)),
    "words": lambda all_: "\n\n".join(
        [*([retrieval(all_["text"])] if "text" in all_ else []), of_words(all_["words"])]
    ),
    "latents": lambda all_: "\n\n".join(
        [*([through(all_["vae"])] if "vae" in all_ else []), of_words(all_["latents"])]
    ),
}
"""Of each page: its tables, from the figures of all phases."""


def result_of(phase: str, one: Figures) -> str:
    """Return what a phase is good for, in a few words."""
    if phase == "text":
        return f"{percent(one['held_out']['picture_of_caption'])} of captions find their picture"
    if phase == "vae":
        return f"{one['psnr_db']:.1f} dB"
    marks = [f"{percent(marks['overall']['share'])} right ({name})" for name, marks in one["prompts"].items()]
    marks += [
        f"{percent(best['share'])} best of {one['best_of']} ({name})" for name, best in one.get("chosen", {}).items()
    ]
    return ", ".join([*marks, f"FID {one['distances']['fid']:.2f}"])


def summary(all_: Mapping[str, Figures]) -> str:
    """Return one line a phase."""
    rows = []
    for phase, known in PHASES.items():
        if phase not in all_:
            continue
        one = all_[phase]
        size, minutes = millions(one["parameters"]), f"{one['seconds'] / 60:.0f}"
        loss = f"{one['loss']:.4f}"
        rows.append((str(known.number), f"`{phase}`", size, minutes, loss, LOSSES[phase], result_of(phase, one)))
    return table(("", "phase", "parameters", "minutes", "held-out loss", "an error of", "and"), rows)
