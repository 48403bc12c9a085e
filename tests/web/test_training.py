"""The training screen in a real browser: every feature by mouse and by keyboard, every number against the run's files."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from server.labs import wait_for
from web.browser import (
    HANDS,
    LOOKS,
    PHONE,
    accessibility_problems,
    becomes,
    look,
    opened,
    serving,
    sideways_scroll,
    situation,
)

from cutaway.base.runs import RunFolder, read_jsonl
from cutaway.base.snapshots import read_attention, read_histograms
from cutaway.cli.main import main
from cutaway.server.app import create_app
from cutaway.server.lab import Lab

STEPS = 24
SPIKES = {13_337: 9.0, 50_001: 8.0, 77_777: 7.0, 99_000: 0.01}
READ_STEP = "Number(document.querySelector('[role=progressbar]')?.getAttribute('aria-valuenow'))"
TINY = ["--train.threads", "1", "--train.compile", "off", "--train.precision", "float32"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained run, one like it with another rate, a long one and a failed one."""
    home = tmp_path_factory.mktemp("lab") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUTAWAY_RUNS", str(home))
        patch.setenv("CUTAWAY_CACHE", str(home.parent / "cache"))
        assert main(["train", "microgpt", "--name", "first", "--train.steps", str(STEPS), *TINY]) == 0
    shutil.copytree(home / "first", home / "second")
    recipe = home / "second" / "recipe.toml"
    recipe.write_text(re.sub(r"\nlearning_rate = .*", "\nlearning_rate = 0.002", recipe.read_text()))
    write_long(home)
    (home / "failed").mkdir()
    shutil.copy(home / "first" / "recipe.toml", home / "failed")
    (home / "failed" / "metrics.jsonl").write_text(
        '{"step": 1, "loss": 3.5, "tokens": 9, "seconds": 0.1, "rate": 1.0}\n{"step": 2, "loss": NaN, "tokens": 18, '
        '"seconds": 0.2, "rate": 1.0}\n'
    )
    RunFolder(home / "failed").write_summary(
        {"status": "failed", "reason": "loss is not a finite number at step 2", "ended": "2026-01-01T00:00:00Z"}
    )
    return home


def write_long(home: Path) -> None:
    """Write a run of 100,000 steps by hand, with lone spikes that must never be hidden."""
    (home / "long").mkdir()
    shutil.copy(home / "first" / "recipe.toml", home / "long")
    noise = np.random.default_rng(0).normal(2.0, 0.05, 100_001)
    with (home / "long" / "metrics.jsonl").open("w") as file:
        for step in range(1, 100_001):
            row = {"step": step, "loss": SPIKES.get(step, round(float(noise[step]), 6)), "tokens": 16 * step}
            file.write(json.dumps(row | {"seconds": step / 100, "rate": 1.0, "grad_norm": 0.5}) + "\n")


@pytest.fixture(scope="module")
def address(home):
    with serving(create_app(Lab(home))) as address:
        yield address


@pytest.fixture
def own(home, tmp_path, monkeypatch):
    """A lab of its own, for tests that change something: its folder and its address."""
    monkeypatch.setenv("CUTAWAY_CACHE", str(home.parent / "cache"))
    folder = tmp_path / "own"
    folder.mkdir()
    shutil.copytree(home / "first", folder / "first")
    lab = Lab(folder)
    with serving(create_app(lab)) as address:
        yield folder, address
    for job in lab.jobs.list():
        if job.state in ("queued", "running"):
            lab.jobs.stop(job.id)
    lab.jobs.close()


def values_at_cursor(page: Any, chart: str) -> dict[str, float]:
    """Return what a chart's legend says, all digits, by line."""
    region = page.get_by_role("region", name=chart, exact=True)
    lines = region.get_by_role("list", name="Lines").locator("li:has(.value)")
    return {
        one.locator(".name").inner_text(): float(one.locator(".value").get_attribute("title")) for one in lines.all()
    }


def figure(page: Any, chart: str) -> Any:
    return page.get_by_role("region", name=chart, exact=True).get_by_role("application")


SCREENS = {
    "runs": ("/runs", "Start a run"),
    "curves": ("/runs/first", "Gradient norm by layer"),
    "samples": ("/runs/first?tab=samples&step=8", "Where this is on the loss curve"),
    "histograms": ("/runs/first?tab=histograms", "Weights of"),
    "attention": ("/runs/first?tab=attention", "Layer 0, head 0"),
    "recipe": ("/runs/first?tab=recipe", "Recipe"),
    "compare": ("/runs/compare?runs=first,second,long&logy=1", "What differs in their recipes"),
    "failed": ("/runs/failed", "Loss"),
    "branch": ("/runs/first?branch=1", "Branch from first"),
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
        look(page, f"training-{screen}-{viewport['width']}-{theme}")


@HANDS
def test_values_of_all_lines_by_keyboard(browser, address, home, hand):
    rows = read_jsonl(home / "first" / "metrics.jsonl")
    with hand.opened(browser, f"{address}/runs/first") as page:
        chart = figure(page, "Loss")
        chart.focus()
        page.keyboard.press("Home")
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        measured = [row for row in rows[:6] if "validation_loss" in row][-1]
        expected = {"loss": rows[5]["loss"], "validation loss": measured["validation_loss"]}
        assert values_at_cursor(page, "Loss") == expected
        assert values_at_cursor(page, "Gradient norm") == {"all parameters": rows[5]["grad_norm"]}, "one cursor for all"
        said = page.get_by_role("region", name="Loss", exact=True).locator("[aria-live]").inner_text()
        assert said.startswith("step 6: loss")
        assert situation(page)["step"] == "6"
        page.keyboard.press("End")
        page.keyboard.press("ArrowLeft")
        assert values_at_cursor(page, "Loss")["loss"] == rows[-2]["loss"]


@pytest.mark.parametrize("viewport", [None, PHONE])
def test_values_under_the_pointer(browser, address, home, viewport):
    rows = {row["step"]: row for row in read_jsonl(home / "first" / "metrics.jsonl")}
    with opened(browser, f"{address}/runs/first", *([viewport] if viewport else [])) as page:
        over = figure(page, "Loss").locator("svg")
        over.wait_for()
        box = over.bounding_box()
        for share in (0.0, 0.31, 0.77, 1.0):
            over.hover(position={"x": min(box["width"] - 2, max(1, share * box["width"])), "y": 20})
            step = round(1 + share * (STEPS - 1))
            assert values_at_cursor(page, "Loss")["loss"] == rows[step]["loss"]
            page.get_by_text(f"at step {step}", exact=True).first.wait_for()


@HANDS
def test_zoom_axes_smoothing_and_hidden_lines_are_in_the_address(browser, address, hand):
    with hand.opened(browser, f"{address}/runs/first") as page:
        figure(page, "Loss").locator("canvas").wait_for()
        if hand.is_mouse:
            dragged(page, 0.25, 0.75)
            assert in_view(page) == pytest.approx((1 + 0.25 * (STEPS - 1), 1 + 0.75 * (STEPS - 1)), abs=0.3)
        figure(page, "Loss").focus()
        page.keyboard.press("0")
        assert "from" not in situation(page)
        page.keyboard.press("+")
        assert "from" in situation(page)
        hand.use(page.get_by_role("region", name="Loss", exact=True).get_by_role("button", name="All"))
        assert "from" not in situation(page)

        hand.use(page.get_by_role("button", name="tokens", exact=True))
        hand.tick(page.get_by_label("log y"))
        slider = page.get_by_label("Smoothing")
        slider.focus()
        page.keyboard.press("End")
        hand.use(page.get_by_role("region", name="Loss", exact=True).get_by_role("button", name="validation loss"))
        now = situation(page)
        assert (now["x"], now["logy"], now["smooth"], now["hide"]) == ("tokens", "1", "0.995", "validation loss")
        page.reload()
        page.get_by_role("button", name="tokens", exact=True).wait_for()
        assert set(values_at_cursor(page, "Loss")) == {"loss"}
        page.go_back()
        page.get_by_role("button", name="step", exact=True, pressed=True).wait_for()


def in_view(page: Any) -> tuple[float, float]:
    """Return the part of x that a chart shows, as the address says it."""
    now = situation(page)
    return float(now["from"]), float(now["to"])


def dragged(page: Any, start: float, end: float) -> None:
    """Drag over the loss from one share of its width to another."""
    figure(page, "Loss").scroll_into_view_if_needed()
    box = figure(page, "Loss").locator("svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] * start, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * (start + end) / 2, box["y"] + 60)
    page.mouse.move(box["x"] + box["width"] * end, box["y"] + 60)
    page.mouse.up()


def test_a_zoomed_chart_moves_along_with_the_mouse(browser, address):
    with opened(browser, f"{address}/runs/long?smooth=0") as page:
        figure(page, "Loss").locator("canvas").wait_for()
        dragged(page, 0.4, 0.6)
        low, high = in_view(page)
        assert (low, high) == pytest.approx((40_000, 60_000), rel=0.01)
        dragged(page, 0.7, 0.2)  # as a map: what was under the pointer goes with it
        assert in_view(page) == pytest.approx((50_000, 70_000), rel=0.01)
        dragged(page, 0.1, 0.9)
        dragged(page, 0.1, 0.9)
        dragged(page, 0.1, 0.9)
        dragged(page, 0.1, 0.9)
        assert in_view(page) == pytest.approx((1, 20_001), rel=0.01), "not beyond the beginning, and as wide as before"
        assert "step" not in situation(page), "a drag chooses no step"
        page.keyboard.down("Shift")
        dragged(page, 0.25, 0.75)
        page.keyboard.up("Shift")
        assert in_view(page) == pytest.approx((5_000, 15_000), rel=0.01), "with Shift it selects a part"
        page.mouse.wheel(100, 0)
        becomes(lambda: in_view(page)[0] > 5_200, True)
        low, high = in_view(page)
        assert high - low == pytest.approx(10_000, rel=0.01)
        over = figure(page, "Loss").locator("svg")
        here = over.bounding_box()
        place = {"x": here["width"] / 2, "y": 20}
        over.hover(position=place)
        middle = (low + high) / 2
        page.keyboard.down("Control")
        page.mouse.wheel(0, -100)
        becomes(lambda: in_view(page)[1] - in_view(page)[0] < 6_000, True)
        page.keyboard.up("Control")
        assert sum(in_view(page)) / 2 == pytest.approx(middle, rel=0.01), "around what is under the pointer"
        over.click(position=place)
        assert int(situation(page)["step"]) == pytest.approx(middle, rel=0.01)
        over.dblclick(position=place)
        becomes(lambda: "from" in situation(page), False)


def test_a_zoomed_chart_moves_along_by_keys(browser, address):
    with opened(browser, f"{address}/runs/long?smooth=0&from=40000&to=60000", PHONE, "dark") as page:
        figure(page, "Loss").locator("canvas").wait_for()
        figure(page, "Loss").focus()
        page.keyboard.press("PageDown")
        assert in_view(page) == pytest.approx((50_000, 70_000))
        page.keyboard.press("Home")
        assert situation(page)["step"] == "50000"
        page.keyboard.press("+")
        assert in_view(page)[1] - in_view(page)[0] == pytest.approx(10_000)
        page.keyboard.press("-")
        page.keyboard.press("-")
        page.keyboard.press("-")
        page.keyboard.press("-")
        assert "from" not in situation(page)


def test_fingers_on_a_chart(browser, address):
    """One finger reads the values of the whole, and moves a part along; two zoom; a tap chooses."""
    context = browser.new_context(
        viewport=PHONE, has_touch=True, is_mobile=True, color_scheme="dark", device_scale_factor=2
    )
    page = context.new_page()
    page.goto(f"{address}/runs/long?smooth=0")
    over = figure(page, "Loss").locator("svg")
    figure(page, "Loss").locator("canvas").wait_for()
    over.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    box = over.bounding_box()
    client = context.new_cdp_session(page)

    def touch(kind: str, *shares: float) -> None:
        points = [{"x": box["x"] + one * box["width"], "y": box["y"] + 60, "id": n} for n, one in enumerate(shares)]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 0.2)
    touch("touchMove", 0.5)
    page.get_by_text(re.compile(r"at step 50,?\d{3}$")).first.wait_for()
    touch("touchEnd")
    assert "from" not in situation(page)
    touch("touchStart", 0.4, 0.6)
    touch("touchMove", 0.35, 0.65)
    touch("touchMove", 0.3, 0.7)
    touch("touchEnd")
    becomes(lambda: "from" in situation(page), True)
    assert in_view(page) == pytest.approx((25_000, 75_000), rel=0.02), (
        "twice as far apart: half of it, around the middle"
    )
    touch("touchStart", 0.8)
    touch("touchMove", 0.6)
    touch("touchMove", 0.3)
    touch("touchEnd")
    becomes(lambda: in_view(page)[0] > 49_000, True)
    assert in_view(page) == pytest.approx((50_000, 100_000), rel=0.02)
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + 60)
    becomes(lambda: abs(int(situation(page).get("step", 0)) - 75_000) < 1000, True)
    assert sideways_scroll(page) == 0
    context.close()


@HANDS
def test_csv_picture_and_table_hold_the_numbers(browser, address, home, hand):
    rows = read_jsonl(home / "first" / "metrics.jsonl")
    with hand.opened(browser, f"{address}/runs/first") as page:
        region = page.get_by_role("region", name="Loss", exact=True)
        region.get_by_role("application").locator("canvas").wait_for()
        with page.expect_download() as got:
            hand.use(region.get_by_role("button", name="CSV"))
        lines = Path(got.value.path()).read_text().splitlines()
        assert lines[0] == "step,loss,validation loss"
        for line, row in zip(lines[1:], rows, strict=True):
            step, loss, validation = line.split(",")
            assert (float(step), float(loss)) == (row["step"], row["loss"])
            assert validation == "" if "validation_loss" not in row else float(validation) == row["validation_loss"]
        with page.expect_download() as got:
            hand.use(region.get_by_role("button", name="PNG"))
        picture = Path(got.value.path()).read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 10_000
        hand.use(region.get_by_role("button", name="Table"))
        cells = region.get_by_role("row").nth(3).get_by_role("cell")
        assert float(cells.nth(0).inner_text()) == rows[2]["loss"]


@pytest.mark.quick
def test_no_extreme_of_a_long_run_is_hidden(browser, address):
    with opened(browser, f"{address}/runs/long?smooth=0") as page:
        figure(page, "Loss").locator("canvas").wait_for()
        page.wait_for_load_state("networkidle")
        top, height, colored = drawn_columns(page)
        low, high = min(SPIKES.values()), max(SPIKES.values())
        air = (high - low) * 0.06
        for step, value in SPIKES.items():
            share = (step - 1) / (100_000 - 1)
            reached = [y for column in colored(share) for y in column]
            place = top + height * (1 - (value - low + air) / (high - low + 2 * air))
            assert any(abs(y - place) <= 3 for y in reached), f"the spike at step {step} is not drawn"


def drawn_columns(page: Any) -> tuple[float, float, Any]:
    """Return where the lines of the first chart are drawn, and a function of a share of its width: which pixels are
    coloured there."""
    area = page.evaluate(
        """() => {
          const figure = document.querySelector('.figure[role=application]');
          const canvas = figure.querySelector('canvas');
          const svg = figure.querySelector('svg');
          const { data, width, height } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          const lit = [];
          for (let x = 0; x < width; x += 1) {
            const column = [];
            for (let y = 0; y < height; y += 1) {
              const i = 4 * (y * width + x);
              if (data[i + 3] > 0 && data[i + 2] - data[i] > 40) column.push(y);
            }
            lit.push(column);
          }
          const box = svg.getBoundingClientRect(), outer = figure.getBoundingClientRect();
          return { left: box.left - outer.left, top: box.top - outer.top, width: box.width, height: box.height, lit };
        }"""
    )

    def colored(share: float) -> list[list[int]]:
        at = round(area["left"] + share * area["width"])
        return area["lit"][max(0, at - 2) : at + 3]

    return area["top"], area["height"], colored


@HANDS
def test_samples_one_slider_linked_with_the_curve(browser, address, home, hand):
    samples = read_jsonl(home / "first" / "samples.jsonl")
    with hand.opened(browser, f"{address}/runs/first?tab=samples") as page:
        shown = page.locator("pre.sample")
        assert shown.text_content() == samples[-1]["text"]
        slider = page.get_by_role("slider", name="step")
        slider.focus()
        page.keyboard.press("Home")
        assert shown.text_content() == samples[0]["text"]
        assert shown.locator("mark").count() == 0
        page.keyboard.press("ArrowRight")
        assert shown.text_content() == samples[1]["text"]
        marked = shown.locator("mark").all_text_contents()
        kept = shown.evaluate("pre => [...pre.childNodes].filter(n => n.nodeName !== 'MARK').map(n => n.data).join('')")
        assert marked
        assert is_within(kept, samples[0]["text"]), "what is not marked was there before, in this order"
        assert situation(page)["step"] == str(samples[1]["step"])
        hand.use(page.get_by_role("button", name="Next step"))
        assert shown.text_content() == samples[2]["text"]
        curve = figure(page, "Loss")
        curve.focus()
        page.keyboard.press("End")
        page.wait_for_function(
            "text => document.querySelector('pre.sample')?.textContent === text", arg=samples[-1]["text"]
        )
        page.keyboard.press("Home")
        page.wait_for_function(
            "text => document.querySelector('pre.sample')?.textContent === text", arg=samples[0]["text"]
        )
        hand.use(page.get_by_role("button", name="Play through the steps"))
        page.wait_for_function(
            "text => document.querySelector('pre.sample')?.textContent === text", arg=samples[1]["text"]
        )
        hand.use(page.get_by_role("button", name="Pause"))


def is_within(part: str, whole: str) -> bool:
    """Whether all characters of a text stand in another, in their order."""
    rest = iter(whole)
    return all(character in rest for character in part)


@pytest.mark.parametrize("kind", ["weights", "gradients", "updates", "activations"])
@HANDS
def test_histograms_say_exact_counts(browser, address, home, kind, hand):
    found = read_histograms(home / "first" / "snapshots", kind)
    layer = random.Random(kind).randrange(len(found.layers))
    with hand.opened(browser, f"{address}/runs/first?tab=histograms&bins=size") as page:
        hand.use(page.get_by_role("button", name=kind, exact=True))
        page.get_by_label("Layer", exact=True).select_option(found.layers[layer])
        picture = page.get_by_role("application", name=re.compile(f"^{kind} of {re.escape(found.layers[layer])}"))
        picture.focus()
        page.keyboard.press("ArrowUp")
        steps = [step for i, step in enumerate(found.steps) if found.counts[i, layer].sum()]
        counts = found.counts[found.steps.index(steps[-2]), layer]
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        said = page.locator(".reading").inner_text()
        assert said.startswith(f"step {steps[-2]:,}, ")
        assert said.endswith(f": {counts[1]:,} of {counts.sum():,}")
        hand.use(page.get_by_role("button", name=re.compile("^Table of step")))
        rows = page.get_by_role("region", name=re.compile("as numbers")).get_by_role("row").all()[1:]
        cells = [[float(text) for text in row.locator("td").all_text_contents()] for row in rows]
        assert [low for low, _, _ in cells] == found.edges[:-1].tolist()
        assert [count for _, _, count in cells] == counts.tolist()
        mean = page.get_by_role("button", name=re.compile("^mean ")).get_attribute("aria-label")
        assert float(mean.split()[1].rstrip(",")) == found.by_layer["mean"][found.steps.index(steps[-2]), layer]


@HANDS
def test_histograms_on_an_even_axis_lose_no_count(browser, address, home, hand):
    found = read_histograms(home / "first" / "snapshots", "weights")
    with hand.opened(browser, f"{address}/runs/first?tab=histograms&layer={found.layers[0]}") as page:
        hand.use(page.get_by_role("button", name=re.compile("^Table of step")))
        rows = page.get_by_role("region", name=re.compile("as numbers")).get_by_role("row").all()[1:]
        cells = [[float(text) for text in row.locator("td").all_text_contents()] for row in rows]
        assert sum(count for _, _, count in cells) == found.counts[-1, 0].sum()
        for low, high, count in cells:
            inside = (found.edges[:-1] >= low) & (found.edges[1:] <= high)
            assert count == found.counts[-1, 0][inside].sum()
        svg = page.get_by_role("application").locator("svg")
        box = svg.bounding_box()
        svg.hover(position={"x": box["width"] / 2, "y": box["height"] / 2})
        assert re.search(r"value from .* to .*: [\d,]+ of", page.locator(".reading").inner_text())


@HANDS
def test_attention_weights_are_those_recorded(browser, address, home, hand):
    found = read_attention(home / "first" / "snapshots")
    steps = list(found.files)
    with hand.opened(browser, f"{address}/runs/first?tab=attention") as page:
        hand.use(page.get_by_role("button", name="Layer 0, head 2"))
        assert situation(page)["head"] == "2"
        page.get_by_role("slider", name="step").focus()
        page.keyboard.press("ArrowLeft")
        pattern = found.pattern(steps[-2])[0, 2]
        page.get_by_role("application").focus()
        page.keyboard.press("End")
        for _ in range(3):
            page.keyboard.press("ArrowUp")
            page.keyboard.press("ArrowLeft")
        row, column = len(found.tokens) - 4, len(found.tokens) - 4
        assert weight_said(page) == (row, column, pattern[row, column])
        canvas = page.get_by_role("application").locator("canvas")
        side = canvas.bounding_box()["width"] / len(found.tokens)
        for row, column in ((5, 1), (7, 7), (len(found.tokens) - 1, 3)):
            canvas.hover(position={"x": (column + 0.5) * side, "y": (row + 0.5) * side})
            assert weight_said(page) == (row, column, pattern[row, column]), "rows read, columns are read"
        canvas.hover(position={"x": 6.5 * side, "y": 2.5 * side})
        assert "cannot read" in page.locator(".reading").inner_text()
        hand.use(page.get_by_role("button", name="Table"))
        cell = (
            page.get_by_role("region", name="Weights of layer 0, head 2")
            .locator("tbody tr")
            .nth(5)
            .locator("td")
            .nth(1)
        )
        assert np.float32(cell.get_attribute("title")) == pattern[5, 1]


def weight_said(page: Any) -> tuple[int, int, np.float32]:
    said = page.locator(".reading").inner_text()
    row, column = re.findall(r"position (\d+)", said)
    return int(row), int(column), np.float32(said.rsplit(" ", 1)[1])


@HANDS
def test_compare_runs_from_the_list(browser, address, hand):
    with hand.opened(browser, f"{address}/runs") as page:
        hand.tick(page.get_by_label("Compare first"))
        hand.use(page.get_by_label("Compare second"), "Space")
        hand.use(page.get_by_role("link", name="Compare 2 runs"))
        page.get_by_role("heading", name="Compare runs").wait_for()
        table = page.get_by_role("table", name="Differences of the recipes")
        table.wait_for()
        assert [row.inner_text() for row in table.get_by_role("rowheader").locator("code").all()] == [
            "train.learning-rate"
        ]
        assert table.get_by_role("cell").all_text_contents() == ["0.01", "0.002"]
        hand.use(page.get_by_role("button", name="Validation loss", exact=True))
        hand.use(page.get_by_role("button", name="seconds", exact=True))
        now = situation(page)
        assert (now["metric"], now["x"]) == ("validation_loss", "seconds")
        page.get_by_role("region", name="Validation loss").locator(".value").nth(1).wait_for()
        becomes(lambda: set(values_at_cursor(page, "Validation loss")), {"first", "second"})
        page.go_back()
        page.get_by_role("button", name="step", exact=True, pressed=True).wait_for()


@HANDS
def test_failed_run_says_why_and_what_to_do(browser, address, hand):
    with hand.opened(browser, f"{address}/runs/failed") as page:
        page.get_by_text("loss is not a finite number at step 2").wait_for()
        assert "learning-rate" in page.get_by_text("What to do:").inner_text()
        assert values_at_cursor(page, "Loss") == {"loss": 3.5}, "what is no number is no point of the curve"


@HANDS
def test_unknown_run_is_said_with_the_runs_there_are(browser, address, hand):
    with hand.opened(browser, f"{address}/runs/frist") as page:
        page.get_by_text("There is no run called frist").wait_for()
        hand.use(page.get_by_role("link", name="first", exact=True))
        page.get_by_role("heading", name="first", exact=True).wait_for()
        assert all("404" in line for line in page.wrong)
        page.wrong.clear()


@HANDS
def test_form_checks_before_starting(browser, own, hand):
    folder, address = own
    with hand.opened(browser, f"{address}/runs") as page:
        hand.tick(page.get_by_role("radio", name="microgpt"))
        steps = page.get_by_label("Steps", exact=True)
        steps.fill("-3")
        error = page.get_by_role("alert").filter(has_text="train.steps is -3")
        error.wait_for()
        assert error.get_attribute("id") in steps.get_attribute("aria-describedby").split()
        assert steps.get_attribute("aria-invalid") == "true"
        steps.fill("7")
        error.wait_for(state="hidden")
        hand.use(page.get_by_text("All settings"))
        page.get_by_label("Search the settings").fill("dropout")
        box = page.get_by_label("Dropout", exact=True)
        box.fill("2")
        page.get_by_role("alert").filter(has_text="model.dropout").wait_for()
        hand.use(page.get_by_role("button", name="Start training"))
        page.get_by_role("alert").filter(has_text="model.dropout").first.wait_for()
        assert urlsplit(page.url).path == "/runs"
        assert not list(folder.glob("microgpt*"))
        box.fill("0.25")
        command = page.get_by_text("cutaway train microgpt --train.steps 7 --model.dropout 0.25")
        command.wait_for()
        hand.use(page.get_by_role("button", name="Copy the command"))
        assert page.evaluate("navigator.clipboard.readText()") == command.first.inner_text()
        assert json.loads(situation(page)["set"]) == {"train.steps": "7", "model.dropout": "0.25"}
        page.get_by_label("Name", exact=True).fill("first")
        page.get_by_text("a run 'first' exists already").wait_for()
        page.reload()
        assert page.get_by_label("Steps", exact=True).input_value() == "7", "a filled form is a link"
        assert all("Failed to load" in line for line in page.wrong)
        page.wrong.clear()


@HANDS
def test_what_it_will_take_is_estimated_before_it_starts(browser, own, hand):
    folder, address = own
    run = RunFolder(folder / "first")
    run.write_summary({**run.summary(), "seconds": 3.0})  # too short, it would say nothing about speed
    with hand.opened(browser, f"{address}/runs") as page:
        hand.tick(page.get_by_role("radio", name="microgpt"))
        page.get_by_text(
            re.compile(r"Estimated: about [\d.]+ \w+ \(as fast as first went here\), about \d+ MB of memory")
        ).wait_for()
        short = page.locator(".cost b").first.inner_text()
        page.get_by_label("Steps", exact=True).fill("900000")
        becomes(lambda: page.locator(".cost b").first.inner_text() != short, True)
        body = {"preset": "microgpt", "values": {"train.steps": "900000"}}
        told = page.request.post(f"{address}/api/check", data=body).json()["estimate"]
        assert told["seconds_from"] == "as fast as first went here"
        size, unit = page.locator(".cost b").first.inner_text().split()
        seconds = float(size) * {"minutes": 60, "hours": 3600, "days": 86_400}[unit]
        assert seconds == pytest.approx(told["seconds"], rel=0.06), "rounded, for it is an estimate"
        assert sideways_scroll(page) == 0
        look(page, f"training-estimate-{hand.name}")


def test_a_run_called_compare_can_be_opened(browser, own):
    folder, address = own
    shutil.copytree(folder / "first", folder / "compare")
    with opened(browser, f"{address}/runs") as page:
        page.get_by_role("link", name="compare", exact=True).click()
        page.get_by_role("heading", name="compare", exact=True).wait_for()
        page.locator("main canvas").first.wait_for()
        page.goto(f"{address}/runs/compare?runs=first,compare")
        page.get_by_role("heading", name="Compare runs").wait_for()
        shutil.rmtree(folder / "compare")
        page.goto(f"{address}/runs/compare")
        page.get_by_role("heading", name="Compare runs").wait_for()
        page.wrong[:] = [line for line in page.wrong if "404" not in line]


def test_a_run_of_a_terminal_is_stopped_from_its_page(browser, own):
    folder, address = own
    command = [
        sys.executable,
        "-m",
        "cutaway",
        "train",
        "microgpt",
        "--name",
        "typed",
        "--train.steps",
        "100000",
        *TINY,
    ]
    environment = os.environ | {"CUTAWAY_RUNS": str(folder)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: (folder / "typed" / "metrics.jsonl").is_file())
        with opened(browser, f"{address}/runs/typed") as page:
            page.get_by_role("button", name="Stop").click()
            page.get_by_role("button", name="Continue").wait_for(timeout=60_000)
            assert process.wait(60) == 0
    finally:
        process.kill()


@HANDS
def test_start_watch_queue_stop_continue_and_delete(browser, own, hand):
    folder, address = own
    with hand.opened(browser, f"{address}/runs?preset=microgpt") as page:
        start(page, "long-one", 100_000)
        page.wait_for_url(f"{address}/runs/long-one")
        page.get_by_role("button", name="Stop").wait_for(timeout=60_000)
        page.wait_for_function(f"() => {READ_STEP} > 3", timeout=60_000)
        before = page.evaluate(READ_STEP)
        page.wait_for_function(f"n => {READ_STEP} > n", arg=before)

        page.goto(f"{address}/runs?preset=microgpt")
        start(page, "waits", 5)
        page.get_by_text("waits in the queue").wait_for()
        hand.use(page.get_by_role("link", name="long-one", exact=True))
        hand.use(page.get_by_role("button", name="Stop"))
        page.get_by_role("button", name="Continue").wait_for(timeout=30_000)
        rows = read_jsonl(folder / "long-one" / "metrics.jsonl")
        assert page.evaluate(READ_STEP) == rows[-1]["step"]
        assert values_at_cursor(page, "Loss")["loss"] == rows[-1]["loss"]

        page.goto(f"{address}/runs/waits")
        page.locator(".title .status.finished").wait_for(timeout=60_000)
        hand.use(page.get_by_role("button", name="Delete"))
        page.keyboard.press("Escape")
        assert (folder / "waits").is_dir()
        hand.use(page.get_by_role("button", name="Delete"))
        hand.use(page.get_by_role("button", name="Delete it"))
        page.wait_for_url(f"{address}/runs")
        assert not (folder / "waits").exists()
        page.wrong[:] = [line for line in page.wrong if "404" not in line]

        page.goto(f"{address}/runs/long-one")
        hand.use(page.get_by_role("button", name="Continue"))
        page.wait_for_function(f"n => {READ_STEP} > n", arg=rows[-1]["step"], timeout=60_000)
        hand.use(page.get_by_role("button", name="Stop"))
        page.get_by_role("button", name="Continue").wait_for(timeout=30_000)


def start(page: Any, name: str, steps: int) -> None:
    """Fill the form and start."""
    page.get_by_label("Steps", exact=True).fill(str(steps))
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_text(f"--name {name}").wait_for()
    page.get_by_role("button", name="Start training").click()


def test_own_text_by_picking_and_by_dropping(browser, own, tmp_path):
    _, address = own
    text = tmp_path / "animals.txt"
    text.write_text("cat\ndog\n" * 400)
    with opened(browser, f"{address}/runs?preset=names") as page:
        page.get_by_label("Choose a file").set_input_files(text)
        page.get_by_text("animals.txt: 3,200 characters in 800 lines").wait_for()
        page.get_by_text(re.compile(r"--data.source \S*animals.txt")).wait_for()
        page.evaluate(
            """() => {
              const data = new DataTransfer();
              data.items.add(new File(['red\\ngreen\\n'.repeat(300)], 'colours.txt', { type: 'text/plain' }));
              const box = document.querySelector('[role=group][aria-label=Text]');
              box.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
            }"""
        )
        page.get_by_text("colours.txt: 3,000 characters in 600 lines").wait_for()
        page.get_by_label("Choose a file").set_input_files(
            {"name": "bad.txt", "mimeType": "text/plain", "buffer": b"\0\1"}
        )
        page.get_by_role("alert").filter(has_text="not text but binary").wait_for()
        page.wrong.clear()


@HANDS
def test_branch_from_a_checkpoint(browser, own, hand):
    folder, address = own
    with hand.opened(browser, f"{address}/runs/first") as page:
        hand.use(page.get_by_role("button", name="Branch"))
        dialog = page.get_by_role("dialog", name="Branch from first")
        dialog.get_by_label("Steps", exact=True).fill(str(STEPS + 6))
        dialog.get_by_label("Learning rate", exact=True).fill("0.001")
        dialog.get_by_label("Name of the new run").fill("slower")
        command = dialog.get_by_text(re.compile(rf"cutaway train \S+ --name slower .*--from-step {STEPS}"))
        command.wait_for()
        assert "--train.learning-rate 0.001" in command.inner_text()
        assert json.loads(situation(page)["set"]) == {"train.steps": str(STEPS + 6), "train.learning-rate": "0.001"}
        page.reload()
        assert dialog.get_by_label("Learning rate", exact=True).input_value() == "0.001", "a filled branch is a link"
        assert dialog.get_by_label("Name of the new run").input_value() == "slower"
        command.wait_for()
        hand.use(dialog.get_by_role("button", name="Start the branch"))
        page.wait_for_url(f"{address}/runs/slower")
        page.get_by_role("heading", name="slower", exact=True).wait_for()
        page.locator(".title .status.finished").wait_for(timeout=60_000)
        page.get_by_role("link", name=f"first, step {STEPS}").wait_for()
        assert read_jsonl(folder / "slower" / "metrics.jsonl")[-1]["step"] == STEPS + 6
        page.wrong[:] = [line for line in page.wrong if "404" not in line]


@HANDS
def test_link_to_the_microscope(browser, address, hand):
    with hand.opened(browser, f"{address}/runs/first") as page:
        link = page.get_by_role("link", name="Open in the microscope")
        assert link.get_attribute("href") == "/microscope?run=first"
