"""A real browser on a real lab: what a person does, as functions.

Chromium is the system's (Debian's package `chromium`; `make test` installs it where it may). Where there is none, the tests
that need it are skipped and say so.

A page shows what it asked for a little later, on a busy machine much later: a test that reads at once is right by luck.
`CUTAWAY_LATE=0.4 pytest tests/web` takes the luck away: each answer of the lab waits for up to 0.4 seconds, at random, and
the page computes four times slower.

`CUTAWAY_SCREENS=1 pytest tests/web` leaves a picture of every screen that is looked at in `build/screens`.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI

from cutaway.bench import browser as real
from cutaway.bench.browser import CHROMIUM, DESKTOP, FLAGS, LOOKS, PHONE, chromium

__all__ = ["CHROMIUM", "DESKTOP", "FLAGS", "LOOKS", "PHONE", "chromium", "opened", "serving"]

SCREENS = Path("build/screens")
LATE = float(os.environ.get("CUTAWAY_LATE", "0"))


class Late:
    """Answers that come late, and not in the order they were asked for."""

    def __init__(self, app: Any) -> None:
        self.app, self.random = app, random.Random(0)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/api/"):
            await asyncio.sleep(self.random.uniform(0, LATE))
        await self.app(scope, receive, send)


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free port and give its address."""
    if LATE:
        app.add_middleware(Late)
    with real.serving(app) as address:
        yield address


PROFILES: dict[tuple[Any, str, str], Any] = {}
"""A browser's profile for each size and theme, which keeps the app's files: loading them was a third of a test's time."""


@contextmanager
def opened(
    browser: Any, address: str, viewport: dict[str, int] = DESKTOP, theme: str = "light", is_new: bool = False
) -> Iterator[Any]:
    """Open a page that finds nothing kept; a mistake in the page, or a request to anywhere else, fails the test.

    `is_new`: in a profile of its own, which has loaded no file of the lab yet.
    """
    slower = 4 if LATE else 1
    if is_new:
        with real.opened(browser, address, viewport, theme, slower) as page:
            yield page
        return
    key = (browser, str(viewport), theme)
    if key not in PROFILES:
        PROFILES[key] = real.profile(browser, viewport, theme)
    profile, others = PROFILES[key], set(PROFILES[key].pages)
    forget(profile, address)
    try:
        with real.opened_in(profile, address, slower) as page:
            yield page
    finally:
        for left in set(profile.pages) - others:
            left.close()


def forget(profile: Any, address: str) -> None:
    """Let the next page find nothing of what pages before it kept: settings, passwords."""
    profile.clear_cookies()
    page = profile.new_page()
    kept = {"origin": "/".join(address.split("/")[:3]), "storageTypes": "local_storage"}
    profile.new_cdp_session(page).send("Storage.clearDataForOrigin", kept)
    page.close()


@dataclass(frozen=True)
class Hand:
    """How a person drives the lab: with the mouse on a wide light screen, with the keyboard on a small dark one."""

    name: str
    viewport: dict[str, int]
    theme: str

    def opened(self, browser: Any, address: str) -> Any:
        """Open a page of this size and theme."""
        return opened(browser, address, self.viewport, self.theme)

    def use(self, control: Any, key: str = "Enter") -> None:
        """Click on a control, or press a key on it."""
        if self.is_mouse:
            control.click()
        else:
            press(control, key)

    def tick(self, box: Any) -> None:
        """Check a box."""
        self.use(box, "Space")

    @property
    def is_mouse(self) -> bool:
        return self.name == "mouse"


MOUSE, KEYS = Hand("mouse", DESKTOP, "light"), Hand("keys", PHONE, "dark")
HANDS = pytest.mark.parametrize("hand", [MOUSE, KEYS], ids=["mouse", "keys"])


def press(control: Any, key: str = "Enter") -> None:
    """Press a key on a control once it can be used: unlike a click, Playwright's `press` does not wait for that."""
    from playwright.sync_api import expect

    expect(control).to_be_enabled(timeout=30_000)
    control.press(key)


def situation(page: Any) -> dict[str, str]:
    """Return what the address says, once it says what the page shows: a page about to be left writes at once."""
    page.evaluate("window.dispatchEvent(new Event('pagehide'))")
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def becomes(read: Callable[[], Any], expected: Any, seconds: float = 30.0) -> None:
    """Wait until what is read from the page is this."""
    until = time.monotonic() + seconds
    while (found := read()) != expected:
        assert time.monotonic() < until, f"it stayed {found!r}, and not {expected!r}"
        time.sleep(0.02)


def look(page: Any, name: str) -> None:
    """Take a picture of the whole page, to be looked at, where somebody wants to look."""
    if os.environ.get("CUTAWAY_SCREENS"):
        SCREENS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENS / f"{name}.png", full_page=True)


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
