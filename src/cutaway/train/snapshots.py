"""What is inside a model, written down at every measured step: small, so that all steps can be kept.

Histograms of weights, gradients (before they are shortened), updates really made, and activations, layer by layer; and
where each attention head looks. Activations and attention are those of one fixed text (the objective's probe) in
evaluation mode and full precision, so that between two steps only the weights differ. `base/snapshots.py` says how all of
it lies on disk and reads it.

A float's first bits are its sign, its power of two and the first digits of its fraction: shifting the rest away *is*
sorting into bins that grow with the number, exactly and at the speed of memory.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cutaway.base.files import replacing_file, write_text
from cutaway.base.objective import Probe
from cutaway.base.runs import JsonLines
from cutaway.base.snapshots import CUTS, LOWEST_POWER, N_SIDE
from cutaway.base.tap import listening
from cutaway.train.distributed import whole

FRACTION_BITS = 23
KEPT_BITS = CUTS.bit_length() - 1
SIGN = 1 << (8 + KEPT_BITS)
"""Codes from here on are those of negative numbers."""
PART_ON_CPU = 1 << 16
"""Numbers worked through at once: they stay in the processor's cache."""
NOT_FINITE = 255 << KEPT_BITS
LOWEST_CODE = (LOWEST_POWER + 127) << KEPT_BITS


class Snapshots:
    """Writes the snapshots of one run, from where it goes on.

    Args:
        is_writer: whether this rank writes; the others only help to gather what is spread over devices.
    """

    def __init__(self, folder: Path, probe: Probe | None, last_step: int, is_writer: bool = True) -> None:
        self.folder, self.probe, self.is_writer = folder, probe, is_writer
        self._lines: JsonLines | None = None
        if not is_writer:
            return
        (folder / "attention").mkdir(parents=True, exist_ok=True)
        self._lines = JsonLines(folder / "histograms.jsonl", last_step)
        for file in (folder / "attention").glob("*.npy"):
            if not file.stem.isdigit() or int(file.stem) > last_step:
                file.unlink()  # it will be made again
        if probe is not None:
            text = {"text": probe.text, "tokens": list(probe.tokens)}
            write_text(folder / "text.json", json.dumps(text, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Wait for the disk."""
        if self._lines:
            self._lines.close()

    def spread(self, step: int, kind: str, layers: dict[str, list[Tensor]]) -> None:
        """Record how the numbers of each layer are spread (every rank must ask)."""
        for layer, tensors in layers.items():
            line = histogram([whole(tensor.detach()) for tensor in tensors])
            if self._lines:
                self._lines.append({"step": step, "kind": kind, "layer": layer, **line})

    def look(self, step: int, model: nn.Module) -> None:
        """Let the model read the probe; record its activations and where its heads look.

        Args:
            model: whole, in one place.
        """
        if self.probe is None or not self.is_writer:
            return
        outputs: dict[str, list[Tensor]] = {}
        patterns: list[Tensor] = []

        def hear(name: str, value: Any) -> None:
            if name.startswith("pattern"):
                patterns.append(value[0].float())

        was_training = model.training
        model.eval()
        try:
            with torch.no_grad(), outputs_kept(model, outputs), listening(hear):
                model.forward(
                    self.probe.inputs.to(next(model.parameters()).device)
                )  # not a compiled call: no hooks there
        finally:
            model.train(was_training)
        self.spread(step, "activations", outputs)
        if patterns and all(pattern.shape == patterns[0].shape for pattern in patterns):
            with replacing_file(self.folder / "attention" / f"{step}.npy") as aside, aside.open("wb") as file:
                np.save(file, torch.stack(patterns).cpu().numpy(), allow_pickle=False)


def by_layer(model: nn.Module, tensors: list[Any], parameters: list[nn.Parameter]) -> dict[str, list[Tensor]]:
    """Return tensors that belong to parameters (gradients, updates) by layer: `blocks.3`, `lm_head`, ..."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups: dict[str, list[Tensor]] = {}
    for tensor, parameter in zip(tensors, parameters, strict=True):
        parts = names[parameter].split(".")
        layer = ".".join(parts[:2]) if len(parts) > 1 and parts[1].isdigit() else parts[0]
        groups.setdefault(layer, []).append(tensor)
    return groups


@contextmanager
def outputs_kept(model: nn.Module, outputs: dict[str, list[Tensor]]) -> Iterator[None]:
    """Within the `with` block, keep what each layer puts out, by the layer's name."""
    hooks = []
    for name, child in model.named_children():
        is_list = isinstance(child, nn.ModuleList | nn.ModuleDict)
        layers = {f"{name}.{inner}": layer for inner, layer in child.named_children()} if is_list else {name: child}
        for layer_name, layer in layers.items():

            def keep(module: nn.Module, inputs: Any, output: Any, name: str = layer_name) -> None:
                if isinstance(output, Tensor) and output.is_floating_point():
                    outputs.setdefault(name, []).append(output)

            hooks.append(layer.register_forward_hook(keep))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def histogram(tensors: list[Tensor]) -> dict[str, Any]:
    """Return how many numbers fall into which bin (`base/snapshots.py`), and their moments; None: there is none."""
    codes = torch.zeros(2 * SIGN, dtype=torch.int64)
    moments: list[list[float]] = []
    for tensor in tensors:
        flat = tensor.reshape(-1).float()
        if flat.device.type != "cuda":
            flat = flat.cpu()  # some devices have no float64
        for part in flat.split(PART_ON_CPU if flat.device.type == "cpu" else len(flat)):
            if len(part):
                code = (part.view(torch.int32) >> (FRACTION_BITS - KEPT_BITS)).bitwise_and_(2 * SIGN - 1)
                codes += torch.bincount(code, minlength=2 * SIGN).cpu()
                exact = part.double()
                found = torch.stack([exact.sum(), torch.dot(exact, exact), *torch.aminmax(exact)])
                moments.append([len(part), *found.tolist()])
    positive, negative = codes[:SIGN].numpy(), codes[SIGN:].numpy()
    bins = slice(LOWEST_CODE, LOWEST_CODE + N_SIDE)
    counts = np.concatenate(
        [negative[bins][::-1], [positive[:LOWEST_CODE].sum() + negative[:LOWEST_CODE].sum()], positive[bins]]
    )
    used = np.flatnonzero(counts)
    low_bin, high_bin = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 0)
    return {
        "total": int(codes.sum()),
        "below": int(negative[bins.stop : NOT_FINITE].sum()),
        "above": int(positive[bins.stop : NOT_FINITE].sum()),
        "not_finite": int(positive[NOT_FINITE:].sum() + negative[NOT_FINITE:].sum()),
        **_combined(np.array(moments, dtype=np.float64)),
        "first": low_bin,
        "counts": counts[low_bin:high_bin].tolist(),
    }


def _combined(moments: NDArray[np.float64]) -> dict[str, float | None]:
    """Return the moments of all parts together, from (count, sum, sum of squares, lowest, highest) of each."""
    if not len(moments) or not np.isfinite(moments).all():
        return dict.fromkeys(("mean", "std", "lowest", "highest"))
    count, total, squares = moments[:, :3].sum(axis=0)
    mean = float(total / count)
    std = math.sqrt(max(0.0, squares / count - mean**2))
    return {"mean": mean, "std": std, "lowest": float(moments[:, 3].min()), "highest": float(moments[:, 4].max())}
