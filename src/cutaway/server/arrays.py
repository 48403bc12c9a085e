"""Arrays of numbers for the browser, as bytes: it views them in place, nothing is parsed number by number.

    "CUT1" | length of the header (uint32, little-endian) | header (JSON, filled up with spaces) | the numbers

The header: {"meta": ..., "arrays": [{"name", "dtype", "shape", "offset"}]}; offsets count from the end of the header and
are multiples of 8. float64, float32, int32 and uint8 travel as they are; of other kinds, those that float32 (bfloat16,
float16) or float64 (int64) hold exactly are widened. web/src/api/arrays.ts is the other end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from fastapi import Response
from pydantic import BaseModel

MAGIC = b"CUT1"
MEDIA_TYPE = "application/x-cutaway-arrays"
ALIGNMENT = 8
SENT_AS = {
    "float64": "float64", "float32": "float32", "float16": "float32", "int64": "float64", "uint32": "float64",
    "int32": "int32", "int16": "int32", "int8": "int32", "uint16": "int32", "uint8": "uint8", "bool": "uint8",
}  # fmt: skip


class ArraysResponse(Response):
    """An answer with arrays.

    Args:
        meta: what is said about them.
        arrays: by name, of any shape.
    """

    media_type = MEDIA_TYPE

    def __init__(self, meta: BaseModel | Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        super().__init__(encode(meta.model_dump() if isinstance(meta, BaseModel) else dict(meta), arrays))


def with_arrays(meta: type[BaseModel]) -> dict[str, Any]:
    """Return the arguments of a route that answers with arrays: the schema then knows what is said about them."""
    content: dict[str, Any] = {MEDIA_TYPE: {}}
    answer = {"model": meta, "description": "Arrays; what is said about them has this form.", "content": content}
    return {"response_model": None, "responses": {200: answer}}


def encode(meta: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Return meta and arrays as bytes."""
    described, parts, at = [], [], 0
    for name, array in arrays.items():
        kind = SENT_AS[str(array.dtype)]
        numbers = np.ascontiguousarray(array, dtype=kind).tobytes()
        described.append({"name": name, "dtype": kind, "shape": list(array.shape), "offset": at})
        padding = -len(numbers) % ALIGNMENT
        parts += [numbers, bytes(padding)]
        at += len(numbers) + padding
    header = json.dumps({"meta": meta, "arrays": described}, separators=(",", ":")).encode()
    header += b" " * (-(len(MAGIC) + 4 + len(header)) % ALIGNMENT)
    return b"".join([MAGIC, len(header).to_bytes(4, "little"), header, *parts])
