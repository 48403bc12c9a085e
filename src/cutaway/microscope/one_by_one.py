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
    schemas = [getattr(single, overload)._schema for overload in single.overloads()]
    by_name = {argument.name for schema in schemas for argument in schema.arguments if argument.kwarg_only}

    def run(*args: Any, **kwargs: Any) -> Any:
        given = {argument.name: value for argument, value in zip(arguments, args, strict=False)} | kwargs
        if given.get("dtype", ...) is None:
            del given["dtype"]
        if "scalars" in given and "value" in by_name:
            listed.add("value")
            given["value"] = given.pop("scalars")
        results = []
        for n in range(len(given[arguments[0].name])):
            own = {name: value[n] if name in listed else value for name, value in given.items()}
            named = {name: own.pop(name) for name in list(own) if name in by_name}
            results.append(single(*own.values(), **named))
        return None if name.endswith("_") else results

    return run
