"""Learning to answer: the loss is on the answers alone.

    loss = - sum(learned tokens of the batch: log p(token | all before it in its conversation)) / their number

What is asked is read but not learned, so it gives no gradient through the targets (Ouyang et al. 2022, arXiv:2203.02155,
section 3.5, and everybody since). Held-out conversations are measured the same way, in nats a token and, spread over the
answers' bytes, in bits, which compare between tokenizers.

A step that is worked through in parts, or by several ranks, divides by the tokens of the whole step: same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.base.errors import DataError
from cutaway.base.objective import Probe, Sample, Validation
from cutaway.base.seed import numpy_generator
from cutaway.models.decoder import Decoder, evaluating
from cutaway.tune.examples import Example
from cutaway.tune.packing import Packed, pack, parted

Batch = tuple[Packed, float]
"""Conversations, and the number their summed loss is divided by."""


class Answering:
    """Predict the tokens of the answers.

    Args:
        held_out: conversations never trained on.
        batch_size: conversations in one step, over all devices.
        seed: decides their order, another one every epoch.
        write: makes the sample shown on the way.
        probe: the text at which the model's inside is looked at.
    """

    def __init__(
        self,
        model: Decoder,
        examples: Sequence[Example],
        held_out: Sequence[Example],
        batch_size: int,
        seed: int = 0,
        write: Callable[[nn.Module], Sample] | None = None,
        probe: Probe | None = None,
    ) -> None:
        if not examples:
            raise DataError("there are no conversations to learn")
        self.model: nn.Module = model
        self.vocab_size = model.config.known_vocab_size
        self.examples, self.held_out = list(examples), list(held_out)
        self.batch_size, self.seed = batch_size, seed
        self.write = write or (lambda model: Sample(""))
        self.probe = probe
        self._order = lru_cache(maxsize=2)(self._compute_order)

    @property
    def sequences_per_epoch(self) -> int:
        """How many conversations there are."""
        return len(self.examples)

    @property
    def tokens_per_sequence(self) -> int:
        """Learned tokens of a conversation, on average."""
        return max(1, round(sum(one.n_learned for one in self.examples) / len(self.examples)))

    def _compute_order(self, epoch: int) -> list[int]:
        return numpy_generator(self.seed, "conversations", epoch).permutation(len(self.examples)).tolist()

    def chosen(self, first: int, count: int) -> list[Example]:
        """Return conversations first .. first+count-1 of the endless stream."""
        found = []
        for number in range(first, first + count):
            epoch, index = divmod(number, len(self.examples))
            found.append(self.examples[self._order(epoch)[index]])
        return found

    def batch(self, first: int, count: int) -> Batch:
        """Return conversations first .. first+count-1 of the endless stream, end to end."""
        whole_step = self.chosen(first - first % self.batch_size, self.batch_size)
        learned = sum(one.n_learned for one in whole_step)
        return pack(self.chosen(first, count)), learned * count / self.batch_size

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Return the mean of -log p(token) over what is learned in the step (this part's share of it)."""
        packed, divisor = batch[0].to(_device(self.model)), batch[1]
        loss: Tensor = model(
            packed.tokens, lengths=packed.lengths, wanted=packed.wanted, targets=packed.targets, divisor=divisor
        )
        return loss

    def validate(self, model: nn.Module, max_tokens: int | None = None) -> Validation:
        """Return the loss on the held-out conversations, or on some, spread evenly over them."""
        if not self.held_out:
            raise DataError("there are no held-out conversations to measure the loss on; give data.held_out")
        return measure(model, spread(self.held_out, max_tokens), self.vocab_size, _device(self.model))

    def sample(self, model: nn.Module, step: int) -> Sample:
        """Return what the model answers now."""
        return self.write(model)


def spread(examples: Sequence[Example], max_tokens: int | None) -> list[Example]:
    """Return about so many tokens' worth of the conversations, spread evenly over them; None: all."""
    n_learned = sum(one.n_learned for one in examples)
    return list(examples[:: max(1, n_learned // max_tokens) if max_tokens else 1])


def token_losses(model: nn.Module, packed: Packed) -> Float[Tensor, " N"]:
    """Return -log p of every learned token, in nats."""
    logits = model(packed.tokens, lengths=packed.lengths, wanted=packed.wanted)
    return F.cross_entropy(logits[0].float(), packed.targets, reduction="none")


@torch.no_grad()
def measure(model: nn.Module, examples: Sequence[Example], vocab_size: int, device: torch.device) -> Validation:
    """Return the mean loss of conversations, as the model is set (dropout off or on)."""
    total = 0.0
    for group in parted(examples, vocab_size):
        total += float(token_losses(model, pack(group).to(device)).double().sum())
    n_learned, n_bytes = (sum(getattr(one, name) for one in examples) for name in ("n_learned", "n_bytes"))
    return Validation(total / n_learned, total / n_bytes / math.log(2), n_learned)


@torch.no_grad()
def surprisals(model: Decoder, examples: Sequence[Example]) -> list[Float[np.ndarray, " N"]]:
    """Return for each conversation -log p of its learned tokens, in nats, dropout off."""
    found = []
    with evaluating(model):
        for group in parted(examples, model.config.known_vocab_size):
            packed = pack(group)
            losses = token_losses(model, packed.to(model.device)).double().cpu()
            found += [one.numpy() for one in losses.split(list(packed.counts))]
    return found


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
