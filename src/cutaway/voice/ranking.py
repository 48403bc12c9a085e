"""Best of n for a tuned model: a ranking trained on its own split, and what it gains on prompts of held-out pieces.

The ranking learns from the training pieces and from what the model answers to training prompts. Measured is what neither
has seen: to prompts of held-out pieces the model answers n times; the first answers and the chosen ones are each
held against the held-out writing, by the two-sample test and by Burrows' Delta of texts taken together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cutaway.base.seed import derive
from cutaway.generate.config import SamplingConfig
from cutaway.interop.conversations import Conversation
from cutaway.models.decoder import Decoder
from cutaway.tune.chat_form import ChatForm
from cutaway.voice.preference_pairs import preference_pairs
from cutaway.voice.rerank import Reranker, best_of, train_reranker
from cutaway.voice.style import style
from cutaway.voice.two_sample import TwoSample, two_sample
from cutaway.voice.yardstick import Compared

Progress = Callable[[int, int], None]


def _nobody(done: int, total: int) -> None:
    pass


def learn_ranking(
    model: Decoder,
    form: ChatForm,
    train: Sequence[Conversation],
    own: Mapping[str, str],
    answer_tokens: int = 200,
    temperature: float = 1.0,
    seed: int = 0,
    progress: Progress = _nobody,
) -> Reranker:
    """Let the model answer training prompts and learn what tells its answers from one's training pieces.

    Args:
        train: training conversations whose prompts are answered.
        own: the training pieces, by name.

    Raises:
        DataError: there are too few texts, or they are too short.
    """
    made = preference_pairs(model, form, train, answer_tokens, temperature, seed, progress)
    answers: dict[str, list[str]] = {}
    for number, one in enumerate(made.pairs):
        answers.setdefault(str(one.about.get("source") or number), []).append(one.rejected)
    return train_reranker(own, joined(answers))


@dataclass(frozen=True)
class RankingGain:
    """What choosing gains, on prompts and texts the ranking has not seen."""

    n: int
    """Answers to choose from."""
    plain: TwoSample
    """Of the first answers."""
    chosen: TwoSample
    plain_delta: Compared
    """Burrows' Delta of texts taken together, of the first answers."""
    chosen_delta: Compared
    plain_score: float
    """The ranking's own mean score, which says least: it was chosen by it."""
    chosen_score: float

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it, and the sentence."""
        return {
            "n": self.n, "sentence": self.sentence(), "plain": self.plain.as_dict(), "chosen": self.chosen.as_dict(),
            "plain_delta": self.plain_delta.as_dict(), "chosen_delta": self.chosen_delta.as_dict(),
            "plain_score": self.plain_score, "chosen_score": self.chosen_score,
        }  # fmt: skip

    def sentence(self) -> str:
        """Say the gain in one sentence."""
        far, near = self.plain_delta.median, self.chosen_delta.median
        told, still = self.plain.auc, self.chosen.auc
        if far is None or near is None or told is None or still is None:
            return f"The gain of choosing among {self.n}: not enough data to say ({self.plain.why or self.chosen.why})."
        return (
            f"Choosing the best of {self.n} answers changes the share of pairs a machine tells from {told:.0%} to "
            f"{still:.0%} and the distance from your held-out writing from {far:.2f} to {near:.2f}."
        )


def ranking_gain(
    model: Decoder,
    form: ChatForm,
    ranking: Reranker,
    held_out: Sequence[Conversation],
    own: Mapping[str, str],
    n: int,
    config: SamplingConfig,
    progress: Progress = _nobody,
) -> RankingGain:
    """Answer prompts of held-out pieces n times each, and compare the first answers with the chosen ones.

    Args:
        own: the held-out pieces, by name.

    Raises:
        UsageError: the ranking was trained on one of these pieces.
    """
    first: dict[str, list[str]] = {}
    best: dict[str, list[str]] = {}
    scores: list[tuple[float, float]] = []
    for number, one in enumerate(held_out):
        last = max(i for i, message in enumerate(one.messages) if message.role == "assistant")
        ids = form.prompt_ids(one.plain()[:last])
        ranked = best_of(model, form.tokenizer, ids, ranking, n, _seeded(config, number))
        source = str(one.about.get("source") or number)
        first.setdefault(source, []).append(ranked.completions[0].text)
        best.setdefault(source, []).append(ranked.chosen.text)
        scores.append((ranked.scores[0], ranked.scores[ranked.best]))
        progress(number + 1, len(held_out))
    plain, chosen = joined(first), joined(best)
    told = [two_sample(own, side, seed=config.seed, seen_by=[ranking]) for side in (plain, chosen)]
    deltas = [style(own, side, config.seed).group_delta for side in (plain, chosen)]
    means = [sum(side) / max(1, len(scores)) for side in zip(*scores, strict=True)] or [0.0, 0.0]
    return RankingGain(n, told[0], told[1], deltas[0], deltas[1], means[0], means[1])


def joined(parts: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the texts of each source as one."""
    return {name: "\n\n".join(texts) for name, texts in parts.items()}


def _seeded(config: SamplingConfig, number: int) -> SamplingConfig:
    return dataclasses.replace(config, seed=derive(config.seed, "ranked", number) % 2**31)
