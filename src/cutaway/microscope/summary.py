"""What a stored trace is, told without opening it: no PyTorch, no number but the loss.

For a list of traces, which must come at once, also of traces whose files are damaged: those say so.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

GRAPH, DATA = "graph.json", "data.safetensors"
LARGEST_GRAPH_BYTES = 1 << 29
READABLE = {"float64": np.float64, "float32": np.float32, "float16": np.float16}


def summary(folder: Path) -> dict[str, Any]:
    """Return a trace's notes, how many operations it has in each phase, its loss, its failure, its size and its age."""
    found: dict[str, Any] = {
        "size_bytes": sum(file.stat().st_size for file in (folder / GRAPH, folder / DATA) if file.is_file()),
        "recorded": (folder / GRAPH).stat().st_mtime,
        "notes": {}, "operations": {}, "addresses": 0, "loss": None, "failure": "", "problem": "",
    }  # fmt: skip
    try:
        if (folder / GRAPH).stat().st_size > LARGEST_GRAPH_BYTES:
            raise ValueError("its graph.json is too large")
        graph = json.loads((folder / GRAPH).read_bytes())
        if graph["format"] != "cutaway trace":
            raise ValueError("its graph.json is of something else than a trace")
        found["notes"] = dict(graph["notes"])
        found["operations"] = dict(Counter(str(one["phase"]) for one in graph["operations"]))
        found["addresses"] = len(graph["addresses"])
        found["failure"] = str(graph["failure"] or "")
        if "loss" in graph["addresses"]:
            found["loss"] = _scalar(folder, graph, graph["places"][graph["addresses"]["loss"]])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        found["problem"] = (
            f"{folder.name} cannot be listed: it is damaged or no trace ({' '.join(str(error).split())[:100]})"
        )
    return found


def _scalar(folder: Path, graph: dict[str, Any], place: list[Any]) -> float | None:
    """Return one number of the data file, or None if it is not one that lies there plainly."""
    storage, version, dtype, shape, _, offset = place
    if version != len(graph["storages"][storage]["writes"]) or dtype not in READABLE or any(n != 1 for n in shape):
        return None
    kind = np.dtype(READABLE[dtype])
    with (folder / DATA).open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(size, LARGEST_GRAPH_BYTES)))
        file.seek(8 + size + header[f"storage.{storage}"]["data_offsets"][0] + offset * kind.itemsize)
        return float(np.frombuffer(file.read(kind.itemsize), kind)[0])
