"""What tuning moved, and exports, as a person sees them: measured on screen, looked into, taken along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect
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

from cutaway.cli.main import main
from cutaway.server.app import create_app
from cutaway.server.lab import Lab


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    base, writing = make_base(home / "base"), make_writing(home / "writing")
    make_tuned(home, "full-1", base, writing, "full")
    make_tuned(home, "lora-1", base, writing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUTAWAY_RUNS", str(home))
        assert main(["voice", "change", "lora-1"]) == 0
    return home


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with serving(create_app(Lab(home))) as served:
        yield served


@HANDS
def test_a_matrix_is_looked_into(browser: Any, address: str, hand: Hand) -> None:
    told = httpx.get(f"{address}/api/voice/change", params={"run": "lora-1"}).json()["found"]
    first, other = told["weights"]["matrices"][:2]
    with hand.opened(browser, f"{address}/voice?tab=change&run=lora-1") as page:
        page.get_by_text(told["weights"]["sentence"]).wait_for()
        heading = page.get_by_role("heading", level=3)
        expect(heading.nth(1)).to_have_text(named(first["name"]))
        page.get_by_role("application", name="What was added to").wait_for()
        hand.use(page.get_by_role("button", name=named(other["name"]), exact=True))
        becomes(lambda: situation(page).get("matrix"), other["name"])
        expect(heading.nth(1)).to_have_text(named(other["name"]))
        bars = page.get_by_role("application", name=f"Singular values of the change of {named(other['name'])}")
        bars.focus()
        bars.press("ArrowRight")
        page.get_by_text(f"singular value 2: {float_text(other['singular_values'][1])}").wait_for()
        grid = page.get_by_role("grid", name="How far each matrix moved")
        hand.use(grid.get_by_role("button", name="block 1, what attention writes"))
        becomes(lambda: situation(page).get("matrix"), "blocks.1.attn.o_proj.weight")
        best = told["tokens"]["gained"][0]
        row = page.get_by_role("table", name="Likelier now, in their sentences").get_by_role("row").nth(1)
        expect(row).to_contain_text(f"+{best['gain_bits']:.2f}")
        page.get_by_role("application", name="Gain of").wait_for()
        page.go_back()
        becomes(lambda: situation(page).get("matrix"), other["name"])
        assert sideways_scroll(page) == 0


def named(name: str) -> str:
    _, block, kind, part, _ = name.split(".")
    return f"block {block} · {part.removesuffix('_proj')}" if kind in ("attn", "mlp") else name


def float_text(value: float) -> str:
    return str(value)


@HANDS
def test_what_was_not_measured_is_measured_here(browser: Any, address: str, home: Path, hand: Hand) -> None:
    (home / "full-1" / "change.json").unlink(missing_ok=True)
    with hand.opened(browser, f"{address}/voice?tab=change&run=full-1") as page:
        hand.use(page.get_by_role("button", name="Compare the two"))
        page.get_by_text("21 of 21 parameters moved").wait_for(timeout=60_000)
        record = page.get_by_role("button", name="Record it for the microscope")
        if hand.is_mouse:
            record.click()
            link = page.get_by_role("link", name="Open in the microscope")
            link.wait_for(timeout=60_000)
            link.click()
            page.get_by_text("product").first.wait_for()


@HANDS
def test_a_model_is_taken_along(browser: Any, address: str, home: Path, hand: Hand) -> None:
    with hand.opened(browser, f"{address}/voice?tab=use&run=full-1") as page:
        expect(page.get_by_text("all its weights learned")).to_be_visible()
        choice = page.get_by_role("radio", name="GGUF")
        hand.use(choice, "Space")
        page.get_by_label("Numbers").select_option("q8_0" if hand.is_mouse else "f32")
        kind = "q8_0" if hand.is_mouse else "f32"
        page.get_by_text(f"cutaway voice export full-1 --to gguf --type {kind}").wait_for()
        hand.use(page.get_by_role("button", name="Write it", exact=True))
        page.get_by_role("listitem").filter(has_text=f"gguf-{kind}").first.wait_for(timeout=60_000)
        page.get_by_text("read back:").first.wait_for()
        page.get_by_role("button", name="Write it again").wait_for()
        assert (home / "full-1" / "export" / f"gguf-{kind}" / f"full-1.{kind}.gguf").is_file()


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_looks(browser: Any, address: str, viewport: dict[str, int], theme: str) -> None:
    for tab, ready in (("change", "In the text"), ("use", "Take it along")):
        with opened(browser, f"{address}/voice?tab={tab}&run=lora-1", viewport, theme) as page:
            page.get_by_role("heading", name=ready).wait_for()
            page.wait_for_load_state("networkidle")
            assert not accessibility_problems(page)
            assert sideways_scroll(page) == 0
            look(page, f"voice-{tab}-{viewport['width']}-{theme}")
