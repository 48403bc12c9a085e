"""The Write tab: a text as it is written, tokens opened, branches, settings, several models; by mouse and by keyboard."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from server.labs import wait_for
from web.browser import DESKTOP, LOOKS, PHONE, accessibility_problems, look, opened, serving, sideways_scroll
from web.generate_models import client, make_home, write

from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.server.routes import generate as routes

BALANCED = {"temperature": 0.8, "top_p": 0.95, "max_tokens": 120, "seed": 0}
ASKED = "generate?model=models/letters&prompt=the+cat"
WRITTEN = f"{ASKED}&written=1"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def asker(home: Path) -> Iterator[TestClient]:
    with client(home) as started:
        yield started


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with serving(create_app(Lab(home))) as served:
        yield f"{served}/"


def ids(page: Any, column: int = 0) -> list[int]:
    """Return the tokens of a finished text."""
    section = page.get_by_role("region", name="Text of").nth(column)
    section.locator("xpath=self::*[@data-stage='done']").wait_for()
    return section.locator("[data-t]").evaluate_all("all => all.map((one) => Number(one.dataset.id))")


def token(page: Any, t: int, column: int = 0) -> Any:
    return page.get_by_role("region", name="Text of").nth(column).locator(f"[data-t='{t}']")


def panel(page: Any) -> Any:
    return page.get_by_role("complementary", name="The open token")


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_looks(browser: Any, address: str, viewport: dict[str, int], theme: str) -> None:
    with opened(browser, f"{address}{ASKED}", viewport, theme) as page:
        page.get_by_role("button", name="Write", exact=True).click()
        ids(page)
        token(page, 5).click()
        panel(page).get_by_role("list", name="Candidates").wait_for()
        look(page, f"generate-write-{viewport['width']}-{theme}")
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        panel(page).get_by_role("button", name="Close").click()
        page.get_by_role("button", name="Settings").click()
        page.get_by_role("slider", name="Point 1 of 1").wait_for()
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        look(page, f"generate-settings-{viewport['width']}-{theme}")


@pytest.mark.quick
def test_the_text_is_the_labs(browser: Any, address: str, asker: TestClient) -> None:
    theirs = write(asker, "models/letters", "the cat", BALANCED)
    with opened(browser, f"{address}{ASKED}") as page:
        page.get_by_role("button", name="Write", exact=True).wait_for()
        page.get_by_label("Prompt: the text").press("Control+Enter")
        assert ids(page) == [one["id"] for one in theirs]
        page.wait_for_url("**written=1**")
        for t in (0, 7, len(theirs) - 1):
            label = token(page, t).get_attribute("title")
            assert float(label.rpartition(" ")[2]) == pytest.approx(theirs[t]["probability"], rel=1e-6)
        page.reload()
        assert ids(page) == [one["id"] for one in theirs]
        page.get_by_role("button", name="Write another").click()
        other = write(asker, "models/letters", "the cat", {**BALANCED, "seed": 1})
        wait_for(lambda: ids(page) == [one["id"] for one in other])
        page.go_back()
        wait_for(lambda: ids(page) == [one["id"] for one in theirs])


def test_a_token_is_opened_by_mouse_and_its_numbers_are_the_labs(browser: Any, address: str, asker: TestClient) -> None:
    theirs = write(asker, "models/letters", "the cat", BALANCED)
    asked = {"model": "models/letters", "prompt": "the cat", "settings": BALANCED}
    with opened(browser, f"{address}{WRITTEN}") as page:
        ids(page)
        token(page, 9).click()
        step = asker.post("/api/generate/step", json={**asked, "tokens": [one["id"] for one in theirs[:10]]}).json()
        panel(page).get_by_role("heading", name="Token 9").wait_for()
        rows = panel(page).get_by_role("list", name="Candidates").get_by_role("listitem")
        wait_for(lambda: rows.count() == len(step["candidates"]))
        for i, stage in enumerate(["the model", "temperature", "top-p"]):
            panel(page).get_by_role("toolbar").get_by_role("button", name=stage).click()
            panel(page).get_by_role("list", name=f"Candidates after: {stage}").wait_for()
            at = {"the model": "raw", "temperature": "temperature", "top-p": "top_p"}[stage]
            n = [one["name"] for one in step["stages"]].index(at)
            for row, one in enumerate(step["candidates"]):
                if one["removed_by"] == "top_p" and i == 2:
                    assert "removed here" in rows.nth(row).inner_text()
                else:
                    said = rows.nth(row).get_by_role("button", name="probability").get_attribute("aria-label")
                    assert float(said.split(" ")[-2].rstrip(",")) == pytest.approx(one["probabilities"][n], rel=1e-9)
            entropy = panel(page).get_by_role("button", name="entropy in bits").get_attribute("aria-label")
            assert float(entropy.split(" ")[-2].rstrip(",")) == pytest.approx(step["stages"][n]["entropy_bits"])
        random = panel(page).get_by_role("button", name="random number").get_attribute("aria-label")
        assert float(random.split(" ")[-2].rstrip(",")) == pytest.approx(step["uniform"])
        panel(page).get_by_role("button", name="All stages as a table").click()
        assert panel(page).get_by_role("row").count() == len(step["candidates"]) + 3
        assert not accessibility_problems(page)


def test_tokens_by_keyboard(browser: Any, address: str) -> None:
    with opened(browser, f"{address}{WRITTEN}") as page:
        ids(page)
        token(page, 0).focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        panel(page).get_by_role("heading", name="Token 2").wait_for()
        page.keyboard.press("ArrowRight")
        panel(page).get_by_role("heading", name="Token 3").wait_for()
        page.keyboard.press("ArrowDown")
        assert page.evaluate("Number(document.activeElement.dataset.t)") > 10
        page.keyboard.press("ArrowUp")
        page.keyboard.press("End")
        panel(page).get_by_role("heading", name="Token 119").wait_for()
        page.wait_for_url("**token=119**")
        page.keyboard.press("Escape")
        panel(page).wait_for(state="detached")
        page.go_back()
        panel(page).get_by_role("heading", name="Token 119").wait_for()
        panel(page).get_by_role("toolbar").get_by_role("button", name="top-p").focus()
        page.keyboard.press("ArrowLeft")
        panel(page).get_by_role("list", name="Candidates after: temperature").wait_for()
        page.wait_for_url("**stage=**")
        page.reload()
        panel(page).get_by_role("list", name="Candidates after: temperature").wait_for()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_branches(browser: Any, address: str, asker: TestClient, viewport: dict[str, int]) -> None:
    trunk = write(asker, "models/letters", "the cat", BALANCED)
    with opened(browser, f"{address}{WRITTEN}&token=6", viewport) as page:
        ids(page)
        panel(page).get_by_role("list", name="Candidates").wait_for()
        choice = panel(page).get_by_role("button", name="here instead").nth(1)
        said = choice.get_attribute("aria-label")
        choice.press("Enter")
        page.wait_for_url("**path=6.*")
        chosen = int(page.url.partition("path=6.")[2].partition("&")[0])
        assert chosen != trunk[6]["id"]
        branch = write(asker, "models/letters", "the cat", BALANCED, forced={"6": chosen})
        assert [one["id"] for one in branch[:7]] == [*(one["id"] for one in trunk[:6]), chosen]
        assert ids(page) == [one["id"] for one in branch]
        panel(page).get_by_text("You chose").first.wait_for()
        panel(page).get_by_role("button", name="Close").click()
        rows = page.locator(".tree .row-button")
        assert rows.count() == 2
        assert said.removeprefix("Write ").removesuffix(" here instead") in rows.nth(1).inner_text()
        assert rows.nth(1).get_attribute("aria-current") == "true"
        rows.nth(1).focus()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        wait_for(lambda: ids(page) == [one["id"] for one in trunk])
        page.go_back()
        wait_for(lambda: ids(page) == [one["id"] for one in branch])
        token(page, 20).click()
        panel(page).get_by_label("Another token here").fill("z")
        panel(page).get_by_role("button", name="Write “z”").click()
        page.wait_for_url("**-20.*")
        assert rows.count() == 3
        look(page, f"generate-branches-{viewport['width']}")
        deep = ids(page)
        page.reload()
        assert ids(page) == deep
        wait_for(lambda: rows.count() == 3)
        assert "“z” at 20" in rows.nth(2).inner_text()
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Remove the branch").first.click()
        wait_for(lambda: ids(page) == [one["id"] for one in trunk])
        assert page.locator(".tree").count() == 0


def test_models_side_by_side_on_the_same_seed(browser: Any, address: str, asker: TestClient) -> None:
    with opened(browser, f"{address}{WRITTEN}&seed=5") as page:
        ids(page)
        page.get_by_role("button", name="another model").click()
        page.get_by_label("Model B").select_option("models/others")
        wait_for(lambda: page.get_by_role("region", name="Text of models/others").count())
        page.get_by_role("button", name="another model").press("Enter")
        page.get_by_label("Model C").select_option("models/pairs")
        wait_for(lambda: page.get_by_role("region", name="Text of models/pairs").count())
        for column, model in enumerate(["models/letters", "models/others", "models/pairs"]):
            theirs = write(asker, model, "the cat", {**BALANCED, "seed": 5})
            assert ids(page, column) == [one["id"] for one in theirs]
        token(page, 3, 1).click()
        panel(page).get_by_role("list", name="Candidates").wait_for()
        look(page, "generate-three-1280")
        assert not accessibility_problems(page)
        page.get_by_role("button", name="Leave out models/others").click()
        wait_for(lambda: page.get_by_role("region", name="Text of").count() == 2)
        page.go_back()
        wait_for(lambda: page.get_by_role("region", name="Text of").count() == 3)


def test_temperature_typed_and_drawn(browser: Any, address: str, asker: TestClient) -> None:
    with opened(browser, f"{address}{WRITTEN}&settings=1&colour=temperature") as page:
        ids(page)
        typed = page.get_by_label("Temperature", exact=True)
        typed.fill("0.2 + 1.5*t/n")
        formula = write(asker, "models/letters", "the cat", {**BALANCED, "temperature": "0.2 + 1.5*t/n"})
        wait_for(lambda: ids(page) == [one["id"] for one in formula])
        assert "temperature 0.95," in f"{token(page, 60).get_attribute('aria-label')},"
        typed.fill("0.2 +")
        page.get_by_text("in the temperature formula").first.wait_for()
        wait_for(lambda: len(page.wrong) >= 1)  # the browser notes the refusal in its console
        typed.fill("0:0.1 100:1.9")
        points = page.get_by_role("slider", name="of the temperature curve")
        wait_for(lambda: points.count() == 2)
        page.wrong.clear()
        points.nth(1).press("ArrowDown")
        points.nth(1).press("ArrowLeft")
        page.wait_for_url("**temperature=0%3A0.1+99%3A1.85**")
        page.get_by_role("button", name="Add a point").press("Enter")
        wait_for(lambda: points.count() == 3)
        points.nth(1).press("Delete")
        wait_for(lambda: points.count() == 2)
        page.get_by_label("Temperature, one number").fill("0.5")
        wait_for(lambda: points.count() == 1)
        box = page.get_by_role("group", name="Temperature over the new tokens").bounding_box()
        page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.9 * box["height"])
        page.mouse.down()
        for share in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
            page.mouse.move(
                box["x"] + share * box["width"], box["y"] + (0.9 - 0.8 * (share - 0.2) / 0.6) * box["height"]
            )
        page.mouse.up()
        wait_for(lambda: points.count() >= 3)
        look(page, "generate-temperature-1280")
        drawn = page.get_by_label("Temperature", exact=True).input_value()
        assert ":" in drawn
        theirs = write(asker, "models/letters", "the cat", {**BALANCED, "temperature": drawn})
        wait_for(lambda: ids(page) == [one["id"] for one in theirs])
        assert not accessibility_problems(page)


def test_presets_can_be_changed_and_reset(browser: Any, address: str, asker: TestClient) -> None:
    with opened(browser, f"{address}{WRITTEN}&settings=1") as page:
        ids(page)
        page.get_by_role("button", name="greedy").click()
        greedy = write(asker, "models/letters", "the cat", {"temperature": 0, "max_tokens": 120})
        wait_for(lambda: ids(page) == [one["id"] for one in greedy])
        page.get_by_label("Top-k").fill("5")
        page.get_by_text("Temperature 0 always takes the likeliest token, so top-k changes nothing.").wait_for()
        page.get_by_role("button", name="creative").press("Enter")
        page.get_by_label("Top-k").fill("7")
        page.get_by_label("Preset to change").select_option("creative")
        page.get_by_role("button", name="Keep these settings as").click()
        page.get_by_role("button", name="creative *").wait_for()
        page.reload()
        page.get_by_role("button", name="greedy").click()
        assert page.get_by_label("Top-k").input_value() == "0"
        page.get_by_role("button", name="creative *").click()
        assert page.get_by_label("Top-k").input_value() == "7"
        page.get_by_role("button", name="Reset “creative”").click()
        assert page.get_by_label("Top-k").input_value() == "0"
        assert page.get_by_role("button", name="creative *").count() == 0
        page.get_by_label("Top-p").fill("1.5")
        page.get_by_text("“1.5” cannot be").wait_for()


def test_stop_ends_it_in_the_lab(browser: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n_written, over = 0, threading.Event()
    push, written = routes.Teller.push, routes.written

    def slow(teller: routes.Teller, one: int) -> str:
        nonlocal n_written
        n_written += 1
        time.sleep(0.02)
        return push(teller, one)

    def watched(*arguments: Any) -> Iterator[Any]:
        try:
            yield from written(*arguments)
        finally:
            over.set()

    monkeypatch.setattr(routes.Teller, "push", slow)
    monkeypatch.setattr(routes, "written", watched)
    with serving(create_app(Lab(home))) as address, opened(browser, f"{address}/{WRITTEN}&max=1000") as page:
        token(page, 5).wait_for()
        page.get_by_role("button", name="Stop").press("Enter")
        page.get_by_text("You stopped it after").wait_for()
        assert over.wait(10)
        assert n_written < 900
        shown = page.locator("[data-t]").count()
        assert 5 < shown <= n_written
        page.get_by_role("button", name="Write again").wait_for()


def test_what_is_cut_or_not_understood_is_said(browser: Any, address: str, asker: TestClient) -> None:
    with opened(browser, f"{address}generate?model=models/letters&written=1&prompt={'the+cat+' * 20}") as page:
        page.get_by_text("The prompt has 160 tokens, more than the model sees at once").wait_for()
        ids(page)
    text = "".join(one["text"] for one in write(asker, "models/letters", "the cat", BALANCED))
    stop = next(text[i : i + 2] for i in range(20, 60) if text[i : i + 2].isalpha())
    with opened(browser, f'{address}{WRITTEN}&stop=["{stop}"]') as page:
        theirs = write(asker, "models/letters", "the cat", {**BALANCED, "stop": [stop]})
        assert ids(page) == [one["id"] for one in theirs]
        page.get_by_text("a stop string ended it").wait_for()
        assert page.locator("[data-t].off").count() == 2
    page_address = f"{address}generate?model=models/letters&prompt=h%C3%A9&written=1"
    with opened(browser, page_address) as page:
        page.get_by_text("characters this model never saw in training: 'é'").first.wait_for()
        page.wrong.clear()  # the browser notes the refusal in its console
    with opened(browser, f"{address}generate?model=nothing&written=1") as page:
        page.get_by_text("nothing (not there)").wait_for(state="attached")
        page.get_by_role("alert").first.wait_for()
        page.wrong.clear()


def test_without_a_model_it_says_how_to_get_one(browser: Any, tmp_path: Path) -> None:
    with serving(create_app(Lab(tmp_path))) as address, opened(browser, f"{address}/generate") as page:
        page.get_by_role("heading", name="There is no model to write with yet").wait_for()
        assert not accessibility_problems(page)
        page.get_by_role("link", name="Train a model").press("Enter")
        page.wait_for_url("**/runs")


def test_another_prompt_begins_another_tree(browser: Any, address: str, asker: TestClient) -> None:
    with opened(browser, f"{address}{WRITTEN}&tree=6.5_6.5-9.7&path=6.5-9.7") as page:
        branch = write(asker, "models/letters", "the cat", BALANCED, forced={"6": 5, "9": 7})
        assert ids(page) == [one["id"] for one in branch]
        assert page.locator(".tree .row-button").count() == 3
        page.get_by_label("Prompt: the text").fill("the dog")
        page.get_by_label("Prompt: the text").press("Control+Enter")
        other = write(asker, "models/letters", "the dog", BALANCED)
        wait_for(lambda: ids(page) == [one["id"] for one in other])
        assert page.locator(".tree").count() == 0
        assert "path" not in page.url
