"""The Tokens tab: how a text is cut, by each model; by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from server.labs import wait_for
from web.browser import LOOKS, accessibility_problems, look, opened, serving, sideways_scroll
from web.generate_models import client, make_home

from cutaway.server.app import create_app
from cutaway.server.lab import Lab

TEXT = "the cat\n  sat \u200b\u00e9 \U0001f600"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with serving(create_app(Lab(home))) as served:
        yield f"{served}/generate?tab=tokens&prompt={quote(TEXT)}"


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_two_tokenizers_under_each_other(
    browser: Any, home: Path, address: str, viewport: dict[str, int], theme: str
) -> None:
    with opened(browser, f"{address}&model=models/pairs&model2=models/letters", viewport, theme) as page:
        with client(home) as asker:
            theirs = [
                asker.post("/api/generate/tokens", json={"model": f"models/{name}", "text": TEXT}).json()
                for name in ("pairs", "letters")
            ]
        for i, said in enumerate(theirs):
            section = page.get_by_role("region", name="Tokens of").nth(i)
            wait_for(lambda section=section: section.locator("[data-i]").count())
            pieces = section.locator("[data-i]")
            assert pieces.count() == len(said["pieces"])
            assert f"{said['characters']} characters" in section.inner_text()
            assert f"{len(said['pieces'])} tokens" in section.inner_text()
            shown = pieces.locator(".under").all_inner_texts()
            assert shown == [
                f"? {one['id'] or ''}".strip() if one["is_unknown"] else str(one["id"]) for one in said["pieces"]
            ]
        assert "The model never saw these characters: “⟨U+200B⟩” (U+200B)" in page.get_by_role("tabpanel").inner_text()
        page.get_by_text(f"The same text: {len(theirs[0]['pieces'])} tokens for models/pairs").wait_for()
        assert "\u2039endoftext\u203a" in page.get_by_role("region", name="Tokens of models/pairs").inner_text()
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        look(page, f"generate-tokens-{viewport['width']}-{theme}")


@pytest.mark.quick
def test_bytes_and_one_token_by_keyboard(browser: Any, address: str) -> None:
    with opened(browser, f"{address}&model=models/pairs") as page:
        page.get_by_label("Under each token").select_option("bytes")
        pieces = page.locator("[data-i]")
        wait_for(lambda: "c3" in [text.strip() for text in pieces.locator(".under").all_inner_texts()])
        assert (
            "".join(pieces.locator(".under").all_inner_texts()).replace(" ", "").lstrip("\u2013") == TEXT.encode().hex()
        )
        pieces.first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.locator("dl").get_by_text("token 1", exact=True).wait_for()
        page.keyboard.press("End")
        assert "⟨80⟩" in page.locator("dl").inner_text()
        assert "U+1F600" in page.locator("dl").inner_text()
        page.wait_for_url("**piece=**")
        page.get_by_role("button", name="As a table").press("Enter")
        assert page.get_by_role("row").count() == pieces.count() + 1
        page.go_back()
        assert "ids" in page.get_by_label("Under each token").input_value()


def test_the_text_can_be_changed(browser: Any, address: str) -> None:
    with opened(browser, f"{address}&model=models/letters") as page:
        page.get_by_text("It cannot read a text that has them.").wait_for()
        page.get_by_label("Prompt: the text").fill("a b")
        page.get_by_text("3 characters → 3 tokens").wait_for()
        page.get_by_label("Prompt: the text").fill("")
        page.get_by_text("There is no text yet; type one above.").wait_for()
