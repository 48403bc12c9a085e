"""How surprised a model is by every token of a text: what it would have to be told to know that this token comes.

    surprisal[t] = -ln p(token_t | tokens before)     nats; / ln 2: bits        Shannon 1948

Averages: nats per token is the loss of training; bits per byte (of the text in UTF-8) is comparable between models
with different tokenizers, since the bits of a text are a code for it, however it is cut.

The first token. With a mark of the beginning before the text (as our models of many documents have) it has a
surprisal like any other. Without, the model was asked nothing: it is not computed (NaN), and its bytes count nowhere.

Long texts are read in windows of the model's context, each starting `stride` tokens after the one before; a token is
scored in the first window that has it, the last window ends with the text. So every token has at least
context - stride + 1 tokens before it (all there are, near the beginning). A stride of 1 gives each as much as fits,
for context / stride times the work. The default, half a context, costs two readings.

Two models are compared on the smallest pieces of the text at whose ends both have a token's end, so that the sums are
the sums of each. Look at pieces where one model is surprised and the other is not: that is what it knows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cutaway.base.errors import TokenizerError, UsageError
from cutaway.models.decoder import Decoder, evaluating
from cutaway.notebook import Figure, Shown
from cutaway.text.tokenizer import Tokenizer

NUMBERS_AT_ONCE = 1 << 24
"""Logits held at a time."""


@dataclass(frozen=True)
class Surprisal(Shown):
    """What one model thinks of every token of a text."""

    text: str
    ids: tuple[int, ...]
    """The text's tokens, without a mark of the beginning."""
    pieces: tuple[str, ...]
    ends: tuple[int, ...]
    """Where in the text each token ends, in characters; tokens that share a character end together."""
    nats_T: Float[Tensor, " T"]
    """Surprisal of each token, float64; NaN: not computed."""
    rank_T: Int[Tensor, " T"]
    """How many tokens the model found likelier, and 1; -1: not computed."""
    entropy_T: Float[Tensor, " T"]
    """What surprisal the model expected here, in nats; NaN: not computed."""
    seen_T: Int[Tensor, " T"]
    """How many tokens it had before it, the mark of the beginning counted."""
    has_bos: bool
    """Whether a mark of the beginning was read first."""
    stride: int
    """Tokens between the beginnings of two windows."""

    def show(self) -> Figure:
        """Return the text as a figure, every token coloured by its bits."""
        from cutaway.lens.surprisal_figure import surprisal_figure

        return surprisal_figure(self).show()

    @property
    def bits_T(self) -> Float[Tensor, " T"]:
        """The surprisals in bits."""
        return self.nats_T / math.log(2)

    @property
    def n_scored(self) -> int:
        """How many tokens have a surprisal."""
        return int((~self.nats_T.isnan()).sum())

    @property
    def total_nats(self) -> float:
        """The sum over all that were computed."""
        return float(self.nats_T.nansum())

    @property
    def nats_per_token(self) -> float | None:
        """The mean surprisal, None if nothing was computed."""
        return self.total_nats / self.n_scored if self.n_scored else None

    @property
    def n_bytes(self) -> int:
        """The bytes (UTF-8) of the characters all of whose tokens were computed."""
        return len(self.text[self._first :].encode())

    @property
    def bits_per_byte(self) -> float | None:
        """The mean surprisal of a byte, None if nothing was computed."""
        if not self.n_bytes:
            return None
        is_whole_T = torch.tensor(self.ends) > self._first
        return float(self.bits_T[is_whole_T].sum()) / self.n_bytes

    @property
    def _first(self) -> int:
        """The character from which on everything was computed."""
        return 0 if self.has_bos else self.ends[0]


@dataclass(frozen=True)
class Comparison(Shown):
    """Two models on the same text, on the smallest pieces (N) that both can be asked about."""

    first: Surprisal
    second: Surprisal
    pieces: tuple[str, ...]
    ends: tuple[int, ...]
    """Where in the text each piece ends, in characters."""
    first_nats_N: Float[Tensor, " N"]
    """The sum of the first model's surprisals in each piece; NaN where one of them was not computed."""
    second_nats_N: Float[Tensor, " N"]

    def show(self) -> Figure:
        """Return the text as a figure, every piece coloured by the difference."""
        from cutaway.lens.surprisal_figure import comparison_figure

        return comparison_figure(self).show()

    @property
    def difference_N(self) -> Float[Tensor, " N"]:
        """Second less first, in nats: above 0 where the second was more surprised; NaN where one was not computed."""
        return self.second_nats_N - self.first_nats_N

    @property
    def bits_per_byte(self) -> tuple[float, float] | None:
        """Of both models, over the pieces both computed; None if there are none."""
        both = ~self.difference_N.isnan()
        starts = (0, *self.ends[:-1])
        spans = zip(starts, self.ends, both.tolist(), strict=True)
        n_bytes = sum(len(self.first.text[start:end].encode()) for start, end, is_in in spans if is_in)
        if not n_bytes:
            return None
        first, second = (float(nats_N[both].sum()) for nats_N in (self.first_nats_N, self.second_nats_N))
        return first / math.log(2) / n_bytes, second / math.log(2) / n_bytes


def surprisal(model: Decoder, tokenizer: Tokenizer, text: str, stride: int | None = None) -> Surprisal:
    """Return how surprised the model is by every token of a text of any length.

    Args:
        stride: tokens between the beginnings of two windows; left out: half the model's context.

    Raises:
        TokenizerError: the text is empty or does not become tokens.
        UsageError: a stride that is not between 1 and the context.
    """
    context = model.config.context_length
    stride = max(1, context // 2) if stride is None else stride
    if not 1 <= stride <= context:
        raise UsageError(f"a stride of {stride} cannot be; expected 1 to {context}, the model's context")
    ids = tokenizer.prompt_ids(text)
    ends = tokenizer.token_ends(text)
    if not ends:
        raise TokenizerError("there is nothing to read: give a text of at least one character")
    if max(ids) >= model.lm_head.out_features:
        raise TokenizerError(
            f"the tokenizer gives token {max(ids)}, but the model has only {model.lm_head.out_features}: "
            f"they do not belong together; load both from one folder"
        )
    n_before = len(ids) - len(ends)
    nats, rank, entropy, seen = (column[n_before:] for column in _scored(model, torch.tensor(ids), context, stride))
    pieces = tuple(tokenizer.token_text(index) for index in ids[n_before:])
    return Surprisal(text, tuple(ids[n_before:]), pieces, tuple(ends), nats, rank, entropy, seen, n_before > 0, stride)


@torch.no_grad()
def _scored(model: Decoder, ids_T: Tensor, context: int, stride: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return surprisal, rank, entropy and number of tokens before, for every id; the first is not computed."""
    T = len(ids_T)
    nats_T = torch.full((T,), math.nan, dtype=torch.float64)
    entropy_T = torch.full((T,), math.nan, dtype=torch.float64)
    rank_T, seen_T = torch.full((T,), -1), torch.zeros(T, dtype=torch.int64)
    if T == 1:
        return nats_T, rank_T, entropy_T, seen_T
    length = min(context, T - 1)
    starts = window_starts(T, length, stride)
    at_once = max(1, NUMBERS_AT_ONCE // (length * model.lm_head.out_features))
    done = 1
    with evaluating(model):
        for group in (starts[i : i + at_once] for i in range(0, len(starts), at_once)):
            windows_BT = torch.stack([ids_T[start : start + length + 1] for start in group]).to(model.device)
            log_BTV = model(windows_BT[:, :-1]).float().log_softmax(-1)
            own_BT1 = log_BTV.gather(-1, windows_BT[:, 1:, None])
            ranks_BT = 1 + (log_BTV > own_BT1).sum(-1)
            entropies_BT = torch.special.entr(log_BTV.exp()).sum(-1)
            for row, start in enumerate(group):
                new, inside = slice(done, start + length + 1), slice(done - start - 1, length)
                done = new.stop
                nats_T[new] = -own_BT1[row, inside, 0].double().cpu()
                rank_T[new] = ranks_BT[row, inside].cpu()
                entropy_T[new] = entropies_BT[row, inside].double().cpu()
                seen_T[new] = torch.arange(inside.start + 1, length + 1)
    return nats_T, rank_T, entropy_T, seen_T


def window_starts(T: int, length: int, stride: int) -> list[int]:
    """Return where windows of so many tokens begin so that each of T tokens but the first comes after one."""
    last = T - 1 - length
    return [*range(0, last, stride), last]


def compare(first: Surprisal, second: Surprisal) -> Comparison:
    """Return two models' surprisals on the smallest pieces that end where both have a token's end.

    Raises:
        UsageError: they are of different texts.
    """
    if first.text != second.text:
        raise UsageError("two surprisals can be compared on the same text only; these are of different ones")
    ends = sorted(set(first.ends) & set(second.ends))
    starts = [0, *ends[:-1]]
    pieces = tuple(first.text[start:end] for start, end in zip(starts, ends, strict=True))
    return Comparison(first, second, pieces, tuple(ends), _sums(first, ends), _sums(second, ends))


def _sums(found: Surprisal, ends: list[int]) -> Float[Tensor, " N"]:
    """Return the sum of the surprisals of the tokens in each piece."""
    piece_T = torch.searchsorted(torch.tensor(ends), torch.tensor(found.ends))
    return torch.zeros(len(ends), dtype=torch.float64).index_add(0, piece_T, found.nats_T)
