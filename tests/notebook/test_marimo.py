"""Figures in a marimo that runs: drawn, and a number explained by Python when it is asked for in the figure."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web.browser import look, opened

from notebook.small_figures import a_trace

pytest.importorskip("marimo")

NOTEBOOK = """
import marimo

app = marimo.App()


@app.cell
def _():
    from notebook.small_figures import a_trace

    trace = a_trace()
    return (trace,)


@app.cell
def _(trace):
    trace.show("output")
    return


@app.cell
def _(trace):
    trace
    return
"""


@contextlib.contextmanager
def running(notebook: Path) -> Iterator[str]:
    """Run a notebook as marimo does for its readers; give its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "marimo",
        "-q",
        "run",
        str(notebook),
        "--headless",
        "--no-token",
        "--port",
        str(port),
    ]
    tests = str(Path(__file__).parents[1])
    paths = os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1"],
        env=os.environ | {"PYTHONPATH": paths, "MARIMO_SKIP_UPDATE_CHECK": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, process.communicate()[0].decode()
            assert time.monotonic() < until, "marimo did not begin to listen within a minute"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.mark.slow
def test_a_number_is_explained_in_marimo(browser: Any, tmp_path: Path) -> None:
    notebook = tmp_path / "small.py"
    notebook.write_text(NOTEBOOK)
    with running(notebook) as address, opened(browser, address) as page:
        page.set_default_timeout(60_000)
        page.locator("section[aria-label='Trace of Sequential']").nth(1).wait_for()  # shown, and as a cell's last line
        figure = page.locator("section[aria-label='Trace of Sequential']").first
        figure.get_by_role("application").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        told = a_trace().explain("output", (1, 0))
        section = figure.get_by_role("region", name="How output[1, 0] was made")
        section.wait_for()
        assert str(told.value) in section.inner_text()
        section.get_by_role("button").first.click()
        first = told.terms[0]
        where = f"{first.address}[{', '.join(map(str, first.index))}]"
        figure.get_by_role("region", name=f"How {where} was made").wait_for()
        figure.get_by_role("button", name="Back to output").click()
        section.wait_for()
        figure.get_by_role("searchbox").fill("0 weight grad")
        page.keyboard.press("Enter")
        figure.get_by_role("button", name="0.weight:grad", exact=True).first.click()
        figure.get_by_role("heading", name="0.weight:grad").wait_for()
        assert page.locator(".error-line:visible").count() == 0
        look(page, "notebook-marimo")
