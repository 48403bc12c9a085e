"""The attention tab in a real browser: heads, one of them large, arcs, kinds; by mouse and by keyboard."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from web.browser import DESKTOP, LOOKS, PHONE, accessibility_problems, look, opened, serving, sideways_scroll
from web.lens_lab import asked, screen, situation

from cutaway.server.app import create_app
from cutaway.server.lab import Lab

TEXT = "the cat sat. the cat sat on the mat"
MODEL = "models/ours"
TIMES = "\N{MULTIPLICATION SIGN}"
STAGE = '[aria-roledescription="heat map"]'


@pytest.fixture(scope="module")
def address(lens_models, tmp_path_factory):
    home = tmp_path_factory.mktemp("lab") / "runs"
    shutil.copytree(lens_models, home)
    with serving(create_app(Lab(home))) as address:
        yield address


def at(address, **more):
    return screen(address, "attention", model=MODEL, prompt=TEXT, **more)


@pytest.fixture(scope="module")
def heads(address):
    return asked(address, "attention", model=MODEL, text=TEXT)


def pattern(address, layer, head, text=TEXT):
    return asked(address, "attention/head", model=MODEL, text=text, layer=layer, head=head)[1]["pattern"]


def number(said):
    return float(re.search(r": (?:\+)?([\d.e-]+)$", said)[1])


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_it_fits_and_is_accessible(browser, address, viewport, theme):
    with opened(browser, at(address, head="1.2", at=20), viewport, theme) as page:
        page.locator(".arcs").wait_for()
        page.locator(STAGE).wait_for()
        look(page, f"attention-{viewport['width']}-{theme}")
        assert sideways_scroll(page) == 0
        assert accessibility_problems(page) == []


def test_heads_by_mouse(browser, address, heads):
    meta, found = heads
    with opened(browser, at(address, head="0.0")) as page:
        tools = page.get_by_role("toolbar", name=re.compile("Heads"))
        for layer in range(2):
            for head in range(4):
                button = tools.locator(f'[data-head="{layer},{head}"]')
                called = meta["called"][layer][head]
                if called:
                    score = found["score"][layer, head, [kind["name"] for kind in meta["kinds"]].index(called)]
                    expected = f"{called}, score {float(score):.3g}"
                    assert button.get_attribute("aria-label").startswith(f"Head {layer}.{head}: {expected[:-1]}")
                else:
                    assert "no kind" in button.get_attribute("aria-label")
        tools.locator('[data-head="1,2"]').click()
        page.get_by_role("heading", name="Head 1.2").wait_for()
        assert situation(page)["head"] == "1.2"
        tools.locator('[data-head="1,4"]').click()
        page.get_by_role("heading", name="The mean of layer 1").wait_for()
        page.get_by_label("Layer", exact=True).select_option("mean")
        page.get_by_role("heading", name="The mean of all heads").wait_for()
        assert situation(page)["head"] == "mean.mean"
        page.get_by_label("Head", exact=True).select_option("3")
        page.get_by_role("heading", name="The mean of head 3 over the layers").wait_for()
        page.go_back()
        page.get_by_role("heading", name="The mean of all heads").wait_for()


def test_heads_by_keyboard(browser, address):
    with opened(browser, at(address, head="0.0")) as page:
        page.locator('[data-head="0,0"]').focus()
        for key, place in [
            ("ArrowRight", "0,1"),
            ("ArrowDown", "1,1"),
            ("End", "1,4"),
            ("Home", "1,0"),
            ("ArrowUp", "0,0"),
        ]:
            page.keyboard.press(key)
            assert page.evaluate("document.activeElement.dataset.head") == place
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Head 0.1").wait_for()


@pytest.mark.parametrize("head", ["0.3", "1.mean", "mean.2", "mean.mean"])
def test_every_number_of_the_picture(browser, address, head):
    layer, number_of = (None if part == "mean" else int(part) for part in head.split("."))
    weights = pattern(address, layer, number_of)
    with opened(browser, at(address, head=head, at=20, read=4)) as page:
        stage = page.locator(STAGE)
        stage.wait_for()
        said = page.locator(".heat .at")
        said.get_by_text("20 “").wait_for()
        assert number(said.inner_text()) == float(weights[20, 4])
        stage.focus()
        row, column = 20, 4
        for key, down, right in [
            ("ArrowDown", 1, 0),
            ("ArrowLeft", 0, -1),
            ("ArrowUp", -1, 0),
            ("ArrowRight", 0, 1),
        ] * 2:
            page.keyboard.press(key)
            row, column = row + down, column + right
            said.get_by_text(re.compile(rf"^{row} “.*looks at {column} “")).wait_for()
            assert number(said.inner_text()) == float(weights[row, column])
        page.keyboard.press("End")
        said.get_by_text("it comes later").wait_for()
        assert situation(page)["at"] == str(row)
        box = stage.bounding_box()
        seen = set()
        for share in np.linspace(0.15, 0.6, 12):
            page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] * 0.85)
            page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            place = re.match(r"(\d+) “.*looks at (\d+) “", said.inner_text())
            if place:
                seen.add(place.groups())
                assert number(said.inner_text()) == float(weights[int(place[1]), int(place[2])])
        assert len(seen) > 4


def test_arcs_on_the_text(browser, address):
    weights = pattern(address, 1, 2)
    with opened(browser, at(address, head="1.2", at=20)) as page:
        text = page.locator(".arcs .text")
        text.locator('[data-i="20"].chosen').wait_for()
        told = page.locator(".told")
        strongest = np.argsort(-weights[20, :21])[:5]
        for i in strongest:
            assert re.search(rf"\b{i} “[^”]*” {float(weights[20, i]):.3g}"[:-2], told.first.inner_text())
        readers = [i for i in range(21, len(TEXT)) if weights[i, 20] > 0]
        top = max(readers, key=lambda i: weights[i, 20])
        assert f"{top} “" in told.last.inner_text()
        page.wait_for_function("document.querySelectorAll('.arcs svg path').length > 2")
        # bars grow with the root of the weight, over the text for those that read it
        assert float(text.locator('[data-i="3"]').evaluate("n => n.style.getPropertyValue('--s')")) == pytest.approx(
            float(weights[20, 3]) ** 0.5, abs=6e-4
        )
        assert "below" in text.locator(f'[data-i="{top}"]').get_attribute("class")
        text.locator('[data-i="7"]').hover()
        said = page.locator(".arcs .said")
        said.get_by_text("looks at 7 “").wait_for()
        assert float(said.inner_text().rsplit(" ", 1)[1]) == float(weights[20, 7])
        text.locator('[data-i="12"]').click()
        text.locator('[data-i="12"].chosen').wait_for()
        assert situation(page)["at"] == "12"
        text.focus()
        page.keyboard.press("ArrowRight")
        said.get_by_text("13 “").wait_for()
        assert float(said.inner_text().rsplit(" ", 1)[1]) == float(weights[13, 12])
        page.keyboard.press("Enter")
        text.locator('[data-i="13"].chosen').wait_for()
        page.go_back()
        text.locator('[data-i="12"].chosen').wait_for()


def test_kinds_are_sorted_and_lead_to_heads(browser, address, heads):
    meta, found = heads
    names = [kind["name"] for kind in meta["kinds"]]
    with opened(browser, at(address)) as page:
        table = page.get_by_role("region", name="Kinds of heads").locator("table")
        table.wait_for()

        def column(name):
            cells = table.locator(f"tbody td:nth-of-type({names.index(name) + 1})")
            return [float(cell.get_attribute("title")) for cell in cells.all()]

        assert column("uniform") == [float(x) for x in found["score"][:, :, names.index("uniform")].reshape(-1)]
        for name in ("uniform", "previous token"):
            page.get_by_role("button", name=name, exact=True).click()
            assert column(name) == sorted(column(name), reverse=True)
            assert table.locator("th[aria-sort=descending]").inner_text().startswith(name)
        page.get_by_role("button", name="previous token", exact=True).focus()
        page.keyboard.press("Enter")
        assert column("previous token") == sorted(column("previous token"))
        assert situation(page)["sort"] == "previous token"
        page.reload()
        table.locator("th[aria-sort=ascending]").wait_for()
        assert column("previous token") == sorted(column("previous token"))
        first = table.locator("tbody tr").first.locator("th button")
        name = first.inner_text()
        first.focus()
        page.keyboard.press("Enter")
        page.get_by_role("heading", name=f"Head {name}").wait_for()


def test_long_text_stays_usable(browser, address):
    text = "the cat sat on the mat. " * 10
    with opened(browser, screen(address, "attention", model=MODEL, prompt=text, head="1.1", at=200), PHONE) as page:
        page.locator(STAGE).wait_for()
        page.locator('.arcs [data-i="200"].chosen').wait_for()
        assert f"of 5 {TIMES} 5 weights" in page.get_by_role("region", name="All heads").inner_text()
        nodes = page.evaluate("document.querySelectorAll('main *').length")
        assert nodes < 1500
        weights = pattern(address, 1, 1, text)
        page.get_by_role("button", name="Numbers").click()
        page.locator(STAGE).focus()
        page.keyboard.press("ArrowLeft")
        page.locator(".heat .at").get_by_text("200 “").wait_for()
        place = re.search(r"looks at (\d+) “", page.locator(".heat .at").inner_text())
        assert number(page.locator(".heat .at").inner_text()) == float(weights[200, int(place[1])])
        assert sideways_scroll(page) == 0


def test_what_cannot_be_is_said(browser, address):
    with opened(browser, at(address, head="7.0")) as page:
        page.get_by_text("There is no head 7.0: models/ours has layers 0 to 1 with heads 0 to 3.").wait_for()
    with opened(browser, screen(address, "attention", model=MODEL)) as page:
        page.get_by_text("Type a text above").wait_for()
    with opened(browser, screen(address, "attention", model=MODEL, prompt="a" * 260)) as page:
        page.get_by_text("The text has 260 tokens and the model reads 256: the first 4 are left out.").wait_for()


def test_open_in_the_microscope(browser, address):
    with opened(browser, screen(address, "attention", model="fox@4", prompt="the fox"), DESKTOP) as page:
        page.get_by_role("button", name="Open in the microscope").click()
        page.wait_for_url("**/microscope?trace=fox*", timeout=60_000)
        page.get_by_text("the fox").first.wait_for()
