"""Reports on two tuned runs of the one trainer: one went over five essays thirty times, one learned nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from voice.copier import pairs, text

from cutaway.cli.voice_tuned import open_speaker
from cutaway.interop.conversations import write_conversations
from cutaway.interop.hub_folder import save_folder
from cutaway.models.build import build
from cutaway.models.presets import plain
from cutaway.presets_voice import tuned
from cutaway.text.bpe import BPETokenizer
from cutaway.tune.config import Method
from cutaway.voice.answers import Answer, AnswerSettings, Prompt, Speaker, answer_all
from cutaway.voice.learned import Learned, learned
from cutaway.voice.report import QUICK, Report, collect
from cutaway.workbench import train

SETTINGS = dataclasses.replace(QUICK, train_pairs=10, permutations=99, passages=4)
EVERY: dict[str, Any] = {"threads": 1, "precision": "float32", "sample_every": 0, "patience": 0, "validate_every": 1000}


@dataclasses.dataclass
class Made:
    """Reports on runs of two kinds, and what they were made from."""

    base: Speaker
    tuned: Speaker
    writing: Learned
    answers: dict[str, list[Answer]]
    memorised: Report
    untrained: Report


def make_reports(folder: Path) -> Made:
    """Tune a small model in two ways and measure both."""
    tokenizer = BPETokenizer.train([text(f"other {i}") for i in range(20)], 400)
    shape = plain(context_length=256, d_model=64, n_layers=2, n_heads=4)
    save_folder(folder / "base", build(dataclasses.replace(shape, vocab_size=tokenizer.vocab_size), 1), tokenizer)
    voice = folder / "voice"
    voice.mkdir()
    write_conversations(voice / "train.jsonl", pairs([f"train {i}" for i in range(5)]))
    write_conversations(voice / "held_out.jsonl", pairs([f"held {i}" for i in range(5)]))
    (voice / "pieces.jsonl").write_text('{"name": "train 0", "title": "The first one"}\n')
    writing = learned(voice)
    base = open_speaker("base", folder / "base")
    known = [
        Prompt(f"known-{i}", "known", one.messages[0].content, 110, one.about["source"])
        for i, one in enumerate(writing.train[:4])
    ]
    prompts = [*known, *writing.prompts(5, 1, 110)]
    over = tune(folder, "full", "me", epochs=30, batch_size=2, learning_rate=8e-3)
    none = tune(folder, "lora", "untrained", epochs=None, steps=1, learning_rate=0.0)
    answers = {one.name: answer_all(one, prompts, AnswerSettings(temperature=0.0)) for one in (base, over, none)}
    return Made(
        base, over, writing, answers,
        collect(base, over, writing, answers["base"], answers["me"], "full", settings=SETTINGS),
        collect(base, none, writing, answers["base"], answers["untrained"], "lora", settings=SETTINGS),
    )  # fmt: skip


def tune(folder: Path, method: Method, name: str, **settings: Any) -> Speaker:
    """Train and return the model that was kept."""
    recipe = tuned(str(folder / "base"), folder / "voice", method)
    run = train(recipe, name=name, runs=folder / "runs", **EVERY, **settings)
    return open_speaker(name, run.model_folder)
