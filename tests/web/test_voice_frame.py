"""The voice screen's frame: tabs by mouse and by keyboard, folder and run in the address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
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

TABS = ["Writing", "Tune", "Compare", "Report", "Change", "Improve", "Use"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home: Path = tmp_path_factory.mktemp("home")
    for name in ("letters", "essays"):
        (home / name).mkdir()
        (home / name / "pieces.jsonl").write_text("")
    (home / "tuned-1").mkdir()
    (home / "tuned-1" / "recipe.toml").write_text('[tune]\nbase = "models/gpt2"\nmethod = "lora"\n')
    with serving(create_app(Lab(home))) as served:
        yield served


@HANDS
def test_the_tabs(browser: Any, address: str, hand: Hand) -> None:
    with hand.opened(browser, address) as page:
        page.get_by_role("link", name="Voice", exact=True).click()
        page.get_by_role("tab", name="Writing", selected=True).wait_for()
        for name in TABS[1:]:
            if hand.is_mouse:
                page.get_by_role("tab", name=name).click()
            else:
                page.get_by_role("tab", selected=True).press("ArrowRight")
            page.get_by_role("tabpanel", name=name).get_by_role("heading").first.wait_for()
            assert situation(page)["tab"] == name.lower()
            assert sideways_scroll(page) == 0
        page.go_back()
        page.get_by_role("tab", name="Improve", selected=True).wait_for()


@pytest.mark.quick
def test_what_is_chosen_is_in_the_address(browser: Any, address: str) -> None:
    with opened(browser, f"{address}/voice") as page:
        page.get_by_role("combobox", name="Writing").select_option("letters")
        page.get_by_label("Tuned model").select_option("tuned-1")
        becomes(lambda: situation(page), {"writing": "letters", "run": "tuned-1"})
        page.reload()
        becomes(lambda: page.get_by_role("combobox", name="Writing").input_value(), "letters")


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_looks(browser: Any, address: str, viewport: dict[str, int], theme: str) -> None:
    with opened(browser, f"{address}/voice?tab=use", viewport, theme) as page:
        page.get_by_role("tabpanel", name="Use").get_by_role("heading").first.wait_for()
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        look(page, f"voice-frame-{viewport['width']}-{theme}")
