"""The Compare tab: answers side by side, votes and grades blind until given, results as the lab's; by mouse and keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from server.writings import make_compared
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
from cutaway.voice.canaries import canaries_of
from cutaway.voice.rubric import RUBRIC

ASKED = {"writing": "voice", "models": "hf:small/base,me-1"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_compared(tmp_path_factory.mktemp("lab") / "home")


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with serving(create_app(Lab(home))) as served:
        yield f"{served}/voice?tab=compare"


@pytest.fixture(scope="module")
def asker(home: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Lab(home))) as client:
        yield client


@HANDS
def test_answers_are_read_side_by_side(browser: Any, address: str, asker: TestClient, hand: Hand) -> None:
    said = asker.get("/api/voice/compare", params=ASKED).json()
    with hand.opened(browser, address) as page:
        prompts = page.get_by_role("toolbar", name="Prompts")
        becomes(lambda: prompts.get_by_role("button").count(), len(said["prompts"]))
        second = said["prompts"][1]["name"]
        if hand.is_mouse:
            prompts.get_by_role("button").nth(1).click()
        else:
            prompts.get_by_role("button").first.press("ArrowDown")
        becomes(lambda: situation(page).get("prompt"), second)
        for model in ("hf:small/base", "me-1"):
            text = next(one["text"] for one in said["answers"] if (one["model"], one["prompt"]) == (model, second))
            column = page.get_by_role("article", name=f"Answer of {model}")
            assert column.locator(".text").inner_text() == text
        hand.tick(page.get_by_role("checkbox", name="Mark what differs"))
        column.locator("mark").first.wait_for()
        assert column.locator(".text").inner_text() == text  # nothing but marks was added
        assert not column.locator("mark").filter(has_text="It begins the same").count()
        hand.use(page.get_by_role("button", name="Leave out hf:small/base"))
        becomes(lambda: situation(page)["models"], "me-1")
        assert sideways_scroll(page) == 0
        page.go_back()
        page.get_by_role("article", name="Answer of hf:small/base").wait_for()


@HANDS
def test_pairs_are_rated_blind(browser: Any, address: str, asker: TestClient, hand: Hand) -> None:
    rater = f"rater {hand.name}"
    with hand.opened(browser, f"{address}&view=rate&rater={rater}") as page:
        left = page.get_by_role("article", name="The left answer")
        left.wait_for()
        total = asker.get("/api/voice/compare/pair", params=ASKED | {"rater": rater}).json()["total"]
        for number in range(3):
            page.get_by_text(f"{number} of {total} pairs rated").wait_for()
            assert "me-1" not in page.get_by_role("tabpanel").locator(".pair").inner_text()
            own = "own" in left.locator(".text").inner_text()
            if hand.is_mouse:
                page.get_by_role("button", name="The left one" if own else "The right one").click()
            else:
                page.keyboard.press("1" if own else "2")
            becomes(lambda own=own: left.get_by_role("heading").inner_text(), "me-1" if own else "hf:small/base")
            assert accessibility_problems(page) == []
            if hand.is_mouse:
                page.get_by_role("button", name="Next").click()
            else:
                page.keyboard.press("Enter")
        page.get_by_text(f"3 of {total} pairs rated").wait_for()
        hand.use(page.get_by_role("button", name="Results"))
        told = asker.get("/api/voice/compare/results", params=ASKED).json()
        row = page.get_by_role("table", name="Win rates").get_by_role("row", name="me-1")
        row.wait_for()
        low, high = (f"{100 * told['wins']['me-1'][name]:.0f}" for name in ("low", "high"))
        assert f"100 % ({low} to {high})" in row.inner_text()
        page.get_by_text(f"{told['votes']} votes").wait_for()
        assert sideways_scroll(page) == 0


@HANDS
def test_answers_are_graded_blind(browser: Any, address: str, asker: TestClient, hand: Hand) -> None:
    rater = f"grader {hand.name}"
    with hand.opened(browser, f"{address}&view=grade&rater={rater}") as page:
        answer = page.get_by_role("article", name="The answer to grade")
        answer.wait_for()
        own = "own" in answer.inner_text()
        if hand.is_mouse:
            for number, dimension in enumerate(RUBRIC):
                group = page.get_by_role("group", name=dimension.title)
                group.get_by_role("radio", name=str(1 + number % 5)).check()
        else:
            for number in range(len(RUBRIC)):
                page.keyboard.press(str(1 + number % 5))
        if hand.is_mouse:
            page.get_by_role("button", name="Keep these grades").click()
        else:
            page.get_by_role("button", name="Keep these grades").wait_for()
            page.keyboard.press("Enter")
        page.get_by_text("That was me-1." if own else "That was hf:small/base.").wait_for()
        page.get_by_text("9 questions left").wait_for()
        hand.use(page.get_by_role("button", name="Results"))
        told = asker.get("/api/voice/compare/results", params=ASKED).json()
        model = "me-1" if own else "hf:small/base"
        for dimension in RUBRIC[:3]:
            row = page.get_by_role("table", name=f"Grades: {dimension.title}").get_by_role("row", name=model)
            row.wait_for()
            assert f"{told['grades'][model][dimension.name]['value']:.1f}" in row.inner_text()


@pytest.mark.quick
def test_votes_are_taken_along(browser: Any, address: str) -> None:
    with opened(browser, f"{address}&view=results") as page:
        with page.expect_download() as saved:
            page.get_by_role("link", name="All of it as CSV").click()
        assert Path(saved.value.path()).read_text().startswith("kind,rater,prompt")


@pytest.mark.parametrize(("viewport", "theme"), [LOOKS[0], LOOKS[-1]])
def test_looks(browser: Any, address: str, viewport: dict[str, int], theme: str) -> None:
    with opened(browser, f"{address}&rater=somebody&marks=1", viewport, theme) as page:
        for view in ("Read", "Rate blind", "Grade", "Results", "Prompts"):
            page.get_by_role("button", name=view, exact=True).click()
            page.wait_for_load_state("networkidle")
            assert not accessibility_problems(page)
            assert sideways_scroll(page) == 0
            look(page, f"voice-{view.split()[0].lower()}-{viewport['width']}-{theme}")


@HANDS
def test_prompts_are_changed_here(browser: Any, tmp_path: Path, hand: Hand) -> None:
    home = make_compared(tmp_path / "home")
    with serving(create_app(Lab(home))) as served, hand.opened(browser, f"{served}/voice?tab=compare") as page:
        before = canaries_of(home / "voice").prompts
        hand.use(page.get_by_role("button", name="change them"))
        form = page.get_by_role("form", name="Prompts")
        first = form.get_by_label("Prompt 1", exact=True)
        becomes(first.input_value, before[0].text)
        first.fill("")
        hand.use(form.get_by_role("button", name=re.compile("^Save")))
        form.get_by_text("prompt 1: text is empty").wait_for()
        page.wrong.clear()  # the browser names the refused request
        first.fill("Write about fog.")
        hand.use(form.get_by_role("button", name="Add a new topic"))
        page.keyboard.type("Write about rain.")  # the new one has the focus
        hand.use(form.get_by_role("button", name="Take prompt 2 away"))
        hand.use(form.get_by_role("button", name=re.compile("^Save")))
        form.get_by_role("button", name="Saved").wait_for()
        after = [one.text for one in canaries_of(home / "voice").prompts]
        kinds = [one.kind for one in before]
        at = len(kinds) - kinds[::-1].index("new")  # behind the last of its kind
        expected = ["Write about fog.", *(one.text for one in before[1:at]), "Write about rain."]
        expected += [one.text for one in before[at:]]
        del expected[1]
        assert after == expected
        assert sideways_scroll(page) == 0
        hand.use(page.get_by_role("button", name="Read", exact=True))
        page.get_by_text("has not answered all of").or_(page.get_by_text("have not answered all of")).wait_for()
