"""Every kind of figure, from what a notebook saves of it, drawn by a browser without Python."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web.browser import DESKTOP, LOOKS, PHONE, accessibility_problems, look, opened, sideways_scroll

from cutaway import lens
from cutaway.notebook import Figure
from cutaway.notebook.still import Still
from cutaway.notebook.widget import FILES
from lens.small_models import TEXT, TOKENIZER, small_model
from notebook.saved import notebook_of, page_of
from notebook.small_figures import a_trace, figures

pytestmark = pytest.mark.slow

MOST_BYTES = 150_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Figure]:
    return figures(tmp_path_factory.mktemp("figures"))


@pytest.fixture(scope="module")
def address(made: dict[str, Figure], browser: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(notebook_of(list(made.values())), tmp_path_factory.mktemp("page") / "saved.html")


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    with opened(browser, address) as page:
        page.wait_for_selector("[data-done]")
        yield page


def test_the_module_is_small() -> None:
    size = sum(len(gzip.compress((FILES / name).read_bytes())) for name in ("figure.js", "figure.css"))
    assert size < MOST_BYTES


@pytest.mark.parametrize(
    ("viewport", "theme"), LOOKS, ids=lambda value: value if isinstance(value, str) else value["width"]
)
def test_every_figure_is_drawn_without_python(
    browser: Any, address: str, made: dict[str, Figure], viewport: dict[str, int], theme: str
) -> None:
    with opened(browser, address, viewport, theme) as page:
        page.wait_for_selector("[data-done]")
        for kind, figure in made.items():
            section = page.locator(f"[data-kind={kind}] section[aria-label]").first
            section.wait_for()
            assert section.get_attribute("aria-label") == figure.title
        assert page.locator(".error-line:visible").count() == 0
        assert page.locator(f".cutaway-figure[data-theme={theme}]").count() == len(made)
        assert sideways_scroll(page) == 0
        page.wait_for_function("document.querySelector('[data-kind=run] div').shadowRoot.querySelector('canvas')")
        look(page, f"notebook-{viewport['width']}-{theme}")
        assert accessibility_problems(page) == []


def test_the_page_and_the_figures_leave_each_other_alone(page: Any) -> None:
    style = "(element) => [getComputedStyle(element).color, getComputedStyle(element).float]"
    assert page.locator("[data-kind=run] dt").first.evaluate(style)[1] == "none"
    assert page.locator("[data-kind=surprisal] p").first.evaluate(style)[0] != "rgb(255, 0, 0)"
    assert page.evaluate("getComputedStyle(document.body).fontFamily") == "serif"


def test_a_runs_curves_by_keyboard(page: Any) -> None:
    run = page.locator("[data-kind=run]")
    chart = run.get_by_role("application")
    chart.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert "step 2: loss 2, validation loss 4.25 at 1" in run.locator("[aria-live=polite]").all_inner_texts()[0]
    run.get_by_label("curve").select_option(label="Gradient norm")
    assert run.get_by_role("application").get_attribute("aria-label").startswith("Gradient norm of small-run")
    run.get_by_label("over", exact=True).select_option("step")


def test_attention_says_the_weight(page: Any) -> None:
    figure = page.locator("[data-kind=attention]")
    pattern = lens.attention(small_model("ours"), TOKENIZER, TEXT).pattern_LHTS
    figure.get_by_role("button", name=re.compile(r"^Head 1\.1")).first.click()
    assert figure.locator("h3").first.inner_text().startswith("Head 1.1")
    heat = figure.get_by_role("application", name=re.compile("a row for each position that looks"))
    heat.focus()
    for _ in range(pattern.shape[-1]):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    weight = float(pattern[1, 1, -1, 1])
    page.wait_for_function(
        "([text]) => document.querySelector('[data-kind=attention] div').shadowRoot.textContent.includes(text)",
        arg=[f"looks at 1 “{TEXT[0] if pattern.shape[-1] > len(TEXT) else TEXT[1]}”: {short_of(weight)}"],
    )


def short_of(value: float) -> str:
    """Return a number's first digits: a page writes all digits of a double."""
    return f"{value:.12f}"[:9]


def test_a_logit_opens_to_its_terms(page: Any) -> None:
    figure = page.locator("[data-kind=attribution]")
    found = lens.attribute(small_model("ours"), TOKENIZER, TEXT)
    assert figure.get_by_role("button", name=re.compile("^The model.s number")).inner_text() in f"{found.logit:.10f}"
    figure.get_by_role("button", name="Open all").click()
    assert figure.get_by_text("head 0.1", exact=True).is_visible()
    figure.get_by_role("button", name="Largest first").click()


def test_a_traces_number_is_explained_without_python(page: Any) -> None:
    figure = page.locator("[data-kind=trace]")
    told = a_trace().explain("0.weight:grad", (3, 2))
    section = figure.get_by_role("region", name="How 0.weight:grad[3, 2] was made")
    assert str(told.value) in section.inner_text()
    assert told.formula in section.inner_text()
    assert "which agrees to rounding" in section.inner_text()
    assert section.locator("li").count() == told.n_terms


def test_an_unknown_kind_is_said(browser: Any, tmp_path: Path) -> None:
    address = page_of(notebook_of([Figure("nonsense", {}, Still("T"))]), tmp_path / "page.html")
    with opened(browser, address, PHONE, "dark") as page:
        page.get_by_role("alert").wait_for()
        assert "there is no drawing of nonsense" in page.get_by_role("alert").inner_text()


def test_without_python_a_question_says_so(browser: Any, tmp_path: Path) -> None:
    address = page_of(notebook_of([a_trace().show()]), tmp_path / "page.html")
    with opened(browser, address, DESKTOP) as page:
        page.wait_for_selector("[data-done]")
        page.clock.install()
        page.get_by_role("button", name="0", exact=True).click()
        page.get_by_role("button", name="0.weight", exact=True).click()
        page.clock.fast_forward(11_000)
        page.get_by_text("Python does not answer: run this cell again").wait_for()
