"""The type checker of the tests: beartype, for which a whole number is also a number (PEP 484), where there are arrays.

A function that takes and gives no array has no shape to check, and its types are checked by mypy: checking them here at
every call took a fifth of the tests' time.
"""

from __future__ import annotations

import re
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
ARRAY = re.compile(r"Tensor|ndarray|Batch|Drawn|(Float|Int|Integer|Int64|Bool|UInt8)\[")


def of_arrays_only(jaxtyped: Any) -> Any:
    """Make `jaxtyped`, which the import hook puts on every function and class, leave those without arrays as they are."""

    def decorate(typechecker: Any) -> Any:
        apply = jaxtyped(typechecker=typechecker)
        return lambda it: apply(it) if any(map(ARRAY.search, map(str, it.__annotations__.values()))) else it

    return decorate


jaxtyping.jaxtyped = of_arrays_only(jaxtyping.jaxtyped)
