"""Why a token, in a real browser: the terms on screen are the lab's, and they add up to the model's number."""

from __future__ import annotations

import math
import re

import pytest
import torch
from server.labs import training
from web.browser import DESKTOP, LOOKS, PHONE, accessibility_problems, look, opened, serving, sideways_scroll
from web.generate_lab import TEXT, ask, generate_lab, tab_to, url

import cutaway
from cutaway.bench.microscope import loss_of
from cutaway.cli import main as command_line
from cutaway.server.app import create_app
from cutaway.server.lab import Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with generate_lab(tmp_path_factory.mktemp("lab")) as address:
        yield address


def lines(page):
    """Return name and value of every line of the waterfall."""
    found = page.locator("ol.waterfall > li:not(.titles):not(.total)").evaluate_all(
        """all => all.map(one => [
            one.querySelector('.words').innerText, Number(one.querySelector('.line .value').dataset.value)
        ])"""
    )
    return [(name, value) for name, value in found]


def ready(page):
    page.locator("ol.waterfall").wait_for()


def number(page, name):
    label = page.get_by_role("button", name=re.compile(f"^{name} ")).get_attribute("aria-label")
    return float(label.split(" ")[-2].strip(","))


def named(term):
    kind, name = term["kind"], term["name"]
    if kind == "embedding":
        return f"{name} embedding"
    if kind == "head":
        return f"head {name}"
    if kind == "mlp":
        return "MLP"
    return name if term["layer"] is None else "attention bias" if name.startswith("attn") else "MLP bias"


@pytest.mark.parametrize("model", ["models/gpt2", "models/llama", "models/long"])
def test_all_terms_are_the_labs_and_add_up(browser, lab, model):
    meta, _ = ask(lab, "why", model=model)
    with opened(browser, url(lab, "why", model=model)) as page:
        ready(page)
        groups = lines(page)
        assert [name for name, _ in groups][:3] == ["Embeddings", "Block 0", "Block 1"]
        assert math.isclose(sum(value for _, value in groups), meta["logit"], abs_tol=1e-4)
        page.get_by_role("button", name="Open all").click()
        page.get_by_role("button", name="Close all").wait_for()
        terms = [line for line in lines(page) if line[0] not in ("Embeddings", "Block 0", "Block 1", "Output")]
        assert terms == [(named(term), term["value"]) for term in meta["terms"]]
        for block in (0, 1):
            total = sum(term["value"] for term in meta["terms"] if term["layer"] == block)
            assert math.isclose(dict(groups)[f"Block {block}"], total, abs_tol=1e-9)
        told = sum(term["value"] for term in meta["terms"])
        assert math.isclose(number(page, "Sum of the terms"), told, abs_tol=1e-9)
        assert number(page, "Computed by the model") == meta["logit"]
        assert page.get_by_text(meta["reading"]).count() == 1
        shown = page.locator("ol.waterfall .sum[title]").evaluate_all("all => all.map(one => Number(one.title))")
        assert math.isclose(shown[-1], told, abs_tol=1e-9)


def test_largest_first(browser, lab):
    meta, _ = ask(lab, "why")
    with opened(browser, url(lab, "why")) as page:
        ready(page)
        page.get_by_role("button", name="Largest first").click()
        page.wait_for_url(re.compile("order=size"))
        expected = sorted((abs(term["value"]) for term in meta["terms"]), reverse=True)
        assert [abs(value) for _, value in lines(page)] == expected


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_a_token_and_another_are_chosen_by_mouse(browser, lab, viewport):
    meta, _ = ask(lab, "why")
    first, second = (one["id"] for one in meta["candidates"][:2])
    with opened(browser, url(lab, "why"), viewport) as page:
        ready(page)
        explain = page.get_by_role("group", name="Explain")
        explain.get_by_role("button").nth(1).click()
        page.wait_for_url(re.compile(f"token=%23{second}"))
        expected, _ = ask(lab, "why", token=f"#{second}")
        page.wait_for_function("x => document.body.innerText.includes(x)", arg="What adds up to the logit of")
        page.get_by_role(
            "button", name=re.compile(f"Computed by the model {re.escape(str(expected['logit']))},")
        ).wait_for()
        rather = page.get_by_role("group", name="Rather than")
        rather.get_by_role("button").nth(1).click()
        page.wait_for_url(re.compile(f"rather=%23{first}"))
        expected, _ = ask(lab, "why", token=f"#{second}", rather=f"#{first}")
        page.get_by_role(
            "button", name=re.compile(f"Computed by the model {re.escape(str(expected['logit']))},")
        ).wait_for()
        assert math.isclose(sum(value for _, value in lines(page)), expected["logit"], abs_tol=1e-4)
        page.go_back()
        rather.get_by_role("button", name="nothing", pressed=True).wait_for()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_by_keyboard_from_a_token_to_where_a_head_took_it_from(browser, lab, viewport):
    with opened(browser, url(lab, "why"), viewport) as page:
        ready(page)
        field = page.get_by_role("group", name="Explain").get_by_role("textbox")
        field.focus()
        page.keyboard.type("q")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("token=q"))
        meta, numbers = ask(lab, "why", token="q")
        page.get_by_role(
            "button", name=re.compile(f"Computed by the model {re.escape(str(meta['logit']))},")
        ).wait_for()
        tab_to(page, 'ol.waterfall button[aria-label^="Block 1"]')
        page.keyboard.press("Enter")
        tab_to(page, 'ol.waterfall button[aria-label^="head 1.2"]')
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"open=block\+1%3B1\.2"))
        text = page.get_by_role("application", name=re.compile("Share of head 1.2"))
        text.focus()
        for position in (0, 1, 2):
            page.keyboard.press("ArrowRight")
            said = page.locator(".inside .said").inner_text()
            assert said.startswith(f"{position} ")
            assert float(said.rpartition(": ")[2]) == numbers["sources"][1, 2, position]
        tab_to(page, 'ol.waterfall button[aria-label^="MLP"]')
        page.keyboard.press("Enter")
        shown = page.locator(".inside ol li").evaluate_all(
            "all => all.map(one => [one.children[0].innerText, Number(one.querySelector('[data-value]').dataset.value)])"
        )
        assert shown == [[f"1.{one['unit']}", one["value"]] for one in meta["neurons"][1]]


def test_another_position(browser, lab):
    with opened(browser, url(lab, "why")) as page:
        ready(page)
        text = page.get_by_role("application", name=re.compile("^Position of"))
        text.locator("[data-i='5']").click()
        page.wait_for_url(re.compile("at=5"))
        meta, _ = ask(lab, "why", position=5)
        page.get_by_role(
            "button", name=re.compile(f"Computed by the model {re.escape(str(meta['logit']))},")
        ).wait_for()
        text.focus()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("at=4"))


@pytest.mark.quick
def test_a_link_restores_all_of_it(browser, lab):
    meta, _ = ask(lab, "why", position=6, token="c", rather="m")
    where = url(lab, "why", at=6, token="c", rather="m", open="block 0;0.1", order="model")
    with opened(browser, where) as page:
        page.get_by_role(
            "heading", name="What adds up to how much higher the logit of “c” is than that of “m”"
        ).wait_for()
        assert number(page, "Computed by the model") == meta["logit"]
        page.get_by_role("application", name=re.compile("Share of head 0.1")).wait_for()


def test_a_token_that_is_none_is_refused_at_its_field(browser, lab):
    with opened(browser, url(lab, "why")) as page:
        ready(page)
        field = page.get_by_role("group", name="Rather than").get_by_role("textbox")
        field.fill("abc")
        field.press("Enter")
        page.get_by_role("group", name="Rather than").get_by_role("alert").get_by_text("3 tokens, not one").wait_for()
        assert field.get_attribute("aria-invalid") == "true"
        page.wrong.clear()


def test_a_run_leads_to_the_microscope(browser, tmp_path, monkeypatch):
    monkeypatch.setenv("CUTAWAY_RUNS", str(tmp_path / "runs"))
    assert command_line.main(training(tmp_path, "fox", 4)) == 0
    model, _ = cutaway.load(tmp_path / "runs" / "fox")
    with serving(create_app(Lab(tmp_path / "runs"))) as lab:
        with opened(browser, url(lab, "why", prompt="the fox", model="fox", open="block 0;0.1")) as page:
            link = page.get_by_role("link", name="Record a training step of fox")
            assert link.get_attribute("href") == "/microscope?run=fox"
        tokens = torch.tensor([[1, 2, 3]])
        trace = cutaway.trace(model, tokens, loss_of(tokens))
        trace.save(tmp_path / "runs" / "fox" / "traces" / "1")
        with opened(browser, url(lab, "why", prompt="the fox", model="fox", open="block 0;0.1")) as page:
            page.get_by_role("link", name="blocks.0.attn.z in the microscope").click()
            page.wait_for_url(re.compile(r"microscope\?trace=fox%2Ftraces%2F1&address=blocks\.0\.attn\.z"))
            page.get_by_role("heading", name="blocks.0.attn.z").first.wait_for()


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_looks(browser, lab, viewport, theme):
    with opened(browser, url(lab, "why", open="block 0;0.1;block 1;mlp 1", rather="t"), viewport, theme) as page:
        page.get_by_role("application", name=re.compile("Share of head 0.1")).wait_for()
        look(page, f"generate-why-{viewport['width']}-{theme}")
        assert sideways_scroll(page) == 0
        assert accessibility_problems(page) == []
        assert TEXT
