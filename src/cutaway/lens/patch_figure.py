"""Activation patching as a figure: the effect of every place. The lab draws the same data."""

from __future__ import annotations

from typing import Any

from cutaway.lens.figure_words import STILL_ROWS, note, quoted
from cutaway.lens.patch import WHAT, Patching
from cutaway.notebook.figure import Figure
from cutaway.notebook.still import Still, short


def patch_data(found: Patching) -> dict[str, Any]:
    """Return every place: `effect` (0 as the corrupted prompt, 1 as the clean one) and `value`, the logit (or the
    difference of two) itself, both by row and column."""
    n_rows, n_columns = found.patched_LX.shape
    is_heads = found.what == "z"
    others = [None if partner is None else found.clean.pieces[partner] for partner in found.partners]
    return {
        "what": found.what,
        "cut": found.clean.cut,
        "second_cut": found.corrupted.cut,
        "rows": [f"block {layer}" for layer in range(n_rows)],
        "columns": [f"head {head}" for head in range(n_columns)] if is_heads else list(found.corrupted.pieces),
        "others": [] if is_heads else others,
        "note": found.note,
        "first_value": found.clean_logit,
        "second_value": found.corrupted_logit,
        "effect": found.effect_LX.numpy(),
        "value": found.patched_LX.numpy(),
    }


def patch_figure(found: Patching) -> Figure:
    """Return the effect of every place, blocks x positions or heads."""
    data = patch_data(found)
    effect_LX = found.effect_LX
    places = [
        (i, x) for i in range(len(effect_LX)) for x in range(effect_LX.shape[1]) if effect_LX[i, x] == effect_LX[i, x]
    ]
    places.sort(key=lambda place: -abs(float(effect_LX[place])))
    rows = [[data["rows"][i], str(x), repr(data["columns"][x]), f"{float(effect_LX[i, x]):+.3f}"] for i, x in places]
    about = (
        f"{WHAT[found.what][0].upper()}{WHAT[found.what][1:]} of {quoted(found.clean.pieces, 60)} pasted into "
        f"{quoted(found.corrupted.pieces, 60)}, one place at a time: how much of the {found.answer} returns, from 0 "
        f"({short(found.corrupted_logit)}) to 1 ({short(found.clean_logit)}). {found.note}"
    )
    what = "head" if found.what == "z" else "position"
    columns = ["block", what, "token" if what == "position" else "", "effect"]
    said = note("the largest first", rows, "places")
    still = Still("What carries the difference", columns, rows[:STILL_ROWS], about, said)
    return Figure("patching", data | {"measured": str(found.answer)}, still)
