"""The surprise tab in a real browser: one model and two, the prompt and a longer text; by mouse and by keyboard."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from web.browser import LOOKS, PHONE, accessibility_problems, look, opened, serving, sideways_scroll
from web.lens_lab import asked, screen, situation

from cutaway.interop.hub_folder import save_folder
from cutaway.models.build import build
from cutaway.models.config import GPTConfig
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.text.bpe import BPETokenizer

TEXT = "the cat sat. the cat sat on the mat"
MODEL, OTHER = "models/gpt2", "models/bpe"


@pytest.fixture(scope="module")
def address(lens_models, tmp_path_factory):
    home = tmp_path_factory.mktemp("lab") / "runs"
    shutil.copytree(lens_models, home)
    tokenizer = BPETokenizer.train([f"{TEXT} " * 20], 290)
    config = GPTConfig(tokenizer.vocab_size, 64, 24, 1, 2, zero_init_projections=False, init_std=0.3)
    save_folder(home / OTHER, build(config, seed=3), tokenizer)
    with serving(create_app(Lab(home))) as address:
        yield address


def at(address, **more):
    return screen(address, "surprise", model=MODEL, prompt=TEXT, **more)


@pytest.fixture(scope="module")
def bits(address):
    return asked(address, "surprise", model=MODEL, text=TEXT)[1]["bits"]


def share(page, i):
    return float(page.locator(f'.text [data-i="{i}"]').evaluate("n => n.style.getPropertyValue('--s')"))


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
@pytest.mark.parametrize("colour", ["first", "difference"])
def test_it_fits_and_is_accessible(browser, address, viewport, theme, colour):
    with opened(browser, at(address, model2=OTHER, colour=colour, at=9, piece=3), viewport, theme) as page:
        page.locator(".token-heat .chosen").wait_for()
        look(page, f"surprise-{colour}-{viewport['width']}-{theme}")
        assert sideways_scroll(page) == 0
        assert accessibility_problems(page) == []


def test_every_token_by_mouse_and_keyboard(browser, address, bits):
    with opened(browser, at(address)) as page:
        said = page.locator(".token-heat .said")
        text = page.locator(".token-heat .text")
        text.locator("[data-i]").first.wait_for()
        assert text.inner_text().strip() == TEXT
        assert np.isnan(bits[0])  # nothing stands before the first token
        text.locator('[data-i="0"]').hover()
        said.get_by_text("not computed; nothing stands before it").wait_for()
        assert "absent" in text.locator('[data-i="0"]').get_attribute("class")
        end = max(share(page, i) / bits[i] for i in range(1, len(TEXT)))
        for i in range(1, len(TEXT)):
            assert share(page, i) == pytest.approx(bits[i] * end, abs=2e-3)
        for i in (5, 17):
            text.locator(f'[data-i="{i}"]').hover()
            said.get_by_text(re.compile(rf"^{i} “")).wait_for()
            assert float(re.search(r": ([\d.e-]+) bits", said.inner_text())[1]) == bits[i]
        page.mouse.move(0, 0)
        text.focus()
        page.keyboard.press("Home")
        for i in range(1, 6):
            page.keyboard.press("ArrowRight")
            said.get_by_text(re.compile(rf"^{i} “")).wait_for()
            assert float(re.search(r": ([\d.e-]+) bits", said.inner_text())[1]) == bits[i]
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Token 5").wait_for()
        page.keyboard.press("End")
        said.get_by_text(re.compile(rf"^{len(TEXT) - 1} “")).wait_for()


def test_a_token_and_what_was_expected(browser, address, bits):
    top = int(np.nanargmax(bits))
    with opened(browser, at(address)) as page:
        surprises = page.get_by_role("region", name="Greatest surprises")
        surprises.get_by_role("button").first.wait_for()
        shown = [float(one) for one in surprises.locator(".number").all_inner_texts()]
        expected = sorted((bits[1:]), reverse=True)[:10]
        assert shown == [float(f"{x:.2f}") for x in expected]
        surprises.get_by_role("button").first.click()
        token = page.get_by_role("region", name="Token", exact=True)
        token.get_by_text(f"Token {top}").wait_for()
        assert float(token.get_by_role("button", name="Surprisal").get_attribute("title").split()[0]) == bits[top]
        token.get_by_role("heading", name="The model expected").wait_for()
        given = [
            float(one.get_attribute("title").split()[0])
            for one in token.get_by_role("button", name="Probability of").all()
        ]
        assert given == sorted(given, reverse=True)
        assert len(given) == 8
        assert situation(page)["at"] == str(top)
        page.reload()
        token.get_by_text(f"Token {top}").wait_for()
        curve = page.get_by_role("region", name="Surprisal by position")
        curve.get_by_role("application").focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        token.get_by_text("Token 2").wait_for()  # the first has no number, so the curve begins with the second
        value = curve.get_by_role("list", name="Lines").locator("li .value").first
        assert float(value.get_attribute("title")) == bits[2]


def test_averages_are_the_labs(browser, address):
    metas = [asked(address, "surprise", model=name, text=TEXT)[0] for name in (MODEL, OTHER)]
    with opened(browser, at(address, model2=OTHER)) as page:
        page.get_by_role("region", name="Averages").locator("tbody tr").nth(1).wait_for()
        for meta in metas:
            for name, value in [
                ("Bits per byte", meta["bits_per_byte"]),
                ("Bits per token", meta["bits_per_token"]),
                ("Bits in all", meta["bits"]),
            ]:
                button = page.get_by_role("button", name=f"{name} of {meta['model']}")
                assert float(button.get_attribute("title").split()[0]) == value


def test_two_models_piece_by_piece(browser, address):
    meta, found = asked(address, "surprise/difference", model=MODEL, other=OTHER, text=TEXT)
    less = found["first"] - found["second"]
    with opened(browser, at(address, model2=OTHER)) as page:
        page.get_by_role("button", name="A against B").click()
        page.get_by_text("The two cut the text differently").wait_for()
        assert situation(page)["colour"] == "difference"
        text = page.locator(".token-heat .text")
        assert text.locator("[data-i]").count() == len(meta["pieces"])
        said = page.locator(".token-heat .said")
        for i in range(1, min(8, len(less))):
            text.locator(f'[data-i="{i}"]').hover()
            said.get_by_text(re.compile(rf"^{i} “")).wait_for()
            match = re.search(r"A ([\d.e-]+) bits, B ([\d.e-]+) bits; (\w)", said.inner_text())
            assert (float(match[1]), float(match[2])) == (found["first"][i], found["second"][i])
            assert match[3] == ("A" if less[i] < 0 else "B")
            assert ("below" in text.locator(f'[data-i="{i}"]').get_attribute("class")) == (less[i] < 0)
        for name, sign in [("A", -1), ("B", 1)]:
            places = page.get_by_role("region", name=f"Where {name} is better most")
            shown = [float(one) for one in places.locator(".number").all_inner_texts()]
            expected = sorted((x for x in sign * less if x > 0), reverse=True)[:8]
            assert shown == [float(f"{x:.2f}") for x in expected]
        button = page.get_by_role("region", name="Where A is better most").get_by_role("button").first
        button.focus()
        page.keyboard.press("Enter")
        assert int(situation(page)["piece"]) == int(np.nanargmin(less))
        page.get_by_role("button", name="B models/bpe").click()
        page.get_by_role("heading", name="A token").wait_for()
        page.go_back()
        page.get_by_text("The two cut the text differently").wait_for()


def test_a_longer_text_is_pasted_or_opened(browser, address, tmp_path):
    long = "the cat sat on the mat. " * 90
    with opened(browser, at(address), PHONE) as page:
        page.get_by_label("A longer text").check()
        page.get_by_label("Paste a text").fill(long)
        page.get_by_role("button", name="Read this text").click()
        page.get_by_text(f"tokens 0 to 1499 of {len(long)}").wait_for()
        page.get_by_role("button", name="After").click()
        page.get_by_text(f"tokens 1500 to {len(long) - 1} of {len(long)}").wait_for()
        bits = asked(address, "surprise", model=MODEL, text=long)[1]["bits"]
        page.locator(".text").focus()
        page.keyboard.press("End")
        said = page.locator(".token-heat .said")
        said.get_by_text(re.compile(rf"^{len(long) - 1} “")).wait_for()
        assert float(re.search(r": ([\d.e-]+) bits", said.inner_text())[1]) == bits[-1]
        assert sideways_scroll(page) == 0
        assert long[:40] not in page.url.replace("+", " ")
        (tmp_path / "note.txt").write_text("a note of mine")
        page.get_by_label("Text file").set_input_files(tmp_path / "note.txt")
        page.get_by_text("note.txt: 14 characters").wait_for()
        page.locator('.text [data-i="13"]').wait_for()
        page.wait_for_function("document.querySelectorAll('.text [data-i]').length === 14")
        (tmp_path / "picture.bin").write_bytes(b"\x00\x01")
        page.get_by_label("Text file").set_input_files(tmp_path / "picture.bin")
        page.get_by_text("picture.bin is not a text file.").wait_for()


def test_what_cannot_be_read_is_said(browser, address):
    with opened(browser, screen(address, "surprise", model=MODEL, prompt="a \N{SNOWMAN}")) as page:
        page.get_by_role("alert").get_by_text("\N{SNOWMAN}").wait_for()
        page.wrong.clear()  # the browser notes the refusal itself
    with opened(browser, screen(address, "surprise", model=MODEL)) as page:
        page.get_by_text("Type a text above").wait_for()
