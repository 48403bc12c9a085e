"""Operations on lists of tensors (`_foreach_add_`) as one operation a tensor: the same arithmetic, with formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

PREFIX = "_foreach_"
CALLED = {"norm": "linalg_vector_norm"}
"""Where the single operation has another name."""


def one_by_one(func: Any) -> Callable[..., Any] | None:
    """Return what runs an operation on lists tensor by tensor, None if it is no such operation."""
    name = func._schema.name.removeprefix("aten::")
    if not name.startswith(PREFIX):
        return None
    plain = name.removeprefix(PREFIX)
    single = getattr(torch.ops.aten, CALLED.get(plain, plain), None)
    if single is None:
        return None
    arguments = func._schema.arguments
    listed = {argument.name for argument in arguments if str(argument.type).startswith("List[")}

    def run(*args: Any, **kwargs: Any) -> Any:
        given = {argument.name: value for argument, value in zip(arguments, args, strict=False)} | kwargs
        if plain == "norm" and given.get("dtype") is None:
            given.pop("dtype", None)
        first = given[arguments[0].name]
        results = [
            single(*(value[n] if name in listed else value for name, value in given.items() if name not in kwargs),
                   **{name: value[n] if name in listed else value for name, value in kwargs.items()})
            for n in range(len(first))
        ]  # fmt: skip
        return None if name.endswith("_") else results

    return run
