"""The home screen: the first run that begins by itself, what is shown of it, the runs, where to go."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server.labs import end_jobs, training, wait_for
from web.browser import HANDS, LOOKS, Hand, accessibility_problems, look, opened, press, serving, sideways_scroll

from cutaway.server.app import create_app
from cutaway.server.lab import Lab

FOREVER = 100_000


def first_run(folder: Path, steps: int, *others: str) -> list[str]:
    """Return a tiny training in place of the one of two minutes; its name is put in by the lab."""
    words = training(folder, "NAME", steps, *others)
    at = words.index("--name")
    return words[:at] + words[at + 2 :]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    folder.mkdir()
    yield folder
    end_jobs(folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that has ended, one that was stopped, one that failed and one with a name that is long."""
    folder = tmp_path_factory.mktemp("trained")
    home = folder / "home"
    home.mkdir()
    lab = Lab(home)
    lab.jobs.submit(training(folder, "fox-1", 60), "train", "fox-1")
    wait_for(lambda: all(job.state == "done" for job in lab.jobs.list()), 120)
    lab.jobs.close()
    for name in ("fox-2", "a-rather-long-name-of-a-run-1"):
        shutil.copytree(home / "fox-1", home / name, copy_function=shutil.copyfile)
    for name, ended in (("fox-1", {"status": "stopped"}), ("fox-2", {"status": "failed", "reason": "no room left"})):
        (home / name / "summary.json").write_text(json.dumps(ended))
    return home


def test_the_first_run_begins_by_itself_and_once(browser: Any, home: Path) -> None:
    lab = Lab(home, first_run=first_run(home.parent, FOREVER), begins_itself=True)
    with serving(create_app(lab)) as address, opened(browser, address) as page:
        page.get_by_text("A network is about to learn to write Python").wait_for()
        look(page, "home-preparing-1280-light")
        assert [(job.target, job.state in ("queued", "running")) for job in lab.jobs.list()] == [("stdlib-1", True)]
        page.get_by_role("heading", name="A network is learning to write Python, here and now").wait_for(timeout=60_000)
        page.get_by_role("progressbar", name="progress of stdlib-1").wait_for()
        page.get_by_text("Given the, it went on like this").wait_for(timeout=60_000)
        page.locator("header").get_by_role("link", name="stdlib-1: training").wait_for()
        assert not accessibility_problems(page)
        page.reload()
        press(page.get_by_role("button", name="Stop"))
        page.get_by_text("stopped, can go on").first.wait_for(timeout=60_000)
        page.get_by_role("link", name="Let it go on").wait_for()
        assert len(lab.jobs.list()) == 1
        lab.run("stdlib-1").remove()
        page.get_by_role("heading", name="Train a small language model").wait_for(timeout=60_000)
        page.reload()
        page.get_by_role("heading", name="Train a small language model").wait_for()
        assert len(lab.jobs.list()) == 1  # stopped and deleted: it does not begin again by itself
        page.get_by_role("button", name="Train it now").click()
        wait_for(lambda: len(lab.jobs.list()) == 2)
        page.get_by_role("button", name="Stop").first.click()
        wait_for(lambda: lab.jobs.list()[0].state == "stopped")


def test_a_lab_with_runs_begins_nothing(browser: Any, trained: Path) -> None:
    lab = Lab(trained, begins_itself=True)
    n_jobs = len(lab.jobs.list())
    with serving(create_app(lab)) as address, opened(browser, address) as page:
        page.get_by_role("heading", name="Runs").wait_for()
        assert len(lab.jobs.list()) == n_jobs


def test_a_first_run_that_fails_says_why(browser: Any, home: Path) -> None:
    lab = Lab(home, first_run=[*first_run(home.parent, 5), "--train.device", "abacus"], begins_itself=True)
    with serving(create_app(lab)) as address, opened(browser, address) as page:
        page.get_by_text("The last training failed: train.device is 'abacus'; expected one").wait_for(timeout=60_000)


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_home_with_runs(browser: Any, trained: Path, viewport: dict[str, int], theme: str) -> None:
    with serving(create_app(Lab(trained))) as address, opened(browser, address, viewport, theme) as page:
        page.get_by_role("heading", name="Runs").wait_for()
        page.get_by_text("step 60").first.wait_for()
        page.locator(".curve canvas").first.wait_for()
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        look(page, f"home-{viewport['width']}-{theme}")


def test_home_without_runs(browser: Any, home: Path) -> None:
    for viewport, theme in LOOKS:
        with serving(create_app(Lab(home))) as address, opened(browser, address, viewport, theme) as page:
            page.get_by_role("button", name="Train it now").wait_for()
            assert not accessibility_problems(page)
            assert sideways_scroll(page) == 0
            look(page, f"home-empty-{viewport['width']}-{theme}")


def test_numbers_and_words_are_those_of_the_runs(browser: Any, trained: Path) -> None:
    newest = "a-rather-long-name-of-a-run-1"
    rows = [json.loads(line) for line in (trained / newest / "metrics.jsonl").read_text().splitlines()]
    summary = json.loads((trained / newest / "summary.json").read_text())
    with serving(create_app(Lab(trained))) as address, opened(browser, address) as page:
        page.get_by_role("heading", name=newest).wait_for()
        shown = page.get_by_role("button", name="training loss")
        shown.wait_for()
        assert shown.get_attribute("aria-label") == f"training loss {rows[-1]['loss']}, copy"
        held = page.get_by_role("button", name="held-out loss", exact=False).first.get_attribute("aria-label")
        assert held is not None
        assert math.isclose(float(held.split(" ")[2].rstrip(",")), summary["validation_loss"])
        line = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="fox-2", exact=True))
        assert "failed" in line.inner_text()
        line = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="fox-1", exact=True))
        assert "stopped, can go on" in line.inner_text()


@HANDS
def test_samples_are_a_link(browser: Any, trained: Path, hand: Hand) -> None:
    with serving(create_app(Lab(trained))) as address, hand.opened(browser, address) as page:
        slider = page.get_by_role("slider", name="From noise to now")
        slider.wait_for()
        last = page.get_by_role("region", name="sample after").inner_text()
        if hand.is_mouse:
            box = slider.bounding_box()
            page.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)
            page.mouse.down()
            page.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2, steps=3)
            page.mouse.up()
        else:
            press(slider, "Home")
        page.get_by_text("went on like this after one step").wait_for()
        assert page.get_by_role("region", name="sample after").inner_text() != last
        page.wait_for_url("**/?sample=1")
        page.reload()
        page.get_by_text("went on like this after one step").wait_for()


@HANDS
def test_where_one_can_go(browser: Any, trained: Path, hand: Hand) -> None:
    newest = "a-rather-long-name-of-a-run-1"
    with serving(create_app(Lab(trained))) as address, hand.opened(browser, address) as page:
        page.get_by_role("link", name="Open up a step of it").wait_for()
        links = page.locator("main a").evaluate_all("all => all.map((one) => one.getAttribute('href'))")
        assert {f"/generate?model={newest}", "/generate?model=fox-1"} <= set(links)
        assert {"/playground", "/runs", f"/microscope?run={newest}", f"/runs/{newest}", "/runs/fox-1"} <= set(links)
        assert f"/runs/compare?runs={newest},fox-2" in links
        hand.use(page.get_by_role("link", name="Playground A network"))
        page.wait_for_url(f"{address}/playground")
