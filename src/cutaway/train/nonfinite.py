"""When the loss is no longer a number: find the first tensor that went wrong.

The batch is run once more with an eye on every tap, every module's output and, going backward, every gradient, in the
order in which they are computed. The first one that holds an infinite or undefined value is where to look.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cutaway.base.objective import Objective
from cutaway.base.tap import listening


def first_nonfinite(objective: Objective, batch: Any) -> str:
    """Return, in words, the first tensor that is not finite when the batch is worked through again."""
    model = objective.model
    for name, parameter in model.named_parameters():
        if not _is_finite(parameter):
            return f"weight {name} (an earlier update broke it)"
    found: list[str] = []

    def look(where: str, value: object) -> None:
        if not found and isinstance(value, Tensor) and not _is_finite(value):
            found.append(where)

    def hear(name: str, value: Any) -> None:
        look(f"{current[-1]}:{name}" if current else name, value)

    current: list[str] = []
    hooks = []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda m, i, name=name: current.append(name)))

        def leave(m: nn.Module, i: Any, output: Any, name: str = name) -> None:
            look(f"output of {name or 'the model'}", output)
            current.pop()

        hooks.append(module.register_forward_hook(leave))
    try:
        with listening(hear):
            loss = objective.loss(model, batch)
        look("the loss", loss)
        if not found:
            for name, parameter in reversed(list(model.named_parameters())):
                if parameter.requires_grad:
                    hooks.append(parameter.register_hook(lambda g, name=name: look(f"gradient of {name}", g)))
            loss.backward()
    finally:
        for hook in hooks:
            hook.remove()
        model.zero_grad(set_to_none=True)
    return found[0] if found else "nothing when repeated, so the cause lies in how the devices share the work"


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
