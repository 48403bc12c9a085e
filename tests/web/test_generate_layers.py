"""What each layer would say, in a real browser: the numbers are the lab's, by mouse and by keyboard."""

from __future__ import annotations

import re

import numpy as np
import pytest
from web.browser import DESKTOP, LOOKS, PHONE, accessibility_problems, look, opened, sideways_scroll
from web.generate_lab import LONG, TEXT, ask, generate_lab, tab_to, url

GRID = '[role="grid"]'


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with generate_lab(tmp_path_factory.mktemp("lab")) as address:
        yield address


def place(page, row, column):
    return page.locator(f'{GRID} [data-place="{row},{column}"]')


def panel(page):
    return page.get_by_role("region", name="One layer at one position")


def percent(share):
    """A share as the screen writes it."""
    value = 100 * float(share)
    if value >= 99.95:
        return "> 99.9 %"
    return f"{value:.1f} %" if value >= 10 else f"{float(f'{value:.2g}')} %" if value >= 0.01 else None


def test_every_number_on_screen_is_the_labs(browser, lab):
    meta, numbers = ask(lab, "layers")
    n_rows, n_positions = numbers["rank"].shape
    with opened(browser, url(lab, "layers", shown="rank")) as page:
        place(page, 0, n_positions - 1).wait_for()
        assert page.locator(f"{GRID} [role=rowheader]").all_inner_texts() == [row["label"] for row in meta["rows"]]
        shown = page.locator(f"{GRID} [data-place]").evaluate_all(
            "all => all.map(one => [one.dataset.place, one.innerText])"
        )
        assert len(shown) >= n_rows * 10
        for where, text in shown:
            row, column = map(int, where.split(","))
            assert text == str(numbers["rank"][row, column]), where
        page.get_by_role("button", name="Entropy", exact=True).click()
        page.wait_for_url(re.compile("shown=entropy"))
        cell = place(page, 2, n_positions - 1)
        assert float(cell.inner_text()) == pytest.approx(numbers["entropy"][2, -1], rel=5e-3)
        for row in range(n_rows):
            place(page, row, n_positions - 1).click()
            values = (
                panel(page).locator("[data-value]").evaluate_all("all => all.map(one => Number(one.dataset.value))")
            )
            assert values == [float(one) for one in numbers["chance"][row, -1]]
            facts = [float(one) for one in panel(page).locator("dd").all_inner_texts()]
            expected = [numbers[name][row, -1] for name in ("probability", "rank", "kl", "entropy")]
            assert facts == [float(one) for one in expected]
            texts = panel(page).locator("li .token").all_inner_texts()
            assert texts == [
                f"“{meta['texts'][i].replace(' ', '·')}”".replace("\n", "↵") for i in numbers["top"][row, -1]
            ]


def test_what_really_follows(browser, lab):
    _, numbers = ask(lab, "layers")
    with opened(browser, url(lab, "layers", at=5, layer=1)) as page:
        page.get_by_role("button", name="What really follows").click()
        page.wait_for_url(re.compile("shown=next"))
        told = place(page, 1, 5).get_attribute("aria-label")
        assert told.endswith(f"What follows, “t”: {percent(numbers['next'][1, 5])}")
        assert place(page, 1, 19).get_attribute("aria-label").endswith("nothing follows")


def test_top_tokens_and_their_numbers_on_demand(browser, lab):
    meta, numbers = ask(lab, "layers")
    with opened(browser, url(lab, "layers")) as page:
        cell = place(page, 3, 19)
        cell.wait_for()
        top = meta["texts"][numbers["top"][3, 19, 0]]
        assert cell.inner_text().replace("·", " ").replace("↵", "\n") == top
        page.get_by_label("Numbers").check()
        page.wait_for_url(re.compile("numbers=1"))
        told = place(page, 3, 19).inner_text().split("\n")[-1]
        assert told == percent(numbers["chance"][3, 19, 0])
        bold = page.locator(f"{GRID} [data-place].marked").evaluate_all("all => all.map(one => one.dataset.place)")
        for where in (place.split(",") for place in bold):
            row, column = map(int, where)
            assert meta["texts"][numbers["top"][row, column, 0]] == meta["answers"][column]
        assert {f"{len(meta['rows']) - 1},{i}" for i in range(10, 20)} <= set(bold)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_a_click_opens_a_cell_and_back_closes_it(browser, lab, viewport):
    with opened(browser, url(lab, "layers"), viewport) as page:
        place(page, 1, 18).click()
        panel(page).get_by_text("position 18").wait_for()
        assert "at=18" in page.url
        assert "layer=1" in page.url
        place(page, 0, 19).click()
        panel(page).get_by_text("position 19").wait_for()
        page.go_back()
        panel(page).get_by_text("position 18").wait_for()
        assert panel(page).get_by_role("heading").inner_text() == "0 attention, after “a”"


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_by_keyboard(browser, lab, viewport):
    with opened(browser, url(lab, "layers"), viewport) as page:
        place(page, 0, 19).wait_for()
        tab_to(page, f"{GRID} [data-place]")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowLeft")
        panel(page).get_by_text("position 18").wait_for()
        assert panel(page).get_by_role("heading").inner_text() == "1 attention, after “a”"
        page.keyboard.press("Home")
        panel(page).get_by_text("position 0").wait_for()
        assert page.evaluate("document.activeElement.dataset.place") == "3,0"
        page.keyboard.press("Control+End")
        panel(page).get_by_text("position 19").wait_for()
        assert page.evaluate("document.activeElement.dataset.place") == "4,19"
        page.wait_for_url(re.compile("layer=4"))
        # the choice of what is shown
        page.get_by_role("button", name="Top token").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("shown=probability"))


def test_one_position_over_the_layers(browser, lab):
    meta, numbers = ask(lab, "layers")
    with opened(browser, url(lab, "layers", at=7)) as page:
        charts = page.get_by_role("region", name="One position over the layers")
        charts.get_by_role("button", name="Table").first.click()
        rows = charts.locator("table tbody tr").all_inner_texts()
        depths = [row["depth"] for row in meta["rows"]]
        told = [[float(one) for one in re.split(r"\s+", row.strip())] for row in rows]
        assert sorted(told) == sorted(
            [depth, float(p)] for depth, p in zip(depths, numbers["probability"][:, 7], strict=True)
        )
        figure = charts.get_by_role("application").first
        figure.focus()
        page.keyboard.press("Home")
        page.wait_for_url(re.compile("layer=0"))
        panel(page).get_by_text("embedding, after").wait_for()


def test_a_long_text_scrolls_and_only_what_is_in_sight_exists(browser, lab):
    text = (TEXT + ". ") * 28
    with opened(browser, url(lab, "layers", prompt=text, model=LONG)) as page:
        place(page, 0, len(text) - 1).wait_for()
        made = page.locator(f"{GRID} [data-place]").count()
        assert made < 5 * 60
        tab_to(page, f"{GRID} [data-place]")
        page.keyboard.press("Home")
        place(page, 4, 0).wait_for()
        assert page.evaluate("document.activeElement.dataset.place") == "4,0"
        assert page.evaluate(f"document.querySelector('{GRID}').scrollLeft") == 0
        page.evaluate(f"document.querySelector('{GRID}').scrollLeft = 6000")
        place(page, 2, 6000 // 40 + 3).wait_for()
        place(page, 2, 6000 // 40 + 3).click()
        panel(page).get_by_text(f"position {6000 // 40 + 3}").wait_for()
        meta, numbers = ask(lab, "layers", prompt=text, model=LONG)
        shown = float(panel(page).locator("dd").first.inner_text())
        assert shown == float(numbers["probability"][2, 6000 // 40 + 3])
        assert np.isfinite(numbers["kl"]).all()
        assert meta["cut"] == 0


def test_what_cannot_be_asked_is_said(browser, lab):
    with opened(browser, url(lab, "layers", prompt="Zürich")) as page:
        page.get_by_role("alert").get_by_text("Z").first.wait_for()
        page.wrong.clear()
        page.goto(url(lab, "layers", prompt=""))
        page.get_by_text("Write a text above").wait_for()
        page.goto(url(lab, "layers", prompt=TEXT * 5))
        page.get_by_text("its first 52 tokens were left out").wait_for()
        page.wrong.clear()


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_looks(browser, lab, viewport, theme):
    where = url(lab, "layers", numbers=1, layer=2, at=15)
    with opened(browser, where, viewport, theme) as page:
        place(page, 2, 15).wait_for()
        page.locator(".chart canvas").last.wait_for()
        look(page, f"generate-layers-{viewport['width']}-{theme}")
        assert sideways_scroll(page) == 0
        assert accessibility_problems(page) == []
        assert place(page, 2, 15).get_attribute("class").find("chosen") >= 0
        small = page.locator("#view button:visible").evaluate_all(
            "all => all.filter(one => one.offsetHeight < 28).length"
        )
        assert small == 0
