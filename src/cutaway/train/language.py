"""Next-token prediction: the objective of every language model here.

At each position the model sees the tokens up to it and is scored on the next one: the loss is the mean of -log p(next
token), in nats. Spread over the bytes of the text it is bits per byte, which does not depend on how the text is cut
into tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.base.errors import DataError
from cutaway.base.objective import Probe, Sample, Validation
from cutaway.text.batches import ValidationWindows, Windows

Batch = tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]


class NextToken:
    """Predict the token that follows, at every position.

    Args:
        validation: held-out text, or None to measure nothing.
        write: makes the sample shown on the way.
        probe: the text at which the model's inside is looked at.
    """

    def __init__(
        self,
        model: nn.Module,
        windows: Windows,
        validation: ValidationWindows | None,
        write: Callable[[nn.Module], Sample] | None = None,
        probe: Probe | None = None,
    ) -> None:
        self.model = model
        self.windows = windows
        self.validation = validation
        self.write = write or (lambda model: Sample(""))
        self.probe = probe

    @property
    def sequences_per_epoch(self) -> int:
        """How many windows there are before the text repeats."""
        return self.windows.sequences_per_epoch

    @property
    def tokens_per_sequence(self) -> int:
        """Targets in one window."""
        return self.windows.context_length

    def batch(self, first: int, count: int) -> Batch:
        """Return windows first .. first+count-1 of the endless stream."""
        return self.windows.batch(first, count)

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Return the mean of -log p(next token) over the batch."""
        tokens_BT, targets_BT = self._on_device(batch)
        return F.cross_entropy(model(tokens_BT).flatten(0, 1).float(), targets_BT.flatten())

    def validate(self, model: nn.Module, max_tokens: int | None = None) -> Validation:
        """Return the loss on the held-out text, or on some of its batches, spread evenly over it."""
        if self.validation is None:
            raise DataError("there is no validation text; give more text or a larger data.validation_fraction")
        batches = list(self.validation)
        if max_tokens:
            batches = batches[:: max(1, self.validation.n_targets // max_tokens)]
        loss_sum, n_targets = 0.0, 0
        for batch in batches:
            count = batch[1].numel()
            loss_sum += float(self.loss(model, batch)) * count
            n_targets += count
        loss = loss_sum / n_targets
        return Validation(loss, self.validation.bits_per_byte(loss), n_targets)

    def sample(self, model: nn.Module, step: int) -> Sample:
        """Return what the model writes after the recipe's prompt."""
        return self.write(model)

    def _on_device(self, batch: Batch) -> Batch:
        device = next(self.model.parameters()).device
        if device.type == "cpu":
            return batch
        return batch[0].to(device, non_blocking=True), batch[1].to(device, non_blocking=True)
