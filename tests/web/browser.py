"""A real browser on a real lab: what a person does, as functions.

Chromium is the system's (Debian's package `chromium`; `make test` installs it where it may). Where there is none, the tests
that need it are skipped and say so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cutaway.bench.browser import CHROMIUM, DESKTOP, FLAGS, LOOKS, PHONE, chromium, opened, serving

__all__ = ["CHROMIUM", "DESKTOP", "FLAGS", "LOOKS", "PHONE", "chromium", "opened", "serving"]


def look(page: Any, name: str) -> Path:
    """Take a picture of the whole page, to be looked at."""
    path = Path("build/screens") / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, full_page=True)
    return path


def accessibility_problems(page: Any) -> list[str]:
    """Return what axe-core finds serious or critical on the page."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {one['nodes'][0]['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def sideways_scroll(page: Any) -> int:
    """Return by how many pixels the page is wider than the window: 0 where it fits."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
