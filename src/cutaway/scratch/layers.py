"""The parts of a network, on the array engine: each holds its weights and says what it does to x.

    Linear      y = x W^T + b                   W has one row for each output
    Embedding   y = table[tokens]
    LayerNorm   y = (x - mean) / sqrt(var + eps) * gain + bias;    RMSNorm   y = x / sqrt(mean(x^2) + eps) * gain
    MLP         y = down(activation(up(x)))
    attention   y = o( softmax(q k^T / sqrt(D) + mask) v )         Vaswani et al. 2017, arXiv:1706.03762, equation 1

The parts take their weights instead of drawing them, so that two engines can share the same; `draw` draws some. Look at
`CausalAttention`: the formula above, and a cache that lets positions come one at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cutaway.base.errors import ShapeError
from cutaway.scratch.array import (
    Array,
    attention_pattern,
    concatenate,
    embedding,
    layer_norm,
    linear,
    merge_heads,
    rms_norm,
    split_heads,
)


def draw(shape: tuple[int, ...], deviation: float, generator: np.random.Generator, name: str = "") -> Array:
    """Return weights drawn from a normal distribution around zero."""
    return Array(generator.normal(0.0, deviation, shape), name)


class Layer:
    """Something with weights, perhaps made of parts with weights."""

    def __call__(self, x: Array) -> Array:
        """Return what the layer makes of x."""
        raise NotImplementedError

    def parameters(self, path: str = "") -> dict[str, Array]:
        """Return every weight by its name, part.weight, in the order the parts were set."""
        found: dict[str, Array] = {}
        for name, part in vars(self).items():
            place = f"{path}.{name}" if path else name
            if isinstance(part, Array):
                found[place] = part
            elif isinstance(part, Layer):
                found |= part.parameters(place)
        return found


class Linear(Layer):
    """Each output is a weighted sum of all inputs, plus a bias."""

    def __init__(self, weight: Array, bias: Array | None = None) -> None:
        self.weight, self.bias = weight, bias

    def __call__(self, x: Array) -> Array:
        """Return x W^T + b."""
        y = linear(x, self.weight)
        return y if self.bias is None else y + self.bias


class Embedding(Layer):
    """A table with one row for each token; rows are looked up by token number."""

    def __init__(self, weight: Array) -> None:
        self.weight = weight

    def look_up(self, tokens: list[int]) -> Array:
        """Return the row of each token."""
        return embedding(self.weight, tokens)


class LayerNorm(Layer):
    """Centre each position, scale it to a variance of one, then apply a learned gain and offset."""

    def __init__(self, weight: Array, bias: Array, eps: float = 1e-5) -> None:
        self.weight, self.bias, self.eps = weight, bias, eps

    def __call__(self, x: Array) -> Array:
        """Return the normalised positions."""
        return layer_norm(x, self.eps) * self.weight + self.bias


class RMSNorm(Layer):
    """Scale each position to a mean square of one, then apply a learned gain, if there is one."""

    def __init__(self, weight: Array | None = None, eps: float = 1e-5) -> None:
        self.weight, self.eps = weight, eps

    def __call__(self, x: Array) -> Array:
        """Return the normalised positions."""
        y = rms_norm(x, self.eps)
        return y if self.weight is None else y * self.weight


class MLP(Layer):
    """Each position by itself: widen, bend, narrow."""

    def __init__(self, up: Linear, down: Linear, activation: Callable[[Array], Array]) -> None:
        self.up, self.down, self.activation = up, down, activation

    def __call__(self, x: Array) -> Array:
        """Return what the position makes of itself."""
        return self.down(self.activation(self.up(x)))


class CausalAttention(Layer):
    """Each position asks the positions up to itself, in several heads side by side.

    Raises:
        ShapeError: the width cannot be shared among the heads.
    """

    def __init__(self, q: Linear, k: Linear, v: Linear, o: Linear, n_heads: int) -> None:
        width = q.weight.shape[0]
        if n_heads < 1 or width % n_heads:
            raise ShapeError(f"attention of {width} numbers in {n_heads} heads: the heads must share them equally")
        self.q, self.k, self.v, self.o = q, k, v, o
        self.n_heads, self.d_head = n_heads, width // n_heads

    def __call__(self, x: Array, cache: list[Array] | None = None) -> Array:
        """Return what the heads together say of each position.

        Args:
            x: positions, shape (..., T, C).
            cache: empty, or keys and values of the positions before; the new ones are added. Gradients flow
                through it.
        """
        q, k, v = (split_heads(part(x), self.n_heads) for part in (self.q, self.k, self.v))
        if cache is not None:
            if cache:
                k, v = concatenate((cache[0], k), -2), concatenate((cache[1], v), -2)
            cache[:] = k, v
        pattern_HTS = attention_pattern(q, k)
        return self.o(merge_heads(pattern_HTS @ v))
