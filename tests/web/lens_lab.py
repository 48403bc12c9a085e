"""A lab with small models to ask: a run with checkpoints, and random ones of other kinds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from server.answers import arrays
from server.labs import training
from server.model_folders import save_model


def write_models(home: Path) -> None:
    """Write a run with checkpoints, and a model of each kind."""
    words = training(home.parent, "fox", 6, "--train.checkpoint-every", "2", "--train.keep-checkpoints", "all")
    environment = os.environ | {"CUTAWAY_RUNS": str(home), "CUTAWAY_CACHE": str(home.parent / "cache")}
    subprocess.run([sys.executable, "-m", "cutaway", *words], env=environment, check=True, capture_output=True)
    save_model(home / "models" / "ours", "ours", context_length=256)
    save_model(home / "models" / "gpt2", "gpt2", context_length=256)


class Answer:
    """What an address answered, as the test client's answers look."""

    def __init__(self, content: bytes) -> None:
        self.status_code, self.content, self.text = 200, content, ""


def asked(address: str, path: str, **body: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the lab answers to a question about a model: what is said, and the arrays."""
    request = urllib.request.Request(
        f"{address}/api/lens/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return arrays(Answer(answer.read()))  # type: ignore[arg-type]


def screen(address: str, tab: str, **situation: Any) -> str:
    """Return the address of a tab in a situation."""
    return f"{address}/generate?{urlencode({'tab': tab} | situation)}"


def situation(page: Any) -> dict[str, str]:
    """Return what the address says, once it has been written."""
    page.wait_for_timeout(250)
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}
