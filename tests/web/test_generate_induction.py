"""The induction tab in a real browser: dots, table, loss by position, the diagonal, the checkpoints."""

from __future__ import annotations

import re
import shutil

import pytest
from web.browser import LOOKS, accessibility_problems, look, opened, serving, sideways_scroll
from web.lens_lab import asked, screen, situation

from cutaway.lens import induction as rule
from cutaway.server.app import create_app
from cutaway.server.lab import Lab

STAGE = '[aria-roledescription="heat map"]'
SETTINGS = {"seed": 3, "length": 6}


@pytest.fixture(scope="module")
def address(lens_models, tmp_path_factory):
    home = tmp_path_factory.mktemp("lab") / "runs"
    shutil.copytree(lens_models, home)
    with serving(create_app(Lab(home))) as address:
        yield address


@pytest.fixture(scope="module")
def scan(address):
    return asked(address, "induction", model="fox", **SETTINGS)


def at(address, **more):
    return screen(address, "induction", model="fox", **SETTINGS, **more)


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_it_fits_and_is_accessible(browser, address, viewport, theme):
    with opened(browser, at(address, checkpoints=1), viewport, theme) as page:
        page.locator(STAGE).wait_for()
        page.get_by_role("region", name="Loss by training step").wait_for()
        look(page, f"induction-{viewport['width']}-{theme}")
        assert sideways_scroll(page) == 0
        assert accessibility_problems(page) == []


def test_scores_are_the_labs(browser, address, scan):
    _, found = scan
    with opened(browser, at(address)) as page:
        rows = page.get_by_role("region", name="Scores of all heads").locator("tbody tr")
        rows.first.wait_for()
        assert rows.count() == 8
        gains = []
        for row in rows.all():
            layer, head = (int(part) for part in row.get_by_role("button").inner_text().split("."))
            cells = [float(cell.get_attribute("title").split()[0]) for cell in row.locator("td").all()]
            expected = [float(found[name][layer, head]) for name in ("prefix", "control", "copying", "raised")]
            assert cells == expected
            gains.append(expected[0] - expected[1])
        assert gains == sorted(gains, reverse=True)


def test_dots_by_mouse_and_keyboard(browser, address, scan):
    _, found = scan
    with opened(browser, at(address)) as page:
        plane = page.get_by_role("application", name=re.compile("8 dots"))
        plane.wait_for()
        said = page.locator(".dots p")
        plane.focus()
        order = []
        page.keyboard.press("Home")
        for _ in range(8):
            name, x, y = re.match(
                r"([\d.]+): .*? ([-\d.e]+), .*? ([-\d.e]+)$", said.inner_text().split(";")[0]
            ).groups()
            layer, head = (int(part) for part in name.split("."))
            assert float(x) == float(found["prefix"][layer, head]) - float(found["control"][layer, head])
            assert float(y) == float(found["copying"][layer, head])
            order.append(name)
            page.keyboard.press("ArrowRight")
        assert len(set(order)) == 8
        page.keyboard.press("Enter")
        page.get_by_role("heading", name=f"Head {order[-1]}", exact=True).wait_for()
        assert situation(page)["head"] == order[-1]
        page.keyboard.press("Home")
        circle = page.locator("circle.at").bounding_box()
        page.mouse.move(circle["x"] + circle["width"] / 2, circle["y"] + circle["height"] / 2)
        name = said.inner_text().split(":")[0]
        page.mouse.down()
        page.mouse.up()
        page.get_by_role("heading", name=f"Head {name}", exact=True).wait_for()
        page.go_back()
        page.get_by_role("heading", name=f"Head {order[-1]}", exact=True).wait_for()


def test_heads_that_count_are_named(browser, address, monkeypatch):
    """The rule is the Python API's; here it asks so little that some heads pass."""
    import sys

    module = sys.modules["cutaway.lens.induction"]
    assert rule is not module  # the function of the same name
    monkeypatch.setattr(module, "ENOUGH_MATCHING", -1.0)
    monkeypatch.setattr(module, "ENOUGH_COPYING", 0.0)
    meta, _ = asked(address, "induction", model="fox", **SETTINGS)
    assert 0 < len(meta["found"]) < 8
    with opened(browser, at(address)) as page:
        page.get_by_role("heading", name=re.compile("induction head")).first.wait_for()
        said = page.get_by_role("region", name="Result").get_by_role("heading").inner_text()
        assert ", ".join(meta["found"]) in said or f"Head {meta['found'][0]} is" in said
        assert page.locator("circle.marked").count() == len(meta["found"])
        assert page.get_by_role("button", name=re.compile(", an induction head")).count() == len(meta["found"])
        page.get_by_role("heading", name=f"Head {meta['found'][0]}, an induction head").wait_for()


def test_loss_by_position(browser, address, scan):
    meta, found = scan
    with opened(browser, at(address)) as page:
        region = page.get_by_role("region", name="Loss by position").last
        region.wait_for()
        for name, value in [
            ("First half", meta["first_half_nats"]),
            ("Repeat", meta["second_half_nats"]),
            ("Other tokens", meta["control_second_half_nats"]),
        ]:
            assert (
                float(page.get_by_role("button", name=re.compile(f"^{name} ")).get_attribute("title").split()[0])
                == value
            )
        chart = page.get_by_role("application", name=re.compile("Loss by position"))
        chart.focus()
        page.keyboard.press("End")
        page.keyboard.press("ArrowLeft")
        last = len(found["loss"]) - 2
        page.get_by_text(f"position {last}").first.wait_for()
        lines = page.get_by_role("list", name="Lines").first.locator("li:has(.value)")
        values = {
            one.locator(".name").inner_text(): one.locator(".value").get_attribute("title") for one in lines.all()
        }
        assert float(values["the repeat"]) == float(found["loss"][last])
        assert float(values["other tokens instead"]) == float(found["control_loss"][last])


def test_the_diagonal(browser, address, scan):
    meta, _ = scan
    one, found = asked(address, "induction/head", model="fox", **SETTINGS, layer=1, head=3)
    with opened(browser, at(address, head="1.3")) as page:
        stage = page.locator(STAGE)
        stage.wait_for()
        said = page.locator(".heat .at")
        last = len(one["tokens"]) - 1
        place = last - meta["length"] + 1
        said.get_by_text("on the induction diagonal").wait_for()
        value = float(re.search(r": ([\d.e-]+), on", said.inner_text())[1])
        assert value == float(found["pattern"][last, place])
        stage.focus()
        page.keyboard.press("ArrowLeft")
        said.get_by_text(f"looks at {place - 1} ").wait_for()
        assert "diagonal" not in said.inner_text()
        assert float(said.inner_text().rsplit(" ", 1)[1]) == float(found["pattern"][last, place - 1])


def test_settings_are_in_the_address(browser, address):
    with opened(browser, at(address)) as page:
        page.get_by_text("sequences of 2 \N{MULTIPLICATION SIGN} 6 tokens").wait_for()
        page.get_by_label("Seed").fill("11")
        page.keyboard.press("Enter")
        page.get_by_label("Tokens in a half").fill("5")
        page.keyboard.press("Tab")
        page.get_by_text("sequences of 2 \N{MULTIPLICATION SIGN} 5 tokens").wait_for()
        assert {"seed": "11", "length": "5"}.items() <= situation(page).items()
        page.get_by_role("button", name="Other tokens", exact=True).click()
        page.wait_for_url("**seed=12**")
        meta, _ = asked(address, "induction", model="fox", seed=12, length=5)
        first = page.get_by_role("button", name=re.compile("^First half "))
        page.wait_for_function(
            "([name, value]) => document.querySelector(`button[aria-label^='${name}']`)?.title.startsWith(value)",
            arg=["First half", str(meta["first_half_nats"])[:12]],
        )
        assert float(first.get_attribute("title").split()[0]) == meta["first_half_nats"]
        page.get_by_label("Tokens in a half").fill("400")
        page.keyboard.press("Enter")
        page.get_by_role("alert").get_by_text("expected 2 to").first.wait_for()
        page.wrong.clear()  # the browser notes the refusal itself


def test_over_the_checkpoints(browser, address):
    with opened(browser, at(address)) as page:
        page.get_by_role("button", name="Measure every checkpoint").focus()
        page.keyboard.press("Enter")
        page.get_by_text("No head counts as an induction head at any checkpoint.").wait_for()
        assert situation(page)["checkpoints"] == "1"
        meta, found = asked(address, "induction/checkpoints", model="fox", **SETTINGS)
        assert meta["state"] == "done"
        chart = page.get_by_role("region", name="Prefix matching by training step", exact=True)
        values = {
            one.locator(".name").inner_text(): float(one.locator(".value").get_attribute("title"))
            for one in chart.get_by_role("list", name="Lines").locator("li:has(.value)").all()
        }
        assert len(values) >= 6
        for name, value in values.items():
            layer, head = (int(part) for part in name.split()[1].split("."))
            assert value == found["prefix"][-1, layer, head] - found["control"][-1, layer, head]
        page.reload()
        chart.wait_for()
