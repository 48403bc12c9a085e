"""The temperature of a person: how predictable they are to a model, place by place, and generation that follows it.

    surprisal_t   = -ln p(token_t | before)                                  what the person's choice costs the model
    expected_t(T) = - sum over v of p_T(v) ln p(v),  p_T = softmax(logits_t / T)      what its own at temperature T would

(at temperature 1 the second is the entropy). People are not equally surprising everywhere: beginnings of sentences and of
pieces are. The temperature of a stretch of places is the T at which the model's draws would be as surprising, on average,
as the person is there; it is also the T under which the person's text is likeliest (temperature scaling,
Guo et al. 2017, arXiv:1706.04599). As a curve of `generate.temperature` it gives what is written the person's rhythm over
the length of a piece.
Look at the beginnings: with one temperature for all a model is too calm there or too wild everywhere else.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cutaway.base.errors import TokenizerError
from cutaway.generate.config import SamplingConfig
from cutaway.lens.surprisal import NUMBERS_AT_ONCE, window_starts
from cutaway.models.decoder import Decoder, evaluating
from cutaway.text.tokenizer import Tokenizer
from cutaway.voice.prose import paragraphs, sentences
from cutaway.voice.yardstick import as_plain

GRID = (*(float(x) for x in np.geomspace(0.05, 0.95, 24)), 1.0, *(float(x) for x in np.geomspace(1.05, 4, 15)))
"""Temperatures tried; between them expectations are interpolated."""
PARTS = 8
"""A sentence, a paragraph and a piece are looked at in so many parts."""
PLACES = (0, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""First tokens of the stretches of places in a piece."""
LEAST_TOKENS = 40
"""In a stretch of places; with fewer it goes with the one before."""


@dataclass(frozen=True)
class Wave:
    """Means over the parts of something, from its beginning to its end; None where there is nothing."""

    what: str
    surprisal: tuple[float | None, ...]
    """In nats a token."""
    entropy: tuple[float | None, ...]
    """What the model expected, at temperature 1."""
    n_tokens: tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """A stretch of places in a piece."""

    first: int
    """Number of its first token, from 0."""
    last: int
    surprisal: float
    entropy: float
    temperature: float
    """At which the model would be as surprising here as the person is."""
    n_tokens: int


@dataclass(frozen=True)
class TemperatureProfile:
    """How predictable a person is to a model."""

    n_texts: int
    n_tokens: int
    sentence_wave: Wave
    paragraph_wave: Wave
    piece_wave: Wave
    places: tuple[Place, ...]

    def curve(self, max_tokens: int) -> str | None:
        """Return the profile as `generate.temperature`, with a point in the middle of each stretch; None: no data."""
        shown = [place for place in self.places if place.first < max_tokens]
        if not shown:
            return None
        if len(shown) == 1:
            return f"0:{shown[0].temperature:.3f}"
        return " ".join(
            f"{(place.first + min(place.last, max_tokens)) / 2:g}:{place.temperature:.3f}" for place in shown
        )

    def following(self, config: SamplingConfig) -> SamplingConfig:
        """Return settings of generation that follow the person; the same where there is no data."""
        curve = self.curve(config.max_tokens)
        return config if curve is None else dataclasses.replace(config, temperature=curve)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it, and the sentence."""
        return as_plain(self) | {"sentence": self.sentence()}

    def sentence(self) -> str:
        """Say the profile in one sentence."""
        if not self.places:
            return f"Temperature: not enough data to say ({self.n_tokens} tokens)."
        low, high = (f(place.temperature for place in self.places) for f in (min, max))
        first, last = self.places[0], self.places[-1]
        ends = [x for x in self.sentence_wave.surprisal if x is not None]
        wave = f"; a sentence goes from {ends[0]:.2f} to {ends[-1]:.2f}" if len(ends) > 1 else ""
        return (
            f"Temperature: your text surprises this model by {first.surprisal:.2f} nats a token at the beginning of a "
            f"piece and {last.surprisal:.2f} from token {last.first} on{wave}; to be as surprising as you it has to write "
            f"at temperatures from {low:.2f} to {high:.2f}."
        )


def temperature_profile(
    model: Decoder,
    tokenizer: Tokenizer,
    texts: Mapping[str, str],
    before: Mapping[str, Sequence[int]] | None = None,
) -> TemperatureProfile:
    """Return how predictable a person's texts are to a model.

    Args:
        texts: by name.
        before: by name, the tokens of what a text answers, as this model reads it; left out: nothing but the mark of
            the beginning.

    Raises:
        TokenizerError: a text has characters or tokens the model does not know.
    """
    nats: list[float] = []
    expected: list[np.ndarray] = []
    where: dict[str, list[float]] = {"sentence": [], "paragraph": [], "piece": []}
    place_N: list[int] = []
    n_texts = 0
    for name in sorted(texts):
        text = texts[name].strip()
        ends = tokenizer.token_ends(text) if text else []
        if not ends:
            continue
        ids = tokenizer.prompt_ids(text)
        n_before = len(ids) - len(ends)
        if before is not None and name in before:
            ids, n_before = [*before[name], *ids[n_before:]], len(before[name])
        nats_T, expected_TK = _read(model, ids)
        known = range(0 if n_before else 1, len(ends))
        n_texts += bool(known)
        nats += nats_T[n_before:][known.start :].tolist()
        expected.append(expected_TK[n_before:][known.start :])
        shares = {
            "sentence": _shares(text, ends, sentences),
            "paragraph": _shares(text, ends, paragraphs),
            "piece": (np.arange(len(ends)) / len(ends)).tolist(),
        }
        for what, found in shares.items():
            where[what] += found[known.start :]
        place_N += list(known)
    nats_N = np.array(nats)
    expected_NK = np.concatenate(expected) if expected else np.zeros((0, len(GRID)))
    at_one_N = np.array([np.interp(0.0, np.log(GRID), row) for row in expected_NK])
    waves = {what: _wave(what, np.array(shares), nats_N, at_one_N) for what, shares in where.items()}
    places = _places(np.array(place_N, int), nats_N, expected_NK, at_one_N)
    return TemperatureProfile(n_texts, len(nats), waves["sentence"], waves["paragraph"], waves["piece"], places)


@torch.inference_mode()
def _read(model: Decoder, ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return every token's surprisal and what is expected at each temperature; of the first not a number."""
    if max(ids) >= model.lm_head.out_features:
        raise TokenizerError(
            f"the tokenizer gives token {max(ids)}, but the model has only {model.lm_head.out_features}: "
            f"they do not belong together; load both from one folder"
        )
    ids_T, T = torch.tensor(ids), len(ids)
    nats_T, expected_TK = np.full(T, np.nan), np.full((T, len(GRID)), np.nan)
    if T == 1:
        return nats_T, expected_TK
    length, done = min(model.config.context_length, T - 1), 1
    at_once = max(1, NUMBERS_AT_ONCE // (len(GRID) * model.lm_head.out_features))
    grid_K1 = torch.tensor(GRID, device=model.device)[:, None]
    with evaluating(model):
        for start in window_starts(T, length, max(1, length // 2)):
            window_T = ids_T[start : start + length + 1].to(model.device)
            logits_TV = model(window_T[None, :-1])[0].float()[done - start - 1 :]
            new = slice(done, start + length + 1)
            own_T1 = window_T[done - start :, None]
            nats_T[new] = -logits_TV.log_softmax(-1).gather(-1, own_T1)[:, 0].double().cpu().numpy()
            for part, rows in zip(logits_TV.split(at_once), range(done, start + length + 1, at_once), strict=True):
                drawn_TKV = (part[:, None] / grid_K1).softmax(-1)
                mean_TK = torch.einsum("tkv,tv->tk", drawn_TKV, part)
                expected_TK[rows : rows + len(part)] = (part.logsumexp(-1)[:, None] - mean_TK).double().cpu().numpy()
            done = start + length + 1
    return nats_T, expected_TK


def _shares(text: str, ends: Sequence[int], parts_of: Callable[[str], list[str]]) -> list[float]:
    """Return how far along its sentence or paragraph each token is, from 0 to below 1; between two it is in the next."""
    bounds, place = [], 0
    for part in parts_of(text):
        place = text.index(part, place) + len(part)
        bounds.append(place)
    bounds = bounds or [len(text)]
    index = [min(bisect.bisect_left(bounds, end), len(bounds) - 1) for end in ends]
    count = np.bincount(index, minlength=len(bounds))
    first = np.concatenate([[0], np.cumsum(count)])
    return [(t - first[i]) / count[i] for t, i in enumerate(index)]


def _wave(what: str, shares_N: np.ndarray, nats_N: np.ndarray, entropy_N: np.ndarray) -> Wave:
    part_N = np.minimum((shares_N * PARTS).astype(int), PARTS - 1)
    counts = np.bincount(part_N, minlength=PARTS)
    means = [
        tuple(float(values[part_N == part].mean()) if counts[part] else None for part in range(PARTS))
        for values in (nats_N, entropy_N)
    ]
    return Wave(what, means[0], means[1], tuple(int(n) for n in counts))


def _places(
    place_N: np.ndarray, nats_N: np.ndarray, expected_NK: np.ndarray, at_one_N: np.ndarray
) -> tuple[Place, ...]:  # fmt: skip
    found: list[Place] = []
    firsts = [0]
    for first, after in zip(PLACES[1:], [*PLACES[2:], np.inf], strict=True):
        inside = (place_N >= first) & (place_N < after)
        if inside.sum() >= LEAST_TOKENS and (place_N < first).sum() >= LEAST_TOKENS:
            firsts.append(first)
    for i, first in enumerate(firsts):
        after = firsts[i + 1] if i + 1 < len(firsts) else int(place_N.max(initial=0)) + 1
        inside = (place_N >= first) & (place_N < after)
        if inside.sum() < LEAST_TOKENS:
            continue
        surprisal = float(nats_N[inside].mean())
        expected_K = np.maximum.accumulate(expected_NK[inside].mean(0))
        temperature = float(np.exp(np.interp(surprisal, expected_K, np.log(GRID))))
        found.append(
            Place(first, after - 1, surprisal, float(at_one_N[inside].mean()), temperature, int(inside.sum()))
        )  # fmt: skip
    return tuple(found)
