"""A lab with models to write with: random small ones, of characters and of byte pairs, and what its routes answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from server.model_folders import save_model

from cutaway.interop.hub_folder import save_folder
from cutaway.models.build import build
from cutaway.models.config import LlamaConfig
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.text.bpe import BPETokenizer

TEXTS = ["the cat sat on the mat, the hat on the cat; " * 20]


def make_home(home: Path) -> Path:
    """Make a home folder with the models `models/letters`, `models/others` and `models/pairs`."""
    save_model(home / "models" / "letters", "ours")
    save_model(home / "models" / "others", "gpt2", seed=2)
    pairs = BPETokenizer.train(TEXTS, 300)
    model = build(LlamaConfig(pairs.vocab_size, 48, 24, 2, 4, n_kv_heads=2, init_std=0.3), seed=3)
    save_folder(home / "models" / "pairs", model, pairs)
    return home


def client(home: Path) -> TestClient:
    """Return a client of a lab of this home, to compare the page with."""
    return TestClient(create_app(Lab(home)))


def write(asker: TestClient, model: str, prompt: str, settings: dict[str, Any], **asked: Any) -> list[dict[str, Any]]:
    """Return the tokens the lab writes."""
    body = {"model": model, "prompt": prompt, "settings": settings, **asked}
    answer = asker.post("/api/generate/write", json=body)
    assert answer.status_code == 200, answer.text
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
    return [token for event in events if event["event"] == "tokens" for token in event["tokens"]]
