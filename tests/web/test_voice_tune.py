"""The Tune tab: a form with what will be learned beside it, a real small tuning started and watched; mouse and keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from server.labs import end_jobs
from server.writings import make_tunable
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

ASKED = {"writing": "voice", "base": "models/small"}
QUICK = {"train.steps": "6", "train.threads": "1", "train.precision": "float32", "generate.max-tokens": "6"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = make_tunable(tmp_path_factory.mktemp("lab") / "home")
    yield home
    end_jobs(home)


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with serving(create_app(Lab(home))) as served:
        yield f"{served}/voice?tab=tune"


@pytest.fixture(scope="module")
def asker(home: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Lab(home))) as client:
        yield client


@HANDS
def test_the_form_is_filled_and_checked(browser: Any, address: str, asker: TestClient, hand: Hand) -> None:
    with hand.opened(browser, address) as page:
        form = page.get_by_role("form", name="Tune a model")
        form.get_by_label("Rank", exact=True).wait_for()
        suited = {
            field["path"]: field["value"]
            for group in asker.get("/api/voice/tune/form", params=ASKED | {"method": "full"}).json()["groups"]
            for field in group["fields"]
        }
        hand.tick(form.get_by_role("radio", name="All weights"))
        form.get_by_label("Rank", exact=True).wait_for(state="detached")
        becomes(lambda: form.get_by_label("Learning rate", exact=True).input_value(), suited["train.learning-rate"])
        form.get_by_label("Epochs", exact=True).fill("many")
        form.get_by_role("alert").get_by_text("expected a number").wait_for()
        form.get_by_label("Epochs", exact=True).fill("3")
        form.get_by_text("--method full --train.epochs 3").wait_for()
        assert json.loads(situation(page)["set"]) == {"train.epochs": "3"}
        assert sideways_scroll(page) == 0


@HANDS
def test_an_example_with_the_tokens_that_count(browser: Any, address: str, asker: TestClient, hand: Hand) -> None:
    said = asker.get("/api/voice/tune/look", params=ASKED).json()
    with hand.opened(browser, address) as page:
        shown = page.get_by_role("region", name="An example as the model reads it")
        for i, example in enumerate(said["examples"][:2]):
            learned = [one["text"] for one in example["stretches"] if one["is_learned"]]
            becomes(lambda: shown.locator("mark").all_text_contents(), learned)
            assert shown.text_content() == "".join(one["text"] for one in example["stretches"])
            if i == 0:
                hand.use(page.get_by_role("button", name="The next example"))
        assert f"{said['n_learned']:,}" in page.get_by_role("region", name="What it will learn").inner_text()
        lengths = page.get_by_role("img", name="Lengths of 6 pairs")
        assert f"the longest {max(said['learned'])}" in lengths.get_attribute("aria-label")
        counts = [int(one.split(": ")[1].split(" ")[0]) for one in lengths.locator("rect title").all_text_contents()]
        assert sum(counts) == len(said["learned"])


def test_a_tuning_is_started_and_watched(browser: Any, address: str, home: Path) -> None:
    with opened(browser, f"{address}&name=mine&set={quote(json.dumps(QUICK))}") as page:
        page.get_by_role("button", name="Start tuning").click()
        run = page.get_by_role("region", name="mine")
        run.get_by_text("finished; the best at step").wait_for(timeout=90_000)
        with page.expect_download() as saved:
            run.get_by_role("button", name="CSV").click()
        rows = [json.loads(line) for line in (home / "mine" / "metrics.jsonl").read_text().splitlines()]
        table = [line.split(",") for line in Path(saved.value.path()).read_text().splitlines()]
        assert [float(row[1]) for row in table[1:] if row[1]] == [row["loss"] for row in rows if "loss" in row]
        assert situation(page)["run"] == "mine"
        assert page.get_by_role("combobox", name="Tuned model").input_value() == "mine"
        assert not accessibility_problems(page)
        look(page, "voice-tuned-1280-light")
        run.get_by_role("link", name="All about this run").click()
        page.wait_for_url("**/runs/mine")


def test_before_there_are_pairs(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "voice").mkdir()
    (tmp_path / "voice" / "pieces.jsonl").write_text("")
    with serving(create_app(Lab(tmp_path))) as served, opened(browser, f"{served}/voice?tab=tune") as page:
        page.get_by_role("heading", name="There are no pairs yet").wait_for()
        page.get_by_role("button", name="To the writing").click()
        becomes(lambda: page.get_by_role("tab", selected=True).inner_text(), "Writing")


@pytest.mark.parametrize(("viewport", "theme"), [LOOKS[0], LOOKS[-1]])
def test_looks(browser: Any, address: str, viewport: dict[str, int], theme: str) -> None:
    with opened(browser, address, viewport, theme) as page:
        page.get_by_role("region", name="An example as the model reads it").wait_for()
        page.get_by_role("button", name="Start tuning").wait_for()
        page.get_by_text("cutaway voice tune").first.wait_for()
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        look(page, f"voice-tune-{viewport['width']}-{theme}")
