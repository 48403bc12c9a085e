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
from cutaway.microscope.record import Operation, Place
from cutaway.microscope.trace import Trace
from cutaway.microscope.users import Readers
from cutaway.models.decoder import Decoder
from cutaway.notebook import Figure, Shown
from cutaway.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Attention(Shown):
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

    def show(self) -> Figure:
        """Return all heads as a figure: what kind each is, where one of them looks."""
        from cutaway.lens.attention_figure import attention_figure

        return attention_figure(self).show()


def attention(model: Decoder, tokenizer: Tokenizer, text: str | Prompt) -> Attention:
    """Return where every head of the model looks in the text.

    Raises:
        TokenizerError: the text does not become tokens.
    """
    prompt = text if isinstance(text, Prompt) else read_prompt(model, tokenizer, text)
    wanted = [f"blocks.{layer}.attn.pattern" for layer in range(len(model.blocks))]
    found = read(model, prompt.tokens, wanted)
    return Attention(prompt, torch.stack([found[name][0].float().cpu() for name in wanted]))


@dataclass(frozen=True)
class TracedAttention:
    """One softmax of a recorded model that weighs the rows of another tensor."""

    address: str
    """Where the trace has it."""
    module: str
    """The path of the module it happened in, "" for the model itself."""
    pattern: Float[Tensor, "... T S"]
    """Shares as recorded, float32; the axes before the last two as the model laid them out, often batch and heads."""


SOFTMAXES = {"_softmax", "_safe_softmax", "softmax.int", "_scaled_softmax"}
PRODUCTS = {"mm": ("self", "mat2"), "bmm": ("self", "mat2"), "addmm": ("mat1", "mat2"), "baddbmm": ("batch1", "batch2")}
"""Matrix products and their two factors."""
PASSING = {"native_dropout", "_to_copy", "clone", "mul.Tensor", "mul.Scalar", "div.Tensor", "copy_", "nan_to_num"}
"""What may happen to a pattern between the softmax and the product."""


def of_trace(trace: Trace) -> list[TracedAttention]:
    """Return the attention patterns of any recorded model, in the order they were computed.

    A softmax of the forward pass counts if the next matrix product sums over its last axis and the other factor is no
    weight: that is what attention is, whatever the modules are called. A softmax over classes or experts is not.
    """
    readers = Readers(trace)
    kinds = trace.names.source_kinds
    weights = {trace.place(address).storage for address, kind in kinds.items() if kind == "parameter"}
    found = []
    for operation in trace.operations:
        if operation.phase != "forward" or operation.name not in SOFTMAXES or operation.is_unseen:
            continue
        which, place = next(operation.outputs())
        if len(place.shape) >= 2 and place.numel and _weighs(trace, readers, weights, operation, place):
            address = trace.names.results[operation.number, which]
            found.append(TracedAttention(address, operation.module, trace.memory.read(place).float().clone()))
    return found


def _weighs(trace: Trace, readers: Readers, weights: set[int], softmax: Operation, pattern: Place) -> bool:
    """Return whether a softmax's result, perhaps after dropout or a cast, is a factor of a product over its last axis."""
    waiting, seen = [(softmax.number, pattern.storage)], {pattern.storage}
    while waiting:
        since, storage = waiting.pop()
        for operation, argument, place in readers.of.get(storage, ()):
            if operation.number <= since or operation.phase != "forward":
                continue
            if operation.name in PRODUCTS:
                factors = PRODUCTS[operation.name]
                if argument in factors and _sums_over(weights, operation, factors, argument, place, pattern):
                    return True
            elif operation.name in PASSING and _is_dropout(trace, operation, place):
                for _, made in operation.outputs():
                    if made.numel == pattern.numel and made.storage not in seen:
                        seen.add(made.storage)
                        waiting.append((operation.number, made.storage))
    return False


def _is_dropout(trace: Trace, operation: Operation, pattern: Place) -> bool:
    """Return whether what a pattern is multiplied by, if anything, keeps or drops its shares and no more."""
    others = [other for _, other in operation.operands() if other != pattern]
    if not operation.name.startswith(("mul", "div")) or not others:
        return True
    values = trace.memory.read(others[0]).unique()
    return len(values) == 1 or (len(values) == 2 and 0 in values)


def _sums_over(
    weights: set[int], product: Operation, factors: tuple[str, str], argument: str, place: Place, pattern: Place
) -> bool:
    """Return whether a product sums over the pattern's last axis, and its other factor was computed, not learned."""
    summed = place.shape[-1] if argument == factors[0] else place.shape[-2]
    other = product.args[factors[1] if argument == factors[0] else factors[0]]
    is_weight = not isinstance(other, Place) or other.storage in weights
    return summed == pattern.shape[-1] and place.numel == pattern.numel and not is_weight
