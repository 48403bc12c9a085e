"""The usable temperatures of a model: where what it writes neither goes in circles nor falls apart.

    repetition  share of the runs of four words that stood in the text before
    bits        bits a byte under a base model that was not tuned: text that falls apart surprises it
    unknown     share of words that stand in no other of one's texts, nor in the known ones

The yardstick is one's own writing, in stretches as long as the model's texts. A temperature is usable if the median of
what is written at it repeats itself by at most 0.05 more than the most repetitive of one's own stretches, surprises
the base by at most 1.1 times the most surprising one, and has at most 0.05 more unknown words than the one with most;
and at least half of the texts have ten words. The range is the longest run of usable temperatures among those tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cutaway.base.seed import derive
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import generate
from cutaway.lens.surprisal import surprisal
from cutaway.models.decoder import Decoder
from cutaway.text.tokenizer import Tokenizer
from cutaway.voice.prose import prose, stretches, words
from cutaway.voice.yardstick import LEAST_TEXTS, as_plain

TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.7)
RUN = 4
LEAST_WORDS = 10
MOST_STRETCHES = 40
"""Of one's own writing that are looked at."""
MORE_REPETITION, MORE_BITS, MORE_UNKNOWN = 0.05, 1.1, 0.05


@dataclass(frozen=True)
class AtTemperature:
    """What a model writes at one temperature: medians over the texts."""

    temperature: float
    repetition: float | None
    bits: float | None
    unknown: float | None
    n_texts: int
    """Of at least ten words."""
    wrong: tuple[str, ...]
    """What is wrong with it: `repeats itself`, `falls apart`, `unknown words`, `too short`."""


@dataclass(frozen=True)
class TemperatureRange:
    """From which to which temperature a model can be used."""

    low: float | None
    high: float | None
    tried: tuple[AtTemperature, ...]
    most_repetition: float | None
    """What a usable text may have at most."""
    most_bits: float | None
    most_unknown: float | None
    why: str = ""
    """What is missing, where there is not enough data."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it, and the sentence."""
        return as_plain(self) | {"sentence": self.sentence()}

    def sentence(self) -> str:
        """Say the range in one sentence."""
        if self.why:
            return f"Usable temperatures: not enough data to say ({self.why})."
        tried = f"of {self.tried[0].temperature:g} to {self.tried[-1].temperature:g}"
        limits = (
            f"at most {self.most_repetition:.0%} of its runs of {RUN} words said before, {self.most_bits:.2f} bits a byte "
            f"for the base and {self.most_unknown:.0%} unknown words, as in your own writing and a little more"
        )
        if self.low is None:
            wrong = sorted({one for at in self.tried for one in at.wrong})
            return f"Usable temperatures: none {tried} ({', '.join(wrong)}; usable would be {limits})."
        return f"Usable temperatures: {self.low:g} to {self.high:g} {tried}: {limits}."


def usable_range(
    model: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[str | Sequence[int]],
    own: Mapping[str, str],
    base: tuple[Decoder, Tokenizer],
    known: Sequence[str] = (),
    temperatures: Sequence[float] = TEMPERATURES,
    max_tokens: int = 120,
    seed: int = 0,
) -> TemperatureRange:
    """Try temperatures and return which are usable.

    Args:
        prompts: texts or tokens to go on from; one text is written for each at each temperature.
        own: one's own texts, by name; held out from training.
        base: a model that judges, and its tokenizer: the one that was tuned, before.
        known: other texts whose words are known, as the training texts.
    """
    if len(own) < LEAST_TEXTS or not prompts:
        why = f"{len(own)} of your texts and {len(prompts)} prompts; {LEAST_TEXTS} texts and a prompt are needed"
        return TemperatureRange(None, None, (), None, None, None, why)
    written = {}
    for temperature in temperatures:
        texts = []
        for number, prompt in enumerate(prompts):
            config = SamplingConfig(max_tokens, temperature, seed=derive(seed, "range", number) % 2**31)
            texts.append(prose(generate(model, tokenizer, prompt, config)[0].text))
        written[temperature] = [text for text in texts if len(words(text)) >= LEAST_WORDS]
    lengths = [len(words(text)) for texts in written.values() for text in texts]
    n_words = int(np.median(lengths)) if lengths else LEAST_WORDS
    held = {name: prose(text) for name, text in own.items()}
    parts = [(name, part) for name in sorted(held) for part in stretches(held[name], n_words)]
    if len({name for name, _ in parts}) < LEAST_TEXTS:
        why = f"{len({name for name, _ in parts})} of your texts have {n_words} words; {LEAST_TEXTS} are needed"
        return TemperatureRange(None, None, (), None, None, None, why)
    step = max(1, len(parts) // MOST_STRETCHES)
    parts = parts[::step]
    vocabulary = {name: set(words(text)) for name, text in held.items()}
    elsewhere = set().union(*map(set, map(words, known)))
    everywhere = elsewhere.union(*vocabulary.values())
    without = {
        name: elsewhere.union(*(mine for other, mine in vocabulary.items() if other != name)) for name in vocabulary
    }
    most_repetition = max(repetition(words(part)) for _, part in parts) + MORE_REPETITION
    most_bits = max(bits_of(base, part) for _, part in parts) * MORE_BITS
    most_unknown = max(unknown(words(part), without[name]) for name, part in parts) + MORE_UNKNOWN
    tried = []
    for temperature, texts in written.items():
        if 2 * len(texts) < len(prompts) or not texts:
            tried.append(AtTemperature(temperature, None, None, None, len(texts), ("too short",)))
            continue
        repeats = float(np.median([repetition(words(text)) for text in texts]))
        bits = float(np.median([bits_of(base, text) for text in texts]))
        strange = float(np.median([unknown(words(text), everywhere) for text in texts]))
        wrong = [name for name, is_wrong in (
            ("repeats itself", repeats > most_repetition),
            ("falls apart", bits > most_bits),
            ("unknown words", strange > most_unknown),
        ) if is_wrong]  # fmt: skip
        tried.append(AtTemperature(temperature, repeats, bits, strange, len(texts), tuple(wrong)))
    tried.sort(key=lambda one: one.temperature)
    low, high = longest_run(tried)
    return TemperatureRange(low, high, tuple(tried), most_repetition, most_bits, most_unknown)


def longest_run(tried: Sequence[AtTemperature]) -> tuple[float | None, float | None]:
    """Return the ends of the longest run of temperatures with which nothing is wrong."""
    best: list[float] = []
    run: list[float] = []
    for one in tried:
        run = [] if one.wrong else [*run, one.temperature]
        best = run if len(run) > len(best) else best
    return (best[0], best[-1]) if best else (None, None)


def repetition(tokens: Sequence[str]) -> float:
    """Return the share of the runs of four words that stood in the text before."""
    runs = [tuple(tokens[i : i + RUN]) for i in range(len(tokens) - RUN + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def unknown(tokens: Sequence[str], known: set[str]) -> float:
    """Return the share of the words that are not known."""
    return sum(token not in known for token in tokens) / max(1, len(tokens))


def bits_of(base: tuple[Decoder, Tokenizer], text: str) -> float:
    """Return the bits a byte of a text costs a model."""
    return surprisal(*base, text).bits_per_byte or 0.0
