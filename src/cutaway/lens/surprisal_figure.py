"""Surprisal as a figure: a text coloured by how many bits each token takes. The lab draws the same data."""

from __future__ import annotations

import math
from typing import Any

from cutaway.lens.figure_words import STILL_ROWS, note
from cutaway.lens.surprisal import Comparison, Surprisal
from cutaway.notebook.figure import Figure
from cutaway.notebook.still import Still, short


def surprise_data(found: Surprisal) -> dict[str, Any]:
    """Return the tokens and the averages; by token `bits` and `entropy` in bits (NaN: not computed), `rank` (-1: not
    computed) and `seen`, how many tokens it had before it."""
    per_token = found.nats_per_token
    return {
        "tokens": list(found.pieces),
        "ids": list(found.ids),
        "bits_per_token": None if per_token is None else per_token / math.log(2),
        "bits_per_byte": found.bits_per_byte,
        "counted": found.n_scored,
        "n_bytes": found.n_bytes,
        "stride": found.stride,
        "bits": found.bits_T.numpy(),
        "entropy": (found.entropy_T / math.log(2)).numpy(),
        "rank": found.rank_T.double().numpy(),
        "seen": found.seen_T.double().numpy(),
    }


def surprisal_figure(found: Surprisal) -> Figure:
    """Return the text, every token coloured by its bits."""
    order = sorted(range(found.n_scored and len(found.ids)), key=lambda i: -number(found.bits_T[i]))
    rows = [
        [str(i), repr(found.pieces[i]), short(number(found.bits_T[i])), str(int(found.rank_T[i]))]
        for i in order
        if number(found.bits_T[i]) >= 0
    ]
    about = averages(found)
    said = note("the most surprising first", rows, "tokens")
    still = Still("Surprisal", ["position", "token", "bits", "rank"], rows[:STILL_ROWS], about, said)
    return Figure("surprisal", surprise_data(found), still)


def comparison_figure(found: Comparison) -> Figure:
    """Return the text, every piece coloured by how many bits more it takes the second model."""
    more_N = found.difference_N / math.log(2)
    rows = [
        [
            repr(piece),
            short(float(first) / math.log(2)),
            short(float(second) / math.log(2)),
            f"{float(difference):+.3f}",
        ]
        for piece, first, second, difference in zip(
            found.pieces, found.first_nats_N, found.second_nats_N, more_N, strict=True
        )
        if float(difference) == float(difference)
    ]
    rows.sort(key=lambda row: -abs(float(row[-1])))
    per_byte = found.bits_per_byte
    about = "" if per_byte is None else f"{short(per_byte[0])} and {short(per_byte[1])} bits per byte."
    said = note("the largest differences first", rows, "pieces")
    data = {
        "pieces": list(found.pieces),
        "bits_per_byte": None if per_byte is None else list(per_byte),
        "first": (found.first_nats_N / math.log(2)).numpy(),
        "second": (found.second_nats_N / math.log(2)).numpy(),
    }
    columns = ["text", "bits, first model", "second", "second less first"]
    return Figure("comparison", data, Still("Surprisal of two models", columns, rows[:STILL_ROWS], about, said))


def averages(found: Surprisal) -> str:
    """Return the averages in a sentence."""
    if found.nats_per_token is None:
        return "Nothing was computed: no token has another before it."
    per_byte = found.bits_per_byte
    said = f"{short(found.nats_per_token / math.log(2))} bits per token over {found.n_scored} tokens"
    return said + (f", {short(per_byte)} bits per byte over {found.n_bytes} bytes." if per_byte is not None else ".")


def number(value: Any) -> float:
    """Return a number to sort by: what was not computed comes last."""
    value = float(value)
    return -1.0 if value != value else value
