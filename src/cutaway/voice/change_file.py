"""What `cutaway voice change` found, kept in the run's folder, and whether it is still of these models.

Importing this loads nothing heavy: the lab reads it without opening a model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cutaway.base.files import content_hash, write_text
from cutaway.base.runs import RunFolder
from cutaway.interop.adapter_folder import hash_base

FILE = "change.json"
MOST_VALUES = 64
"""Singular values of a matrix that are kept."""
MOST_DOCUMENTS = 20


def models_hash(tuned: Path, base: Path) -> str:
    """Return a hash that changes when either model does."""
    return content_hash([hash_base(tuned), hash_base(base)])


def write_change(run: RunFolder, told: Mapping[str, Any], models: str) -> None:
    """Keep what was found, without what only fills."""
    weights, tokens = dict(told["weights"]), dict(told["tokens"])
    weights["matrices"] = [
        one | {"singular_values": one["singular_values"][:MOST_VALUES]} for one in weights["matrices"]
    ]
    tokens["documents"] = tokens["documents"][:MOST_DOCUMENTS]
    kept = dict(told) | {"weights": weights, "tokens": tokens, "models": models}
    write_text(run.path / FILE, json.dumps(kept, ensure_ascii=False) + "\n")


def read_change(run: RunFolder) -> dict[str, Any] | None:
    """Return what was kept, or None where nothing was."""
    try:
        found = json.loads((run.path / FILE).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def trace_name(matrix: str) -> str:
    """Return what the folder of a matrix's change is called."""
    return "change-" + matrix.removesuffix(".weight").replace(".", "-")
