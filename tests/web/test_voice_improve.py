"""Better answers on screen: a question answered several times, the best chosen; a run that prefers one's own answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from voice.ranked_run import make_ranked
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
)

from cutaway.base.runs import RunFolder
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.voice.best_kept import kept_best


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ranked(tmp_path_factory.mktemp("home"), runs=".")


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with serving(create_app(Lab(home))) as served:
        yield served


@HANDS
def test_the_best_of_several(browser: Any, address: str, home: Path, hand: Hand) -> None:
    with hand.opened(browser, f"{address}/voice?tab=improve&run=me") as page:
        prompt = f"Write about {3 if hand.is_mouse else 5}."
        page.get_by_label("Question").fill(prompt)
        page.get_by_label("Answers", exact=True).fill("3")
        page.get_by_label("Tokens of each").fill("150")
        hand.use(page.get_by_role("button", name=re.compile("^Answer . times$")))
        asked = page.get_by_role("article").filter(has_text=prompt)
        asked.locator("li.best").wait_for(timeout=120_000)
        (told,) = [one for one in kept_best(RunFolder(home / "me")) if one.get("prompt") == prompt]
        scores = [one["score"] for one in told["answers"]]
        rest = sorted((score for n, score in enumerate(scores) if n != told["best"]), reverse=True)
        shown = [float(text) for text in asked.locator(".score .mono").all_inner_texts()]
        assert shown == [round(score, 2) for score in (scores[told["best"]], *rest)]
        chosen = " ".join(told["answers"][told["best"]]["text"].split())
        assert " ".join(asked.locator("li.best .text").inner_text().split()) == chosen
        page.get_by_text(told["ranking"]["sentence"]).wait_for()
        page.get_by_text("--seed 1").wait_for()  # asked again it draws others


@HANDS
def test_a_run_learns_to_prefer(browser: Any, address: str, home: Path, hand: Hand) -> None:
    with hand.opened(browser, f"{address}/voice?tab=improve&run=me") as page:
        name = f"nearer-{hand.name}"
        page.get_by_label("Prompts at most").fill("2")
        page.get_by_label("Name", exact=True).fill("me")
        hand.use(page.get_by_role("button", name="Teach it"))
        page.get_by_text("exists already").wait_for()
        page.wrong.clear()  # the browser names the refused request
        page.get_by_label("Name", exact=True).fill(name)
        hand.use(page.get_by_role("button", name="Teach it"))
        listed = page.get_by_role("listitem").filter(has_text="leans to your answer").filter(has_text=name)
        listed.wait_for(timeout=180_000)
        found = (RunFolder(home / name).summary() or {})["preference"]
        assert f"in {round(100 * found['accuracy'])} % of" in listed.inner_text()
        hand.use(listed.get_by_role("button", name="Its report"))
        page.get_by_role("tab", name="Report", selected=True).wait_for()
        becomes(lambda: page.get_by_label("Tuned model").input_value(), name)


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_looks(browser: Any, address: str, viewport: dict[str, int], theme: str) -> None:
    with opened(browser, f"{address}/voice?tab=improve&run=me", viewport, theme) as page:
        page.get_by_role("heading", name="Prefer your answers").wait_for()
        page.wait_for_load_state("networkidle")
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        look(page, f"voice-improve-{viewport['width']}-{theme}")
