"""Cutaway: build, train and open up real neural networks.

import cutaway
run = cutaway.train("stdlib", steps=500)
print(run.generate("def squares(n):"))
model, tokenizer = cutaway.load(run)
trace = cutaway.trace(model, inputs, loss=fn, optimizer=opt)     # any torch.nn.Module
print(trace.explain("lm_head.weight:grad", (3, 7)))
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cutaway.microscope.store import load_trace
    from cutaway.microscope.tracing import recording, trace
    from cutaway.recipe import Recipe
    from cutaway.workbench import Run, load, resume, train

__all__ = ["Recipe", "Run", "__version__", "load", "load_trace", "recording", "resume", "trace", "train"]

_HOMES = {
    "train": "workbench",
    "resume": "workbench",
    "load": "workbench",
    "Run": "workbench",
    "Recipe": "recipe",
    "trace": "microscope.tracing",
    "recording": "microscope.tracing",
    "load_trace": "microscope.store",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import cutaway` costs nothing."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"cutaway.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'cutaway' has no attribute {name!r}")


class _Verb(ModuleType):
    """A package whose name is also what one does: `cutaway.train` holds the trainer, `cutaway.train(...)` trains."""

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        verb = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module(f"cutaway.{_HOMES[verb]}"), verb)(*arguments, **settings)


class _Cutaway(ModuleType):
    """This package: once `cutaway.train` is imported the import system puts it here, and it must still be callable."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _HOMES and isinstance(value, ModuleType):
            value.__class__ = _Verb
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Cutaway
