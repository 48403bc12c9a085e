"""A run tuned for some seconds on an author that is a Markov chain: its answers are long enough to be ranked."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tune.small import config_of
from voice.authors import Author

from cutaway import workbench
from cutaway.interop.conversations import conversation, write_conversations
from cutaway.interop.hub_folder import save_folder
from cutaway.models.build import build
from cutaway.presets_voice import tuned
from cutaway.text.bpe import BPETokenizer

QUICK: dict[str, Any] = {
    "epochs": None, "steps": 40, "threads": 1, "validate_every": 40, "sample_every": 0, "learning_rate": 0.01,
    "precision": "float32",
}  # fmt: skip
ONE = Author(1)


def make_ranked(place: Path, runs: str = "runs") -> Path:
    """Write a base, a folder of writing `voice`, and a run `me` that learned it."""
    texts = {f"piece-{i}": ONE.text(90, i) for i in range(18)}
    tokenizer = BPETokenizer.train(["### Prompt:\n### Response:\n Write about 0123456789", *texts.values()], 400)
    shape = dataclasses.replace(config_of("cutaway", tokenizer.vocab_size), context_length=400)
    save_folder(place / "base", build(shape, 0), tokenizer)
    pairs = [
        conversation(f"Write about {i}.", text, source=name, tier="note")
        for i, (name, text) in enumerate(texts.items())
    ]
    (place / "voice").mkdir()
    write_conversations(place / "voice" / "train.jsonl", pairs[:12])
    write_conversations(place / "voice" / "held_out.jsonl", pairs[12:])
    made = tuned(str(place / "base"), place / "voice", "full")
    recipe = dataclasses.replace(made, train=dataclasses.replace(made.train, **QUICK))
    workbench.train(recipe, name="me", runs=place / runs)
    return place
