"""A GPT that invents names, from nothing, twice: on numbers (value.py) and on arrays (array.py).

    x = norm(token_table[token] + position_table[position])
    x = x + o( heads( softmax(q . k / sqrt(D)) v ) ),   q, k, v from norm(x)            attention
    x = x + down(relu(up(norm(x))))                                                     MLP
    logits = head x;   loss = mean of -log softmax(logits)[next character]

One layer, 16 wide, 4 heads, context 16: 4,192 weights for 26 letters and BOS. The recipe and its published result
("microgpt", A. Karpathy, 2026-02-12) are a known answer: with seed 42 both engines must invent the same 20 names. The
two differ in one thing: `ValueGPT` reads a name one position at a time and keeps keys and values in a cache, through
which gradients flow; `ArrayGPT` reads all positions at once and hides the future with a mask. The numbers are the same
to rounding.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cutaway.base.errors import DataError, TokenizerError
from cutaway.scratch.array import Array, cross_entropy, rms_norm
from cutaway.scratch.layers import MLP, CausalAttention, Embedding, Linear
from cutaway.scratch.optimizers import Adam, adam_step
from cutaway.scratch.value import Value, dot

N_LAYERS, D_MODEL, N_HEADS, CONTEXT_LENGTH, D_FF = 1, 16, 4, 16, 64
D_HEAD = D_MODEL // N_HEADS
NORM_EPS, DEVIATION = 1e-5, 0.08
RATE, BETAS, ADAM_EPS = 0.01, (0.85, 0.99), 1e-8
STEPS, TEMPERATURE, N_INVENTED, SEED = 1000, 0.5, 20, 42

Weights = dict[str, list[list[float]]]
"""Matrices by name, a list of rows each."""


# --- names to numbers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Vocabulary:
    """The characters of the names, sorted, then one mark (BOS) for the beginning and the end of a name."""

    characters: str

    @staticmethod
    def of(names: Sequence[str]) -> Vocabulary:
        """Return the vocabulary of these names."""
        return Vocabulary("".join(sorted(set("".join(names)))))

    @property
    def bos(self) -> int:
        """The number of the mark."""
        return len(self.characters)

    def __len__(self) -> int:
        return len(self.characters) + 1

    def encode(self, name: str) -> list[int]:
        """Return the numbers of BOS, each character, BOS.

        Raises:
            TokenizerError: a character no name had.
        """
        for character in name:
            if character not in self.characters:
                raise TokenizerError(f"{name!r} has {character!r}; the vocabulary is {self.characters!r}")
        return [self.bos, *map(self.characters.index, name), self.bos]


def read_names(path: Path) -> list[str]:
    """Return the names in a file, one a line; empty lines are left out.

    Raises:
        DataError: there is no such file, it is not UTF-8 text, or it has no names.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); give a text file with one name a line") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text; give a text file with one name a line") from None
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise DataError(f"{path}: no names in it; give a text file with one name a line")
    return names


def draw_weights(vocab_size: int, generator: random.Random) -> Weights:
    """Return the weights at the start; the order in which they are drawn is part of the known answer."""
    shapes = {"tokens": (vocab_size, D_MODEL), "positions": (CONTEXT_LENGTH, D_MODEL), "head": (vocab_size, D_MODEL)}
    for layer in range(N_LAYERS):
        shapes |= {f"{layer}.{part}": (D_MODEL, D_MODEL) for part in ("q", "k", "v", "o")}
        shapes |= {f"{layer}.up": (D_FF, D_MODEL), f"{layer}.down": (D_MODEL, D_FF)}
    return {
        name: [[generator.gauss(0, DEVIATION) for _ in range(columns)] for _ in range(rows)]
        for name, (rows, columns) in shapes.items()
    }


# --- on numbers ------------------------------------------------------------------------------------------------------

Dot = Callable[[Sequence[Value], Sequence[Value]], Value]


def plain_dot(a: Sequence[Value], b: Sequence[Value]) -> Value:
    """Return a sum of products as a chain of + and *: every one of them a node."""
    products = [x * y for x, y in zip(a, b, strict=True)]
    result = products[0]
    for product in products[1:]:
        result = result + product
    return result


def norm(x: list[Value], dot: Dot) -> list[Value]:
    """Return x scaled to a mean square of one."""
    scale = (dot(x, x) / len(x) + NORM_EPS) ** -0.5
    return [number * scale for number in x]


def softmax(logits: list[Value]) -> list[Value]:
    """Return shares that sum to one."""
    largest = max(logit.data for logit in logits)
    powers = [(logit - largest).exp() for logit in logits]
    total = sum(powers, Value(0.0))
    return [power / total for power in powers]


class ValueGPT:
    """The model as one graph of numbers.

    Args:
        dot: how a sum of products is made, one node (`dot`) or many (`plain_dot`).
    """

    def __init__(self, weights: Weights, dot: Dot = dot) -> None:
        self.weights = {name: [list(map(Value, row)) for row in rows] for name, rows in weights.items()}
        self.dot = dot
        numbers = [number for rows in self.weights.values() for row in rows for number in row]
        self.numbers, self.state, self.count = numbers, [(0.0, 0.0)] * len(numbers), 0

    def multiply(self, name: str, x: list[Value]) -> list[Value]:
        """Return a matrix of weights times x: one sum of products for each row."""
        return [self.dot(row, x) for row in self.weights[name]]

    def read(self, token: int, position: int, caches: list[tuple[list[list[Value]], list[list[Value]]]]) -> list[Value]:
        """Read one token and return the logits of the next.

        Args:
            caches: keys and values of the positions before, for each layer; the new ones are added.
        """
        here = zip(self.weights["tokens"][token], self.weights["positions"][position], strict=True)
        x = norm([t + p for t, p in here], self.dot)
        for layer in range(N_LAYERS):
            read = norm(x, self.dot)
            q, k, v = (self.multiply(f"{layer}.{part}", read) for part in "qkv")
            keys, values = caches[layer]
            keys.append(k)
            values.append(v)
            z: list[Value] = []
            for head in range(0, D_MODEL, D_HEAD):
                own = slice(head, head + D_HEAD)
                scores = [self.dot(q[own], key[own]) / D_HEAD**0.5 for key in keys]
                pattern = softmax(scores)
                z += [self.dot(pattern, [value[i] for value in values]) for i in range(head, head + D_HEAD)]
            x = [a + b for a, b in zip(x, self.multiply(f"{layer}.o", z), strict=True)]
            hidden = [h.relu() for h in self.multiply(f"{layer}.up", norm(x, self.dot))]
            x = [a + b for a, b in zip(x, self.multiply(f"{layer}.down", hidden), strict=True)]
        return self.multiply("head", x)

    def loss(self, tokens: list[int]) -> Value:
        """Return the mean of -log of the probability given to each next token, in nats."""
        caches: list[tuple[list[list[Value]], list[list[Value]]]] = [([], []) for _ in range(N_LAYERS)]
        losses = []
        for position, (token, target) in enumerate(itertools.pairwise(tokens[: CONTEXT_LENGTH + 1])):
            losses.append(-softmax(self.read(token, position, caches))[target].log())
        return sum(losses, Value(0.0)) / len(losses)

    def train_step(self, tokens: list[int], rate: float) -> float:
        """Learn from one name; return the loss before."""
        loss = self.loss(tokens)
        loss.backward()
        self.count += 1
        beta1, beta2 = BETAS
        for i, number in enumerate(self.numbers):
            m, v = self.state[i]
            applied = adam_step(number.data, number.grad, m, v, self.count, rate, beta1, beta2, ADAM_EPS)
            self.state[i] = applied.m, applied.v
            number.data += applied.update
            number.grad = 0.0
        return loss.data

    def writer(self) -> Callable[[int], list[float]]:
        """Return a function that reads a token and returns the logits of the next; it remembers what it read."""
        caches: list[tuple[list[list[Value]], list[list[Value]]]] = [([], []) for _ in range(N_LAYERS)]
        return lambda token: [logit.data for logit in self.read(token, len(caches[0][0]), caches)]


# --- on arrays -------------------------------------------------------------------------------------------------------


class ArrayGPT:
    """The same model of layers.py's parts; shape (T, C) wherever the numbers had a loop over positions."""

    def __init__(self, weights: Weights) -> None:
        self.weights = {name: Array(rows, name) for name, rows in weights.items()}
        part = {name: Linear(weight) for name, weight in self.weights.items()}
        self.tokens, self.positions = Embedding(self.weights["tokens"]), self.weights["positions"]
        self.head = part["head"]
        self.blocks = [
            (
                CausalAttention(part[f"{i}.q"], part[f"{i}.k"], part[f"{i}.v"], part[f"{i}.o"], N_HEADS),
                MLP(part[f"{i}.up"], part[f"{i}.down"], Array.relu),
            )
            for i in range(N_LAYERS)
        ]
        self.optimizer = Adam(self.weights, RATE, betas=BETAS, eps=ADAM_EPS)

    def read(self, tokens: list[int], start: int = 0, caches: list[list[Array]] | None = None) -> Array:
        """Return the logits after each token, shape (T, V).

        Args:
            start: the position of the first.
            caches: for each layer empty, or keys and values of the positions before `start`.
        """
        x_TC = rms_norm(self.tokens.look_up(tokens) + self.positions[start : start + len(tokens)], NORM_EPS)
        for i, (attention, mlp) in enumerate(self.blocks):
            x_TC = x_TC + attention(rms_norm(x_TC, NORM_EPS), caches[i] if caches else None)
            x_TC = x_TC + mlp(rms_norm(x_TC, NORM_EPS))
        return self.head(x_TC)

    def loss(self, tokens: list[int]) -> Array:
        """Return the mean of -log of the probability given to each next token, in nats."""
        n = min(CONTEXT_LENGTH, len(tokens) - 1)
        return cross_entropy(self.read(tokens[:n]), tokens[1 : n + 1])

    def train_step(self, tokens: list[int], rate: float) -> float:
        """Learn from one name; return the loss before."""
        loss = self.loss(tokens)
        loss.backward()
        self.optimizer.step(rate)
        return float(loss.data)

    def writer(self) -> Callable[[int], list[float]]:
        """Return a function that reads a token and returns the logits of the next; it remembers what it read."""
        caches: list[list[Array]] = [[] for _ in range(N_LAYERS)]

        def write(token: int) -> list[float]:
            start = caches[0][0].shape[-2] if caches[0] else 0
            return [float(logit) for logit in self.read([token], start, caches).data[0]]

        return write


# --- learning and inventing ------------------------------------------------------------------------------------------


class NameModel(Protocol):
    """What both engines offer."""

    def train_step(self, tokens: list[int], rate: float) -> float:
        """Learn from one name; return the loss before."""
        ...

    def writer(self) -> Callable[[int], list[float]]:
        """Return a function that reads a token and returns the logits of the next."""
        ...


ENGINES: dict[str, Callable[[Weights], NameModel]] = {"value": ValueGPT, "array": ArrayGPT}


def invent(model: NameModel, vocabulary: Vocabulary, generator: random.Random) -> str:
    """Return a new name: from BOS, character by character, until BOS or the end of the context."""
    read, token, name = model.writer(), vocabulary.bos, ""
    for _ in range(CONTEXT_LENGTH):
        logits = read(token)
        largest = max(logits)
        powers = [math.exp((logit - largest) / TEMPERATURE) for logit in logits]
        total = sum(powers)
        (token,) = generator.choices(range(len(vocabulary)), weights=[power / total for power in powers])
        if token == vocabulary.bos:
            break
        name += vocabulary.characters[token]
    return name


@contextlib.contextmanager
def no_garbage_collector() -> Iterator[None]:
    """Keep Python from looking for reference cycles: a graph has none, and looking takes longer than computing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass(frozen=True)
class Lesson:
    """What came of learning a list of names."""

    losses: list[float]
    invented: list[str]
    n_weights: int


def learn_names(
    names: Sequence[str],
    engine: str = "array",
    steps: int = STEPS,
    seed: int = SEED,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> Lesson:
    """Learn from one name a step, then invent some.

    Args:
        engine: `value` or `array`.
        on_step: told the step, from 1, and its loss.
    """
    generator, names = random.Random(seed), list(names)
    generator.shuffle(names)
    vocabulary = Vocabulary.of(names)
    weights = draw_weights(len(vocabulary), generator)
    model = ENGINES[engine](weights)
    losses = []
    with no_garbage_collector():
        for step in range(steps):
            tokens = vocabulary.encode(names[step % len(names)])
            losses.append(model.train_step(tokens, RATE * (1 - step / steps)))
            on_step(step + 1, losses[-1])
    invented = [invent(model, vocabulary, generator) for _ in range(N_INVENTED)]
    return Lesson(losses, invented, sum(len(row) for rows in weights.values() for row in rows))
