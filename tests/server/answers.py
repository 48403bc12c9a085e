"""The lab's arrays, read as the browser reads them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from httpx import Response


def arrays(answer: Response) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what is said about the arrays, and the arrays by name."""
    assert answer.status_code == 200, answer.text
    data = answer.content
    assert data[:4] == b"CUT1"
    start = 8 + int.from_bytes(data[4:8], "little")
    header = json.loads(data[8:start])
    found = {}
    for one in header["arrays"]:
        count = int(np.prod(one["shape"]))
        numbers = np.frombuffer(data, one["dtype"], count, start + one["offset"])
        found[one["name"]] = numbers.reshape(one["shape"])
    return header["meta"], found
