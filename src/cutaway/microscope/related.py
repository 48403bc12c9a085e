"""Tensors that belong together: a value and its gradient; a weight, its gradient, the optimizer's averages, its new value.

Their addresses say so: `lm_head.weight`, `lm_head.weight:grad`, `lm_head.weight:exp_avg:before`, `lm_head.weight:exp_avg`,
`lm_head.weight:update.mul`, `lm_head.weight:new`; `blocks.0:out` and `blocks.0:out:grad`.
"""

from __future__ import annotations

from dataclasses import dataclass

from cutaway.microscope.explain import number
from cutaway.microscope.record import Index
from cutaway.microscope.trace import Trace

ROLES = {"": "value", "grad": "gradient", "new": "new value"}
ORDER = ("value", "gradient", "before", "after", "update", "new value", "backward")


@dataclass(frozen=True)
class Related:
    """A tensor, and what it is to those it belongs with."""

    role: str
    """value, gradient, new value; `exp_avg before` and `exp_avg after` of the optimizer's state; `update: mul` and
    `backward: mul` for numbers on the way."""
    address: str


@dataclass(frozen=True)
class Across:
    """A number that belongs to another."""

    role: str
    address: str
    """Empty for the update as applied, which is the new value less the value."""
    index: Index
    value: float


def base_of(address: str) -> tuple[str, str]:
    """Return the value an address belongs to, and what it is to it."""
    base, _, rest = address.partition(":")
    first, _, after = rest.partition(":")
    if first == "out" or first.startswith(("out.", "out#")):
        return f"{base}:{first}", after
    return base, rest


def families(trace: Trace) -> dict[str, list[Related]]:
    """Return everything that belongs together, by the address of the value."""
    found: dict[str, list[Related]] = {}
    for address in trace.names.places:
        base, rest = base_of(address)
        found.setdefault(base, []).append(Related(role_of(rest), address))
    for members in found.values():
        members.sort(key=lambda one: place_of(one.role))
    return found


def role_of(rest: str) -> str:
    """Return what an address is to its value, from what stands behind the colon."""
    if rest in ROLES:
        return ROLES[rest]
    for word in ("update", "backward"):
        if rest.startswith(f"{word}."):
            return f"{word}: {rest[len(word) + 1 :]}"
    return f"{rest.removesuffix(':before')} before" if rest.endswith(":before") else f"{rest} after"


def place_of(role: str) -> int:
    """Return where a role comes in a list."""
    word = role.partition(":")[0]
    word = word if word in ORDER else role.rpartition(" ")[2]
    return ORDER.index(word) if word in ORDER else len(ORDER)


def across(trace: Trace, members: list[Related], address: str, index: Index) -> list[Across]:
    """Return the numbers that belong to one: those at its index, and the single ones (the optimizer's count of steps).

    Args:
        members: of its family.
    """
    shape = trace.place(address).shape
    found: list[Across] = []
    for one in members:
        place = trace.place(one.address)
        if place.dtype.is_complex or one.role.startswith("backward:"):
            continue
        if place.shape == shape:
            found.append(Across(one.role, one.address, index, number(trace, place, index)))
        elif not place.shape:
            found.append(Across(one.role, one.address, (), number(trace, place, ())))
    values = {one.role: one.value for one in found if one.index == index}
    if "value" in values and "new value" in values:
        at = next(n for n, one in enumerate(found) if one.role == "new value")
        found.insert(at, Across("update", "", index, values["new value"] - values["value"]))
    return found
