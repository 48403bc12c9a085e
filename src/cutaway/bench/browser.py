"""A real browser on a real lab, for measurements and for the tests.

Chromium is the system's (Debian's package `chromium`); Playwright, which drives it, is imported only when it is started.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from cutaway.server.safety import protected

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
LOOKS = [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")]


class Server(uvicorn.Server):
    """A server that leaves no connection open: uvicorn's leaves those whose answer took longer than it waits."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what is idle, wait for what is being answered, and break off what is not answered by then."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        while self.server_state.connections:
            await asyncio.sleep(0.01)


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve an application behind the lab's checks on a free port, in a thread, and give its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as `serve.py` does
    guarded = protected(app, app.state.access)
    server = Server(uvicorn.Config(guarded, log_level="warning", timeout_graceful_shutdown=1, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        app.state.lab.events.close()
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


def profile(browser: Any, viewport: dict[str, int] = DESKTOP, theme: str = "light") -> Any:
    """Return a browser's profile, that of a person new to the lab: nothing kept, no file of the lab loaded yet."""
    return browser.new_context(
        viewport=viewport,
        color_scheme=theme,
        reduced_motion="reduce",
        permissions=["clipboard-read", "clipboard-write"],
    )


@contextmanager
def opened(
    browser: Any, address: str, viewport: dict[str, int] = DESKTOP, theme: str = "light", slower: int = 1
) -> Iterator[Any]:
    """Open a page in a profile of its own; a mistake in the page, or a request to anywhere else, fails the test."""
    context = profile(browser, viewport, theme)
    try:
        with opened_in(context, address, slower) as page:
            yield page
    finally:
        context.close()


@contextmanager
def opened_in(context: Any, address: str, slower: int = 1) -> Iterator[Any]:
    """Open a page in a profile, which stays; a mistake in the page, or a request to anywhere else, fails the test."""
    page = context.new_page()
    page.set_default_timeout(30_000)
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
        if slower > 1:
            context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slower})
        page.goto(address)
        yield page
        assert not wrong, wrong
    finally:
        page.close()
