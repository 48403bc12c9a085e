"""What can be taken out of a model: a head `2.0`, a whole attention `attn 2`, an MLP `mlp 2`, a neuron `mlp 2 unit 17`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cutaway.base.errors import UsageError
from cutaway.models.decoder import Decoder


@dataclass(frozen=True)
class Part:
    """A part of one block."""

    kind: str
    """`head`, `attn`, `mlp` or `neuron`."""
    layer: int
    index: int = 0
    """Of the head, or of the MLP's hidden unit."""

    def __str__(self) -> str:
        if self.kind == "head":
            return f"{self.layer}.{self.index}"
        return f"mlp {self.layer} unit {self.index}" if self.kind == "neuron" else f"{self.kind} {self.layer}"

    @property
    def name(self) -> str:
        """The activation it is part of."""
        place = {"head": "attn.z", "attn": "attn_out", "mlp": "mlp_out", "neuron": "mlp.mlp_post"}[self.kind]
        return f"blocks.{self.layer}.{place}"


def read_part(text: str) -> Part:
    """Return the part a text names.

    Raises:
        UsageError: it names none.
    """
    forms = {
        "head": r"(?:head )?(\d+)\.(\d+)",
        "neuron": r"mlp (\d+) unit (\d+)|neuron (\d+)\.(\d+)",
        "mlp": r"mlp (\d+)",
        "attn": r"attn (\d+)",
    }
    for kind, form in forms.items():
        if match := re.fullmatch(form, text.strip()):
            return Part(kind, *(int(number) for number in match.groups() if number is not None))
    raise UsageError(f"{text!r} is no part of a model; write a head as 2.0, or `mlp 2`, `mlp 2 unit 17`, `attn 2`")


def check_part(model: Decoder, part: Part) -> Part:
    """Return the part, if the model has it.

    Raises:
        UsageError: it does not; what there is, is named.
    """
    config = model.config
    if 0 <= part.layer < config.n_layers:
        size = {"head": config.n_heads, "neuron": config.mlp_width}.get(part.kind, 1)
        if 0 <= part.index < size:
            return part
    last = config.n_layers - 1
    there = {
        "head": f"heads 0.0 to {last}.{config.n_heads - 1} ({config.n_layers} blocks of {config.n_heads})",
        "neuron": f"units 0 to {config.mlp_width - 1} in each of mlp 0 to mlp {last}",
    }.get(part.kind, f"{part.kind} 0 to {part.kind} {last}")
    called = f"head {part}" if part.kind == "head" else str(part)
    raise UsageError(f"there is no {called}: the model has {there}")
