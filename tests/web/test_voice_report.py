"""The Report tab and its page: read by mouse and by keyboard, marked passages lead to their essays, axe finds nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from voice.reports import make_reports
from web.browser import (
    HANDS,
    LOOKS,
    Hand,
    accessibility_problems,
    becomes,
    look,
    opened,
    serving,
    sideways_scroll,
    situation,
)

from cutaway.server.app import create_app
from cutaway.server.lab import Lab

RECIPE = (
    '[data]\nsource = "voice/train.jsonl"\ndocuments = "conversation"\n[tune]\nbase = "models/gpt2"\nmethod = "full"\n'
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    made = make_reports(tmp_path_factory.mktemp("base"))
    for name, report in (("new", None), ("me", made.memorised)):
        (home / name).mkdir()
        (home / name / "recipe.toml").write_text(RECIPE)
        if report:
            (home / name / "report").mkdir()
            numbers = report.as_dict() | {"made": "2026-11-21T20:00:00Z"}
            (home / name / "report" / "report.json").write_text(json.dumps(numbers, allow_nan=False))
    return home


@pytest.fixture(scope="module")
def lab(home: Path) -> Lab:
    return Lab(home)


@pytest.fixture(scope="module")
def address(lab: Lab) -> Iterator[str]:
    with serving(create_app(lab)) as served:
        yield served


def page_in(page: Any) -> Any:
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", level=1).wait_for()
    return frame


@HANDS
def test_the_verdict_the_rules_and_a_copied_passage(browser: Any, address: str, home: Path, hand: Hand) -> None:
    told = json.loads((home / "me" / "report" / "report.json").read_text())
    with hand.opened(browser, f"{address}/voice?tab=report&run=me") as page:
        inside = page_in(page)
        assert inside.get_by_role("heading", level=1).inner_text().lower() == told["verdict"]["name"] == "memorised"
        for ruling in told["verdict"]["rulings"]:
            inside.get_by_role("heading", name=ruling["question"], level=3).wait_for()
        values = inside.locator("data[data-path='losses.tuned.bits_per_byte.value']").first
        assert float(values.get_attribute("value")) == told["losses"]["tuned"]["bits_per_byte"]["value"]
        passage = inside.locator("mark a").first
        leads = passage.get_attribute("href")
        hand.use(passage)
        there = inside.locator(leads)
        there.wait_for()  # its essay opens
        becomes(there.is_visible, True)
        assert there.evaluate("element => element.closest('details').open")
        hand.use(there)
        assert inside.locator(there.get_attribute("href")).is_visible()
        assert situation(page) == {"tab": "report", "run": "me"}


@HANDS
def test_a_report_is_made_as_a_job(
    browser: Any, address: str, lab: Lab, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    real = lab.jobs.submit

    def submit(words: list[str], kind: str, target: str, only_once: str = "") -> Any:
        asked.append((words, kind, target))
        return real(["voice", "--help"], kind, target)  # ends at once

    monkeypatch.setattr(lab.jobs, "submit", submit)
    with hand.opened(browser, f"{address}/voice?tab=report&run=new") as page:
        hand.tick(page.get_by_role("checkbox", name="Quick"))
        hand.use(page.get_by_role("button", name="Make the report"))
        becomes(lambda: len(asked), 1)
        assert asked == [(["voice", "report", str(lab.home / "new"), "--quick"], "report", "new")]
        page.get_by_role("button", name="Make the report").wait_for()


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_looks(browser: Any, address: str, home: Path, viewport: dict[str, int], theme: str) -> None:
    with opened(browser, f"{address}/voice?tab=report&run=me", viewport, theme) as page:
        inside = page_in(page)
        becomes(lambda: page.frames[1].evaluate("document.documentElement.dataset.theme"), theme)
        becomes(lambda: page.frames[1].evaluate("document.documentElement.scrollHeight - innerHeight"), 0)
        assert inside.locator("section").count() > 6
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        assert page.frames[1].evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        look(page, f"voice-report-{viewport['width']}-{theme}")
    with opened(browser, f"{address}/api/voice/report/me/page", viewport, theme) as page:
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
    with opened(browser, f"{address}/voice?tab=report&run=new", viewport, theme) as page:
        page.get_by_role("button", name="Make the report").wait_for()
        assert not accessibility_problems(page)
        look(page, f"voice-report-new-{viewport['width']}-{theme}")
