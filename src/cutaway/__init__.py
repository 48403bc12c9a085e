"""Cutaway: build, train and open up real neural networks.

import cutaway
run = cutaway.train("stdlib", steps=500)
print(run.generate("def squares(n):"))
model, tokenizer = cutaway.load(run.path)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cutaway.recipe import Recipe
    from cutaway.workbench import Run, load, train

__all__ = ["Recipe", "Run", "__version__", "load", "train"]

_HOMES = {"train": "workbench", "load": "workbench", "Run": "workbench", "Recipe": "recipe"}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import cutaway` costs nothing."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"cutaway.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'cutaway' has no attribute {name!r}")
