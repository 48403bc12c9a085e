"""An answer of the lab with arrays: the bytes of base/arrays.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from fastapi import Response
from pydantic import BaseModel

from cutaway.base.arrays import encode

MEDIA_TYPE = "application/x-cutaway-arrays"


class ArraysResponse(Response):
    """An answer with arrays.

    Args:
        meta: what is said about them.
        arrays: by name, of any shape.
    """

    media_type = MEDIA_TYPE

    def __init__(self, meta: BaseModel | Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        super().__init__(encode(meta.model_dump() if isinstance(meta, BaseModel) else dict(meta), arrays))


def answered(meta: type[BaseModel], data: Mapping[str, Any], **more: Any) -> ArraysResponse:
    """Return an answer with what a figure is drawn from: arrays as they are, the rest in the form of `meta`."""
    arrays = {name: value for name, value in data.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in data.items() if name not in arrays}
    return ArraysResponse(meta(**rest, **more), arrays)


def with_arrays(meta: type[BaseModel]) -> dict[str, Any]:
    """Return the arguments of a route that answers with arrays: the schema then knows what is said about them."""
    content: dict[str, Any] = {MEDIA_TYPE: {}}
    answer = {"model": meta, "description": "Arrays; what is said about them has this form.", "content": content}
    return {"response_model": None, "responses": {200: answer}}
