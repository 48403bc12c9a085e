"""The server's schema as JSON: what the web app's types are generated from (`make types`)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cutaway.server.app import create_app
from cutaway.server.lab import Lab


def schema() -> str:
    """Return the OpenAPI schema of the lab."""
    return json.dumps(create_app(Lab(Path("runs"))).openapi(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).parent.mkdir(parents=True, exist_ok=True)
    Path(sys.argv[1]).write_text(schema(), encoding="utf-8")
