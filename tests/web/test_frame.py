"""The frame around every screen, in a real browser."""

from __future__ import annotations

import pytest
from web.browser import LOOKS, accessibility_problems, look, opened, serving, sideways_scroll

from cutaway.server.app import create_app
from cutaway.server.lab import Lab


@pytest.fixture
def address(tmp_path):
    with serving(create_app(Lab(tmp_path))) as address:
        yield address


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_home_at_every_size_and_theme(browser, address, viewport, theme):
    with opened(browser, address, viewport, theme) as page:
        page.get_by_role("heading", level=1).wait_for()
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        look(page, f"home-{viewport['width']}-{theme}")


def test_unknown_screen_says_so(browser, address):
    with opened(browser, f"{address}/nowhere") as page:
        page.get_by_text("There is no screen here").wait_for()
        page.get_by_role("link", name="Go to the home screen").click()
        page.wait_for_url(f"{address}/")
