"""Where every head looks: the patterns of all layers and heads on a text, and averages of them.

    pattern[l,h,t,s]   the share of head h of block l, at position t, that goes to what stands at s <= t

A row sums to one (Vaswani et al. 2017, arXiv:1706.03762, equation 1). What a head reads there is another question: a
large share of a vector near zero moves nothing (Kobayashi et al. 2020, arXiv:2004.10102), so ask attribution too.

`attention` reads one of our decoders; `of_trace` finds the same in the recording of any model: every softmax whose
result weighs the rows of another tensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.lens.activations import read
from cutaway.lens.prompt import Prompt, read_prompt
from cutaway.models.decoder import Decoder
from cutaway.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Attention:
    """The patterns of all heads on one text."""

    prompt: Prompt
    pattern_LHTS: Float[Tensor, "L H T S"]
    """Shares, float32; a row sums to one; nothing above the diagonal (a position does not read what comes later)."""

    @property
    def heads(self) -> list[str]:
        """The heads' names, `LAYER.HEAD` from 0.0, in the order of the axes."""
        n_layers, n_heads = self.pattern_LHTS.shape[:2]
        return [f"{layer}.{head}" for layer in range(n_layers) for head in range(n_heads)]

    @property
    def over_heads_LTS(self) -> Float[Tensor, "L T S"]:
        """The mean of each layer's heads."""
        return self.pattern_LHTS.mean(1)

    @property
    def over_all_TS(self) -> Float[Tensor, "T S"]:
        """The mean of all heads of all layers."""
        return self.pattern_LHTS.mean((0, 1))


def attention(model: Decoder, tokenizer: Tokenizer, text: str | Prompt) -> Attention:
    """Return where every head of the model looks in the text.

    Raises:
        TokenizerError: the text does not become tokens.
    """
    prompt = text if isinstance(text, Prompt) else read_prompt(model, tokenizer, text)
    wanted = [f"blocks.{layer}.attn.pattern" for layer in range(len(model.blocks))]
    found = read(model, prompt.tokens, wanted)
    return Attention(prompt, torch.stack([found[name][0].float().cpu() for name in wanted]))
