"""A lab with small random models, and what it answers, for the tests of the generate screen."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from server.model_folders import save_model
from web.browser import serving

from cutaway.server.app import create_app
from cutaway.server.lab import Lab

MODEL = "models/gpt2"
LONG = "models/long"
"""One whose context holds a long text."""
TEXT = "the cat sat on a mat"


@contextmanager
def generate_lab(home: Path) -> Iterator[str]:
    """Serve a lab with models and give its address."""
    save_model(home / MODEL, "gpt2")
    save_model(home / "models" / "llama", "llama")
    save_model(home / LONG, "ours", context_length=700)
    with serving(create_app(Lab(home))) as address:
        yield address


def url(lab: str, tab: str, prompt: str = TEXT, model: str = MODEL, **state: Any) -> str:
    """Return the address of a tab in a situation."""
    return f"{lab}/generate?{urlencode({'tab': tab, 'model': model, 'prompt': prompt, **state})}"


def ask(lab: str, path: str, **body: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what the lab answers, as the browser reads it."""
    question = json.dumps({"model": MODEL, "prompt": TEXT, **body}).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{lab}/api/lens/{path}", question, headers), timeout=60
    ) as answer:
        data = answer.read()
    start = 8 + int.from_bytes(data[4:8], "little")
    header = json.loads(data[8:start])
    found = {}
    for one in header["arrays"]:
        count = int(np.prod(one["shape"]))
        found[one["name"]] = np.frombuffer(data, one["dtype"], count, start + one["offset"]).reshape(one["shape"])
    return header["meta"], found


def tab_to(page: Any, css: str, most: int = 120) -> None:
    """Press Tab until the focus is on an element."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("css => document.activeElement.matches(css)", css):
            return
    raise AssertionError(f"no way by Tab to {css}")
