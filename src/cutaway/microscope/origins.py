"""What kind of tensor every address is of, and in which phase it was computed, whatever names it has besides."""

from __future__ import annotations

from typing import NamedTuple

from cutaway.microscope.trace import Trace


class Origin(NamedTuple):
    """Where a tensor came from."""

    kind: str
    """computed, parameter, buffer, input, optimizer state or constant."""
    phase: str
    """forward, backward or optimizer; "" for what was there before."""


def origins(trace: Trace) -> dict[str, Origin]:
    """Return the origin of every address."""
    found: dict[str, Origin] = {}
    for address, place in trace.names.places.items():
        kind = trace.names.source_kinds.get(address)
        made = None
        if kind is None and place.numel:
            made = trace.memory.maker(place, (0,) * len(place.shape))
            if made is None:
                kind = trace.names.kind_of_source(trace.names.of(place, (0,) * len(place.shape))[0])
        phase = trace.operations[made[0]].phase if made is not None else ""
        found[address] = Origin(kind or "computed", phase or ("" if kind else trace.names.phase_of(address)))
    return found
