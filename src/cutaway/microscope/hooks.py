"""Hooks that tell a recorder where the program is and what its tensors are called; nothing they see is changed.

Modules say when they begin and end, autograd's nodes say which tensor each gradient belongs to, an optimizer says when
it steps and what its state is.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cutaway.microscope.recorder import Recorder


def watch_modules(recorder: Recorder, model: nn.Module) -> list[Any]:
    """Register hooks on every module that say where the program is and name what comes out; return their handles."""
    paths: dict[nn.Module, list[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        paths.setdefault(module, []).append(path)

    mkldnn: list[bool] = []

    def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
        if isinstance(module, nn.RNNBase):  # the kernel for whole recurrent layers hides its steps
            mkldnn.append(torch.backends.mkldnn.set_flags(False)[0])
        outer = recorder.path[-1] if recorder.path else ""
        inside = [path for path in paths[module] if path.startswith(outer)]  # a module may have several places
        recorder.path.append((inside or paths[module])[0])
        if module is model:
            recorder.mark("input", "", named_inputs(module, args, kwargs))

    def leave(module: nn.Module, args: Any, result: Any) -> None:
        if isinstance(module, nn.RNNBase) and mkldnn:
            torch.backends.mkldnn.set_flags(mkldnn.pop())
        path = recorder.path.pop() if recorder.path else ""
        recorder.mark("out", f"{path}:out" if path else "output", result)

    handles: list[Any] = []
    for module in paths:
        handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(module.register_forward_hook(leave, always_call=True))
    return handles


def named_inputs(module: nn.Module, args: Any, kwargs: Any) -> dict[str, Any]:
    """Return what a module was called with by the names of its `forward`."""
    try:
        return dict(inspect.signature(module.forward).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):
        return {str(i): one for i, one in enumerate(args)} | kwargs


@contextlib.contextmanager
def watch_backward(recorder: Recorder) -> Iterator[None]:
    """Name every gradient while the backward pass runs: each node of autograd's graph is told to say what it gets."""
    autograd: Any = torch.autograd
    engine = autograd._engine_run_backward

    def run(outputs: Any, gradients: Any = (), *args: Any, **kwargs: Any) -> Any:
        handles, seen = [], set()
        waiting = [output.grad_fn for output in outputs if isinstance(output, Tensor) and output.grad_fn is not None]
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                handles.append(node.register_prehook(recorder.gradients_of(node)))
                waiting += [after for after, _ in node.next_functions if after is not None]
        for output, gradient in zip(outputs, gradients, strict=False):
            recorder.mark("loss", "loss", output)
            recorder.mark("loss gradient", "loss", gradient)
            if recorder.operations and isinstance(gradient, Tensor):
                last = recorder.operations[-1]  # PyTorch made the first gradient, 1, just before
                if recorder.place(gradient) in last.results:
                    last.phase = "backward"
        try:
            return engine(outputs, gradients, *args, **kwargs)
        finally:
            for handle in handles:
                handle.remove()

    autograd._engine_run_backward = run
    try:
        yield
    finally:
        autograd._engine_run_backward = engine


def watch_optimizer(
    recorder: Recorder, optimizer: torch.optim.Optimizer, names: Mapping[int, str]
) -> Callable[[], None]:
    """Make an optimizer step weight by weight while recorded, and name its state; return what undoes it."""
    kept: list[dict[str, Any]] = [
        {key: group[key] for key in ("foreach", "fused") if key in group} for group in optimizer.param_groups
    ]
    for group, old in zip(optimizer.param_groups, kept, strict=True):
        group.update(dict.fromkeys(old, False))

    def state(kind: str) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                name = names.get(id(parameter), "")
                for key, value in optimizer.state.get(parameter, {}).items():
                    recorder.mark(kind, f"{name}:{key}", value)
                if kind == "state":
                    recorder.mark("new", name, parameter)

    def before(*_: Any) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                recorder.mark("grad", names.get(id(parameter), ""), parameter.grad)
        state("old state")
        recorder.phase, recorder.step_source = "optimizer", recorder.user_line()

    def after(*_: Any) -> None:
        recorder.phase = "forward"
        state("state")

    handles = [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)]

    def undo() -> None:
        for handle in handles:
            handle.remove()
        for group, old in zip(optimizer.param_groups, kept, strict=True):
            group.update(old)

    return undo
