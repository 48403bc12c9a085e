"""A logit as a sum, as a figure. The lab draws the same data."""

from __future__ import annotations

from typing import Any

from cutaway.lens.attribution import Attribution
from cutaway.lens.figure_words import STILL_ROWS, note, quoted
from cutaway.notebook.figure import Figure
from cutaway.notebook.still import Still, short

SHOWN_NEURONS = 12


def why_data(found: Attribution) -> dict[str, Any]:
    """Return the sum and what its terms are made of; `sources` [layer, head, position]: each head's share by where it
    came from."""
    return {
        "tokens": list(found.prompt.pieces),
        "cut": found.prompt.cut,
        "position": found.answer.position,
        "logit": found.logit,
        "terms": [
            {
                "name": t.name,
                "kind": t.kind,
                "layer": t.layer,
                "value": t.value,
                "address": address_of(t.name, t.kind, t.layer),
            }
            for t in found.terms
        ],
        "reading": found.reading,
        "neurons": [
            [{"unit": unit, "value": value} for unit, value in found.top_neurons(layer, SHOWN_NEURONS)]
            for layer in range(len(found.neurons_LF))
        ],
        "sources": found.sources_LHS.numpy(),
    }


def address_of(name: str, kind: str, layer: int | None) -> str | None:
    """Return what the microscope calls the tensor a term was computed from."""
    if kind == "head":
        return f"blocks.{layer}.attn.z"
    if kind == "mlp":
        return f"blocks.{layer}.mlp_out"
    return "token_embedding.weight" if name == "token" else None


def attribution_figure(found: Attribution) -> Figure:
    """Return the sum, term by term."""
    rows = [[term.name, term.kind, f"{term.value:+.4f}"] for term in found.largest(len(found.terms))]
    about = (
        f"The {found.answer} after {quoted(found.prompt.pieces[: found.answer.position + 1], 60)} is "
        f"{short(found.logit, 6)}, the sum of {len(found.terms)} terms. {found.reading}"
    )
    data = why_data(found) | {"answer": found.answer.as_dict(), "what": str(found.answer)}
    said = note("the largest first", rows, "terms")
    title = f"Why {found.answer.piece!r}"
    title += f" rather than {found.answer.other_piece!r}" if found.answer.other is not None else ""
    return Figure("attribution", data, Still(title, ["part", "kind", "adds"], rows[:STILL_ROWS], about, said))
