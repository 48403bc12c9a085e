"""A real browser on a real lab: what a person does, as functions.

Chromium is the system's (Debian's package `chromium`; `make test` installs it where it may). Where there is none, the tests
that need it are skipped and say so.
"""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
LOOKS = [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")]


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free port, in a thread, and give its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Any, address: str, viewport: dict[str, int] = DESKTOP, theme: str = "light") -> Iterator[Any]:
    """Open a page of its own; a mistake in the page, or a request to anywhere else, fails the test."""
    context = browser.new_context(
        viewport=viewport,
        color_scheme=theme,
        reduced_motion="reduce",
        permissions=["clipboard-read", "clipboard-write"],
    )
    page = context.new_page()
    page.set_default_timeout(15_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"error in the page: {error}"))
    page.on("console", lambda said: wrong.append(f"console: {said.text}") if said.type == "error" else None)
    origin = "/".join(address.split("/")[:3])
    page.on(
        "request",
        lambda asked: None if asked.url.startswith((origin, "data:", "blob:")) else wrong.append(f"asked {asked.url}"),
    )
    page.wrong = wrong
    try:
        page.goto(address)
        yield page
        assert not wrong, wrong
    finally:
        context.close()


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
