"""Runs of pictures on the training screens in a real browser: a scrubber through what they painted, no word of text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from paint_runs import tiny
from web.browser import HANDS, LOOKS, accessibility_problems, becomes, look, opened, serving, sideways_scroll, situation

from cutaway import workbench
from cutaway.base.runs import RunFolder
from cutaway.server.app import create_app
from cutaway.server.lab import Lab

OF_TEXT = re.compile(r"\btokens?\b|\bbits\b|\bnats a token\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs of three kinds: one paints, one reads captions, one makes latents."""
    home = tmp_path_factory.mktemp("lab") / "runs"
    for phase in ("unet", "text", "vae"):
        workbench.train(tiny(phase, steps=6, validate_every=2), name=phase, runs=home)
    return home


@pytest.fixture(scope="module")
def address(home):
    with serving(create_app(Lab(home))) as address:
        yield address


def told(page: Any) -> str:
    """Return what the page says in its main part."""
    return page.locator("main").inner_text()


SCREENS = {
    "runs": ("/runs", "Start a run"),
    "painter": ("/runs/unet", "Loss by noise"),
    "pictures": ("/runs/unet?tab=samples", "Where this is on the loss curve"),
    "captions": ("/runs/text", "Retrieval"),
    "latents": ("/runs/vae?tab=samples&step=2", "Where this is on the loss curve"),
    "recipe": ("/runs/unet?tab=recipe", "Recipe"),
    "compare": ("/runs/compare?runs=unet,text,vae", "What differs in their recipes"),
    "home": ("/", "unet|text|vae"),
}


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
@pytest.mark.parametrize("screen", SCREENS)
def test_every_screen_at_every_size_and_theme(browser, address, screen, viewport, theme):
    path, heading = SCREENS[screen]
    with opened(browser, address + path, viewport, theme) as page:
        page.get_by_role("heading", name=re.compile(heading)).first.wait_for()
        page.wait_for_load_state("networkidle")
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        look(page, f"training-paint-{screen}-{viewport['width']}-{theme}")


@pytest.mark.parametrize("run", ["unet", "text", "vae"])
@pytest.mark.parametrize("tab", ["curves", "samples", "histograms"])
def test_of_pictures_no_screen_speaks_as_of_text(browser, address, run, tab):
    with opened(browser, f"{address}/runs/{run}?tab={tab}") as page:
        page.get_by_role("heading", name=run, exact=True).wait_for()
        page.wait_for_load_state("networkidle")
        assert not OF_TEXT.search(told(page)), OF_TEXT.search(told(page))
        assert not page.get_by_role("tab", name="Attention").count()
        assert "24 pictures" in told(page)


def test_the_numbers_are_those_of_the_run(browser, address, home):
    summary = RunFolder(home / "unet").summary() or {}
    with opened(browser, f"{address}/runs/unet") as page:
        value = page.locator("dl").get_by_text("validation loss, best weights").locator("xpath=../dd")
        assert float(value.locator("[title]").first.get_attribute("title").split()[0]) == summary["validation_loss"]
        legend = page.get_by_role("region", name="Loss", exact=True).get_by_role("list", name="Lines")
        assert "without the average" in legend.inner_text()
        lines = page.get_by_role("region", name="Loss by noise").get_by_role("list", name="Lines")
        assert re.findall(r"at time 0\.\d", lines.inner_text()) == [f"at time {t}" for t in (0.1, 0.3, 0.5, 0.7, 0.9)]


@HANDS
def test_the_same_seeds_improve_under_the_scrubber(browser, address, home, hand):
    steps = [line["step"] for line in RunFolder(home / "unet").samples()]
    with hand.opened(browser, f"{address}/runs/unet?tab=samples") as page:
        picture = page.get_by_role("img", name=re.compile("painted after step"))
        picture.wait_for()
        assert picture.get_attribute("src") == f"/api/runs/unet/pictures/{steps[-1]}.png"
        becomes(lambda: picture.evaluate("one => one.complete && one.naturalWidth > 100"), True)
        hand.use(page.get_by_role("button", name="step before"))
        becomes(lambda: picture.get_attribute("src"), f"/api/runs/unet/pictures/{steps[-2]}.png")
        assert situation(page)["step"] == str(steps[-2])
        slider = page.get_by_role("slider").first
        slider.focus()
        page.keyboard.press("Home")
        becomes(lambda: picture.get_attribute("src"), f"/api/runs/unet/pictures/{steps[0]}.png")
        becomes(lambda: situation(page)["step"], str(steps[0]))
        page.reload()
        becomes(lambda: picture.get_attribute("src"), f"/api/runs/unet/pictures/{steps[0]}.png")


def test_pictures_and_their_absence_over_http(address, home):
    import httpx

    got = httpx.get(f"{address}/api/runs/unet/pictures/2.png")
    assert (got.status_code, got.headers["content-type"]) == (200, "image/png")
    assert got.content == (home / "unet" / "pictures" / "2.png").read_bytes()
    missing = httpx.get(f"{address}/api/runs/unet/pictures/3.png")
    assert missing.status_code == 404
    assert "painted nothing at step 3" in missing.text


def test_losses_of_different_things_are_said_not_to_compare(browser, address):
    with opened(browser, f"{address}/runs/compare?runs=unet,text") as page:
        page.get_by_text("their losses (mean squared error, nats a picture) do not compare").wait_for()
        assert not OF_TEXT.search(page.get_by_role("group", name="What is compared").inner_text())


def test_what_paints_is_not_offered_to_write(browser, address):
    with opened(browser, f"{address}/runs/unet") as page:
        page.get_by_role("button", name="Branch …").wait_for()
        assert not page.get_by_role("link", name="Write with it").count()
        assert page.get_by_role("link", name="Paint with it").get_attribute("href") == "/paint?model=unet"
    with opened(browser, f"{address}/runs/vae") as page:
        page.get_by_role("button", name="Branch …").wait_for()
        assert not page.get_by_role("link", name="Paint with it").count()
    with opened(browser, f"{address}/microscope") as page:
        page.wait_for_load_state("networkidle")
        assert not page.get_by_role("option", name=re.compile("unet")).count()


def test_a_branch_is_checked_without_a_size(browser, address):
    with opened(browser, f"{address}/runs/unet?branch=1") as page:
        page.get_by_role("heading", name="Branch from unet").wait_for()
        page.get_by_text(re.compile(r"cutaway train .*unet --from-step")).first.wait_for()
