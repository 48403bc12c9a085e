"""Embeddings: where text enters the residual stream. Each part adds, at each position, what it knows of it.

    token      x_t = table[token_t]                                      one row a token
    position   x_t = table[t]                                            one row a position (GPT-2)
    n-gram     x_t = table_n[hash(token_{t-n+1} .. token_t) mod rows]    one row a run of n tokens

Runs of tokens are far too many for a row each, so they share a table by hashing (Svenstrup et al. 2017,
arXiv:1709.03933; as input features of a transformer: Clark et al. 2022, CANINE, arXiv:2103.06874). A
collision is a little noise; what is gained is that the first block already knows the last few characters, for
no matrix product. All parts get the tokens seen so far and the number of new ones, so they work the same with
a cache.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


class TokenEmbedding(nn.Module):
    """One learned row for each token."""

    def __init__(self, vocab_size: int, d_model: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocab_size, d_model))

    def forward(self, seen: Int[Tensor, "B S"], n_new: int) -> Float[Tensor, "B T C"]:
        """Return the rows of the new tokens."""
        return F.embedding(seen[:, seen.shape[1] - n_new :], self.weight)


class LearnedPositions(nn.Module):
    """One learned row for each position."""

    def __init__(self, context_length: int, d_model: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(context_length, d_model))

    def forward(self, seen: Int[Tensor, "B S"], n_new: int) -> Float[Tensor, "1 T C"]:
        """Return the rows of the new positions, the same for all texts."""
        return self.weight[None, seen.shape[1] - n_new : seen.shape[1]]


class NGramEmbedding(nn.Module):
    """One learned row for each run of n tokens, up to collisions. A token of its own precedes the text."""

    sparse_gradient = False
    """Set this to get the gradient of the rows used only, for an optimizer that understands it."""

    def __init__(self, n: int, vocab_size: int, rows: int, d_model: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.n, self.vocab_size, self.dropout = n, vocab_size, dropout
        self.weight = nn.Parameter(torch.empty(rows, d_model))

    def forward(self, seen: Int[Tensor, "B S"], n_new: int) -> Float[Tensor, "B T C"]:
        """Return the rows of the runs that end at the new tokens."""
        rows_BTC = F.embedding(self.indices(seen, n_new), self.weight, sparse=self.sparse_gradient)
        if self.training and self.dropout:
            kept_BT1 = torch.rand(*rows_BTC.shape[:2], 1, device=rows_BTC.device) >= self.dropout
            rows_BTC = rows_BTC * (kept_BT1 / (1 - self.dropout))
        return rows_BTC

    def indices(self, seen: Int[Tensor, "B S"], n_new: int) -> Int[Tensor, "B T"]:
        """Return the row number of each run that ends at a new token."""
        needed = n_new + self.n - 1
        recent = seen[:, max(0, seen.shape[1] - needed) :]
        recent = F.pad(recent, (needed - recent.shape[1], 0), value=self.vocab_size)
        runs = [recent[:, i : i + n_new] for i in range(self.n)]
        return row_numbers(runs, self.vocab_size + 1, len(self.weight))


def row_numbers(runs: list[Int[Tensor, "B T"]], n_symbols: int, n_rows: int) -> Int[Tensor, "B T"]:
    """Number the runs of tokens: as digits of a number; its bits are scrambled if rows are too few."""
    number = runs[0]
    for digit in runs[1:]:
        number = number * n_symbols + digit
    if n_symbols ** len(runs) <= n_rows:
        return number  # a row for every run
    number = (number ^ (number >> 30)) * -0x40A7B892E31B1A47  # a step of SplitMix64
    return ((number ^ (number >> 27)) & 0x7FFF_FFFF_FFFF_FFFF) % n_rows
