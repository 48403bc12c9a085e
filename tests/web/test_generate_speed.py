"""The Speed tab: measured in the background, stopped on request, its numbers those of the lab."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server.labs import wait_for
from web.browser import LOOKS, accessibility_problems, look, opened, serving, sideways_scroll
from web.generate_models import make_home

from cutaway.base.errors import UsageError
from cutaway.generate import speed
from cutaway.server.app import create_app
from cutaway.server.lab import Lab

ASKED = "generate?tab=speed&model=models/letters&prompt=the+cat&fresh=12"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with serving(create_app(Lab(home))) as served:
        yield f"{served}/"


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_it_measures(
    browser: Any, address: str, viewport: dict[str, int], theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[speed.Speed] = []
    measure = speed.measure_speed
    monkeypatch.setattr(speed, "measure_speed", lambda *a, **k: kept.append(measure(*a, **k)) or kept[-1])
    with opened(browser, f"{address}{ASKED}", viewport, theme) as page:
        page.get_by_role("button", name="Measure it").press("Enter")
        page.get_by_role("heading", name="In numbers").wait_for()
        page.locator("canvas").first.wait_for()
        found = kept[-1]
        first = page.get_by_role("row").filter(has=page.get_by_role("cell", name="without"))
        for i, part in enumerate((slice(0, 1), slice(1, None), slice(-1, None))):
            shown = first.nth(i).get_by_role("cell").evaluate_all("all => all.map((one) => one.title)")
            assert float(shown[1].removesuffix(" s")) == pytest.approx(sum(found.without_cache.seconds[part]))
            assert int(shown[2]) == sum(found.without_cache.operations[part])
            assert int(shown[3]) == sum(found.without_cache.bytes[part])
        n_positions = sum(7 + t for t in range(12))
        page.get_by_role("img", name=f"Without a cache: {n_positions} positions computed for 12 new tokens").wait_for()
        page.get_by_role("img", name="With a cache: 18 positions computed for 12 new tokens").wait_for()
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        look(page, f"generate-speed-{viewport['width']}-{theme}")
        page.wait_for_url("**measured=1**")
        page.get_by_role("spinbutton", name="New tokens").fill("5")
        page.get_by_text("Measured with another model, text or number of tokens.").wait_for()
        page.get_by_role("button", name="Measure again").click()
        page.get_by_role("img", name="for 5 new tokens").first.wait_for()


@pytest.mark.quick
def test_it_can_be_stopped(browser: Any, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    n_steps, over = 0, threading.Event()

    def endless(model: Any, tokenizer: Any, prompt: str, n_tokens: int, rounds: int, is_wanted: Any) -> None:
        nonlocal n_steps
        while is_wanted():
            n_steps += 1
            over.wait(0.01)
        over.set()
        raise UsageError("ended")

    monkeypatch.setattr(speed, "measure_speed", endless)
    with opened(browser, f"{address}{ASKED}&measured=1") as page:
        page.get_by_role("progressbar", name="How far").wait_for()
        wait_for(lambda: n_steps > 3)
        page.get_by_role("button", name="Stop").press("Enter")
        assert over.wait(10)
        page.get_by_role("button", name="Measure it").wait_for()


def test_what_cannot_be_measured_is_said(browser: Any, address: str) -> None:
    with opened(browser, f"{address}{ASKED.replace('the+cat', '%C3%A9')}&measured=1") as page:
        page.get_by_role("alert").get_by_text("never saw in training").wait_for()
        page.wrong.clear()  # the browser notes the refusal in its console
    with opened(browser, f"{address}{ASKED.replace('the+cat', 'the+cat+' * 20)}&measured=1") as page:
        page.get_by_text("are more than the model's context").wait_for()
