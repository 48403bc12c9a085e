"""DPO: learn from pairs of answers which is preferred, with no reward model and no sampling while learning.

    r(y)  = beta * (log p(y | x) - log p_reference(y | x))                 how much more likely than it was
    loss  = - log sigmoid(r(chosen) - r(rejected))                         Rafailov et al. 2023, arXiv:2305.18290, eq. 7

Here the chosen answers are one's own and the rejected ones the model's: what tells the two apart is what is learned, and
nothing else, as in a discriminator. log p(y | x) is the sum over the tokens of the answer. The reference is the model as
it is when the objective is made (with LoRA: its base, since B starts at zero), so its log-probabilities are
computed once and no second model is kept. Beta says how far the model may go from the reference: small is far.

Look at the margin r(chosen) - r(rejected), and at the likelihood of the chosen answers themselves (bits a byte of
the validation): it may fall while the margin rises, and then it is time to stop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.base.errors import ConfigError, DataError
from cutaway.base.objective import Probe, Sample, Validation
from cutaway.base.seed import numpy_generator
from cutaway.models.decoder import Decoder, evaluating
from cutaway.tune.examples import Example
from cutaway.tune.packing import Packed, pack, parted
from cutaway.tune.preferences import PreferenceExample

BETA = 0.1

Batch = tuple[Packed, Float[Tensor, "B 2"]]
"""The chosen answers of some pairs, then the rejected ones; and the reference's log-probabilities of both."""


@dataclass(frozen=True)
class Margins:
    """How a model prefers, over many pairs."""

    loss: float
    margin: float
    """The mean of r(chosen) - r(rejected)."""
    accuracy: float
    """Share of the pairs in which the chosen answer gained more than the rejected one; ties count half."""
    chosen_reward: float
    """The mean of r(chosen)."""
    rejected_reward: float


class Preferring:
    """Prefer the chosen answers.

    Args:
        model: as it shall be the reference; nothing may have been learned from these pairs yet.
        held_out: pairs never trained on.
        beta: how dear it is to leave the reference.
        seed: decides the order of the pairs, another one every epoch.
        write: makes the sample shown on the way.
        probe: the text at which the model's inside is looked at.
    """

    def __init__(
        self,
        model: Decoder,
        pairs: Sequence[PreferenceExample],
        held_out: Sequence[PreferenceExample],
        beta: float = BETA,
        seed: int = 0,
        write: Callable[[nn.Module], Sample] | None = None,
        probe: Probe | None = None,
    ) -> None:
        if not pairs:
            raise DataError("there are no pairs of answers to learn from")
        if not 0 < beta < math.inf:
            raise ConfigError(f"beta is {beta}; expected a positive number, as {BETA}")
        self.model: nn.Module = model
        self.vocab_size = model.config.known_vocab_size
        self.pairs, self.held_out = list(pairs), list(held_out)
        self.beta, self.seed = beta, seed
        self.write = write or (lambda model: Sample(""))
        self.probe = probe
        self._order = lru_cache(maxsize=2)(self._compute_order)
        with evaluating(model), torch.no_grad():
            self.reference_N2 = self._logprobs(model, self.pairs)
            self.held_out_reference_N2 = self._logprobs(model, self.held_out)

    @property
    def sequences_per_epoch(self) -> int:
        """How many pairs there are."""
        return len(self.pairs)

    @property
    def tokens_per_sequence(self) -> int:
        """Tokens of both answers of a pair, on average."""
        total = sum(one.chosen.n_learned + one.rejected.n_learned for one in self.pairs)
        return max(1, round(total / len(self.pairs)))

    def _compute_order(self, epoch: int) -> list[int]:
        return numpy_generator(self.seed, "preferences", epoch).permutation(len(self.pairs)).tolist()

    def batch(self, first: int, count: int) -> Batch:
        """Return pairs first .. first+count-1 of the endless stream."""
        indices = []
        for number in range(first, first + count):
            epoch, index = divmod(number, len(self.pairs))
            indices.append(self._order(epoch)[index])
        chosen = [self.pairs[i] for i in indices]
        return pack([one.chosen for one in chosen] + [one.rejected for one in chosen]), self.reference_N2[indices]

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Return the mean loss of the pairs."""
        packed, reference_B2 = batch[0].to(self._device), batch[1].to(self._device)
        logprobs_B2 = answer_logprobs(model, packed).view(2, -1).T
        return preference_losses(logprobs_B2, reference_B2, self.beta).mean()

    @torch.no_grad()
    def margins(self, model: nn.Module, n_pairs: int | None = None) -> Margins:
        """Return how the model prefers on the held-out pairs, or on some, spread evenly over them."""
        if not self.held_out:
            raise DataError("there are no held-out pairs of answers to measure on")
        every = max(1, len(self.held_out) // n_pairs) if n_pairs else 1
        return self._margins(self._logprobs(model, self.held_out[::every]), self.held_out_reference_N2[::every])

    def validate(self, model: nn.Module, max_tokens: int | None = None) -> Validation:
        """Return the loss on the held-out pairs; bits a byte and targets are of their chosen answers alone."""
        held = self.held_out
        n_learned = sum(one.chosen.n_learned for one in held)
        every = max(1, n_learned // max_tokens) if max_tokens else 1
        if not held:
            raise DataError("there are no held-out pairs of answers to measure on")
        logprobs_N2 = self._logprobs(model, held[::every])
        found = self._margins(logprobs_N2, self.held_out_reference_N2[::every])
        chosen = [one.chosen for one in held[::every]]
        nats, n_bytes = -float(logprobs_N2[:, 0].sum()), sum(one.n_bytes for one in chosen)
        return Validation(found.loss, nats / math.log(2) / n_bytes, sum(one.n_learned for one in chosen))

    def sample(self, model: nn.Module, step: int) -> Sample:
        """Return what the model answers now."""
        return self.write(model)

    def _margins(self, logprobs_N2: Float[Tensor, "N 2"], reference_N2: Float[Tensor, "N 2"]) -> Margins:
        rewards_N2 = self.beta * (logprobs_N2 - reference_N2)
        margin_N = rewards_N2[:, 0] - rewards_N2[:, 1]
        return Margins(
            float(preference_losses(logprobs_N2, reference_N2, self.beta).mean()),
            float(margin_N.mean()),
            float(((margin_N > 0).double() + (margin_N == 0).double() / 2).mean()),
            float(rewards_N2[:, 0].mean()),
            float(rewards_N2[:, 1].mean()),
        )

    @torch.no_grad()
    def _logprobs(self, model: nn.Module, pairs: Sequence[PreferenceExample]) -> Float[Tensor, "N 2"]:
        """Return the log-probability of both answers of every pair."""
        answers: list[Example] = [answer for one in pairs for answer in (one.chosen, one.rejected)]
        found = []
        for group in parted(answers, self.vocab_size):
            found.append(answer_logprobs(model, pack(group).to(self._device)).cpu())
        return torch.cat(found).view(-1, 2) if found else torch.zeros(0, 2, dtype=torch.float64)

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device


def preference_losses(
    logprobs_N2: Float[Tensor, "N 2"], reference_N2: Float[Tensor, "N 2"], beta: float
) -> Float[Tensor, " N"]:
    """Return the loss of each pair (equation 7).

    Args:
        logprobs_N2: of the chosen and of the rejected answer.
        reference_N2: the same by the reference.
    """
    gained_N2 = logprobs_N2 - reference_N2
    return -F.logsigmoid(beta * (gained_N2[:, 0] - gained_N2[:, 1]))


def answer_logprobs(model: nn.Module, packed: Packed) -> Float[Tensor, " A"]:
    """Return the log-probability of every answer, summed in float64: differences of large sums are what counts."""
    logits_NV = model(packed.tokens, lengths=packed.lengths, wanted=packed.wanted)[0]
    if logits_NV.dtype in (torch.bfloat16, torch.float16):
        logits_NV = logits_NV.float()
    logprobs_N = -F.cross_entropy(logits_NV, packed.targets, reduction="none").double()
    return torch.stack([part.sum() for part in logprobs_N.split(list(packed.counts))])
