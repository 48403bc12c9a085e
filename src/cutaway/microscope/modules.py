"""The modules of a recorded model as a tree, with what happened in each and what it holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cutaway.microscope.trace import Trace


@dataclass
class Branch:
    """One module in the tree."""

    path: str
    counts: Counter[str]
    """How many operations of each phase happened in it, views and those of modules inside left out."""
    out: list[str]
    """The addresses of what it returned."""
    shapes: str
    children: dict[str, Branch]
    parameters: list[str] = field(default_factory=list)
    """The addresses of its own parameters and buffers."""

    @property
    def name(self) -> str:
        """Its own name, without those of the modules around it."""
        return self.path.rpartition(".")[2]

    def likeness(self) -> Any:
        """Return what is the same in modules that look alike: everything but their own name."""
        children = tuple((name, child.likeness()) for name, child in self.children.items())
        return tuple(sorted(self.counts.items())), self.shapes, children


def branches(trace: Trace) -> Branch:
    """Return the modules with what happened in them, the optimizer's steps counted where the weight is."""
    counts: dict[str, Counter[str]] = {}
    own: dict[str, list[str]] = {}
    for name, kind in trace.names.source_kinds.items():
        if kind in ("parameter", "buffer"):
            own.setdefault(name.rpartition(".")[0], []).append(name)
    for operation in trace.operations:
        path = module_of(trace, operation.number, operation.phase, operation.module, own)
        counts.setdefault(path, Counter())[operation.phase] += not operation.is_view
    root = Branch("", counts.get("", Counter()), outputs(trace, ""), "", {}, own.get("", []))
    for path in [*counts, *own]:
        branch, walked = root, ""
        for name in filter(None, path.split(".")):
            walked = f"{walked}.{name}" if walked else name
            if name not in branch.children:
                out = outputs(trace, walked)
                branch.children[name] = Branch(
                    walked, counts.get(walked, Counter()), out, said(trace, out), {}, own.get(walked, [])
                )
            branch = branch.children[name]
    root.shapes = said(trace, root.out)
    return root


def module_of(trace: Trace, number: int, phase: str, module: str, own: dict[str, list[str]]) -> str:
    """Return the module an operation belongs to: in the optimizer that of the weight."""
    if phase != "optimizer":
        return module
    address = trace.names.results.get((number, 0), "")
    path = address.partition(":")[0].rpartition(".")[0] if ":" in address else ""
    return path if path in own else ""


def outputs(trace: Trace, path: str) -> list[str]:
    """Return the addresses of what a module returned."""
    address = f"{path}:out" if path else "output"
    return [a for a in (address, *(f"{address}.{i}" for i in range(3))) if a in trace]


def said(trace: Trace, addresses: list[str]) -> str:
    """Return shapes for people."""
    return ", ".join("x".join(map(str, trace.place(a).shape)) or "one number" for a in addresses)
