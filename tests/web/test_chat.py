"""Asking models on a page: alone with it as a visitor, in the lab beside the base, in a line with others."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect
from server.model_folders import save_model
from voice.tuned_runs import make_base, make_tuned, make_writing
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

from cutaway.server.app import create_app
from cutaway.server.lab import Lab

MODELS = ("models/gpt2", "models/llama")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    home = tmp_path_factory.mktemp("home")
    for name in MODELS:
        save_model(home / name, name.rpartition("/")[2])
    return Lab(home, offered=MODELS)


@pytest.fixture(scope="module")
def address(lab: Lab) -> Iterator[str]:
    with serving(create_app(lab)) as served:
        yield served


def wait_for_answers(page: Any, n: int) -> None:
    expect(page.get_by_role("article")).to_have_count(n)
    expect(page.locator("article[aria-busy=true]")).to_have_count(0)


@HANDS
def test_a_visitor_asks_two_models(browser: Any, address: str, hand: Hand) -> None:
    with hand.opened(browser, address) as page:
        box = page.get_by_label("Your question")
        hand.tick(page.get_by_role("checkbox", name=MODELS[1]))
        becomes(lambda: situation(page).get("ask"), ",".join(MODELS))
        page.get_by_label("At most").fill("6")
        page.get_by_label("Temperature").fill("0")
        page.get_by_label("Temperature").press("Tab")
        box.fill("hello there")
        if hand.is_mouse:
            page.get_by_role("button", name="Ask", exact=True).click()
        else:
            box.press("Enter")
        wait_for_answers(page, 2)
        for name in MODELS:
            answer = page.get_by_role("article", name=f"Answer of {name}")
            body = {
                "model": name,
                "messages": [{"role": "user", "content": "hello there"}],
                "max_tokens": 6,
                "temperature": 0,
            }
            told = httpx.post(f"{address}/v1/chat/completions", json=body).json()["choices"][0]["message"]["content"]
            becomes(lambda answer=answer: (answer.locator(".text").text_content() or "").strip(), told.strip())
            expect(answer).to_contain_text("6 tokens")
        box.fill("and more")
        box.press("Enter")
        wait_for_answers(page, 4)
        hand.use(page.get_by_role("button", name="Begin anew"))
        expect(page.get_by_role("article")).to_have_count(0)
        assert page.get_by_role("navigation").count() == 0, "nothing else of the lab is there"
        assert sideways_scroll(page) == 0


def test_the_place_in_line_is_shown_and_one_can_leave_it(browser: Any, lab: Lab, address: str) -> None:
    body = {"model": MODELS[0], "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2, "person": "x"}
    with ThreadPoolExecutor(6) as pool, opened(browser, address) as page, lab.models.open(MODELS[0]).lock:
        for _ in range(6):  # four at once, two wait
            pool.submit(httpx.post, f"{address}/api/chat/answer", json=body, timeout=60)
        becomes(lambda: lab.streams.n_waiting, 2)
        # the two that wait were asked by one person: ours goes between them
        page.get_by_label("Your question").fill("hello")
        page.get_by_role("button", name="Ask", exact=True).click()
        page.get_by_text("before yours").wait_for()
        becomes(lambda: lab.streams.n_waiting, 3)
        page.get_by_role("button", name="Stop").click()
        page.get_by_text("Stopped.").wait_for()
        becomes(lambda: lab.streams.n_waiting, 2)
    becomes(lambda: lab.streams.n_running, 0)


def test_what_goes_wrong_stands_where_the_answer_would(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        page.get_by_label("Your question").fill("hello " * 2000)
        page.get_by_label("Your question").press("Enter")
        page.get_by_role("alert").get_by_text("sees").wait_for()


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_looks(browser: Any, address: str, viewport: dict[str, int], theme: str) -> None:
    with opened(browser, f"{address}/?ask={','.join(MODELS)}&most=40", viewport, theme) as page:
        page.get_by_label("Your question").fill("hello there")
        page.get_by_label("Your question").press("Enter")
        wait_for_answers(page, 2)
        look(page, f"chat-{viewport['width']}-{theme}")
        assert accessibility_problems(page) == []
        assert sideways_scroll(page) == 0


@pytest.mark.quick
def test_in_the_lab_the_tuned_model_is_asked_beside_its_base(browser: Any, tmp_path: Path) -> None:
    base, writing = make_base(tmp_path / "base"), make_writing(tmp_path / "writing")
    make_tuned(tmp_path, "mine", base, writing)
    with serving(create_app(Lab(tmp_path))) as served, opened(browser, f"{served}/voice?tab=use&run=mine") as page:
        page.get_by_label("At most").fill("4")
        page.get_by_label("Your question").fill("the sea")
        page.get_by_role("button", name="Ask", exact=True).click()
        wait_for_answers(page, 1)
        expect(page.get_by_role("article", name="Answer of mine")).to_contain_text("tokens in")
        page.get_by_text("cutaway voice serve mine").wait_for()
        assert accessibility_problems(page) == []
