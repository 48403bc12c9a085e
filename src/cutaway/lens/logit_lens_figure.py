"""What each layer would say as a figure. The lab draws the same data."""

from __future__ import annotations

from typing import Any

import numpy as np

from cutaway.lens.figure_words import STILL_ROWS, note, on_text
from cutaway.lens.logit_lens import LogitLens
from cutaway.notebook.figure import Figure
from cutaway.notebook.still import Still, short


def layers_data(found: LogitLens) -> dict[str, Any]:
    """Return what each layer says: by row and position `probability`, `rank` and `kl` of the model's own answer,
    `entropy` and `next`; by candidate `top` (an index into `texts`) and `chance`."""
    ids, index = np.unique(found.top_ids_NTK.numpy(), return_inverse=True)
    text_of = dict(zip(found.top_ids_NTK.flatten().tolist(), flat(found.top_pieces), strict=True))
    return {
        "tokens": list(found.prompt.pieces),
        "cut": found.prompt.cut,
        "rows": [layer_row(place) for place in found.places],
        "answers": list(found.final_pieces),
        "texts": [text_of[int(one)] for one in ids],
        "most": found.top_ids_NTK.shape[2],
        "vocabulary": found.vocab_size,
        "top": index.reshape(found.top_ids_NTK.shape).astype(np.int32),
        "chance": found.top_probability_NTK.numpy(),
        "probability": found.final_probability_NT.numpy(),
        "rank": found.final_rank_NT.numpy().astype(np.int32),
        "kl": found.kl_NT.numpy(),
        "entropy": found.entropy_NT.numpy(),
        "next": found.next_probability_NT.numpy(),
    }


def layer_row(place: str) -> dict[str, Any]:
    """Return what a place of the residual stream is called, and how many blocks are done there."""
    if place == "embed":
        return {"name": place, "label": "embedding", "depth": 0.0}
    block = int(place.split(".")[1])
    is_mid = place.endswith("resid_mid")
    label = f"{block} {'attention' if is_mid else 'MLP'}"
    return {"name": place, "label": label, "depth": block + (0.5 if is_mid else 1.0)}


def logit_lens_figure(found: LogitLens) -> Figure:
    """Return what each layer would say, at every position."""
    rows = [
        [
            str(position),
            repr(piece),
            repr(found.final_pieces[position]),
            short(float(found.final_probability_NT[-1, position]), 3),
            layer_row(found.places[settled])["label"],
        ]
        for position, (piece, settled) in enumerate(zip(found.prompt.pieces, found.settled_T, strict=True))
    ]
    about = "After each layer the head reads the stream as if it were the last; "
    about += on_text(found.prompt)
    columns = ["position", "after", "the model says", "probability", "first on rank 1 for good after"]
    said = note("", rows, "tokens")
    still = Still("What each layer would say", columns, rows[:STILL_ROWS], about, said)
    return Figure("layers", layers_data(found), still)


def flat(pieces: tuple[tuple[tuple[str, ...], ...], ...]) -> list[str]:
    """Return the texts of all candidates, one after the other."""
    return [text for row in pieces for candidates in row for text in candidates]
