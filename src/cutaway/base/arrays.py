"""Arrays of numbers for a page, as bytes: it views them in place, nothing is parsed number by number.

    "CUT1" | length of the header (uint32, little-endian) | header (JSON, filled up with spaces) | the numbers

The header: {"meta": ..., "arrays": [{"name", "dtype", "shape", "offset"}]}; offsets count from the end of the header and
are multiples of 8. float64, float32, int32 and uint8 travel as they are; of other kinds, those that float32 (bfloat16,
float16) or float64 (int64) hold exactly are widened. web/src/api/arrays.ts is the other end, of the lab's answers
(server/arrays.py) and of figures in notebooks (notebook/figure.py).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

MAGIC = b"CUT1"
ALIGNMENT = 8
SENT_AS = {
    "float64": "float64", "float32": "float32", "float16": "float32", "int64": "float64", "uint32": "float64",
    "int32": "int32", "int16": "int32", "int8": "int32", "uint16": "int32", "uint8": "uint8", "bool": "uint8",
}  # fmt: skip


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


Number = float | Literal["nan", "inf", "-inf"]
"""A number; what JSON has no word for as text, so that infinite and undefined never look like 0 or like nothing."""


def wire(value: Any) -> Number:
    """Return a number as JSON can say it."""
    value = float(value)
    return value if math.isfinite(value) else "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
