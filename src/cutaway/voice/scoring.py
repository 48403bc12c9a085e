"""What a model thinks of every token of many short texts, read side by side.

    nats[t] = -ln p(token_t | tokens before)          is_likeliest[t]: no token was likelier

Rows of a batch are filled up at their right end; nothing looks to the right, so the filling changes no number. Rows of
about the same length are read together. A text longer than the context is read as far as it fits; the rest is not computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cutaway.base.errors import TokenizerError
from cutaway.models.decoder import Decoder, evaluating

NUMBERS_AT_ONCE = 1 << 23
"""Logits held at a time."""


@dataclass(frozen=True)
class Scores:
    """One text's tokens but the first, which nothing predicts."""

    nats_T: NDArray[np.float64]
    """Entry t is of token t + 1; shorter than the text where the context ended."""
    is_likeliest_T: NDArray[np.bool_]


def scores(model: Decoder, texts: Sequence[Sequence[int] | NDArray[np.int64]]) -> list[Scores]:
    """Return the surprisal of every token but the first of every text.

    Raises:
        TokenizerError: a token is not in the model's vocabulary.
    """
    context, n_tokens = model.config.context_length, model.lm_head.out_features
    largest = max((max(ids) for ids in texts if len(ids)), default=0)
    if largest >= n_tokens:
        raise TokenizerError(
            f"the tokenizer gives token {largest}, but the model has only {n_tokens}: "
            f"they do not belong together; load both from one folder"
        )
    found = [Scores(np.zeros(0), np.zeros(0, bool)) for _ in texts]
    line = sorted((min(len(ids), context + 1), number) for number, ids in enumerate(texts) if len(ids) > 1)
    with evaluating(model), torch.inference_mode():
        while line:
            longest = line[-1][0]
            at_once = max(1, NUMBERS_AT_ONCE // ((longest - 1) * n_tokens))
            batch, line = line[-at_once:], line[:-at_once]
            rows_BT = torch.zeros(len(batch), longest, dtype=torch.int64)
            for row, (length, number) in enumerate(batch):
                rows_BT[row, :length] = torch.as_tensor(np.asarray(texts[number][:length], np.int64))
            rows_BT = rows_BT.to(model.device)
            log_BTV = model(rows_BT[:, :-1]).float().log_softmax(-1)
            own_BT1 = log_BTV.gather(-1, rows_BT[:, 1:, None])
            nats_BT = -own_BT1[..., 0].double().cpu().numpy()
            likeliest_BT = (log_BTV.argmax(-1) == rows_BT[:, 1:]).cpu().numpy()
            for row, (length, number) in enumerate(batch):
                found[number] = Scores(nats_BT[row, : length - 1].copy(), likeliest_BT[row, : length - 1].copy())
    return found
