"""The Writing tab: from an export to pairs, by mouse and by keyboard; numbers on screen are the lab's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from server.writings import LINE, make_export, make_writing
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
from cutaway.voice.pairs import read_topics


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("lab") / "home"
    home.mkdir()
    make_writing(home, "letters", 14)
    return home


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with serving(create_app(Lab(home))) as served:
        yield f"{served}/voice"


@pytest.fixture(scope="module")
def asker(home: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Lab(home))) as client:
        yield client


def step(page: Any, name: str) -> Any:
    page.get_by_role("navigation", name="Steps").get_by_role("button", name=name).click()
    return page.get_by_role("region", name=name, exact=True)


@HANDS
def test_from_an_export_to_pairs(browser: Any, tmp_path: Path, hand: Hand) -> None:
    """All steps in an empty lab, as a person does them who has never seen it."""
    export, home = make_export(tmp_path / "export"), tmp_path / "home"
    with serving(create_app(Lab(home))) as served, hand.opened(browser, f"{served}/voice") as page:
        page.get_by_role("heading", name="Import your writing").wait_for()
        hand.use(page.get_by_role("form").get_by_role("button", name="Import"))
        page.get_by_text("Choose files or a folder first").wait_for()
        if hand.is_mouse:
            page.locator("input[type=file]").first.set_input_files(sorted(export.iterdir()))
            page.get_by_text("12 files: ").wait_for()
        else:
            page.get_by_label("Or its path on this machine").fill(str(export))
        page.get_by_label("Name of the folder").fill("essays")
        hand.use(page.get_by_role("form").get_by_role("button", name="Import"))
        hand.use(page.get_by_role("button", name="Next: clean it"))
        page.get_by_text("Nothing was removed yet").wait_for()
        hand.use(page.get_by_role("region", name="Clean").get_by_role("button", name="Clean", exact=True))
        page.get_by_text("Cleaning took away").wait_for()
        hand.use(page.get_by_role("navigation", name="Steps").get_by_role("button", name="Pairs"))
        hand.use(page.get_by_role("button", name="Make pairs"))
        page.get_by_role("heading", name="pairs to learn").wait_for()
        for name in ("pieces.jsonl", "cleaned.jsonl", "topics.toml", "train.jsonl", "held_out.jsonl"):
            assert (home / "essays" / name).is_file(), name
        assert situation(page)["writing"] == "essays"


def test_a_rule_is_switched_and_its_changes_are_shown(browser: Any, address: str, asker: TestClient) -> None:
    def said() -> dict[str, Any]:
        now = asker.get("/api/voice/writing", params={"writing": "letters"}).json()
        return {rule["name"]: rule for rule in now["rules"]} | {"words": now["words"]}

    with opened(browser, f"{address}?writing=letters&step=clean") as page:
        lead = page.locator(".lead")
        lead.get_by_text(f"{said()['words']:,} are left").wait_for()
        row = page.get_by_role("row", name="Boilerplate")
        assert row.get_by_role("cell").nth(2).inner_text() == f"{said()['boilerplate']['words']:,}"
        row.get_by_role("button", name="show 14 changes").click()
        panel = page.get_by_role("region", name="Changes of Boilerplate")
        becomes(panel.locator("del").count, 14)
        assert panel.locator("del").first.inner_text() == LINE
        row.get_by_role("switch").press("Space")
        panel.get_by_text("this is what it would do").wait_for()
        assert not said()["boilerplate"]["is_on"]
        lead.get_by_text(f"{said()['words']:,} are left").wait_for()
        page.get_by_role("row", name="URLs").get_by_role("button", name="show 14 changes").press("Enter")
        urls = page.get_by_role("region", name="Changes of URLs")
        becomes(lambda: "https://example.org/0" in urls.locator("li").first.inner_text(), True)
        assert "they say" not in "".join(urls.locator("del").all_inner_texts())
        row.get_by_role("switch").click()
        becomes(lambda: said()["boilerplate"]["is_on"], True)
        urls.get_by_role("button", name="Essay number 3").click()
        page.get_by_role("article", name="The open piece").get_by_role("heading", name="Essay number 3").wait_for()
        page.go_back()
        urls.wait_for()


@HANDS
def test_pieces_are_searched_and_one_is_opened(browser: Any, address: str, asker: TestClient, hand: Hand) -> None:
    every = asker.get("/api/voice/pieces", params={"writing": "letters"}).json()["pieces"]
    with hand.opened(browser, f"{address}?writing=letters&step=pieces") as page:
        table = page.get_by_role("table", name="Pieces")
        becomes(lambda: table.get_by_role("row").count(), len(every) + 1)
        assert table.get_by_text("held out").count() == sum(one["side"] == "held_out" for one in every)
        page.get_by_role("searchbox", name="Search titles and texts").fill("essay number 9")
        becomes(lambda: table.get_by_role("row").count(), 3)  # and its footnote
        hand.use(table.get_by_role("button", name="Essay number 9").first)
        piece = page.get_by_role("article", name="The open piece")
        piece.get_by_text("Show what the rules took away").wait_for()
        facts = next(one for one in every if one["name"] == "essay-number-9")
        assert f"{facts['words_before']} words, {facts['words']} after cleaning" in piece.inner_text()
        assert piece.locator("del").first.inner_text() == LINE
        hand.tick(piece.get_by_role("checkbox"))
        becomes(piece.locator("del").count, 0)
        assert "Subscribe now" not in piece.inner_text()
        assert situation(page)["piece"] == "essay-number-9"
        assert sideways_scroll(page) == 0


@HANDS
def test_topics_are_written_and_drafts_given(browser: Any, address: str, home: Path, hand: Hand) -> None:
    number = 4 if hand.is_mouse else 5
    with hand.opened(browser, f"{address}?writing=letters&step=topics") as page:
        page.get_by_role("searchbox", name="Search topics").fill(f"number {number}")
        field = page.get_by_label(f"Topic of Essay number {number}", exact=True)
        field.fill("what rain is for")
        if hand.is_mouse:
            page.get_by_role("button", name="Save 1 topic").click()
        else:
            field.press("Enter")
        page.get_by_text("1 topic saved").wait_for()
        assert read_topics(home / "letters" / "topics.toml")[f"essay-number-{number}"] == "what rain is for"
        page.locator("input[type=file]").first.set_input_files(
            {"name": f"essay number {number}.txt", "mimeType": "text/plain", "buffer": b"rain, wet; why?"}
        )
        hand.use(page.get_by_role("button", name="Use these drafts"))
        page.get_by_text(f"Drafts of 1 piece: essay-number-{number}").wait_for()
        page.locator("input[type=file]").first.set_input_files(
            {"name": "of nothing.txt", "mimeType": "text/plain", "buffer": b"rain"}
        )
        hand.use(page.get_by_role("button", name="Use these drafts"))
        page.get_by_role("alert").get_by_text("fits no piece").wait_for()
        page.wrong[:] = [one for one in page.wrong if "422" not in one]


def test_pairs_on_screen_are_the_files(browser: Any, address: str, asker: TestClient) -> None:
    with opened(browser, f"{address}?writing=letters&step=pairs") as page:
        page.get_by_label("Held out, % of pieces").fill("30")
        page.get_by_label("Split to fit, tokens").fill("200")
        page.get_by_role("checkbox", name="Continuation").uncheck()
        page.get_by_role("button", name="Make them again").click()
        page.get_by_role("heading", name="4 pieces held out, whole").wait_for()
        now = asker.get("/api/voice/pairs", params={"writing": "letters"}).json()["report"]
        assert now["settings"]["held_out"] == 0.3
        assert "continuation" not in [one["tier"] for one in now["tiers"]]
        made = page.get_by_role("region", name="What was made")
        made.get_by_role("heading", name=f"{now['train']:,} pairs to learn, {now['held_out']:,} held out").wait_for()
        for one in now["tiers"]:
            cells = made.get_by_role("row", name=one["tier"].capitalize()).get_by_role("cell").all_inner_texts()
            assert cells[:2] == [f"{one['train']:,}", f"{one['held_out']:,}"]
        budget = page.get_by_role("region", name="What fits which model")
        for one in now["budgets"]:
            cells = budget.get_by_role("row", name=f"{one['context']:,} ").get_by_role("cell").all_inner_texts()
            assert (cells[0], cells[1], cells[-1]) == (
                f"{one['fits']:,}",
                str(len(one["split"])),
                f"{one['longest']:,}",
            )
        budget.get_by_role("button", name="too long for 200 tokens").press("Enter")
        assert budget.get_by_role("listitem").count() == len(now["budgets"][0]["split"])
        page.get_by_role("button", name="held out", exact=True).click()
        page.get_by_role("status").get_by_text(f"{now['held_out']} pairs").wait_for()
        page.get_by_role("list").get_by_role("button", name="Essay · ").first.click()
        pair = page.get_by_role("article", name="The open pair")
        listed = asker.get("/api/voice/pair-list", params={"writing": "letters", "side": "held_out"}).json()["pairs"]
        first = next(one for one in listed if one["tier"] == "essay")["index"]
        theirs = asker.get("/api/voice/pair", params={"writing": "letters", "side": "held_out", "index": first}).json()[
            "turns"
        ]
        becomes(lambda: pair.locator(".turn p").all_inner_texts(), [turn["text"] for turn in theirs])
        pair.get_by_role("button", name="The next pair").press("Enter")
        becomes(lambda: situation(page)["pair"], str(first + 1))
        page.get_by_label("Split to fit, tokens").fill("5")
        page.get_by_role("button", name="Make them again").click()
        page.get_by_role("alert").get_by_text("a context of 5 holds no pair").wait_for()
        page.wrong[:] = [one for one in page.wrong if "400" not in one]


def test_what_cannot_be_read_is_said(browser: Any, address: str) -> None:
    with opened(browser, f"{address}?writing=nowhere") as page:
        page.get_by_text("there is no writing folder 'nowhere'").wait_for()
        page.get_by_label("Name of the folder").fill("letters")
        page.locator("input[type=file]").first.set_input_files(
            {"name": "export.zip", "mimeType": "application/zip", "buffer": b"no zip"}
        )
        page.get_by_role("form").get_by_role("button", name="Import").click()
        page.get_by_role("alert").get_by_text("there is a folder 'letters' already").wait_for()
        page.get_by_label("Name of the folder").fill("other")
        page.get_by_role("form").get_by_role("button", name="Import").click()
        page.get_by_role("alert").get_by_text("export.zip is not a zip that can be read").wait_for()
        page.wrong[:] = [one for one in page.wrong if "status of 4" not in one]


@pytest.mark.parametrize(("viewport", "theme"), [LOOKS[0], LOOKS[-1]])
def test_looks(browser: Any, address: str, viewport: dict[str, int], theme: str) -> None:
    opening = "rule=urls&piece=essay-number-1&pairOpen=1"
    with opened(browser, f"{address}?writing=letters&{opening}", viewport, theme) as page:
        steps = page.get_by_role("navigation", name="Steps").get_by_role("button")
        for number, name in enumerate(["import", "clean", "pieces", "topics", "pairs"]):
            becomes(steps.count, 5)
            steps.nth(number).click()
            page.wait_for_load_state("networkidle")
            assert not accessibility_problems(page)
            assert sideways_scroll(page) == 0
            look(page, f"voice-{name}-{viewport['width']}-{theme}")
