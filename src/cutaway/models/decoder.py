"""The decoder: text in, one guess of the next token out at every position. GPT and Llama are this with other
parts.

    x = token rows (+ position rows, + n-gram rows)
    x = block(x)              L times: see nn/block.py, nn/attention.py, nn/mlp.py
    logits = head(norm(x))    softmax(logits) are the probabilities of the next token

Decoder-only transformer: Radford et al. 2018, 2019; Touvron et al. 2023, arXiv:2302.13971. What differs
between models is passed in by `gpt.py` and `llama.py`; there is nothing to decide here. Look at the logits at
one position as the blocks add to the stream (the logit lens).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.base.errors import UsageError
from cutaway.base.tap import tap
from cutaway.models.config import ModelConfig
from cutaway.nn.attention import Attention, Lengths
from cutaway.nn.block import Block
from cutaway.nn.embedding import TokenEmbedding
from cutaway.nn.head_loss import head_loss
from cutaway.nn.kv_cache import KVCache


class Decoder(nn.Module):
    """Embeddings, blocks, a norm and a head.

    Args:
        added_embeddings: parts whose output is added to the token embedding: positions, n-grams.
        lm_head: a linear layer; when `config.tied` it shares the token embedding's table.
    """

    def __init__(
        self,
        config: ModelConfig,
        token_embedding: TokenEmbedding,
        added_embeddings: dict[str, nn.Module],
        embedding_norm: nn.Module,
        blocks: list[Block],
        final_norm: nn.Module,
        lm_head: nn.Linear,
    ) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = token_embedding
        self.added_embeddings = nn.ModuleDict(added_embeddings)
        self.embedding_norm = embedding_norm
        self.dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        self.blocks = nn.ModuleList(blocks)
        self.final_norm = final_norm
        self.lm_head = lm_head
        if config.tied:
            self.lm_head.weight = token_embedding.weight

    def forward(
        self,
        tokens: Int[Tensor, "B T"],
        cache: KVCache | None = None,
        lengths: Lengths | None = None,
        wanted: Int[Tensor, " N"] | None = None,
        targets: Int[Tensor, " _"] | None = None,
        divisor: float = 1.0,
    ) -> Float[Tensor, "B _ V"] | Float[Tensor, ""]:
        """Return the logits of the next token at every position.

        Args:
            cache: what earlier calls have read; the tokens continue it.
            lengths: of several texts that lie end to end in one row, each read as if it were alone.
            wanted: positions to return the logits of; left out: all.
            targets: what follows at the positions, or at those wanted, in a row. Their summed loss, divided by `divisor`,
                is then returned in place of logits.

        Raises:
            UsageError: more positions than the model has.
        """
        hidden_BTC = self.hidden(tokens, cache, lengths)
        if wanted is not None:
            hidden_BTC = hidden_BTC.index_select(1, wanted)
        if targets is not None:
            return head_loss(hidden_BTC.flatten(0, 1), self.lm_head, targets, divisor)
        return tap("logits_BTV", self.lm_head(hidden_BTC))

    def hidden(
        self, tokens: Int[Tensor, "B T"], cache: KVCache | None = None, lengths: Lengths | None = None
    ) -> Float[Tensor, "B T C"]:
        """Return what the head reads: the residual stream after the last norm."""
        if lengths is None:
            x_BTC = self.embed(tokens if cache is None else cache.see(tokens), tokens.shape[1])
        else:
            self._check_lengths(tokens, cache, lengths)
            x_BTC = self.embed(tokens, tokens.shape[1], lengths)
        x_BTC = tap("embed_BTC", self.dropout(self.embedding_norm(x_BTC)))
        for i, block in enumerate(self.blocks):
            x_BTC = block(x_BTC, None if cache is None else cache.layers[i], lengths)
        return tap("final_norm_BTC", self.final_norm(x_BTC))

    def embed(self, seen: Int[Tensor, "B S"], n_new: int, lengths: Lengths | None = None) -> Float[Tensor, "B T C"]:
        """Return what the embeddings together say of the last `n_new` tokens.

        Args:
            lengths: of several new texts that lie end to end; positions and runs of tokens begin anew at each.
        """
        longest = max(lengths) if lengths else seen.shape[1]
        if longest > self.config.context_length:
            raise UsageError(
                f"{longest} positions are more than the model's context of {self.config.context_length}; "
                f"give it the last {self.config.context_length}"
            )
        x_BTC = self.token_embedding(seen, n_new)
        for embedding in self.added_embeddings.values():
            if lengths is None:
                added_BTC = embedding(seen, n_new)
            else:
                added_BTC = torch.cat([embedding(text, text.shape[1]) for text in seen.split(lengths, dim=1)], dim=1)
            x_BTC = x_BTC + added_BTC.to(x_BTC.dtype)
        return x_BTC

    @staticmethod
    def _check_lengths(tokens: Tensor, cache: KVCache | None, lengths: Lengths) -> None:
        if cache is not None or len(tokens) != 1 or sum(lengths) != tokens.shape[1] or min(lengths) < 1:
            raise UsageError(
                f"texts of {sum(lengths)} tokens end to end were said to lie in {len(tokens)} row(s) of "
                f"{tokens.shape[1]}; expected one row of just these tokens, and no cache"
            )

    def new_cache(self, batch_size: int = 1, length: int | None = None) -> KVCache:
        """Return an empty cache with room for `length` positions (left out: the whole context)."""
        attn = self.blocks[0].attn
        assert isinstance(attn, Attention)
        weight = self.token_embedding.weight
        capacity = min(length or self.config.context_length, self.config.context_length)
        return KVCache(
            len(self.blocks), batch_size, capacity, attn.n_kv_heads, attn.d_head, weight.dtype, weight.device
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.token_embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' precision."""
        return self.token_embedding.weight.dtype


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch dropout off inside the `with` block."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
