"""Why writing is slow, and what the key/value cache saves: the same text with and without it, timed and counted.

Without a cache every new token reads the whole text again; with one it reads itself, and looks at the kept keys and values
of all before it. Counted for the step that reads m positions and then knows n (m = n without a cache, 1 with one):

    operations(m, n) = m * 2 * (weights of all blocks) + L * 4 * m * n * H*D + 2 * C * V
    bytes(m, n)      = weights of all blocks, norms and head + m rows of the tables + L * 2 * (m + n) * G*D numbers

Operations are the multiplications and additions of matrix products, the masked half of attention included; the head reads
the last position only. Bytes are those of weights, and of keys and values written (m) and read (n): what is between them
stays in the processor. A processor that needs b bytes a second and makes f operations a second cannot take less than
max(operations / f, bytes / b) seconds: reading a prompt is bound by the first, writing a token by the second (Williams et
al. 2009, the roofline model; Pope et al. 2022, arXiv:2211.05102).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from cutaway.base.errors import UsageError
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import draw_tokens, prompt_ids
from cutaway.models.config import ModelConfig
from cutaway.models.count import BYTES, count_cache_bytes, count_operations, count_parameters
from cutaway.models.decoder import Decoder
from cutaway.text.tokenizer import Tokenizer

PATIENCE_SECONDS = 8.0
"""No further round is begun after this time."""


@dataclass(frozen=True)
class Way:
    """One way of writing the same text; each list has an entry a new token."""

    tokens: tuple[int, ...]
    seconds: tuple[float, ...]
    """Median over the rounds. The first is the prompt's reading and the first token."""
    operations: tuple[int, ...]
    """By the formula."""
    bytes: tuple[int, ...]
    """By the formula."""

    @property
    def prefill_seconds(self) -> float:
        """Reading the prompt, up to the first new token."""
        return self.seconds[0]

    @property
    def decode_seconds(self) -> float:
        """All new tokens after the first."""
        return sum(self.seconds[1:])

    @property
    def tokens_per_second(self) -> float | None:
        """Of those after the first; None where there is only one."""
        return (len(self.seconds) - 1) / self.decode_seconds if len(self.seconds) > 1 else None

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "seconds": list(self.seconds),
            "operations": list(self.operations),
            "bytes": list(self.bytes),
            "prefill_seconds": self.prefill_seconds,
            "decode_seconds": self.decode_seconds,
            "total_seconds": sum(self.seconds),
            "total_operations": sum(self.operations),
            "total_bytes": sum(self.bytes),
            "tokens_per_second": self.tokens_per_second,
        }


@dataclass(frozen=True)
class Peaks:
    """What this machine can do at most, as measured here, with the threads that wrote."""

    operations_per_second: float
    """In a product of two large matrices."""
    bytes_per_second: float
    """In adding up a large array."""

    def shortest_seconds(self, operations: float, n_bytes: float) -> float:
        """Return how long so much work takes at least."""
        return max(operations / self.operations_per_second, n_bytes / self.bytes_per_second)

    def bound_by(self, operations: float, n_bytes: float) -> str:
        """Return what holds such work up: `computing` or `reading memory`."""
        computes = operations / self.operations_per_second > n_bytes / self.bytes_per_second
        return "computing" if computes else "reading memory"


@dataclass(frozen=True)
class Speed:
    """The same text written twice."""

    n_prompt: int
    """Tokens of the prompt that were read."""
    cut: int
    """Tokens at its beginning left out, so that the text fits into the context."""
    text: str
    """What was written, after the likeliest token each time."""
    with_cache: Way
    without_cache: Way
    peaks: Peaks
    cache_bytes: int
    """Of keys and values at the end."""
    dtype: str
    parameters: int
    threads: int
    rounds: int

    @property
    def is_equal(self) -> bool:
        """Whether both wrote the same. In float32 they do; in coarser numbers two tokens can be all but equally likely."""
        return self.with_cache.tokens == self.without_cache.tokens

    @property
    def times_faster(self) -> float:
        """The time without the cache over the time with it, the prompt's reading included."""
        return sum(self.without_cache.seconds) / sum(self.with_cache.seconds)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        peaks = {"operations": self.peaks.operations_per_second, "bytes": self.peaks.bytes_per_second}
        ways = {"with_cache": self.with_cache, "without_cache": self.without_cache}
        return {
            "n_prompt": self.n_prompt,
            "n_new": len(self.with_cache.tokens),
            "cut": self.cut,
            "text": self.text,
            "is_equal": self.is_equal,
            "times_faster": self.times_faster,
            "cache_bytes": self.cache_bytes,
            "dtype": self.dtype,
            "parameters": self.parameters,
            "threads": self.threads,
            "rounds": self.rounds,
            "peaks": peaks,
            **{name: {**way.as_dict(), **self.parts(way)} for name, way in ways.items()},
        }

    def parts(self, way: Way) -> dict[str, Any]:
        """Return for reading the prompt and for writing: what holds it up, and its share of what the machine can do."""
        told: dict[str, Any] = {}
        for name, part in (("prefill", slice(0, 1)), ("decode", slice(1, None))):
            seconds, operations, n_bytes = sum(way.seconds[part]), sum(way.operations[part]), sum(way.bytes[part])
            if seconds == 0:
                continue
            told[f"{name}_bound_by"] = self.peaks.bound_by(operations, n_bytes)
            told[f"{name}_share_of_peak"] = self.peaks.shortest_seconds(operations, n_bytes) / seconds
        return told


def measure_speed(
    model: Decoder,
    tokenizer: Tokenizer,
    prompt: str | Sequence[int],
    n_tokens: int = 32,
    rounds: int = 5,
    is_wanted: Callable[[], bool] | None = None,
) -> Speed:
    """Write the same text with and without a cache, taking turns, and count what each token took.

    Args:
        prompt: cut from the left where it and the new tokens are more than the model's context.
        rounds: how often each writes, at most; a warm-up before them is not counted.
        is_wanted: asked between the steps; when it says no, nothing is returned but a UsageError raised.

    Raises:
        UsageError: the context has no room for the new tokens; nobody wants the answer.
        TokenizerError: the prompt has characters the tokenizer does not know.
    """
    context = model.config.context_length
    if not 1 <= n_tokens < context:
        raise UsageError(
            f"{n_tokens} new tokens were asked for; expected 1 to {context - 1}, the model's context less one"
        )
    ids = prompt_ids(tokenizer, prompt, model)
    cut = max(0, len(ids) + n_tokens - context)
    ids = ids[cut:]
    times: dict[bool, list[list[float]]] = {True: [], False: []}
    tokens: dict[bool, tuple[int, ...]] = {}
    began = time.perf_counter()
    for number in range(rounds + 1):
        for use_cache in (True, False):
            seconds, tokens[use_cache] = _write(model, tokenizer, ids, n_tokens, use_cache, is_wanted)
            if number or rounds == 0:
                times[use_cache].append(seconds)
        if number and time.perf_counter() - began > PATIENCE_SECONDS:
            break
    dtype = str(model.dtype).removeprefix("torch.")
    written = list(tokens[True])
    return Speed(
        n_prompt=len(ids),
        cut=cut,
        text=tokenizer.decode([*ids, *written])[len(tokenizer.decode(ids)) :],
        with_cache=_way(model.config, dtype, tokens[True], times[True], len(ids), True),
        without_cache=_way(model.config, dtype, tokens[False], times[False], len(ids), False),
        peaks=measure_peaks(dtype, torch.get_num_threads()),
        cache_bytes=count_cache_bytes(model.config, len(ids) + n_tokens - 1, dtype),
        dtype=dtype,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        threads=torch.get_num_threads(),
        rounds=len(times[True]),
    )


def count_step(config: ModelConfig, n_new: int, n_known: int) -> int:
    """Count the operations of reading `n_new` positions, after which `n_known` are known, and of one token's logits."""
    one = count_operations(config, 1)
    read = (one.attention_projections + one.mlp) * n_new
    return read + one.attention_products * n_new * n_known + one.head


def count_step_bytes(config: ModelConfig, n_new: int, n_known: int, dtype: str = "float32") -> int:
    """Count the bytes of the same step: weights once, table rows, keys and values written and read."""
    count = count_parameters(config)
    tables = 1 + int(count.positions > 0) + len(getattr(config, "ngram_sizes", ()))
    head = config.d_model * config.known_vocab_size
    rows = n_new * tables * config.d_model
    kept = config.n_layers * 2 * (config.n_kv_heads or config.n_heads) * config.head_width
    return (count.blocks + count.norms + head + rows + kept * (n_new + n_known)) * BYTES[dtype]


def measure_peaks(dtype: str, threads: int) -> Peaks:
    """Measure what this machine does at most in this precision: the best of several products and sums, now and before.

    Args:
        threads: PyTorch's threads now; another number is another measurement.
    """
    a = torch.ones(512, 512, dtype=getattr(torch, dtype))
    array = torch.ones(16 << 20, dtype=torch.float32)  # more than the processor keeps
    found = Peaks(2 * 512**3 / _best_seconds(lambda: a @ a), array.nbytes / _best_seconds(array.sum))
    before = _best_so_far.get((dtype, threads), found)  # something else may have kept the machine busy just now
    _best_so_far[dtype, threads] = Peaks(
        max(found.operations_per_second, before.operations_per_second),
        max(found.bytes_per_second, before.bytes_per_second),
    )
    return _best_so_far[dtype, threads]


_best_so_far: dict[tuple[str, int], Peaks] = {}


def _write(
    model: Decoder,
    tokenizer: Tokenizer,
    ids: list[int],
    n_tokens: int,
    use_cache: bool,
    is_wanted: Callable[[], bool] | None,
) -> tuple[list[float], tuple[int, ...]]:
    config = SamplingConfig(max_tokens=n_tokens, temperature=0.0)
    seconds, tokens = [], []
    coming = draw_tokens(model, tokenizer, ids, config, use_cache=use_cache)
    for _ in range(n_tokens):
        if is_wanted is not None and not is_wanted():
            raise UsageError("the measurement was ended before it was done")
        started = time.perf_counter()
        drawn = next(coming)
        seconds.append(time.perf_counter() - started)
        tokens.append(int(drawn.tokens_B[0]))
    return seconds, tuple(tokens)


def _way(
    config: ModelConfig, dtype: str, tokens: tuple[int, ...], rounds: list[list[float]], n_prompt: int, has_cache: bool
) -> Way:
    steps = [(n_prompt + t if t == 0 or not has_cache else 1, n_prompt + t) for t in range(len(tokens))]
    return Way(
        tokens,
        tuple(statistics.median(column) for column in zip(*rounds, strict=True)),
        tuple(count_step(config, *step) for step in steps),
        tuple(count_step_bytes(config, *step, dtype) for step in steps),
    )


def _best_seconds(work: Callable[[], Any]) -> float:
    best, began = float("inf"), time.perf_counter()
    for _ in range(20):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
        if time.perf_counter() - began > 0.3:
            break
    return best
