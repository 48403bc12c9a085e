"""Reports on two small models: one learned five texts by heart, one nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from voice.copier import make_copier

from cutaway.voice.answers import Answer, AnswerSettings, Prompt, Speaker, answer_all
from cutaway.voice.learned import Learned, both_sides
from cutaway.voice.report import QUICK, Report, collect

SETTINGS = dataclasses.replace(QUICK, train_pairs=10, permutations=99, passages=4)


@dataclasses.dataclass
class Made:
    """Reports on models of two kinds, and what they were made from."""

    base: Speaker
    tuned: Speaker
    writing: Learned
    answers: dict[str, list[Answer]]
    memorised: Report
    untrained: Report


def make_reports(folder: Path) -> Made:
    """Measure a model that learned its training texts by heart, and one that learned nothing."""
    small = make_copier(folder)
    (folder / "chat_template.jinja").write_text(small.form.template)
    base, tuned = (
        Speaker(name, model, small.tokenizer, folder)
        for name, model in (("base", small.untrained), ("me", small.copier))
    )
    writing = both_sides(small.train_pairs, small.held_out_pairs, {"train 0": "The first one"})
    known = [Prompt(f"known-{i}", "known", one.messages[0].content, 110, one.about["source"]) for i, one in
             enumerate(small.train_pairs[:4])]  # fmt: skip
    prompts = [*known, *writing.prompts(5, 1, 110)]
    answers = {speaker.name: answer_all(speaker, prompts, AnswerSettings(temperature=0.0)) for speaker in (base, tuned)}
    return Made(
        base, tuned, writing, answers,
        collect(base, tuned, writing, answers["base"], answers["me"], "full", settings=SETTINGS),
        collect(base, base, writing, answers["base"], answers["base"], "full", settings=SETTINGS),
    )  # fmt: skip
