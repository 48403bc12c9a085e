"""The shape alphabet: one letter means one axis in the whole project.

| axis | meaning                | axis | meaning                          |
| ---- | ---------------------- | ---- | -------------------------------- |
| B    | batch                  | D    | width of a head (d_head)         |
| T    | positions written      | F    | width of the MLP (d_ff)          |
| S    | positions read         | V    | vocabulary                       |
| C    | channels (d_model)     | L    | blocks (layers)                  |
| H    | query heads            | R    | low rank                         |
| G    | key/value heads        | N    | items, flattened                 |
| Y, X | image rows and columns | P    | patches                          |

A tensor's axes stand in its annotation where it crosses a function boundary, `x: Floats["B T C"]`, and in the
suffix of its name where it does not, `scores_BHTS`. Annotations are checked while the tests run.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor

AXES: dict[str, str] = {
    "B": "batch",
    "T": "positions written",
    "S": "positions read",
    "C": "channels (d_model)",
    "H": "query heads",
    "G": "key/value heads",
    "D": "width of a head (d_head)",
    "F": "width of the MLP (d_ff)",
    "V": "vocabulary",
    "L": "blocks",
    "R": "low rank",
    "N": "items, flattened",
    "Y": "image rows",
    "X": "image columns",
    "P": "patches",
}

__all__ = ["AXES", "Any", "Bool", "Float", "Int", "Tensor"]
