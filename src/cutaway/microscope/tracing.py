"""`trace` and `recording`: record a training step, or any part of one, of any module."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from cutaway.base.errors import TraceError, UsageError
from cutaway.base.tap import listening
from cutaway.microscope.formula import lookup
from cutaway.microscope.hooks import watch_backward, watch_modules, watch_optimizer
from cutaway.microscope.recorder import Recorder
from cutaway.microscope.trace import Trace

Optimizers = torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None


@contextlib.contextmanager
def recording(model: nn.Module, optimizer: Optimizers = None, keep: bool | None = None) -> Iterator[Trace]:
    """Record everything PyTorch computes inside the `with` block: forward, backward, optimizer steps.

    The trace may be asked when the block has ended. When the block raises, the trace keeps what was computed until then.

    Args:
        optimizer: whose steps belong to the recording; several as a list.
        keep: copy weights, gradients and optimizer state at the end, so that they may change afterwards; None: if they
            take less than 256 MB together. Without a copy the trace refuses to read what has changed.
    """
    recorder = Recorder(lambda name: lookup(name) is not None)
    trace = Trace(recorder.operations, recorder.memory)
    names = {id(p): name for name, p in model.named_parameters()}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        recorder.mark("param", name, parameter)
    for name, buffer in model.named_buffers(remove_duplicate=False):
        recorder.mark("buffer", name, buffer)

    axes: set[str] = set()

    def heard(name: str, value: Any) -> None:
        field, _, letters = name.rpartition("_")
        field = field or name
        if isinstance(value, Tensor) and letters.isupper() and len(letters) == value.ndim:
            axes.add(f"{field} {letters}")
        recorder.mark("tap", ".".join(filter(None, (recorder.path[-1] if recorder.path else "", field))), value)

    handles = watch_modules(recorder, model)
    undo = [watch_optimizer(recorder, one, names) for one in several(optimizer)]
    collects = gc.isenabled()
    gc.disable()  # going through all objects again and again takes longer than recording, and frees none of these
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with watch_backward(recorder), sdpa_kernel(SDPBackend.MATH), listening(heard), recorder:
            yield trace
    except Exception as error:
        trace.failure = describe_failure(recorder, error)
        raise
    finally:
        if collects:
            if not gc.get_freeze_count():
                gc.freeze()  # and back: what was recorded now counts as old, and is not searched for garbage at once
                gc.unfreeze()
            gc.enable()
        torch.backends.mha.set_fastpath_enabled(fastpath)
        for one in undo:
            one()
        for handle in handles:
            handle.remove()
        for name, parameter in model.named_parameters():
            recorder.mark("grad", name, parameter.grad)
        trace.finish(recorder.marks, keep)
        if axes:
            trace.notes["axes"] = sorted(axes)
        trace.notes["modules"] = [f"{path} {type(module).__name__}" for path, module in model.named_modules()]


def several(optimizer: Optimizers) -> list[torch.optim.Optimizer]:
    """Return optimizers as a list."""
    if optimizer is None:
        return []
    return [optimizer] if isinstance(optimizer, torch.optim.Optimizer) else list(optimizer)


def describe_failure(recorder: Recorder, error: BaseException) -> str:
    """Return where a program failed, in one line."""
    n = len(recorder.operations)
    last = recorder.operations[-1] if n else None
    where = (
        f"after {n} operations, the last {last.name} in {last.module or 'the model'} ({last.source})"
        if last
        else "before the first operation"
    )
    return f"{type(error).__name__}: {' '.join(str(error).split())} ({where})"


def trace(
    model: nn.Module,
    inputs: Any,
    loss: Callable[[Any], Tensor] | None = None,
    optimizer: Optimizers = None,
    keep: bool | None = None,
) -> Trace:
    """Record one step of a model: forward, with a loss backward too, with an optimizer its step too.

    The step really happens: with an optimizer the model's weights change, as they do in training.

    Args:
        inputs: a tensor, a tuple (positional) or a dict (by name).
        loss: makes one number of the model's output; None: forward pass only.
        optimizer: of `torch.optim`, over the model's parameters; needs a loss. Several as a list.
        keep: as in `recording`.

    Raises:
        UsageError: an optimizer without a loss, a loss that is not one number.
        TraceError: the model failed; `error.trace` holds what was computed until then.
    """
    if several(optimizer) and loss is None:
        raise UsageError("an optimizer needs a loss to step by; pass loss=, a function of the model's output")
    recorded = None
    try:
        with recording(model, optimizer, keep) as recorded:
            output = call(model, inputs)
            if loss is not None:
                value = loss(output)
                if not isinstance(value, Tensor) or value.numel() != 1:
                    what = (
                        f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                    )
                    raise UsageError(f"loss= must return one number, a tensor with one element; it returned {what}")
                value.backward()
            for one in several(optimizer):
                one.step()
    except UsageError:
        raise
    except Exception as error:
        if recorded is None:
            raise
        raise TraceError(f"the model failed: {recorded.failure}", recorded) from error
    return recorded


def call(model: nn.Module, inputs: Any) -> Any:
    """Call a model with a tensor, a tuple or a dict."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)
