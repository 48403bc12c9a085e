"""The scan for induction heads as a figure. The lab draws the same data."""

from __future__ import annotations

from typing import Any

import numpy as np

from cutaway.lens.figure_words import STILL_ROWS, note
from cutaway.lens.induction import ENOUGH_COPYING, ENOUGH_MATCHING, InductionScan
from cutaway.notebook.figure import Figure
from cutaway.notebook.still import Still, short


def induction_data(found: InductionScan) -> dict[str, Any]:
    """Return all heads: by [layer, head] `prefix`, `control`, `copying` and `raised`; by position `loss` and
    `control_loss` in nats, NaN at 0."""
    n_layers, n_heads = found.prefix_LH.shape
    return {
        "layers": n_layers,
        "heads": n_heads,
        "length": found.sequences.length,
        "before": found.sequences.n_before,
        "seed": found.sequences.seed,
        "sequences": len(found.sequences.repeated_BT),
        "found": found.heads,
        "enough_matching": ENOUGH_MATCHING,
        "enough_copying": ENOUGH_COPYING,
        "first_half_nats": found.first_half_nats,
        "second_half_nats": found.second_half_nats,
        "control_second_half_nats": found.control_second_half_nats,
        "prefix": found.prefix_LH.float().numpy(),
        "control": found.control_LH.float().numpy(),
        "copying": found.copying_LH.float().numpy(),
        "raised": found.raised_LH.float().numpy(),
        "loss": found.loss_T.float().numpy(),
        "control_loss": found.control_loss_T.float().numpy(),
    }


def induction_figure(found: InductionScan) -> Figure:
    """Return all heads over what the rule asks of them, and the loss by position."""
    n_layers, n_heads = found.prefix_LH.shape
    rows = [
        [
            f"{layer}.{head}",
            *(f"{float(table[layer, head]):.3f}" for table in (found.prefix_LH, found.control_LH, found.copying_LH)),
            "induction" if found.is_induction(layer, head) else "",
        ]
        for layer in range(n_layers)
        for head in range(n_heads)
    ]
    rows.sort(key=lambda row: -float(row[1]))
    heads = f"Induction heads: {', '.join(found.heads)}" if found.heads else "No head counts as an induction head"
    about = (
        f"{heads}. {len(found.sequences.repeated_BT)} sequences of 2 x {found.sequences.length} tokens "
        f"({found.sequences.source}): mean loss {short(found.first_half_nats)} nats in the first half, "
        f"{short(found.second_half_nats)} in the repeat, {short(found.control_second_half_nats)} where other tokens stand "
        f"instead."
    )
    positions = np.arange(len(found.loss_T), dtype=np.float64)
    lines = {
        name: (positions, loss_T.double().numpy())
        for name, loss_T in (("repeated", found.loss_T), ("other tokens", found.control_loss_T))
    }
    columns = ["head", "prefix matching", "control", "copying", ""]
    said = note("the best at matching first", rows, "heads")
    still = Still("Induction heads", columns, rows[:STILL_ROWS], about, said, lines)
    return Figure("induction", induction_data(found), still)
