"""The frame around every screen, in a real browser: bar, theme, keyboard, reconnecting, safety, how much is loaded."""

from __future__ import annotations

import csv
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server.labs import end_jobs, lab_process, training, wait_for
from web.browser import (
    DESKTOP,
    LOOKS,
    PHONE,
    accessibility_problems,
    becomes,
    look,
    opened,
    press,
    serving,
    sideways_scroll,
)

from cutaway.server.app import create_app
from cutaway.server.jobs import Jobs
from cutaway.server.lab import Lab
from cutaway.server.safety import Access
from cutaway.server.sessions import Sessions

SCREENS = re.findall(r"path: '([^']+)'", (Path(__file__).parents[2] / "web/src/views/screens.ts").read_text())
MOST_BYTES = 350_000


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    home = tmp_path / "home"
    home.mkdir()
    yield Lab(home)
    end_jobs(home)


@pytest.fixture
def address(lab: Lab) -> Iterator[str]:
    with serving(create_app(lab)) as address:
        yield address


@pytest.mark.quick
def test_unknown_screen_says_so(browser: Any, address: str) -> None:
    with opened(browser, f"{address}/nowhere") as page:
        page.get_by_text("There is no screen here").wait_for()
        page.get_by_role("link", name="Go to the home screen").click()
        page.wait_for_url(f"{address}/")


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["wide", "phone"])
@pytest.mark.quick
def test_the_bar_by_mouse_and_keyboard(browser: Any, address: str, viewport: dict[str, int]) -> None:
    with opened(browser, address, viewport) as page:
        page.get_by_role("link", name="Training", exact=True).click()
        page.wait_for_url(f"{address}/runs")
        assert page.title() == "Training · Cutaway"
        page.go_back()
        page.wait_for_url(f"{address}/")
        page.reload()
        page.get_by_role("heading", level=1).wait_for()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        for name in ("Cutaway, home", "Playground", "Training"):
            page.keyboard.press("Tab")
            focused = page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.textContent")
            assert focused == name
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        page.wait_for_url(f"{address}/runs")
        assert page.locator("[aria-current=page]").inner_text() == "Training"


def test_the_theme_is_chosen_and_kept(browser: Any, address: str) -> None:
    with opened(browser, address, theme="dark") as page:
        paper = "getComputedStyle(document.documentElement).backgroundColor"
        dark = page.evaluate(paper)
        page.get_by_role("button", name="Theme: as the system; change").click()
        page.get_by_role("button", name="Theme: light; change").wait_for()
        light = page.evaluate(paper)
        assert light != dark
        page.reload()
        assert page.evaluate(paper) == light
        press(page.get_by_role("button", name="Theme: light; change"))
        page.get_by_role("button", name="Theme: dark; change").wait_for()
        assert page.evaluate(paper) == dark
        page.emulate_media(color_scheme="light")  # what was chosen stays, whatever the system does
        assert page.evaluate(paper) == dark
        page.get_by_role("button", name="Theme: dark; change").click()
        page.get_by_role("button", name="Theme: as the system; change").wait_for()
        assert page.evaluate(paper) == light
        page.emulate_media(color_scheme="dark")
        becomes(lambda: page.evaluate(paper), dark)


@pytest.mark.parametrize("screen", SCREENS)
def test_the_first_load_is_small(browser: Any, address: str, screen: str) -> None:
    """All that the browser fetched until the screen stood: scripts, styles and fonts, as they travelled."""
    with opened(browser, "about:blank", is_new=True) as page:
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        kinds: dict[str, str] = {}
        sizes: dict[str, float] = {}
        session.on("Network.responseReceived", lambda told: kinds.update({told["requestId"]: told["response"]["url"]}))
        session.on("Network.loadingFinished", lambda told: sizes.update({told["requestId"]: told["encodedDataLength"]}))
        page.on("request", lambda asked: None)
        little = "?n=1&steps=1" if screen == "/paint" else ""  # the painter that came along begins at once
        page.goto(f"{address}{screen}{little}")
        page.locator("main").get_by_role("heading").first.wait_for()
        page.wait_for_load_state("networkidle")
        page.wrong.clear()  # the origin of about:blank is none
        files = {kinds[key]: size for key, size in sizes.items() if "/api/" not in kinds.get(key, "/api/")}
        assert any(url.endswith(".js") for url in files)
        assert sum(files.values()) <= MOST_BYTES, files


def test_an_old_browser_is_told(browser: Any, address: str) -> None:
    context = browser.new_context()
    context.add_init_script("delete window.structuredClone")
    page = context.new_page()
    page.goto(address)
    said = page.get_by_role("alert").first
    said.wait_for()
    assert "This browser lacks structuredClone" in said.inner_text()
    context.close()


@pytest.mark.quick
def test_a_page_elsewhere_can_do_nothing(browser: Any, address: str, tmp_path: Path) -> None:
    """A page of another address reads nothing, starts nothing, and cannot show the lab inside itself."""
    with serving(create_app(Lab(tmp_path / "other"))) as elsewhere:
        context = browser.new_context(bypass_csp=True)  # the foreign page has no policy of ours
        page = context.new_page()
        page.goto(f"{elsewhere}/nowhere")
        asked = """async ([address, path, method]) => {
            try { const a = await fetch(address + path, { method, mode: 'no-cors' }); return a.type + a.status }
            catch { return 'refused' }
        }"""
        for path, method in (("/api/about", "GET"), ("/api/home/first-run?again=true", "POST"), ("/api/events", "GET")):
            assert page.evaluate(asked, [address, path, method]) in ("refused", "opaque0")
        heard = """(address) => new Promise((done) => {
            const source = new EventSource(address + '/api/events');
            source.onopen = () => done('heard'); source.onerror = () => done('refused');
        })"""
        assert page.evaluate(heard, address) == "refused"
        framed = """(address) => new Promise((done) => {
            const frame = document.createElement('iframe'); frame.src = address;
            frame.onload = () => { try { done(frame.contentDocument ? 'seen' : 'refused') } catch { done('refused') } };
            document.body.append(frame);
        })"""
        assert page.evaluate(framed, address) == "refused"
        context.close()
    with urllib.request.urlopen(f"{address}/api/jobs") as answer:
        assert json.loads(answer.read()) == []


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_the_password_is_asked_for(browser: Any, tmp_path: Path, viewport: dict[str, int], theme: str) -> None:
    access = Access(Sessions("open sesame"))
    with serving(create_app(Lab(tmp_path), access)) as address, opened(browser, address, viewport, theme) as page:
        page.get_by_role("heading", name="This lab has a password").wait_for()
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        look(page, f"login-{viewport['width']}-{theme}")
        page.wait_for_function("document.activeElement.matches('input[type=password]')")
        page.keyboard.type("open barley")
        page.keyboard.press("Enter")
        page.get_by_text("this is not the lab's password").wait_for()
        page.get_by_label("Password").fill("open sesame")
        page.get_by_role("button", name="Enter").click()
        page.get_by_role("heading", name="Train a small language model").wait_for()
        page.reload()
        page.get_by_role("heading", name="Train a small language model").wait_for()
        page.wrong[:] = [said for said in page.wrong if "status of 401" not in said and "status of 422" not in said]


def test_two_tabs_share_one_stream(browser: Any, lab: Lab, address: str) -> None:
    with opened(browser, f"{address}/runs") as first:
        wait_for(lambda: len(lab.events.clients) == 1)
        second = first.context.new_page()
        second.goto(f"{address}/")
        second.get_by_role("heading", level=1).wait_for()
        job = lab.jobs.submit(training(lab.home.parent, "fox", 100_000), "train", "fox")
        for page in (first, second):
            page.locator("header").get_by_role("link", name=re.compile("fox: training, ")).wait_for()
        assert len(lab.events.clients) == 1
        first.close()  # the other tab takes over
        wait_for(lambda: len(lab.events.clients) == 1)
        lab.jobs.stop(job.id)
        second.locator("header").get_by_role("link", name=re.compile("fox: training")).wait_for(state="detached")
        assert len(lab.events.clients) == 1
        assert not second.get_by_text("The lab is not running").is_visible()


def test_without_locks_each_tab_listens(browser: Any, lab: Lab, address: str) -> None:
    """As on an address that is not this machine's and not encrypted: browsers offer no locks there."""
    context = browser.new_context()
    context.add_init_script("delete Navigator.prototype.locks")
    for _ in range(2):
        context.new_page().goto(address)
    wait_for(lambda: len(lab.events.clients) == 2)
    context.close()
    wait_for(lambda: not lab.events.clients)


def test_killed_and_started_again_in_the_middle_of_training(browser: Any, tmp_path: Path) -> None:
    """The run goes on, the page says that the lab is away and comes back by itself, and no point is missing."""
    home, steps = tmp_path / "home", 800
    with lab_process(home, "--port", "0") as lab:
        port, address = lab.port, lab.address
        jobs = Jobs(home)
        jobs.close()  # the lab starts it, not this process
        jobs.submit(training(tmp_path, "fox", steps, "--train.sample-every", "0"), "train", "fox")
        lab.kill()
    with lab_process(home, "--port", port) as lab, opened(browser, address) as page:
        page.get_by_role("progressbar", name="progress of fox").wait_for()
        page.get_by_role("link", name="Watch it closely").click()
        page.locator("main canvas").first.wait_for()  # all that the page loads has come
        lab.kill()
        page.get_by_text("The lab is not running; this page reconnects by itself").wait_for()
        look(page, "away-1280-light")
        with lab_process(home, "--port", port):
            page.get_by_text("The lab is not running").wait_for(state="detached")
            page.locator("header").get_by_role("link", name=re.compile("fox: training")).wait_for(
                state="detached", timeout=90_000
            )
            rows = [json.loads(line) for line in (home / "fox" / "metrics.jsonl").read_text().splitlines()]
            assert [row["step"] for row in rows] == list(range(1, steps + 1))
            wait_for(lambda: len(points_on(page)) == steps, 10)
            assert points_on(page) == {row["step"]: row["loss"] for row in rows}
        page.wrong[:] = [said for said in page.wrong if "net::ERR_" not in said]
    end_jobs(home)


def test_a_tab_nobody_sees_catches_up_when_it_is_looked_at(browser: Any, lab: Lab, address: str) -> None:
    steps = 600
    lab.jobs.submit(training(lab.home.parent, "fox", steps, "--train.sample-every", "0"), "train", "fox")
    metrics = lab.home / "fox" / "metrics.jsonl"
    wait_for(lambda: metrics.is_file() and metrics.stat().st_size > 0)
    with opened(browser, f"{address}/runs/fox") as page:
        page.locator("main").get_by_role("button", name="CSV").first.wait_for()
        page.evaluate("Object.defineProperty(document, 'hidden', { get: () => window.isUnseen, configurable: true })")
        page.evaluate("window.isUnseen = true")
        wait_for(lambda: lab.jobs.list()[0].state == "done")
        page.locator("header").get_by_role("link", name=re.compile("fox: training")).wait_for(state="detached")
        assert len(points_on(page)) < steps
        page.evaluate("window.isUnseen = false; document.dispatchEvent(new Event('visibilitychange'))")
        wait_for(lambda: len(points_on(page)) == steps, 20)
        rows = [json.loads(line) for line in metrics.read_text().splitlines()]
        assert points_on(page) == {row["step"]: row["loss"] for row in rows}


def points_on(page: Any) -> dict[int, float]:
    """Return the losses that the page's chart holds, by their steps."""
    with page.expect_download() as saved:
        page.locator("main").get_by_role("button", name="CSV").first.click()
    table = list(csv.DictReader(Path(saved.value.path()).read_text().splitlines()))
    step, loss = list(table[0])[:2]
    return {int(row[step]): float(row[loss]) for row in table if row[loss]}
