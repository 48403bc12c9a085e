"""The Paint screen: a prompt becomes a grid of pictures, and one goes back and forth between noise and picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from server.paint_lab import PROMPT, QUICK, make_home
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
from web.paint_page import canvas, done, url

from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.paint import paint
from cutaway.diffusion.painter_folder import save_painter
from cutaway.diffusion.picture_files import gif_bytes
from cutaway.presets_paint import PHASES
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from diffusion.painters import word_painter


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(create_app(Lab(make_home(tmp_path_factory.mktemp("home"))))) as served:
        yield served


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_looks(browser: Any, address: str, viewport: dict[str, int], theme: str) -> None:
    with opened(browser, url(address, prompt="a red zebra cat"), viewport, theme) as page:
        done(page)
        page.get_by_text("This model never saw zebra").wait_for()
        page.get_by_role("button", name="Settings").click()
        look(page, f"paint-{viewport['width']}-{theme}")
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0


def test_the_pictures_are_the_apis(browser: Any, address: str) -> None:
    frames: list[np.ndarray] = []
    painter = word_painter()
    found = paint(
        painter, [PROMPT], PaintSamplingConfig(**QUICK), keep_frames=True,  # type: ignore[arg-type]
        on_step=lambda number, step: frames.append(painter.to_pictures(step.picture)),
    )  # fmt: skip
    with opened(browser, url(address)) as page:
        done(page)
        pictures = page.get_by_role("radiogroup", name="Pictures").get_by_role("img")
        for i in range(QUICK["n"]):  # type: ignore[call-overload]
            np.testing.assert_array_equal(canvas(pictures.nth(i)), found.pictures[i])
        slider = page.get_by_role("slider", name="Step")
        slider.fill("2")
        becomes(lambda: canvas(pictures.nth(1)).tolist(), found.frames[2][1].tolist())
        page.get_by_role("button", name="As the model expects it").click()
        becomes(lambda: canvas(pictures.nth(1)).tolist(), frames[2][1].tolist())
        assert situation(page)["step"] == "2"
        assert situation(page)["shown"] == "expected"


@HANDS
def test_a_person_paints_and_scrubs(browser: Any, address: str, hand: Hand) -> None:
    with hand.opened(browser, url(address)) as page:
        done(page)
        before = canvas(page.get_by_role("img", name="Picture 1 of 3").first).tolist()
        prompt = page.get_by_label("Prompt: what is painted")
        prompt.fill("a tiny blue owl on a skateboard")
        page.get_by_text("This model never saw skateboard").wait_for()
        if hand.is_mouse:
            page.get_by_role("button", name="Paint", exact=True).click()
        else:
            prompt.press("Enter")
        page.get_by_text("Left out: skateboard").wait_for()
        done(page)
        first = page.get_by_role("img", name="Picture 1 of 3: a tiny blue owl").first
        assert canvas(first).tolist() != before
        hand.use(page.get_by_role("button", name="Step before"))
        becomes(lambda: situation(page).get("step"), "3")
        page.keyboard.press(",")
        becomes(lambda: situation(page).get("step"), "2")
        hand.use(page.get_by_role("button", name="Play from noise to picture"))
        becomes(lambda: "step" in situation(page), False)
        second = page.get_by_role("radio").nth(1)
        if hand.is_mouse:
            second.click()
        else:
            page.get_by_role("radio").nth(0).press("ArrowRight")
        becomes(lambda: situation(page).get("pick"), "1")
        assert second.get_attribute("aria-checked") == "true"
        hand.use(page.get_by_role("button", name="Other 3"))
        becomes(lambda: situation(page).get("seed"), "8")
        done(page)
        page.go_back()
        becomes(lambda: situation(page).get("seed"), "5")
        page.go_back()
        page.get_by_role("img", name=f"Picture 1 of 3: {PROMPT}").first.wait_for()
        becomes(lambda: canvas(page.get_by_role("img", name="Picture 1 of 3").first).tolist(), before)


@HANDS
def test_noise_turning_into_the_picture_is_saved(browser: Any, address: str, hand: Hand, tmp_path: Path) -> None:
    with hand.opened(browser, url(address, pick=1)) as page:
        done(page)
        with page.expect_download() as saved:
            hand.use(page.get_by_role("button", name="Save as GIF"))
        assert saved.value.suggested_filename == "a-red-cat-seed-6.gif"
        saved.value.save_as(tmp_path / "film.gif")
    frames = paint(word_painter(), [PROMPT], PaintSamplingConfig(**QUICK), seeds=[6], keep_frames=True).frames  # type: ignore[arg-type]
    assert (tmp_path / "film.gif").read_bytes() == gif_bytes(frames)


@HANDS
def test_the_best_of_several(browser: Any, address: str, hand: Hand) -> None:
    found = paint(word_painter(), [PROMPT], PaintSamplingConfig(**QUICK, best_of=3))  # type: ignore[arg-type]
    assert found.seeds != (5, 6, 7)
    with hand.opened(browser, url(address, pick=1)) as page:
        done(page)
        hand.use(page.get_by_role("button", name="Settings"))
        best = page.get_by_label("Best of").and_(page.get_by_role("spinbutton"))
        best.fill("17")
        best.press("Enter")
        page.get_by_role("alert").filter(has_text="best of is 17; expected 1 to 16").wait_for()
        best.fill("3")
        best.press("Enter")
        page.get_by_text("each the best of 3 drafts").wait_for()
        pictures = page.get_by_role("radiogroup", name="Pictures")
        for i in range(3):
            np.testing.assert_array_equal(canvas(pictures.get_by_role("img").nth(i)), found.pictures[i])
        assert pictures.get_by_role("radio").nth(1).get_attribute("title") == f"Seed {found.seeds[1]}"
        with page.expect_download() as saved:
            hand.use(page.get_by_role("button", name="Save as GIF"))
        assert saved.value.suggested_filename == f"a-red-cat-seed-{found.seeds[1]}.gif"
        for tab, path in {"Guidance": "guidance", "Words": "word-maps", "Change": "pictures"}.items():
            with page.expect_request(lambda asked, path=path: asked.url.endswith(f"/paint/{path}")) as asked:  # type: ignore[misc]
                hand.use(page.get_by_role("tab", name=tab))
            told = asked.value.post_data_json
            assert (told["settings"]["seed"], told["settings"]["n"]) == (found.seeds[1], 1), tab


def test_labels_and_nothing_to_say(browser: Any, address: str) -> None:
    with opened(browser, url(address, model="models/labels", prompt="")) as page:
        done(page)
        page.get_by_label("Label: what is painted").select_option("owl")
        page.get_by_role("button", name="Paint", exact=True).click()
        page.get_by_role("img", name="Picture 1 of 3: owl").first.wait_for()
        done(page)
        page.get_by_role("button", name="Settings").click()
        page.get_by_label("Steps").first.wait_for()
        assert not page.get_by_label("Best of").count(), "it has no reader to choose by"
        page.get_by_label("Model", exact=True).select_option("models/plain")
        page.get_by_text("trained without words or labels").wait_for()
        page.get_by_role("img", name="Picture 1 of 3: anything").first.wait_for()
        done(page)


def test_what_is_wrong_is_said(browser: Any, address: str, tmp_path: Path) -> None:
    with opened(browser, url(address, prompt="zebra")) as page:
        page.get_by_text("not one word of 'zebra' is known").wait_for()
        page.get_by_label("Prompt: what is painted").fill(" ")
        page.get_by_text("Say what is to be painted").wait_for()
        assert page.get_by_role("button", name="Paint", exact=True).is_disabled()
    with opened(browser, f"{address}/paint?model=models/gone") as page:
        page.get_by_text("There is no model models/gone").wait_for()
        page.get_by_role("button", name="Take models/latents").click()
        done(page)


def test_an_absurd_number_is_said_and_not_taken(browser: Any, address: str) -> None:
    with opened(browser, url(address)) as page:
        done(page)
        page.get_by_role("button", name="Settings").click()
        guidance = page.get_by_label("Guidance", exact=False).and_(page.get_by_role("spinbutton"))
        guidance.fill("500")
        guidance.press("Enter")
        page.get_by_role("alert").filter(has_text="guidance is 500; expected 0 to 100").wait_for()
        assert situation(page)["guidance"] == "2.0"
        guidance.fill("7")
        guidance.press("Enter")
        becomes(lambda: situation(page).get("guidance"), "7")
        page.get_by_role("alert").wait_for(state="hidden")


def test_without_any_painter_the_way_to_one_is_said(browser: Any, tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.painters.shipped = tmp_path / "none"
    with serving(create_app(lab)) as empty, opened(browser, f"{empty}/paint") as page:
        page.get_by_text("There is no model to paint with yet").wait_for()
        for name in ("unet", "text"):
            minutes = PHASES[name].make().train.minutes
            card = page.get_by_role("listitem").filter(has=page.get_by_role("button", name=f"Train {name}", exact=True))
            card.get_by_text(f"trains {minutes:g}:00 min").wait_for()
            assert card.get_by_role("button").is_enabled()
        page.get_by_text("needs text first").wait_for()
        assert page.get_by_role("button", name="Train words").is_disabled()
        assert not accessibility_problems(page)


@pytest.mark.quick
def test_the_painter_that_comes_along_paints_at_once(browser: Any, tmp_path: Path) -> None:
    lab = Lab(tmp_path / "runs")
    lab.painters.shipped = tmp_path / "shipped"
    save_painter(lab.painters.shipped, word_painter())
    config = PaintSamplingConfig(**{**QUICK, "n": 1})  # type: ignore[arg-type]
    expected = paint(word_painter(), ["a cat wearing a tiny hat"], config).pictures[0]
    query = "&".join(f"{name}={value}" for name, value in {**QUICK, "n": 1}.items())
    with serving(create_app(lab)) as served, opened(browser, f"{served}/paint?{query}") as page:
        done(page)
        assert page.get_by_label("Model").locator("option:checked").inner_text() == "the one that comes with Cutaway"
        becomes(lambda: canvas(page.get_by_role("img", name="Picture 1 of 1").first).tolist(), expected.tolist())
        assert not page.get_by_text("There is no model to paint with yet").count()
