"""What if a part were missing, or had read another text, in a real browser."""

from __future__ import annotations

import re

import numpy as np
import pytest
from web.browser import DESKTOP, LOOKS, PHONE, accessibility_problems, look, opened, sideways_scroll
from web.generate_lab import TEXT, ask, generate_lab, tab_to, url

SECOND = "the dog sat on a mat"
GRID = '[role="grid"]'


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with generate_lab(tmp_path_factory.mktemp("lab")) as address:
        yield address


def part(page, row, column):
    return page.locator(f'{GRID} [data-place="{row},{column}"]')


SHOWN = """() => {
    const rows = [...document.querySelectorAll('table[aria-label="Probabilities before and after"] tbody tr')];
    const losses = [...document.querySelectorAll('section[aria-label=Effect] dd button')];
    return {
        chances: rows.map(row => [...row.querySelectorAll('td[title]')].map(cell => Number(cell.title))),
        losses: losses.map(one => Number(one.getAttribute('aria-label').split(' ').at(-2).replace(',', ''))),
    };
}"""
"""Probabilities and loss before and after, as the screen has them."""


def shows(page, lab, **asked):
    """Wait until the screen shows what the lab answers, number for number; return the answer."""
    meta, numbers = ask(lab, "ablate", **asked)
    expected = {
        "chances": [[one["before"], one["after"]] for one in meta["candidates"]],
        "losses": [meta["loss_before"], meta["loss_after"]],
    }
    same = f"expected => JSON.stringify(({SHOWN})()) === JSON.stringify(expected)"
    page.wait_for_function(same, arg=expected)
    return meta, numbers


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_heads_and_mlps_are_taken_away_and_brought_back_by_mouse(browser, lab, viewport):
    with opened(browser, url(lab, "whatif"), viewport) as page:
        shows(page, lab)
        part(page, 1, 2).click()
        page.wait_for_url(re.compile(r"off=1\.2"))
        shows(page, lab, off=["1.2"])
        assert part(page, 1, 2).get_attribute("aria-pressed") == "true"
        part(page, 0, 4).click()
        shows(page, lab, off=["1.2", "mlp 0"])
        page.get_by_role("button", name="its mean").click()
        shows(page, lab, off=["1.2", "mlp 0"], how="mean")
        part(page, 1, 2).click()
        shows(page, lab, off=["mlp 0"], how="mean")
        page.get_by_role("button", name="All at work again").click()
        shows(page, lab)
        page.go_back()
        shows(page, lab, off=["mlp 0"], how="mean")


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_the_same_by_keyboard_and_the_text_says_which_tokens_suffer(browser, lab, viewport):
    with opened(browser, url(lab, "whatif"), viewport) as page:
        shows(page, lab)
        tab_to(page, f"{GRID} [data-place]")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        _, numbers = shows(page, lab, off=["1.1"])
        assert page.evaluate("document.activeElement.dataset.place") == "1,1"
        text = page.get_by_role("application", name=re.compile("More surprisal"))
        text.focus()
        page.keyboard.press("Home")
        said = page.locator(".text .said")
        assert "not predicted" in said.inner_text()
        for i in (1, 2, 3):
            page.keyboard.press("ArrowRight")
            told = [float(one) for one in re.findall(r"-?[\d.]+(?:e-?\d+)?(?= (?:nats|after|more))", said.inner_text())]
            before, after = numbers["before"][i], numbers["after"][i]
            np.testing.assert_allclose(told, [before, after, after - before], rtol=1e-12)
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("at=3"))
        shows(page, lab, off=["1.1"], position=3)


def test_neurons_are_typed(browser, lab):
    with opened(browser, url(lab, "whatif")) as page:
        shows(page, lab)
        field = page.get_by_label("Neurons")
        field.fill("1.17")
        field.press("Enter")
        shows(page, lab, off=["mlp 1 unit 17"])
        field.fill("1.96")
        field.press("Enter")
        page.get_by_role("alert").get_by_text("There is no neuron 1.96").wait_for()
        field.fill("first")
        field.press("Enter")
        page.get_by_role("alert").get_by_text("such as 2.17").wait_for()
        page.get_by_role("button", name="Bring back mlp 1 unit 17").click()
        shows(page, lab)


def test_every_part_is_measured_and_a_cell_is_a_switch(browser, lab):
    meta, numbers = ask(lab, "ablate/scan")
    with opened(browser, url(lab, "whatif")) as page:
        shows(page, lab)
        page.get_by_role("button", name="Measure every part").click()
        page.get_by_text("Each cell: by how much the loss grows").wait_for()
        for row in range(2):
            for column in range(5):
                label = part(page, row, column).get_attribute("aria-label")
                told = float(re.search(r"alone (\S+) ", label)[1])
                assert told == (numbers["loss_heads"][row, column] if column < 4 else numbers["loss_mlps"][row])
        page.get_by_role("button", name="logit of the answer").click()
        page.wait_for_url(re.compile("measure=answer"))
        told = float(re.search(r"alone (\S+) ", part(page, 1, 3).get_attribute("aria-label"))[1])
        assert told == numbers["answer_heads"][1, 3]
        assert meta["answer"]["text"]
        part(page, 1, 3).click()
        shows(page, lab, off=["1.3"])


def test_a_part_that_does_not_exist_in_a_link_is_said(browser, lab):
    with opened(browser, url(lab, "whatif", off="9.9")) as page:
        page.get_by_role("alert").get_by_text("there is no head 9.9").wait_for()
        page.wrong.clear()


WHAT = {"resid_pre": "Residual stream", "attn_out": "Attention", "mlp_out": "MLP", "z": "Heads"}


@pytest.mark.parametrize(("what", "title"), WHAT.items())
def test_what_is_carried_over_is_the_labs(browser, lab, what, title):
    body = {"second": SECOND, "what": what, "answer": "a", "other": "t"}
    meta, numbers = ask(lab, "patch", **body)
    with opened(browser, url(lab, "whatif", part="patch", second=SECOND, answer="a", other="t")) as page:
        page.get_by_role("button", name=title, exact=True).click()
        page.get_by_role("grid", name=re.compile(f"^{title} carried over")).wait_for()
        part(page, 0, 0).wait_for()
        for row, column in np.ndindex(*numbers["effect"].shape):
            label = part(page, row, column).get_attribute("aria-label")
            told = [float(one) for one in re.search(r": (\S+) \(difference of logits (\S+)\)$", label).groups()]
            assert told == [numbers["effect"][row, column], numbers["value"][row, column]]
        first = page.get_by_role("button", name=re.compile("^Difference in the first text")).get_attribute("aria-label")
        assert str(meta["first_value"]) in first
        heads = page.locator(f"{GRID} [role=columnheader]").all_inner_texts()[1:]
        if what == "z":
            assert heads == meta["columns"]
        else:
            pairs = zip(TEXT.replace(" ", "·"), SECOND.replace(" ", "·"), strict=True)
            assert heads == [mine if first == mine else f"{first}→{mine}" for first, mine in pairs]


def test_heads_at_one_position(browser, lab):
    body = {"second": SECOND, "what": "z", "answer": "a", "other": "t"}
    _, numbers = ask(lab, "patch", at=6, **body)
    everywhere = ask(lab, "patch", **body)[1]
    assert not np.array_equal(numbers["effect"], everywhere["effect"])
    where = url(lab, "whatif", part="patch", second=SECOND, answer="a", other="t", what="z")
    with opened(browser, where) as page:
        tokens = page.get_by_role("region", name="Position of the heads")
        tokens.locator("[data-i='6']").click()
        page.wait_for_url(re.compile("only=6"))
        tokens.get_by_text("Only at position 6.").wait_for()
        for row, column in np.ndindex(*numbers["effect"].shape):
            told = part(page, row, column).get_attribute("aria-label")
            assert told.startswith(f"head {row}.{column} at position 6: ")
            assert float(told.split(": ")[1].split(" ")[0]) == numbers["effect"][row, column]
        tokens.get_by_role("button", name="At all positions").focus()
        page.keyboard.press("Enter")
        tokens.get_by_text("At all positions. A click").wait_for()
        tokens.get_by_role("application").focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("only=1"))


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_a_second_text_is_typed_and_tokens_chosen_by_keyboard(browser, lab, viewport):
    with opened(browser, url(lab, "whatif"), viewport) as page:
        shows(page, lab)
        page.get_by_role("button", name="Carry over from another text").focus()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Begin with a copy of the first").click()
        page.get_by_role("alert").get_by_text("nothing to bring back").wait_for()
        page.wrong.clear()
        field = page.get_by_label("Second text", exact=True)
        field.fill(SECOND)
        grid = page.get_by_role("grid", name=re.compile("carried over"))
        grid.wait_for()
        meta, _ = ask(lab, "patch", second=SECOND)
        told = page.get_by_role("group", name="Answer of the second text").get_by_role("button", pressed=True)
        assert told.inner_text().startswith(f"“{meta['other']['text']}”".replace(" ", "·").replace("\n", "↵"))
        answer = page.get_by_role("group", name="Answer of the first text").get_by_role("textbox")
        answer.fill("z")
        answer.press("Enter")
        page.wait_for_url(re.compile("answer=z"))
        meta, numbers = ask(lab, "patch", second=SECOND, answer="z")
        label = f"Difference in the first text {meta['first_value']}"
        page.get_by_role("button", name=re.compile(f"^{re.escape(label)}")).wait_for()
        tab_to(page, f"{GRID} [data-place]")
        for _ in range(4):
            page.keyboard.press("ArrowRight")
        page.wait_for_url(re.compile("row=0.*column=4|column=4.*row=0"))
        page.locator(".said", has_text=str(numbers["effect"][0, 4])).wait_for()


def test_texts_with_the_same_answer_are_said_to_have_it(browser, lab):
    meta, numbers = ask(lab, "patch", second=SECOND)
    assert meta["first_candidates"][0]["id"] == meta["second_candidates"][0]["id"]
    with opened(browser, url(lab, "whatif", part="patch", second=SECOND)) as page:
        said = page.get_by_text(f"The model says “{meta['answer']['text']}” to both texts")
        said.wait_for()
        assert f"“{meta['other']['text']}”, the second text\u2019s next best" in said.inner_text()
        for row, column in np.ndindex(*numbers["effect"].shape):
            effect = numbers["effect"][row, column]
            assert part(page, row, column).inner_text() == (
                "0" if effect == 0 else f"{effect:.2f}".replace("-0.00", "0.00")
            )


def test_texts_of_different_length(browser, lab):
    with opened(
        browser, url(lab, "whatif", part="patch", second="the horse sat on a mat", answer="a", other="t")
    ) as page:
        page.get_by_text("laid side by side on the first 4 and the last 13").wait_for()
        assert "not computed" in part(page, 0, 4).get_attribute("aria-label")
        field = page.get_by_label("Second text", exact=True)
        field.fill("the horses")
        page.get_by_role("alert").get_by_text("cannot be laid side by side").wait_for()
        assert field.get_attribute("aria-invalid") == "true"
        page.wrong.clear()


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
@pytest.mark.parametrize("experiment", ["ablate", "patch"])
def test_looks(browser, lab, viewport, theme, experiment):
    state = (
        {"off": "0.1;mlp 1", "scan": 1} if experiment == "ablate" else {"second": SECOND, "answer": "a", "other": "t"}
    )
    with opened(browser, url(lab, "whatif", part=experiment, row=1, column=5, **state), viewport, theme) as page:
        part(page, 1, 1).wait_for()
        if experiment == "ablate":
            page.get_by_text("Each cell: by how much").wait_for()
        look(page, f"generate-whatif-{experiment}-{viewport['width']}-{theme}")
        assert sideways_scroll(page) == 0
        assert accessibility_problems(page) == []
        assert TEXT
