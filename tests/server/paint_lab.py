"""Homes with small random painters, and what the lab answers about them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient

from cutaway.diffusion.painter_folder import save_painter, save_vae
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from diffusion.painters import label_painter, latent_painter, plain_painter, word_painter

PROMPT = "a red cat"
QUICK = {"steps": 4, "sampler": "euler", "guidance": 2.0, "n": 3, "seed": 5}


def make_home(home: Path) -> Path:
    """Fill a folder with painters of every kind."""
    models = home / "models"
    save_painter(models / "words", word_painter())
    save_painter(models / "labels", label_painter())
    save_painter(models / "latents", latent_painter())
    save_painter(models / "plain", plain_painter())
    vae = latent_painter().vae
    assert vae is not None
    save_vae(models / "vae", vae)
    return home


@contextmanager
def client(home: Path) -> Iterator[TestClient]:
    """Ask a lab without a socket."""
    with TestClient(create_app(Lab(home))) as started:
        yield started


def events(text: str) -> list[dict[str, Any]]:
    """Return server-sent events."""
    return [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n") if line]


def paint(asker: TestClient, model: str = "models/words", prompt: str = PROMPT, **more: Any) -> list[dict[str, Any]]:
    """Return what the lab tells while it paints, but for places in the queue."""
    body = {"model": model, "prompt": prompt, "settings": QUICK, **more}
    answer = asker.post("/api/paint/pictures", json=body)
    assert answer.status_code == 200, answer.text
    return [one for one in events(answer.text) if one["event"] != "waits"]


def pixels(text: str, *shape: int) -> np.ndarray:
    """Return pictures that travelled in base64."""
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape)


def packed(picture: np.ndarray) -> str:
    """Return a picture as it travels."""
    return base64.b64encode(picture.astype(np.uint8).tobytes()).decode()
