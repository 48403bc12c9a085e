"""`cutaway voice best`: several answers of a tuned model, and the one that reads most like one's own writing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cutaway.base.errors import UsageError
from cutaway.cli.console import answer, answer_json, parse, screen
from cutaway.cli.voice_tuned import Tuned, find_tuned

if TYPE_CHECKING:
    from rich.status import Status

    from cutaway.tune.chat_form import ChatForm
    from cutaway.voice.answers import Speaker
    from cutaway.voice.learned import Learned
    from cutaway.voice.rerank import Reranker

EXAMPLE = 'cutaway voice best me-1 "Write an essay about this topic: the sea" --of 8'
FILE = "ranking-{tokens}-{temperature:g}.npz"
ASKED = 60
"""Training prompts the model answers for the ranking to learn from."""
MEASURED = 24
"""Prompts of held-out pieces answered to measure the gain."""


@dataclass(frozen=True)
class BestArguments:
    """Let a tuned model answer several times and choose the answer that reads most like your writing.

    What chooses learns once from your training pieces and the model's answers to training prompts, and is kept in the run;
    so are all answers, in its best.jsonl.
    """

    run: Annotated[str, tyro.conf.Positional]
    """A tuned run."""
    prompt: Annotated[str, tyro.conf.Positional] = ""
    """What is asked."""
    of: int = 8
    """Answers to choose from."""
    max_tokens: int = 200
    """Of an answer."""
    temperature: float = 1.0
    """At which answers are drawn."""
    seed: int = 0
    """Of the answers."""
    measure: bool = False
    """Measure what choosing gains, on prompts of held-out pieces; each is answered as many times."""
    json: bool = False
    """Print one JSON object."""


def best(argv: list[str]) -> None:
    """`cutaway voice best RUN PROMPT`."""
    asked = parse(BestArguments, argv, "voice best", EXAMPLE)
    if not (asked.prompt or asked.measure):
        raise UsageError("there is nothing to answer; give a prompt, or --measure")
    if asked.of < 2:
        raise UsageError(f"--of is {asked.of}; expected 2 or more answers to choose from")
    from cutaway.generate.config import SamplingConfig
    from cutaway.tune.chat_form import chat_form
    from cutaway.voice.best_kept import keep_best
    from cutaway.voice.learned import learned
    from cutaway.voice.ranking import ranking_gain
    from cutaway.voice.rerank import best_of

    config = SamplingConfig(asked.max_tokens, asked.temperature, seed=asked.seed)
    tuned = find_tuned(asked.run)
    writing = learned(tuned.writing)
    with screen().status("opening the model") as status:
        speaker = tuned.speaker()
        form = chat_form(speaker.folder, speaker.tokenizer)
        ranking = ranking_of(tuned, speaker, form, writing, asked, status)
        told: dict[str, Any] = {"run": tuned.run.name, "ranking": ranking.as_dict()}
        if asked.prompt:
            status.update(f"answering {asked.of} times")
            ranked = best_of(speaker.model, speaker.tokenizer, speaker.ids(asked.prompt), ranking, asked.of, config)
            answers = [{"text": one.text, "score": score}
                       for one, score in zip(ranked.completions, ranked.scores, strict=True)]  # fmt: skip
            told |= {"prompt": asked.prompt, "best": ranked.best, "answers": answers}
        if asked.measure:
            held = list(writing.held_out)[:: max(1, len(writing.held_out) // MEASURED)][:MEASURED]
            gain = ranking_gain(
                speaker.model, form, ranking, held, writing.held_out_texts, asked.of, config,
                lambda done, total: status.update(f"measuring the gain: {done} of {total} prompts"),
            )  # fmt: skip
            told["gain"] = gain.as_dict()
        settings = {name: getattr(asked, name) for name in ("of", "max_tokens", "temperature", "seed")}
        keep_best(tuned.run, told | settings)
    if asked.json:
        answer_json(told)
        return
    if asked.prompt:
        scores = sorted(ranked.scores, reverse=True)
        answer(ranked.chosen.text.strip())
        answer(f"\nscore {ranked.scores[ranked.best]:.2f}; all {asked.of}: {', '.join(f'{one:.2f}' for one in scores)} "
               f"(your own texts about 1, the model's about -1)")  # fmt: skip
    answer(ranking.sentence())
    if asked.measure:
        answer(gain.sentence())


def ranking_of(
    tuned: Tuned, speaker: Speaker, form: ChatForm, writing: Learned, asked: BestArguments, status: Status
) -> Reranker:
    """Return the run's ranking, learned the first time and kept."""
    from cutaway.voice.ranking import learn_ranking
    from cutaway.voice.rerank import load_reranker

    name = FILE.format(tokens=asked.max_tokens, temperature=asked.temperature)
    path = tuned.run.path / name
    if path.is_file() and path.stat().st_mtime >= tuned.run.model_folder.stat().st_mtime:
        return load_reranker(path)
    ranking = learn_ranking(
        speaker.model, form, writing.sample(ASKED, 0), writing.train_texts, asked.max_tokens, asked.temperature, 0,
        lambda done, total: status.update(f"learning to choose: {done} of {total} training prompts answered"),
    )  # fmt: skip
    ranking.save(path)
    return ranking
