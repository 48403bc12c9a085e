"""Discriminator in the loop: of several answers keep the one that reads most like one's own writing.

The classifier is that of the two-sample test (two_sample.py: the same columns, the same ridge regression), trained on one's
training texts against texts of the model; an answer's score is its distance along what tells the two apart, in
units in which one's own texts have +1 and the model's -1 on average. Best of n needs no training of the model,
only n times the writing.

What is chosen by a classifier cannot be judged by it, nor by texts it knows: a `Reranker` remembers its texts by the
hashes of their runs of 13 words, also in parts and with small changes, and the test refuses them (`has_seen`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cutaway.base.errors import DataError
from cutaway.base.files import replacing_file
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import Completion, generate
from cutaway.models.decoder import Decoder
from cutaway.text.tokenizer import Tokenizer
from cutaway.voice.cut import cut
from cutaway.voice.features import Features, features_of
from cutaway.voice.near_duplicates import GRAM, hashed_runs, words_of_text
from cutaway.voice.prose import prose, words
from cutaway.voice.split import SAME_OVERLAP
from cutaway.voice.two_sample import Ridge

MOST_WORDS, LEAST_WORDS = 200, 40
"""Of the stretches it is trained on: about as long as an answer."""
SHORT = 0.5
"""An answer with less than this share of the longest one's words comes after all others."""
FORMAT = 1


@dataclass(frozen=True)
class Reranker:
    """Scores texts by how much they read like one's own."""

    features: Features
    weight_F: np.ndarray
    middle: float
    seen: frozenset[int]
    """Hashes of the runs of words it was trained on."""
    n_own: int
    n_outputs: int
    auc: float
    """Share of pairs of its own training texts that it tells, each left out in turn."""

    def score(self, text: str) -> float:
        """Return how much a text reads like one's own: about +1 for one's own, -1 for the model's."""
        return float((self.features.of([prose(text)]) @ self.weight_F)[0] - self.middle)

    def best(self, candidates: Sequence[str]) -> int:
        """Return which of the texts reads most like one's own; much shorter ones only if there is nothing else."""
        lengths = [len(words(text)) for text in candidates]
        enough = [n >= SHORT * max(lengths) for n in lengths]
        scores = [self.score(text) for text in candidates]
        return max(range(len(candidates)), key=lambda i: (enough[i], scores[i], -i))

    def has_seen(self, text: str) -> bool:
        """Whether it was trained on this text, on part of it, or on nearly the same."""
        runs = hashed_runs(words_of_text(text), GRAM)
        return bool(runs) and len(runs & self.seen) >= SAME_OVERLAP * len(runs)

    def as_dict(self) -> dict[str, Any]:
        """Return what it is, as JSON can hold it."""
        return {"n_own": self.n_own, "n_outputs": self.n_outputs, "auc": self.auc, "sentence": self.sentence()}

    def sentence(self) -> str:
        """Say in one sentence what it learned from."""
        return (
            f"The ranking learned from {self.n_own} texts of yours and {self.n_outputs} of the model's, which are kept "
            f"from the report; of texts left out it tells {self.auc:.0%} of the pairs."
        )

    def save(self, path: Path) -> None:
        """Write it as one file."""
        one = self.features
        about = {"format": FORMAT, "words": one.words, "pairs": one.pairs, "letters": one.letters, "middle": self.middle,
                 "n_own": self.n_own, "n_outputs": self.n_outputs, "auc": self.auc}  # fmt: skip
        with replacing_file(path) as aside, aside.open("wb") as file:
            np.savez_compressed(
                file,
                about=np.array(json.dumps(about)),
                mean=one.mean,
                scale=one.scale,
                weight=self.weight_F,
                seen=np.array(sorted(self.seen), dtype=np.uint64),
            )


def load_reranker(path: Path) -> Reranker:
    """Read what `Reranker.save` wrote.

    Raises:
        DataError: there is no such file, or it is something else.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            if about["format"] != FORMAT:
                raise ValueError(f"format {about['format']}")
            pairs = tuple((a, b) for a, b in about["pairs"])
            columns = tuple(about["words"]), pairs, tuple(about["letters"])
            features = Features(*columns, stored["mean"], stored["scale"])
            seen = frozenset(int(one) for one in stored["seen"])
            return Reranker(
                features, stored["weight"], about["middle"], seen, about["n_own"], about["n_outputs"], about["auc"]
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a ranking of ours ({error}); train it again") from error


def train_reranker(own: Mapping[str, str], outputs: Mapping[str, str]) -> Reranker:
    """Learn what tells one's own training texts from a model's texts.

    Args:
        own: texts that are not held out, by name.
        outputs: texts of the model that are not part of a report, by name.

    Raises:
        DataError: there are too few texts, or they are too short.
    """
    parts = cut(own, outputs, MOST_WORDS, LEAST_WORDS)
    if parts.missing:
        raise DataError(f"the ranking cannot be trained: {parts.missing}")
    ours, theirs = parts.flat()
    features, rates = features_of([*ours, *theirs])
    x_NF = (rates - features.mean) * features.scale
    fit = Ridge.of(x_NF)
    weight_F = fit.weights(x_NF, np.repeat([1.0, -1.0], [len(ours), len(theirs)]))
    score_N = x_NF @ weight_F
    own_score, output_score = float(score_N[: len(ours)].mean()), float(score_N[len(ours) :].mean())
    half = max((own_score - output_score) / 2, 1e-12)
    middle = (own_score + output_score) / 2
    texts = [text for side in (own, outputs) for text in side.values()]
    seen = frozenset().union(*(hashed_runs(words_of_text(text), GRAM) for text in texts))
    firsts = [text[0] for side in (parts.own, parts.outputs) for text in side]
    label_N = np.repeat([1.0, -1.0], [len(parts.own), len(parts.outputs)])
    auc = Ridge.of(features.of(firsts)).pairs_told(label_N[:, None])[0]
    return Reranker(
        features, weight_F / half, middle / half, seen, len(parts.own), len(parts.outputs), float(auc[0])
    )  # fmt: skip


@dataclass(frozen=True)
class Ranked:
    """Several answers to one prompt."""

    completions: tuple[Completion, ...]
    scores: tuple[float, ...]
    best: int

    @property
    def chosen(self) -> Completion:
        """The one that reads most like one's own."""
        return self.completions[self.best]


def best_of(
    model: Decoder,
    tokenizer: Tokenizer,
    prompt: str | Sequence[int],
    reranker: Reranker,
    n: int = 8,
    config: SamplingConfig | None = None,
) -> Ranked:
    """Write `n` answers and rank them; answer i is the one `generate` writes as its sample i.

    Raises:
        UsageError: n is less than 1.
    """
    found = generate(model, tokenizer, prompt, config, n)
    texts = [one.text for one in found]
    return Ranked(tuple(found), tuple(reranker.score(text) for text in texts), reranker.best(texts))
