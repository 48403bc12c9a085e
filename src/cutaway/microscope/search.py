"""Find addresses by a few letters of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from cutaway.microscope.origins import Origin


def search(origins: Mapping[str, Origin], query: str, phase: str = "", module: str = "") -> list[str]:
    """Return the addresses that fit, the best first.

    Args:
        origins: of every address, in the order of the program.
        query: words that are all in the address, or letters that are in it in this order; else the nearest are found.
        phase: forward, backward or optimizer; `before` for what was there before.
        module: a module's path: it and what is inside it.
    """
    known = list(origins)
    if phase:
        wanted = "" if phase == "before" else phase
        known = [address for address in known if origins[address].phase == wanted]
    if module:
        known = [a for a in known if a.startswith(module) and a[len(module) : len(module) + 1] in ("", ".", ":")]
    words = query.lower().split()
    if not words:
        return known
    order = {address: n for n, address in enumerate(known)}
    found = [address for address in known if all(word in address.lower() for word in words)]
    if found:
        return sorted(found, key=lambda address: (rank(address.lower(), words), order[address]))
    letters = re.compile(".*?".join(map(re.escape, "".join(words))))
    spread = [(match.end() - match.start(), n, a) for n, a in enumerate(known) if (match := letters.search(a.lower()))]
    if spread:
        return [address for _, _, address in sorted(spread)]
    return difflib.get_close_matches(query, known, n=10, cutoff=0.5)


def rank(address: str, words: list[str]) -> int:
    """Return how well an address fits: 0 is the very address, then by where the words stand."""
    whole = " ".join(words)
    if address == whole:
        return 0
    if address.startswith(whole):
        return 1
    last = address.replace(":", ".").split(".")
    return 2 if all(any(part == word for part in last) for word in words) else 3 if address.endswith(words[-1]) else 4
