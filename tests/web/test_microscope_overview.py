"""The microscope's overview, in a real browser: traces, modules that open in place, lanes, playing, search, findings."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from typing import Any

import pytest
import torch
from torch import nn
from web.browser import (
    DESKTOP,
    HANDS,
    LOOKS,
    PHONE,
    accessibility_problems,
    becomes,
    look,
    opened,
    press,
    serving,
    sideways_scroll,
)
from web.microscope_page import side, walk

import cutaway
from cutaway.cli.main import main
from cutaway.server.app import create_app
from cutaway.server.lab import Lab

RUN, TRACE = "names-1", "names-1/traces/1"
BLOCKS, OTHER, BROKEN, DEEP = "traces/blocks", "traces/other", "traces/broken", "traces/deep"


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(self.norm(x))))


class Network(nn.Module):
    def __init__(self, width: int = 8, n: int = 5) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width) for _ in range(n))
        self.head = nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def recorded(seed: int, infinite: bool = False, n: int = 5) -> cutaway.Trace:
    torch.manual_seed(seed)
    model, x = Network(n=n), torch.randn(4, 8)
    if infinite:
        with torch.no_grad():
            model.blocks[1].up.weight[3, 2] = float("inf")
    trace = cutaway.trace(model, x, lambda out: (out**2).mean(), torch.optim.AdamW(model.parameters()))
    trace.notes = {"model": f"{n} blocks, seed {seed}", "text": ""}
    return trace


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A lab's folder with a tiny run, a recorded step of it, and steps of another model."""
    folder = tmp_path_factory.mktemp("microscope")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUTAWAY_RUNS", str(folder))
        patch.chdir(folder)
        sizes = ["--model.d-model", "16", "--model.n-layers", "3"]
        assert main(["train", "names", "--name", RUN, "--train.steps", "4", "--train.threads", "1", *sizes]) == 0
        assert main(["trace", RUN, "--text", "parse_args"]) == 0
    recorded(0).save(folder / BLOCKS)
    recorded(1).save(folder / OTHER)
    recorded(2, infinite=True).save(folder / BROKEN)
    recorded(3, n=7).save(folder / DEEP)
    return folder


@pytest.fixture(scope="session")
def address(home):
    with serving(create_app(Lab(home))) as address:
        yield address


def asked(address: str, path: str, **query: Any) -> Any:
    with urllib.request.urlopen(f"{address}/api/{path}?{urllib.parse.urlencode(query)}") as answer:
        return json.load(answer)


def microscope(address: str, /, **situation: Any) -> str:
    return f"{address}/microscope?{urllib.parse.urlencode(situation)}"


def row(page: Any, name: str) -> Any:
    """The row of a module."""
    return page.locator(".row").filter(has=page.locator(f'.label:text-is("{name}")'))


def here(page: Any) -> dict[str, str]:
    """What the address of the page says."""
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(page.url).query))


def settled(page: Any, **situation: str) -> None:
    """Wait until the page's address says this."""
    for key, value in situation.items():
        page.wait_for_function(
            "([key, value]) => new URL(location.href).searchParams.get(key) === value", arg=[key, value]
        )


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_traces_are_listed(browser, address, viewport, theme):
    with opened(browser, f"{address}/microscope", viewport, theme) as page:
        page.get_by_text(TRACE).wait_for()
        listed = page.locator("li .facts").all_inner_texts()
        for one in asked(address, "traces"):
            line = next(text for text in listed if text.startswith(one["name"] + " "))
            assert f"{sum(one['operations'].values()):,} operations" in line
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        look(page, f"microscope-traces-{viewport['width']}-{theme}")


@HANDS
def test_a_trace_opens_and_back_returns(browser, address, hand):
    with hand.opened(browser, f"{address}/microscope?run={RUN}") as page:
        assert page.get_by_label("Run", exact=True).input_value() == RUN
        hand.use(page.get_by_role("button", name=TRACE).filter(has_text="parse_args"))
        page.get_by_role("treegrid").wait_for()
        assert here(page)["trace"] == TRACE
        page.get_by_role("heading", name=RUN).wait_for()
        page.go_back()
        page.get_by_role("heading", name="Record a step").wait_for()


def test_a_trace_is_deleted_when_one_is_sure(browser, address, home):
    recorded(3).save(home / "traces/spare")
    with opened(browser, f"{address}/microscope") as page:
        bin_ = page.get_by_role("button", name="Delete traces/spare")
        bin_.click()
        page.get_by_role("button", name="Keep").click()
        assert (home / "traces/spare").is_dir()
        press(bin_)
        press(page.get_by_role("button", name="Delete", exact=False).filter(has_text="kB"))
        bin_.wait_for(state="detached")
    assert not (home / "traces/spare").exists()


def test_no_run_yet_is_said(browser, tmp_path):
    with serving(create_app(Lab(tmp_path))) as address, opened(browser, f"{address}/microscope") as page:
        page.get_by_role("link", name="Train one").wait_for()
        page.get_by_text("None was recorded yet").wait_for()


@pytest.mark.parametrize("name", ["names-1/traces/99", "../secret", "names-1"])
def test_a_trace_that_is_not_there_is_said(browser, address, name):
    with opened(browser, microscope(address, trace=name)) as page:
        page.get_by_role("alert").first.wait_for()
        page.get_by_role("button", name="Traces").click()
        page.get_by_role("heading", name="Record a step").wait_for()
        page.wrong.clear()  # the browser names the refused request


@HANDS
def test_modules_open_in_place(browser, address, hand):
    with hand.opened(browser, microscope(address, trace=BLOCKS)) as page:
        row(page, "blocks 0 to 4").wait_for()
        assert row(page, "blocks.2").count() == 0
        for name in ("blocks 0 to 4", "blocks.2", "up"):
            if hand.is_mouse:
                row(page, name).locator(".name").click()
            else:
                walk(page, name)
                page.keyboard.press("ArrowRight")
        settled(page, open="blocks.0~4,blocks.2,blocks.2.up")
        inner, outer = row(page, "up").bounding_box(), row(page, "blocks.2").bounding_box()
        assert inner["y"] > outer["y"]
        assert (
            row(page, "up").locator(".label").bounding_box()["x"]
            > row(page, "blocks.2").locator(".label").bounding_box()["x"]
        )
        if hand.is_mouse:
            row(page, "blocks.2").locator(".name").click()
        else:
            press(page.get_by_role("treegrid"), "ArrowLeft")  # shut, then what it is in, then that shut
            press(page.get_by_role("treegrid"), "ArrowLeft")
            press(page.get_by_role("treegrid"), "ArrowLeft")
        becomes(row(page, "up").count, 0)


@pytest.mark.parametrize("trace", [TRACE, BLOCKS])
def test_shapes_and_sizes_are_those_of_the_api(browser, address, trace):
    found = asked(address, "microscope/overview", trace=trace)
    with opened(browser, microscope(address, trace=trace, open="*")) as page:
        page.get_by_role("treegrid").wait_for()
        head = next(one for one in found["modules"] if one["path"] in ("head", "lm_head"))
        press(page.get_by_role("treegrid"), "End")
        shown = row(page, head["path"])
        for _ in range(40):
            if shown.count():
                break
            press(page.get_by_role("treegrid"), "PageUp")
        out = head["out"][0]
        letters = dict(one.split(" ") for one in found["axes"]).get(found["addresses"][out].rpartition(".")[2])
        sizes = [str(size) for size in found["shapes"][out]]
        shape = " ".join(map("".join, zip(letters, sizes, strict=True))) if letters else "\u00d7".join(sizes)
        assert bool(letters) == (trace == TRACE)  # our own models say what their axes are
        assert shown.locator(".forward .shape").inner_text() == shape
        assert float(shown.locator(".forward .size").inner_text()) == pytest.approx(head["size_out"], rel=0.06)
        assert float(shown.locator(".backward .size").inner_text()) == pytest.approx(head["size_gradient"], rel=0.06)
        weights = f"{head['parameter_count']:,} weights"
        assert shown.locator(".weights").inner_text() == weights


def test_backward_stands_beside_what_it_differentiates(browser, address):
    found = asked(address, "microscope/overview", trace=BLOCKS)
    operations, names = found["operations"], found["addresses"]
    forward = operations["number"]
    with opened(browser, microscope(address, trace=BLOCKS, open="blocks.0~4,blocks.2,blocks.2.up")) as page:
        row(page, "up").wait_for()
        checked = 0
        for at, beside in enumerate(operations["forward"]):
            if beside < 0 or found["paths"][operations["path"][at]] != "blocks.2.up" or not operations["outputs"][at]:
                continue
            made, of = operations["outputs"][at][0], operations["outputs"][forward.index(beside)][0]
            left = page.locator(f'.operation .forward[data-address="{of}"]').bounding_box()
            right = page.locator(f'.operation .backward[data-address="{made}"]').bounding_box()
            lines = sum(one == beside for one in operations["forward"])
            assert 0 <= round(right["y"] - left["y"]) < lines * 26, (names[made], names[of])
            checked += 1
        assert checked >= 2
        weight = page.locator(f'.weight .forward[data-address="{names.index("blocks.2.up.weight")}"]').bounding_box()
        renewed = page.locator(
            f'.weight .optimizer[data-address="{names.index("blocks.2.up.weight:new")}"]'
        ).bounding_box()
        assert weight["y"] == renewed["y"]


def test_the_tree_by_keyboard(browser, address):
    with opened(browser, microscope(address, trace=BLOCKS)) as page:
        tree = page.get_by_role("treegrid")
        tree.focus()

        def at() -> str:
            return page.evaluate(
                "document.getElementById(document.activeElement.getAttribute('aria-activedescendant')).ariaLabel"
            )

        for _ in range(2):
            press(tree, "ArrowDown")
        assert at().startswith("blocks 0 to 4")
        press(tree, "ArrowRight")
        row(page, "blocks.1").wait_for()
        press(tree, "ArrowDown")
        assert at().startswith("blocks.0")
        press(tree, "ArrowRight")  # opens
        row(page, "norm").wait_for()
        press(tree, "ArrowRight")  # the lane beside
        assert at().startswith("gradient")
        press(tree)
        settled(page, address="blocks.0:out:grad")
        assert page.evaluate("document.activeElement.getAttribute('role')") == "treegrid"  # the focus stays
        press(tree, "ArrowLeft")
        press(tree, "ArrowLeft")
        row(page, "norm").wait_for(state="detached")
        press(tree, "ArrowLeft")
        assert at().startswith("blocks 0 to 4")


def test_a_click_leads_to_the_tensor_and_marks_what_it_reads(browser, address):
    found = asked(address, "microscope/overview", trace=BLOCKS)
    names, operations = found["addresses"], found["operations"]
    with opened(browser, microscope(address, trace=BLOCKS, open="blocks.0~4,blocks.1,blocks.1.up")) as page:
        number = names.index("blocks.1.up:out")
        page.locator(f'.operation .forward[data-address="{number}"]').click()
        settled(page, address="blocks.1.up:out")
        maker = next(at for at, out in enumerate(operations["outputs"]) if number in out)
        for operand in operations["operands"][maker]:
            if names[operand].startswith("blocks.1.up."):
                page.locator(f'.read[data-address="{operand}"]').first.wait_for()
        readers = {
            out for at, read in enumerate(operations["operands"]) if number in read for out in operations["outputs"][at]
        }
        shown = {int(one) for one in page.locator(".reads").evaluate_all("all => all.map(one => one.dataset.address)")}
        assert shown
        assert shown <= readers
        assert page.locator(".selected").first.get_attribute("data-address") == str(number)


@HANDS
def test_breadcrumb_and_back(browser, address, hand):
    with hand.opened(browser, microscope(address, trace=BLOCKS, address="loss", tab="overview")) as page:
        if hand.is_mouse:
            page.locator("[data-row] .forward[data-address]").nth(1).click()
        else:
            walk(page, "blocks 0 to 4")
            page.keyboard.press("Enter")
        way = page.get_by_role("navigation", name="The way here")
        hand.use(way.get_by_role("button", name="loss", exact=True))
        settled(page, address="loss")
        assert "way" not in here(page)
        page.go_back()
        way.get_by_role("button", name="loss", exact=True).wait_for()
        hand.use(way.get_by_role("button", name="Back"))
        settled(page, address="loss")


@HANDS
def test_operations_light_up_in_the_order_of_the_program(browser, address, hand):
    found = asked(address, "microscope/overview", trace=BLOCKS)
    with hand.opened(browser, microscope(address, trace=BLOCKS, open="*")) as page:
        player = page.get_by_role("group", name="Play the step")
        for position in ("0", "1"):
            hand.use(player.get_by_role("button", name="One operation forward"))
            settled(page, position=position)
        name = found["names"][found["operations"]["name"][1]].split(".")[0].strip("_")
        assert page.locator("p.now strong").inner_text() == name
        lit = page.locator(".lit.forward[data-address]")
        assert lit.count() > 0
        scrub = player.get_by_role("slider")
        press(scrub, "End")
        settled(page, position=str(len(found["operations"]["name"]) - 1))
        assert page.locator(".cell[data-address] .dot").count() == page.locator(".lit[data-address] .dot").count()
        press(scrub, "Home")
        assert page.locator(".lit").count() == 0
        player.get_by_role("combobox").select_option("600")
        hand.use(player.get_by_role("button", name="Play the data flowing"))
        player.get_by_role("button", name="Pause").wait_for(state="detached")
        settled(page, position=str(len(found["operations"]["name"]) - 1))


def test_search_by_mouse(browser, address):
    with opened(browser, microscope(address, trace=BLOCKS)) as page:
        page.get_by_role("treegrid").wait_for()
        box = page.get_by_role("combobox", name="Search an address")
        box.click()
        box.press_sequentially("3.down weight:grad")
        page.get_by_role("option", name="blocks.3.down.weight:grad").click()
        settled(page, address="blocks.3.down.weight:grad")
        page.locator(".selected").first.wait_for()


def test_search_by_keyboard(browser, address):
    with opened(browser, microscope(address, trace=BLOCKS), PHONE, "dark") as page:
        page.get_by_role("treegrid").wait_for()
        page.keyboard.press("/")
        page.keyboard.type("3.down weight:grad")
        page.get_by_role("option", name="blocks.3.down.weight:grad").wait_for()
        assert not accessibility_problems(page)
        page.keyboard.press("Enter")
        settled(page, address="blocks.3.down.weight:grad")
        page.locator(".selected").first.wait_for()  # what is around it was opened
        page.keyboard.press("/")
        page.keyboard.press("Control+a")
        with page.expect_response(lambda answer: "query=blocks.1" in answer.url):
            page.keyboard.type("blocks.1")
        page.get_by_role("option", name="blocks.3.down").first.wait_for(state="detached")  # the old answers are gone
        page.get_by_role("option").nth(2).wait_for()
        first, third = (page.get_by_role("option").nth(n).locator(".address").inner_text() for n in (0, 2))
        assert first != third
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        settled(page, address=third)


@HANDS
def test_findings_are_links(browser, address, hand):
    found = asked(address, "microscope/findings", trace=BROKEN)["findings"]
    with hand.opened(browser, microscope(address, trace=BROKEN)) as page:
        side(page, hand, "Findings")
        page.locator(".finding").first.wait_for()
        assert page.locator(".finding").count() == len(found)
        hand.use(page.locator(".finding").first)
        settled(page, address=found[0]["address"], index=",".join(map(str, found[0]["index"])))


def test_map_scrolls(browser, address):
    with opened(browser, microscope(address, trace=TRACE, open="*")) as page:
        page.get_by_role("treegrid").wait_for()
        chart = page.get_by_role("scrollbar")
        box = chart.bounding_box()
        page.mouse.click(box["x"] + 20, box["y"] + box["height"] - 30)
        page.wait_for_function("document.querySelector('#overview-tree')?.scrollTop > 500")
        press(chart, "Home")
        page.wait_for_function("document.querySelector('#overview-tree')?.scrollTop === 0")


@HANDS
def test_what_is_around_is_told_when_its_head_is_out_of_sight(browser, address, hand):
    with hand.opened(browser, microscope(address, trace=TRACE, open="*")) as page:
        tree, around = page.get_by_role("treegrid"), page.get_by_role("navigation", name="Modules around")
        tree.focus()
        for _ in range(6):
            press(tree, "PageDown")
        around.get_by_role("button", name="The model").wait_for()
        shown = around.get_by_role("button").all_inner_texts()
        assert len(shown) > 1
        hand.use(around.get_by_role("button", name=shown[1], exact=True))
        row(page, shown[1]).wait_for()


def test_room_is_shared_by_drag_and_keys(browser, address):
    with opened(browser, microscope(address, trace=BLOCKS, address="loss")) as page:
        divider = page.get_by_role("separator")
        before = page.get_by_role("region", name="Overview").bounding_box()["width"]
        press(divider, "ArrowRight")
        page.wait_for_function("w => document.querySelector('.left')?.clientWidth > w", arg=before)
        box = divider.bounding_box()
        page.mouse.move(box["x"] + 5, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(box["x"] - 150, box["y"] + 100)
        page.mouse.up()
        page.wait_for_function("w => document.querySelector('.left')?.clientWidth < w", arg=before)


def test_phone_shows_one_panel_and_one_lane(browser, address):
    with opened(browser, microscope(address, trace=BLOCKS), PHONE) as page:
        row(page, "blocks 0 to 4").wait_for()
        assert page.locator(".backward.cell").count() == 0
        page.get_by_role("group", name="Lanes").get_by_role("button", name="Backward").click()
        page.locator(".backward.cell").first.wait_for()
        assert page.locator(".forward.cell").count() == 0
        page.locator(".backward.cell[data-address]").first.click()
        assert page.get_by_role("tab", name="Tensor").get_attribute("aria-selected") == "true"
        press(page.get_by_role("tab", name="Tensor"), "ArrowLeft")
        page.get_by_role("treegrid").wait_for()


@HANDS
def test_a_step_is_recorded_and_opens(browser, home, hand):
    with serving(create_app(Lab(home))) as address, hand.opened(browser, f"{address}/microscope") as page:
        assert page.get_by_label("Text the model learns from in this step").input_value() == "parse_args"  # an example
        page.get_by_label("Text the model learns from in this step").fill("read_text")
        page.get_by_label("Weights").select_option(label="of step 4")
        hand.use(page.get_by_role("button", name="Record this step"))
        page.get_by_text("Recording", exact=False).first.wait_for()
        page.get_by_role("treegrid").wait_for(timeout=120_000)
        facts = next(one for one in asked(address, "traces") if one["name"] == here(page)["trace"])
        assert (facts["text"], facts["checkpoint"], facts["run"]) == ("read_text", 4, RUN)
        page.goto(f"{address}/microscope")
        page.get_by_label("Text the model learns from in this step").fill("x" * 3000)
        hand.use(page.get_by_role("button", name="Record this step"))
        page.get_by_role("alert").filter(has_text="shorten").wait_for(timeout=60_000)


@HANDS
def test_numbers_are_checked(browser, address, hand):
    trace = BLOCKS if hand.is_mouse else OTHER  # it is checked once; later its findings say so at once
    with hand.opened(browser, microscope(address, trace=trace, side="findings")) as page:
        hand.use(page.get_by_role("button", name="Check all numbers"))
        page.get_by_role("heading", name="Every number follows from its formula").wait_for(timeout=60_000)
        report = asked(address, "microscope/verify", trace=trace)["report"]
        section = page.get_by_role("region", name="Check of all numbers").inner_text()
        for number in (report["operations"], report["explained"], report["values_checked"]):
            assert f"{number:,}" in section
        page.get_by_role("button", name="verified").wait_for()


@HANDS
def test_two_traces_side_by_side(browser, address, hand):
    with hand.opened(browser, microscope(address, trace=BLOCKS, side="compare")) as page:
        page.get_by_label("Compare with").select_option(OTHER)
        page.locator("tbody tr").first.wait_for()
        settled(page, other=OTHER)
        found = asked(address, "microscope/diff", trace=BLOCKS, other=OTHER, order="largest", limit=20000)
        page.get_by_label("First").select_option("largest")
        largest = found["moved"][0]
        first = page.locator("tbody tr").first
        assert first.locator("button").inner_text().startswith(largest["address"])
        shown = float(first.locator("td").nth(2).get_attribute("title"))
        assert shown == largest["largest"]
        assert abs(largest["after"] - largest["before"]) == pytest.approx(abs(shown))
        hand.use(first.get_by_role("button"))
        settled(page, address=largest["address"])
        side(page, hand, "Modules")
        page.locator(".different").first.wait_for()
        moved = {one["address"] for one in found["moved"]}
        names = asked(address, "microscope/overview", trace=BLOCKS)["addresses"]
        for cell in page.locator(".cell[data-address]").evaluate_all(
            "all => all.map(one => [Number(one.dataset.address), one.classList.contains('different')])"
        ):
            assert cell[1] == (names[cell[0]] in moved)


def tree_cells(page: Any, tree: int) -> list[tuple[int, bool, bool]]:
    """What the cells of one of the two overviews lead to, and whether they are marked as different, and as selected."""
    return (
        page.get_by_role("treegrid")
        .nth(tree)
        .locator(".cell[data-address]")
        .evaluate_all(
            "all => all.map(one => ['different', 'selected'].map(name => one.classList.contains(name)))"
            ".map((said, at) => [Number(all[at].dataset.address), ...said])"
        )
    )


def scrolled(page: Any) -> list[float]:
    return page.get_by_role("treegrid").evaluate_all("all => all.map(one => Math.round(one.scrollTop))")


def test_two_overviews_by_mouse(browser, address):
    with opened(browser, microscope(address, trace=BLOCKS, other=OTHER, side="compare")) as page:
        page.get_by_role("button", name="Both overviews, side by side").click()
        here_, there = (page.get_by_role("treegrid").nth(n) for n in (0, 1))
        there.locator(".different").first.wait_for()
        assert here_.bounding_box()["y"] == there.bounding_box()["y"]
        there.locator('.label:text-is("blocks 0 to 4")').click()  # opened in one, open in both
        here_.locator('.label:text-is("blocks.2")').click()
        there.locator('.label:text-is("up")').wait_for()
        here_.locator('.label:text-is("up")').click()
        settled(page, open="blocks.0~4,blocks.2,blocks.2.up", beside="1")
        names = asked(address, "microscope/overview", trace=BLOCKS)["addresses"]
        moved = {
            one["address"] for one in asked(address, "microscope/diff", trace=BLOCKS, other=OTHER, limit=20000)["moved"]
        }
        becomes(lambda: tree_cells(page, 0) == tree_cells(page, 1), True)
        assert len(tree_cells(page, 0)) > 20
        for cell, is_different, _ in tree_cells(page, 0):
            assert is_different == (names[cell] in moved), names[cell]
        there.hover()
        page.mouse.wheel(0, 130)
        becomes(lambda: scrolled(page), [130, 130])
        page.mouse.wheel(0, -500)
        becomes(lambda: scrolled(page), [0, 0])
        weight = names.index("blocks.2.up.weight")
        there.locator(f'.forward[data-address="{weight}"]').click()
        settled(page, address="blocks.2.up.weight")
        for tree in (0, 1):
            becomes(lambda at=tree: [cell for cell, _, chosen in tree_cells(page, at) if chosen], [weight])
        page.get_by_role("button", name="Other trace", exact=True, pressed=True).wait_for()  # the one that was clicked
        page.reload()
        page.get_by_role("treegrid").nth(1).locator(".selected").first.wait_for()
        page.get_by_role("button", name="Both overviews").click()
        becomes(page.get_by_role("treegrid").count, 1)
        page.go_back()
        page.get_by_role("treegrid").nth(1).wait_for()


def test_two_overviews_of_models_of_different_depth_by_keyboard_on_a_phone(browser, address):
    with opened(browser, microscope(address, trace=BLOCKS, other=DEEP), PHONE, "dark") as page:
        press(page.get_by_role("button", name="Both overviews"))
        here_, there = (page.get_by_role("treegrid").nth(n) for n in (0, 1))
        there.wait_for()
        press(here_, "ArrowDown")
        press(here_, "ArrowDown")
        press(here_, "ArrowRight")  # blocks 0 to 4 there are blocks 0 to 6
        there.locator('.label:text-is("blocks.6")').wait_for(state="attached")
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        tops = [
            dict(
                tree.locator(".row").evaluate_all(
                    "all => all.map(one => [one.querySelector('.label, .weight-name')?.textContent, one.style.top])"
                )
            )
            for tree in (here_, there)
        ]
        for name in ("The model", "blocks.0", "blocks.4", "head"):
            assert tops[0][name] == tops[1][name], "the same stands at the same height"
        assert "blocks.5" not in tops[0]
        assert there.get_by_text("only here").count() == 2
        assert here_.get_by_text("only here").count() == 0
        press(here_, "End")
        becomes(lambda: len({*scrolled(page), 0}), 2)  # both, by the same
        press(there, "End")
        press(there, "ArrowUp")
        press(there, "Enter")
        page.get_by_role("tab", name="Tensor", selected=True).wait_for()
        page.get_by_role("button", name="Other trace", exact=True, pressed=True).wait_for()


@HANDS
def test_edited_and_original(browser, address, hand):
    edits = json.dumps([{"address": "blocks.2.up.bias", "index": [3], "value": 5.0}])
    with hand.opened(browser, microscope(address, trace=BLOCKS, edits=edits, side="compare")) as page:
        page.get_by_label("Compare with").select_option(label="this trace before the changes")
        page.get_by_label("First").select_option("program")
        rows = page.locator("tbody tr")
        rows.first.wait_for()
        assert rows.first.locator("button").inner_text() == "blocks.2.up.bias[3]"
        assert float(rows.first.locator("td").nth(1).get_attribute("title")) == 5.0
        side(page, hand, "Modules")
        page.locator(".different").first.wait_for()
        if hand.is_mouse:
            row(page, "blocks 0 to 4").locator(".name").click()
        else:
            walk(page, "blocks 0 to 4")
            page.keyboard.press("ArrowRight")
        # nothing before the change differs in the forward pass, what comes after does
        assert row(page, "blocks.1").locator(".forward.different").count() == 0
        assert row(page, "blocks.3").locator(".forward.different").count() == 1
        found = asked(address, "microscope/diff", trace=BLOCKS, other=BLOCKS, other_edits=edits, limit=20000)["moved"]
        loss = next(one for one in found if one["address"] == "loss")
        page.get_by_role("button", name=f"Loss as recorded {loss['before']}").wait_for()
        page.get_by_role("button", name=f"Loss with the changes {loss['after']}").wait_for()


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_overview_at_every_size_and_theme(browser, address, viewport, theme):
    situation = {"trace": TRACE, "open": "blocks.0~2,blocks.0,blocks.0.attn", "position": 90}
    with opened(browser, microscope(address, **situation), viewport, theme) as page:
        page.get_by_role("treegrid").wait_for()
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        look(page, f"microscope-overview-{viewport['width']}-{theme}")
        if viewport is DESKTOP:
            page.goto(microscope(address, **situation, address="blocks.0.attn.scores", index="0,0,1,1"))
            page.locator(".selected").first.wait_for()
            look(page, f"microscope-selected-{theme}")
        page.goto(microscope(address, trace=BLOCKS, other=OTHER, side="compare"))
        page.locator("tbody tr").first.wait_for()
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        look(page, f"microscope-compare-{viewport['width']}-{theme}")
        page.goto(microscope(address, trace=BROKEN, side="findings"))
        page.locator(".finding").first.wait_for()
        assert not accessibility_problems(page)
        look(page, f"microscope-findings-{viewport['width']}-{theme}")
