"""The Paint screen's ways to look inside and to take part: guidance, words, changes, brush, latents, field, training."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from server.paint_lab import PROMPT, QUICK, make_home
from web.browser import (
    DESKTOP,
    HANDS,
    KEYS,
    PHONE,
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

from cutaway.diffusion.between import between_prompts
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.guidance import Guided
from cutaway.diffusion.inpaint import inpaint
from cutaway.diffusion.paint import paint
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from diffusion.painters import latent_painter, word_painter

CONFIG = PaintSamplingConfig(**QUICK)  # type: ignore[arg-type]
TABS = ["guidance", "words", "change", "brush", "latent", "field", "train"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(create_app(Lab(make_home(tmp_path_factory.mktemp("home"))))) as served:
        yield served


def ready(page: Any) -> None:
    """Wait until a tab shows what was asked for."""
    page.locator("[data-ready='true']").first.wait_for()


@pytest.mark.parametrize(("viewport", "theme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_looks(browser: Any, address: str, viewport: dict[str, int], theme: str) -> None:
    with opened(browser, url(address, "guidance"), viewport, theme) as page:
        for tab in TABS:
            page.get_by_role("tab", name=tab, exact=False).click()
            ready(page)
            look(page, f"paint-{tab}-{viewport['width']}-{theme}")
            assert not accessibility_problems(page), tab
            assert sideways_scroll(page) == 0, tab


def test_guidance_is_shown_in_its_parts(browser: Any, address: str) -> None:
    painter, parts, x = word_painter(), [], [word_painter().noise([5])]
    config = PaintSamplingConfig(**{**QUICK, "n": 1, "guidance": 2.5})  # type: ignore[arg-type]
    paint(painter, [PROMPT], config, listen=parts.append, on_step=lambda _, step: x.append(step.x))
    with opened(browser, url(address, "guidance", look=2)) as page:
        ready(page)
        page.get_by_role("slider", name="Guidance").press("ArrowRight")
        becomes(lambda: situation(page).get("guidance"), "2.5")
        page.get_by_role("img", name="Guided by 2.5").wait_for()
        ready(page)
        for name, label in (("conditional", "with the words"), ("unconditional", "without the words")):
            expected = painter.to_pictures(painter.path.read(getattr(parts[2], name), x[2], _t(0.5)).picture)[0]
            found = canvas(page.get_by_role("img", name=f"Expected {label}"))
            assert np.abs(found.astype(int) - expected).max() <= 1
        page.get_by_role("button", name="Guidance 7").click()
        becomes(lambda: situation(page).get("guidance"), "7")


def _t(value: float) -> Any:
    import torch

    return torch.tensor(value)


def test_a_prompt_is_read_once(browser: Any, address: str) -> None:
    with opened(browser, "about:blank", DESKTOP, "light") as page:
        page.wrong.clear()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url(address, "paint"))
        done(page)
        page.wait_for_timeout(1000)
        assert sum(one.endswith("/api/paint/read") for one in asked) == 1
        page.get_by_label("Prompt: what is painted").fill("a blue owl")
        page.wait_for_timeout(1000)
        assert sum(one.endswith("/api/paint/read") for one in asked) == 2
        page.wrong.clear()


@HANDS
def test_a_words_map(browser: Any, address: str, hand: Hand) -> None:
    with hand.opened(browser, url(address, "words")) as page:
        ready(page)
        assert page.get_by_role("img", name="Where “red” is read").is_visible(), "an article says little"
        hand.use(page.get_by_role("button", name="Map of cat"))
        becomes(lambda: situation(page).get("word"), "3")
        large = page.get_by_role("img", name="Where “cat” is read")
        before = canvas(large).tolist()
        page.get_by_label("Layer").select_option("2")
        page.get_by_label("Head").select_option("3")
        page.get_by_label("Steps").select_option("one")
        becomes(lambda: canvas(large).tolist() != before, True)
        assert {name: situation(page)[name] for name in ("layer", "head", "over")} == {
            "layer": "1", "head": "2", "over": "step",
        }  # fmt: skip


@HANDS
def test_one_word_changed(browser: Any, address: str, hand: Hand) -> None:
    expected = paint(word_painter(), ["a red owl"], CONFIG).pictures[0]
    with hand.opened(browser, url(address, "change")) as page:
        ready(page)
        hand.use(page.get_by_role("group", name="Word to change").get_by_role("button", name="cat"))
        after = page.get_by_role("img", name="After: a red owl")
        after.wait_for()
        becomes(lambda: canvas(after).tolist(), expected.tolist())
        box = page.get_by_placeholder("another word")
        box.fill("dogs")
        box.press("Enter")
        page.get_by_role("img", name="After: a red dogs").wait_for()
        becomes(lambda: situation(page).get("instead"), "dogs")


def test_two_prompts_and_two_noises(browser: Any, address: str) -> None:
    other = "two dogs on a beach"
    config = PaintSamplingConfig(**{**QUICK, "n": 9})  # type: ignore[arg-type]
    expected = between_prompts(word_painter(), PROMPT, other, [i / 8 for i in range(9)], config).pictures
    with opened(browser, url(address, "change", change="prompts", other=other)) as page:
        ready(page)
        strip = page.get_by_role("group", name="Pictures on the way").get_by_role("img")
        for i in (0, 3, 8):  # captions that were read alone before round differently: by one of 255 at most
            assert np.abs(canvas(strip.nth(i)).astype(int) - expected[i]).max() <= 1
        page.get_by_role("button", name="To other noise").click()
        ready(page)
        page.get_by_label("To the seed").fill("77")
        page.get_by_label("To the seed").press("Enter")
        becomes(lambda: situation(page).get("toseed"), "77")
        ready(page)
        assert not page.get_by_role("button", name="Through latents").count()
    with opened(browser, url(address, "change", change="latents", model="models/latents")) as page:
        ready(page)
        page.get_by_role("slider", name="Place on the way").press("ArrowRight")
        becomes(lambda: situation(page).get("share"), "5")


@HANDS
def test_a_walk_is_stopped_and_begun_again(
    browser: Any, address: str, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_model, may_go_on = Guided.__call__, threading.Event()

    def held(self: Guided, x: Any, t: Any) -> Any:
        if len(x) == 9:
            assert may_go_on.wait(120)
        return ask_model(self, x, t)

    monkeypatch.setattr(Guided, "__call__", held)
    with hand.opened(browser, url(address, "change", change="noise")) as page:
        hand.use(page.get_by_role("button", name="Stop the walk"))
        page.get_by_text("Stopped.").wait_for()
        may_go_on.set()
        assert not page.locator("[data-ready='true']").count()
        hand.use(page.get_by_role("button", name="Paint the walk"))
        ready(page)
        assert not page.get_by_text("Stopped.").count()


@HANDS
def test_a_part_painted_anew(browser: Any, address: str, hand: Hand) -> None:
    begun = paint(word_painter(), [PROMPT], CONFIG).pictures[0]
    with hand.opened(browser, url(address, "brush")) as page:
        ready(page)
        paint_it = page.get_by_role("button", name="Paint the marked part")
        hand.use(paint_it)
        page.get_by_text("Mark with the brush").wait_for()
        page.get_by_role("slider", name="Size of the brush").fill("1")
        board = page.get_by_role("application", name="Mark what is painted anew")
        keep = np.ones((8, 8), bool)
        if hand.is_mouse:
            box = board.bounding_box()
            page.mouse.move(box["x"] + box["width"] * 2.5 / 8, box["y"] + box["height"] * 3.5 / 8)
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] * 3.5 / 8, box["y"] + box["height"] * 3.5 / 8)
            page.mouse.up()
            keep[3, 2:4] = False
        else:
            board.press("Space")
            board.press("Shift+ArrowLeft")
            keep[4, 3:5] = False
        page.get_by_text("2 of 64 pixels marked").wait_for(state="attached")
        hand.use(paint_it)
        page.locator("[data-made='done']").wait_for()
        expected = inpaint(word_painter(), begun, keep, [PROMPT], CONFIG).pictures
        made = page.locator("[data-made]").get_by_role("img")
        for i in range(3):
            becomes(lambda i=i: canvas(made.nth(i)).tolist(), expected[i].tolist())  # type: ignore[misc]
        np.testing.assert_array_equal(canvas(made.nth(0))[keep], begun[keep])


def test_starting_from_a_drawing(browser: Any, address: str, tmp_path: Any) -> None:
    Image.new("RGB", (40, 30), (200, 40, 40)).save(tmp_path / "red.png")
    (tmp_path / "no.png").write_text("no picture")
    with KEYS.opened(browser, url(address, "brush", use="drawing", level=0)) as page:
        ready(page)
        page.get_by_label("Load a picture").set_input_files(tmp_path / "no.png")
        page.get_by_text("no.png is not a picture").wait_for()
        page.get_by_label("Load a picture").set_input_files(tmp_path / "red.png")
        page.get_by_text("red.png", exact=True).wait_for()
        blue = page.get_by_role("radio", name="blue")
        blue.press("Space")
        page.get_by_role("slider", name="Size of the brush").fill("1")
        page.get_by_role("application", name="Draw").press("Enter")
        page.get_by_role("button", name="Paint from this drawing").press("Enter")
        page.locator("[data-made='done']").wait_for()
        drawn = np.full((8, 8, 3), (200, 40, 40))
        drawn[4, 4] = (60, 110, 215)  # back to noise by nothing: the drawing itself
        made = page.locator("[data-made]").get_by_role("img").first
        becomes(lambda: canvas(made).tolist(), drawn.tolist())
        page.get_by_role("button", name="One of our drawings").press("Enter")
        page.get_by_text("One of our drawings: ").wait_for()


def test_through_the_vae(browser: Any, address: str) -> None:
    with opened(browser, url(address, "latent", model="models/latents", of=0)) as page:
        ready(page)
        picture, decoded = (
            canvas(page.get_by_role("img", name=name, exact=True)) for name in ("The picture", "Decoded again")
        )
        painter = latent_painter()
        begun = paint(painter, [PROMPT], CONFIG).pictures[0]
        np.testing.assert_array_equal(picture, begun)
        np.testing.assert_array_equal(decoded, painter.to_pictures(painter.from_pictures(begun[None]))[0])
        rms = np.sqrt(((decoded.astype(float) - picture) ** 2).mean())
        page.get_by_text(f"off by {rms:.3g} of 255").wait_for()
        page.get_by_role("button", name="A drawing").click()
        page.get_by_text("768 numbers: ").wait_for()
        ready(page)
        page.get_by_role("button", name="Another drawing").click()
        becomes(lambda: situation(page).get("drawing"), "1")


def test_the_field(browser: Any, address: str) -> None:
    with opened(browser, url(address, "field")) as page:
        ready(page)
        page.get_by_role("button", name="Ring").click()
        page.get_by_role("button", name="Exact").click()
        page.get_by_role("img", name="Arrows from noise to ring at t = 0.50").wait_for()
        page.get_by_role("slider", name="Time").press("End")
        page.get_by_role("img", name="Arrows from noise to ring at t = 1.00").wait_for()
        becomes(lambda: situation(page).get("time"), "1")


@HANDS
def test_a_step_opens_in_the_microscope(browser: Any, address: str, hand: Hand) -> None:
    with hand.opened(browser, url(address, step=2)) as page:
        done(page)
        hand.use(page.get_by_role("button", name="Open step 2 in the microscope"))
        page.wait_for_url("**/microscope?trace=traces*")
        page.get_by_text("patch_embedding").first.wait_for()


def test_a_phase_is_asked_for(browser: Any, address: str) -> None:
    with opened(browser, url(address, "train")) as page:
        ready(page)
        assert page.get_by_role("button", name="Train words").is_disabled()
        asked: list[Any] = []

        def refuse(route: Any) -> None:
            asked.append(route.request.post_data_json)
            route.fulfill(status=200, json={"id": 1, "target": "paint-unet-1"})

        page.route("**/api/paint/train", refuse)
        page.get_by_role("button", name="Train unet").click()
        becomes(lambda: situation(page).get("run"), "paint-unet-1")
        assert asked == [{"phase": "unet"}]
