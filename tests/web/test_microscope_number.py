"""A number, in a real browser: what the screen tells of it is what the lab answers, and that is PyTorch's number."""

from __future__ import annotations

import json
import math
import random
import re
from urllib.parse import quote

import pytest
from web.browser import (
    HANDS,
    LOOKS,
    PHONE,
    accessibility_problems,
    becomes,
    look,
    opened,
    press,
    serving,
    sideways_scroll,
    situation,
)
from web.microscope_page import panel
from web.microscope_traces import write_traces

from cutaway.microscope.diff import diff
from cutaway.server.app import create_app
from cutaway.server.lab import Lab

STAGE = '[aria-roledescription="heat map"]'


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    home = tmp_path_factory.mktemp("lab")
    traces = write_traces(home)
    with serving(create_app(Lab(home))) as address:
        yield address, traces


def url(lab, address, index=(), trace="gpt", tab="number", edits=None):
    where = f"{lab[0]}/microscope?trace={trace}&address={quote(address)}&tab={tab}"
    where += f"&index={','.join(map(str, index))}&fixed={','.join(map(str, index))}" if index else ""
    return where + (f"&edits={quote(json.dumps(edits))}" if edits else "")


def number(text):
    return float(text.replace("+inf", "inf"))


def value_of(page):
    return number(page.get_by_label("Value", exact=True).inner_text())


def shown(page, address, index):
    """Wait until the panel tells of a number."""
    name = f"{address}[{', '.join(map(str, index))}]" if index else address
    page.locator(".number .place", has_text=name).wait_for()


def some_numbers(trace, n, seed):
    choose = random.Random(seed)
    addresses = [a for a in trace if trace.place(a).numel]
    for _ in range(n):
        address = choose.choice(addresses)
        yield address, tuple(choose.randrange(size) for size in trace.place(address).shape)


def test_numbers_on_screen_are_the_labs_and_pytorchs(browser, lab):
    trace = lab[1]["gpt"]
    with opened(browser, f"{lab[0]}/microscope?trace=gpt") as page:
        for address, index in some_numbers(trace, 25, 0):
            page.goto(url(lab, address, index))
            told = trace.explain(address, index, most=24)
            shown(page, told.address, told.index)
            assert value_of(page) == trace[address][index].item(), address
            badge = page.locator(".verdict").inner_text()
            if told.verdict == "agrees":
                assert ("recomputed: equal" in badge) == (told.difference == 0), (address, badge)
                assert ("within rounding" in badge) == (told.difference != 0), (address, badge)
            else:
                assert "nothing to recompute" in badge, (address, badge)
            values = [number(one) for one in page.locator("ol .value").evaluate_all("all => all.map(one => one.title)")]
            assert values == [term.value for term in told.terms], address
            links = page.locator("ol .from").all()
            for term, link in zip(told.terms, links, strict=True):
                first = link.locator("a").first
                assert first.inner_text() == f"{term.address}[{', '.join(map(str, term.index))}]" or not term.index
                assert quote(term.address, safe="*") in first.get_attribute("href").replace("+", "%20")


@HANDS
def test_all_terms_of_a_long_sum_can_be_shown_and_the_rest_is_exact(browser, lab, hand):
    trace = lab[1]["gpt"]
    address, index = "loss", ()
    long = max(
        ((a, tuple(0 for _ in trace.place(a).shape)) for a in trace if trace.names.phase_of(a)),
        key=lambda one: trace.explain(*one).n_terms,
    )
    address, index = long
    told = trace.explain(address, index, most=500)
    assert told.n_terms > 24
    with hand.opened(browser, url(lab, address, index)) as page:
        shown(page, told.address, told.index)
        rest = page.locator(".rest .mono").first.inner_text()
        assert math.isclose(number(rest), sum(t.value for t in told.terms[24:]), rel_tol=1e-9, abs_tol=1e-15)
        hand.use(page.get_by_role("button", name=re.compile(r"Show \d+ more")))
        page.locator("ol .value").nth(min(told.n_terms, 124) - 1).wait_for()
        values = [number(one) for one in page.locator("ol .value").evaluate_all("all => all.map(one => one.title)")]
        assert values == [term.value for term in told.terms[:124]]


def tab_to(page, what, most=400):
    """Press Tab until the focus is on an element that fits."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(
            "what => { const e = document.activeElement; return e.matches(what.css) && e.innerText.includes(what.text) }",
            what,
        ):
            return
    raise AssertionError(f"no way by Tab to {what}")


def follow(page, hand, css, text):
    """Go where a link leads: a click, or Tab until it has the focus and Enter."""
    if hand.is_mouse:
        page.locator(css).filter(has_text=text).first.click()
    else:
        tab_to(page, {"css": css, "text": text})
        page.keyboard.press("Enter")


@HANDS
def test_from_the_loss_to_a_weights_gradient(browser, lab, hand):
    """Loss, its gradient, what used that, and so on down to the gradient of a weight and its terms; then Back."""
    trace = lab[1]["gpt"]
    with hand.opened(browser, url(lab, "loss")) as page:
        shown(page, "loss", ())
        page.get_by_role("region", name="Across").wait_for()
        follow(page, hand, 'section[aria-label="Across"] a', "go there")
        shown(page, "loss:grad", ())
        assert value_of(page) == 1.0
        walked = [("loss:grad", ())]
        for _ in range(12):
            page.locator('section[aria-label="Who used it"][aria-busy="false"]').wait_for()
            links = page.locator('section[aria-label="Who used it"] a').all_inner_texts()
            weight = next((one for one in links if ".weight:grad[" in one), None)
            wanted = weight or next(one for one in links if "backward" in one or ":grad" in one)
            follow(page, hand, 'section[aria-label="Who used it"] a', wanted)
            address, _, rest = wanted.partition("[")
            index = tuple(int(one) for one in rest.rstrip("]").split(",")) if rest else ()
            shown(page, address, index)
            assert value_of(page) == trace[address][index].item()
            walked.append((address, index))
            if weight:
                break
        assert walked[-1][0].endswith(".weight:grad"), walked
        terms = trace.explain(*walked[-1], most=24).terms
        follow(page, hand, "ol .from a", terms[0].address)
        shown(page, terms[0].address, terms[0].index)
        assert value_of(page) == trace[terms[0].address][terms[0].index].item()
        for address, index in reversed(walked):
            page.go_back()
            shown(page, address, index)


@HANDS
def test_a_chosen_cell_is_explained(browser, lab, hand):
    trace = lab[1]["gpt"]
    address = "blocks.0.attn.q_proj.weight:grad"
    with hand.opened(browser, url(lab, address, (3, 5), tab="tensor")) as page:
        stage = page.locator(STAGE)
        stage.wait_for()

        def told(index):
            panel(page, hand, "Number")
            shown(page, address, index)
            assert value_of(page) == trace[address][index].item()
            panel(page, hand, "Tensor")
            stage.wait_for()

        if hand.is_mouse:
            box = stage.bounding_box()
            for right, down in [(0.3, 0.4), (0.8, 0.2), (0.55, 0.9)]:
                page.mouse.move(box["x"] + right * box["width"], box["y"] + down * box["height"])
                becomes(lambda: bool(re.match(r"\[\d+, \d+\]", page.locator(".heat .at").inner_text())), True)
                pointed = re.match(r"\[(\d+), (\d+)\]", page.locator(".heat .at").inner_text())
                page.mouse.down()
                page.mouse.up()
                told((int(pointed[1]), int(pointed[2])))
            return
        for key, index in [("ArrowRight", (3, 6)), ("ArrowDown", (4, 6)), ("Home", (4, 0))]:
            press(stage, key)
            told(index)
        for _ in range(15):
            press(stage, "ArrowRight")
        told((4, 15))


def test_the_newest_of_many_questions_wins(browser, lab):
    trace = lab[1]["gpt"]
    address = "blocks.0.attn.q_proj.weight:grad"
    with opened(browser, url(lab, address, (4, 0))) as page:
        shown(page, address, (4, 0))
        page.locator(STAGE).focus()
        for _ in range(15):
            page.keyboard.press("ArrowRight")
        shown(page, address, (4, 15))  # whatever was asked for on the way
        assert value_of(page) == trace[address][4, 15].item()


@HANDS
def test_across_lists_gradient_moments_and_update(browser, lab, hand):
    trace = lab[1]["later"]
    address, index = "blocks.1.mlp.up_proj.weight", (2, 3)
    with hand.opened(browser, url(lab, address, index, trace="later")) as page:
        table = page.get_by_role("region", name="Across")
        table.wait_for()
        rows = {
            row.locator("th").inner_text(): number(row.locator("td").first.get_attribute("title"))
            for row in table.locator("tr").all()
        }
        read = lambda suffix: trace[address + suffix][index].item()  # noqa: E731
        assert rows["gradient: how the loss moves with it"] == read(":grad")
        assert rows["average gradient before (exp_avg)"] == read(":exp_avg:before")
        assert rows["average gradient after (exp_avg)"] == read(":exp_avg")
        assert rows["average squared gradient after (exp_avg_sq)"] == read(":exp_avg_sq")
        assert rows["new value, after the step"] == read(":new")
        assert math.isclose(rows["update as applied: new value less value"], read(":new") - read(""), rel_tol=1e-12)
        hand.use(table.locator("tr", has_text="gradient: how the loss moves with it").get_by_role("link"))
        shown(page, address + ":grad", index)
        assert value_of(page) == read(":grad")


@HANDS
def test_why_tree_and_gradient_path(browser, lab, hand):
    trace = lab[1]["gpt"]
    address, index = "blocks.0.attn.q_proj.weight:grad", (3, 5)
    with hand.opened(browser, url(lab, address, index)) as page:
        shown(page, address, index)
        hand.use(page.locator("summary", has_text="Backward: why, further back"))
        page.locator("ul.tree li li li").first.wait_for()
        reason = trace.why(address, index, 3, 3)
        shares = page.locator("ul.tree > li > ul > li > .line .share").all_inner_texts()
        assert shares == [f"{100 * part.share:.1f} %" for part in reason.parts]
        left = page.locator("ul.tree > li > ul > li.rest").inner_text()
        assert left.startswith(f"{100 * reason.left_out:.1f} %")
        hand.use(page.locator("summary", has_text="The gradient's way from the loss"))
        chain = page.locator("details ol li")
        chain.first.wait_for()
        links = trace.gradient_path(address, index)
        assert chain.count() == len(links)
        assert chain.first.locator("a").inner_text() == "loss:grad"


@HANDS
def test_what_if_by_typing(browser, lab, hand):
    trace = lab[1]["gpt"]
    address, index = "blocks.0.attn.pattern", (0, 1, 5, 2)
    with hand.opened(browser, url(lab, address, index)) as page:
        hand.use(page.get_by_role("button", name="What if it were another number?"))
        box = page.get_by_label("What if it were")
        box.wait_for()
        assert number(box.input_value()) == trace[address][index].item()

        def put(text):
            box.fill(text)
            hand.use(page.get_by_role("button", name="Run it again") if hand.is_mouse else box)

        put("nonsense")
        page.get_by_text("That is not a number").wait_for()
        put("0.75")
        changed = trace.replay({(address, index): 0.75})
        loss = page.locator(".loss b")
        loss.wait_for()
        assert number(loss.get_attribute("title")) == changed["loss"].item()
        assert number(page.locator(".loss span.mono").first.get_attribute("title")) == trace["loss"].item()
        expected = diff(trace, changed)
        page.get_by_text(f"{len(expected)} tensors moved").wait_for()
        rows = page.locator(".moved li").all()
        for one, row in list(zip(expected, rows, strict=False))[:12]:
            before, after = (
                number(row.locator(f".numbers {tag}").last.get_attribute("title")) for tag in ("span[title]", "b")
            )
            there = row.locator("a").inner_text().partition("[")
            where = tuple(int(i) for i in there[2].rstrip("]").split(",")) if there[2] else ()
            assert (before, after) == (trace[there[0]][where].item(), changed[there[0]][where].item())
            assert math.isclose(abs(after - before), one.largest, rel_tol=1e-6)
        assert page.get_by_text("edited: 1 change").count() == 1
        # everywhere: the picture and the number are those of the replay
        page.goto(
            url(
                lab,
                "blocks.0.mlp.up_proj.weight:new",
                (1, 1),
                edits=[{"address": address, "index": index, "value": 0.75}],
            )
        )
        shown(page, "blocks.0.mlp.up_proj.weight:new", (1, 1))
        assert value_of(page) == changed["blocks.0.mlp.up_proj.weight:new"][1, 1].item()
        recorded = re.search(r"Recorded: ([^,]+), moved", page.locator(".number .edited").inner_text())
        assert recorded
        assert number(recorded[1]) == trace["blocks.0.mlp.up_proj.weight:new"][1, 1].item()
        page.goto(url(lab, address, index, edits=[{"address": address, "index": index, "value": 0.75}]))
        page.get_by_text("set by hand").wait_for()


@pytest.mark.parametrize(("said", "sent", "shown_as"), [("nan", "nan", "NaN"), ("-Inf", "-inf", "-inf")])
def test_what_if_it_were_no_finite_number(browser, lab, said, sent, shown_as):
    address, index = "blocks.0.attn.pattern", (0, 1, 5, 2)
    with opened(browser, url(lab, address, index, tab="what-if"), PHONE, "dark") as page:
        box = page.get_by_label("What if it were")
        box.fill(said)
        page.keyboard.press("Enter")
        page.locator(".loss b").wait_for()
        assert json.loads(situation(page)["edits"])[0]["value"] == sent
        changed = lab[1]["gpt"].replay({(address, index): float(sent)})
        assert page.locator(".loss b").get_attribute("title") == shown_of(changed["loss"].item())
        becomes(page.get_by_label("What if it were").input_value, shown_as)
        page.reload()
        page.locator(".loss b").wait_for()
        page.get_by_text(f"= {shown_as}").first.wait_for()


def shown_of(value):
    """A number as the page says it, all digits."""
    return "NaN" if math.isnan(value) else f"{value:+}" if math.isinf(value) else repr(value)


@HANDS
def test_zero_a_head_then_undo_and_back(browser, lab, hand):
    trace = lab[1]["gpt"]
    address, index = "blocks.1.attn.pattern", (0, 2, 7, 3)
    with hand.opened(browser, url(lab, address, index, tab="what-if")) as page:
        hand.use(page.get_by_role("button", name="head 2"))
        silenced = trace.replay({(address, (None, 2, None, None)): 0.0})
        loss = page.locator(".loss b")
        loss.wait_for()
        assert number(loss.get_attribute("title")) == silenced["loss"].item()
        hand.use(page.get_by_role("button", name="row 7"))
        page.get_by_text("2 changes").first.wait_for()
        hand.use(page.get_by_role("button", name="Undo the last"))
        page.get_by_text("One change").wait_for()
        assert json.loads(page.evaluate("new URL(location.href).searchParams.get('edits')")) == [
            {"address": address, "index": [None, 2, None, None], "value": 0}
        ]
        panel(page, hand, "Tensor")
        hand.use(page.get_by_role("button", name="What moved"))
        page.locator(STAGE).wait_for()
        page.get_by_text("Edited less recorded").wait_for()
        moved = -trace[address][index].item()
        page.locator(".heat .at", has_text=str(moved)[:7]).wait_for()
        panel(page, hand, "What if")
        hand.use(page.get_by_role("button", name="Back to the original"))
        page.get_by_text("One change").wait_for(state="detached")
        assert "edits" not in page.url
        page.go_back()
        page.get_by_text("One change").wait_for()


@HANDS
def test_slider_runs_it_again(browser, lab, hand):
    trace = lab[1]["gpt"]
    with hand.opened(browser, url(lab, "blocks.0.attn.q_proj.weight", (0, 0), tab="what-if")) as page:
        slider = page.get_by_role("slider", name="Value, around the recorded one")
        slider.wait_for()
        if hand.is_mouse:
            box = slider.bounding_box()
            slider.click(position={"x": 0.8 * box["width"], "y": box["height"] / 2})
        else:
            for _ in range(5):
                press(slider, "ArrowRight")
        value = float(slider.input_value())
        assert value > trace["blocks.0.attn.q_proj.weight"][0, 0].item()
        changed = trace.replay({("blocks.0.attn.q_proj.weight", (0, 0)): value})
        page.locator(f'.loss b[title="{changed["loss"].item()!r}"]').wait_for()


@pytest.mark.quick
def test_an_operation_without_formula_is_named(browser, lab, tmp_path):
    import torch

    import cutaway

    class Odd(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.qr(x)[1].sum()

    trace = cutaway.trace(Odd(), torch.randn(3, 3))
    opaque = next(
        a for a in trace if trace.place(a).numel and trace.explain(a, (0,) * len(trace.place(a).shape)).kind == "opaque"
    )
    trace.save(tmp_path / "qr")
    with serving(create_app(Lab(tmp_path))) as address:
        index = (0,) * len(trace.place(opaque).shape)
        with opened(browser, url((address, None), opaque, index, trace="qr")) as page:
            page.get_by_text("There is no formula for this operation").wait_for()
            assert "nothing to recompute" in page.locator(".verdict").inner_text()


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
def test_looks_and_is_accessible(browser, lab, viewport, theme):
    name = f"{viewport['width']}-{theme}"
    with opened(browser, url(lab, "blocks.0.attn.q_proj.weight:grad", (3, 5)), viewport, theme) as page:
        shown(page, "blocks.0.attn.q_proj.weight:grad", (3, 5))
        page.locator(".katex").first.wait_for()
        page.locator('section[aria-label="Who used it"][aria-busy="false"]').wait_for()
        page.get_by_text("Backward: why, further back").click()
        page.locator("ul.tree li li").first.wait_for()
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        look(page, f"number-{name}")
        for tab, address, index, edits in [
            ("tensor", "blocks.0.attn.pattern", (0, 1, 5, 2), None),
            ("tensor", "token_embedding.weight", (), None),
            (
                "what-if",
                "blocks.0.attn.pattern",
                (0, 1, 5, 2),
                [{"address": "blocks.0.attn.pattern", "index": [0, 1, 5, 2], "value": 0.5}],
            ),
        ]:
            page.goto(url(lab, address, index, tab=tab, edits=edits))
            if tab == "tensor" or viewport is not PHONE:
                page.locator(STAGE).wait_for()
            if edits:
                page.locator(".moved li").first.wait_for()
            if tab == "tensor":
                page.get_by_role("button", name="Scale").click()
                page.get_by_role("button", name="Table").click()
            assert not accessibility_problems(page)
            assert sideways_scroll(page) == 0
            look(page, f"{tab}-{len(index)}-{name}")


@HANDS
def test_tokens_stand_along_positions(browser, lab, hand):
    with hand.opened(browser, url(lab, "blocks.0.attn.pattern", (0, 1, 5, 2), tab="tensor")) as page:
        page.locator(".heat .at", has_text='(5 "e"').or_(page.locator(".heat .at", has_text='5 "e"')).first.wait_for()


@HANDS
def test_two_traces_and_their_difference(browser, lab, hand):
    traces = lab[1]
    address, index = "blocks.0.mlp.up_proj.weight:grad", (3, 4)
    old, new = (traces[name][address][index].item() for name in ("gpt", "later"))
    with hand.opened(browser, url(lab, address, index, tab="tensor") + "&other=later") as page:
        line = page.locator(".heat .at")
        line.filter(has_text=" = ").wait_for()
        for name, expected in [("Other trace", new), ("Difference", new - old), ("Value", old)]:
            hand.use(page.get_by_role("button", name=name, exact=True))
            page.locator(f'button[aria-pressed="true"]:text-is("{name}")').wait_for()
            page.wait_for_function(  # the numbers come after the button is pressed
                """expected => {
                    const said = Number(document.querySelector('.heat .at').textContent.split(' = ')[1]);
                    return Math.abs(said - expected) <= 1e-15 * Math.abs(expected);
                }""",
                arg=expected,
            )


@HANDS
def test_cells_a_number_was_made_of_are_marked(browser, lab, hand):
    trace = lab[1]["gpt"]
    address, index = "blocks.0.attn.q_proj.weight:grad", (3, 5)
    term = trace.explain(address, index).terms[0]
    other, where = term.others[0]
    with hand.opened(browser, url(lab, address, index)) as page:
        shown(page, address, index)
        hand.use(page.get_by_role("link", name=f"{other}[{', '.join(map(str, where))}]", exact=True).first)
        shown(page, other, where)
        panel(page, hand, "Tensor")
        said = page.locator(".origin").inner_text()
        assert f"Dashed: what {address}[3, 5] was made of here" in said
        assert f"{trace.place(other).shape[-2]} cells" in said
