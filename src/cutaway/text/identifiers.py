"""A list of names that is on every machine: the public functions and classes of the standard library, lower-cased.

It is the offline stand-in for a list of first names: a model of it invents plausible function names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+([A-Za-z]\w*)", re.MULTILINE | re.ASCII)


def public_names(sources: Iterable[str]) -> list[str]:
    """Return the names defined in Python sources that do not begin with an underscore, lower-cased, each once,
    sorted."""
    return sorted({name.lower() for text in sources for name in DEFINITION.findall(text)})
