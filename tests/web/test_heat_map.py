"""The heat map, in a real browser: the cell one points at is the cell that is drawn there, and its number is PyTorch's."""

from __future__ import annotations

import math
import random
import re

import pytest
import torch
from web.browser import DESKTOP, HANDS, PHONE, opened, press, serving, situation
from web.microscope_traces import write_traces

from cutaway.server.app import create_app
from cutaway.server.lab import Lab

TIMES = "\N{MULTIPLICATION SIGN}"
STAGE = '[aria-roledescription="heat map"]'


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    home = tmp_path_factory.mktemp("lab")
    traces = write_traces(home)
    with serving(create_app(Lab(home))) as address:
        yield address, traces


def tensor(lab, name, **more):
    """Return where the picture of an odd tensor is, and the tensor."""
    address, traces = lab
    query = {"trace": "odd", "address": f"input.given.{name}", "tab": "tensor", **more}
    return f"{address}/microscope?" + "&".join(f"{k}={v}" for k, v in query.items()), traces["odd"][
        f"input.given.{name}"
    ]


def readout(page):
    return page.locator(".heat .at").inner_text()


def said(page):
    """Return the index and the number that the line under the picture tells."""
    match = re.match(r"\[([\d, ]*)\].* = (.+)$", readout(page), re.DOTALL)
    assert match, readout(page)
    return tuple(int(one) for one in match[1].split(",")), float(match[2].replace("+inf", "inf"))


def drawn(page):
    """Wait until what was asked for is drawn."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


PIXEL = """([x, y]) => {
  const canvas = document.querySelector('canvas.picture'), box = canvas.getBoundingClientRect();
  const at = (v, start, size, n) => Math.floor((v - start) * n / size);
  const [left, top] = [at(x, box.left, box.width, canvas.width), at(y, box.top, box.height, canvas.height)];
  return [...canvas.getContext('2d').getImageData(left, top, 1, 1).data];
}"""


@pytest.mark.parametrize("ratio", [1, 2])
def test_cell_under_the_pointer_is_the_cell_drawn_there(browser, lab, ratio):
    """Signs are random, so a cell beside the right one has the wrong colour half of the time."""
    url, signs = tensor(lab, "square", range=0.4)
    context = browser.new_context(viewport=DESKTOP, device_scale_factor=ratio, reduced_motion="reduce")
    page = context.new_page()
    page.goto(url)
    stage = page.locator(STAGE)
    stage.wait_for()
    choose = random.Random(ratio)
    checked = 0
    for zoom in (0.35, 0.47, 0.55, 0.63, 0.71, 0.82, 0.9, 1):
        row, column = choose.uniform(50, 970), choose.uniform(50, 970)
        page.goto(f"{url}&view={row:.3f},{column:.3f},{zoom}@input.given.square")
        stage.wait_for()
        box = stage.bounding_box()
        for _ in range(14):
            x = box["x"] + choose.uniform(60, box["width"] - 8)
            y = box["y"] + choose.uniform(30, box["height"] - 8)
            page.mouse.move(x, y)
            drawn(page)
            red, _, blue, there = page.evaluate(PIXEL, [x, y])
            index, value = said(page)
            assert value == signs[index].item()
            if there and abs(red - blue) > 60:  # not a line between cells, nor a number
                checked += 1
                assert (red > blue) == (value > 0), (ratio, zoom, index, value, red, blue)
    assert checked > 60
    context.close()


@pytest.mark.parametrize("name", ["half", "brain", "whole", "yes", "four", "line", "double"])
def test_numbers_are_pytorchs(browser, lab, name):
    url, values = tensor(lab, name)
    with opened(browser, url) as page:
        page.locator(STAGE).wait_for()
        box = page.locator(STAGE).bounding_box()
        choose = random.Random(name)
        seen = set()
        for _ in range(40):
            page.mouse.move(box["x"] + choose.uniform(40, box["width"]), box["y"] + choose.uniform(24, box["height"]))
            drawn(page)
            if " = " in readout(page):
                index, value = said(page)
                seen.add(index)
                assert value == float(values[index].item())
        assert len(seen) > 4
        page.get_by_role("button", name="Table").click()
        cells = page.locator(".heat tbody td").all_inner_texts()
        whole = values.reshape(-1, values.shape[-1])[: max(1, values.shape[-2] if values.ndim > 1 else 1)]
        shown = whole[:24, :12] if page.locator(".heat caption").inner_text().startswith(("24", "1 ")) else None
        expected = (whole[: len(cells) // min(12, whole.shape[1]), :12] if shown is None else shown).reshape(-1)
        assert [float(one) for one in cells] == [float(one) for one in expected.tolist()]


def test_infinite_and_undefined_stand_apart(browser, lab):
    url, values = tensor(lab, "broken", index="0,5")
    with opened(browser, url) as page:
        page.locator(STAGE).wait_for()
        assert said(page)[0] == (0, 5)
        assert math.isnan(said(page)[1])
        legend = " ".join(page.locator(".legend").inner_text().split())
        assert "NaN 1" in legend
        assert "infinite 2" in legend
        # the cell has stripes: both of two inks, which no finite number has
        page.keyboard.press("Tab")
        colors = page.evaluate(
            """() => {
              const canvas = document.querySelector('canvas.picture'), to = canvas.getContext('2d');
              const all = to.getImageData(0, 0, canvas.width, canvas.height).data;
              let found = 0;
              for (let i = 0; i < all.length; i += 4) found += all[i] === 200 && all[i+1] === 195 && all[i+2] === 185;
              return found;
            }"""
        )
        assert colors > 40
        statistics = page.get_by_text("1 NaN, 2 infinite")
        assert statistics.count() == 1
        assert math.isnan(values[0, 5].item())


def test_everything_by_keyboard(browser, lab):
    url, values = tensor(lab, "square")
    with opened(browser, url, PHONE, "dark") as page:
        stage = page.locator(STAGE)
        stage.wait_for()
        stage.focus()
        press = page.keyboard.press

        def at():
            drawn(page)
            index, value = said(page)
            assert value == values[index].item()
            return index

        press("ArrowDown")  # there was no cursor yet: it appears
        assert at() == (0, 0)
        for key, expected in [
            ("ArrowDown", (1, 0)),
            ("ArrowRight", (1, 1)),
            ("End", (1, 1023)),
            ("Control+End", (1023, 1023)),
            ("ArrowRight", (1023, 1023)),
            ("Home", (1023, 0)),
            ("Control+Home", (0, 0)),
            ("ArrowUp", (0, 0)),
        ]:
            press(key)
            assert at() == expected, key
        for _ in range(16):
            press("+")
        assert page.get_by_role("button", name="Larger cells").is_disabled()
        press("PageDown")
        row = at()[0]
        assert 3 < row < 40
        press("Control+PageDown")
        assert at()[1] > 2
        press("PageUp")
        assert at()[0] <= 1  # a page is what is in sight, which may begin within a cell
        press("Shift+ArrowDown")
        drawn(page)
        assert "view" in situation(page)
        press("0")
        drawn(page)
        assert page.get_by_role("button", name="Whole").is_disabled()
        press("ArrowRight")
        chosen = at()
        press("Enter")
        page.wait_for_url(f"**index={chosen[0]}%2C{chosen[1]}**")


def test_wheel_keeps_what_is_under_the_pointer_and_drag_moves(browser, lab):
    url, _ = tensor(lab, "square", range=0.4, view="500,500,0.2@input.given.square")  # it fills the picture
    with opened(browser, url) as page:
        stage = page.locator(STAGE)
        stage.wait_for()
        box = stage.bounding_box()
        x, y = box["x"] + 170, box["y"] + 140
        page.mouse.move(x, y)
        drawn(page)
        before, _ = said(page)
        for _ in range(20):
            page.mouse.wheel(0, -120)
            drawn(page)
        page.locator(".heat button:disabled", has_text="Numbers").wait_for()
        drawn(page)
        after, _ = said(page)
        assert max(abs(a - b) for a, b in zip(before, after, strict=True)) <= 2  # within the pixel it was then
        page.mouse.down()
        page.mouse.move(x - 80, y - 40, steps=4)
        page.mouse.up()
        page.mouse.move(x - 80, y - 40)
        drawn(page)
        held, _ = said(page)
        assert held == after  # the cell went with the pointer
        assert "index=" not in page.url  # and a drag chooses nothing


@HANDS
def test_too_many_cells_are_pooled_and_then_refined(browser, lab, hand):
    url, values = tensor(lab, "many")
    with hand.opened(browser, url) as page:
        stage = page.locator(STAGE)
        stage.wait_for()
        assert "Too many cells to send" in page.locator(".pooled").inner_text()
        stage.focus()
        page.keyboard.press("ArrowDown")
        for _ in range(6):
            page.keyboard.press("ArrowRight")
        drawn(page)
        told = readout(page)
        match = re.search(rf"one of (\d+) {TIMES} (\d+) cells, mean (\S+),", told)
        assert match, told
        down, across = int(match[1]), int(match[2])
        first = 6 // across * across
        mean = values[:down, first : first + across].double().mean().item()
        assert math.isclose(float(match[3]), mean, rel_tol=1e-3)
        hand.use(page.get_by_role("button", name="Numbers", exact=True))
        page.locator(".pooled").wait_for(state="detached")
        assert said(page) == ((0, 6), values[0, 6].item())


@HANDS
def test_other_axes_have_sliders(browser, lab, hand):
    url, values = tensor(lab, "four", index="0,0,2,5")
    with hand.opened(browser, url) as page:
        page.locator(STAGE).wait_for()
        assert said(page) == ((0, 0, 2, 5), values[0, 0, 2, 5].item())
        slider = page.get_by_role("slider", name="axis 1").first
        if hand.is_mouse:
            box = slider.bounding_box()
            slider.click(position={"x": box["width"] - 2, "y": box["height"] / 2})
        else:
            press(slider, "End")
        there = (0, values.shape[1] - 1, 2, 5)
        page.locator(".heat .at", has_text=f"{list(there)} =").wait_for()
        page.wait_for_load_state("networkidle")
        drawn(page)
        assert said(page) == (there, values[there].item())
        page.get_by_role("combobox", name="Rows").select_option("0")
        page.locator(".heat .at", has_text=f"{list(there)} =").wait_for()
        hand.use(page.get_by_role("button", name="Turn over"))
        page.wait_for_load_state("networkidle")
        drawn(page)
        assert said(page) == (there, values[there].item())


def test_fingers(browser, lab):
    """A tap chooses; on the whole picture a finger scrolls the page, two fingers zoom."""
    url, values = tensor(lab, "square")
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    page = context.new_page()
    page.goto(url)
    stage = page.locator(STAGE)
    stage.wait_for()
    box = stage.bounding_box()
    page.touchscreen.tap(box["x"] + 150, box["y"] + 120)
    drawn(page)
    index, value = said(page)
    assert value == values[index].item()
    assert stage.evaluate("node => node.style.touchAction") == "pan-y"
    client = context.new_cdp_session(page)

    def touch(kind, *points):
        where = [{"x": box["x"] + x, "y": box["y"] + y, "id": n} for n, (x, y) in enumerate(points)]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": where})

    touch("touchStart", (120, 120), (160, 120))
    for spread in (10, 30, 60, 90):
        touch("touchMove", (120 - spread, 120), (160 + spread, 120))
    touch("touchEnd")
    drawn(page)
    assert not page.get_by_role("button", name="Whole").is_disabled()
    assert stage.evaluate("node => node.style.touchAction") == "none"
    context.close()


def test_one_number_no_number(browser, lab):
    url, _ = tensor(lab, "single")
    with opened(browser, url) as page:
        page.get_by_role("button", name="input.given.single 2.5, copy").wait_for()
    url, _ = tensor(lab, "empty")
    with opened(browser, url) as page:
        page.get_by_text("It has no numbers: its shape is 0 " + TIMES + " 3.").wait_for()


@HANDS
def test_copied_numbers_are_all_digits(browser, lab, hand):
    url, values = tensor(lab, "double")
    with hand.opened(browser, url) as page:
        page.locator(STAGE).wait_for()
        hand.use(page.get_by_role("button", name="Copy numbers"))
        page.get_by_text(f"Copied 4 {TIMES} 5 numbers").wait_for()
        rows = page.evaluate("navigator.clipboard.readText()").split("\n")
        copied = torch.tensor([[float(one) for one in row.split("\t")] for row in rows], dtype=torch.float64)
        assert torch.equal(copied, values)
