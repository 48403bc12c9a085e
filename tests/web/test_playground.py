"""The playground screen, used as a person would: with the mouse and with the keyboard, small and large, light and dark."""

from __future__ import annotations

import random
import re
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from web.browser import (
    HANDS,
    LOOKS,
    accessibility_problems,
    look,
    opened,
    press,
    serving,
    sideways_scroll,
    situation,
)

from cutaway.scratch.playground import Playground, PlaygroundConfig
from cutaway.server.app import create_app
from cutaway.server.lab import Lab


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serving(create_app(Lab(tmp_path_factory.mktemp("home")))) as address:
        yield f"{address}/playground"


def ready(page: Any, step: int | None = None) -> None:
    """Wait until the network is drawn, and a step is shown."""
    page.locator("[data-id='u1.1']").wait_for()
    if step is not None:
        at_step(page, step)


def at_step(page: Any, step: int) -> None:
    page.wait_for_function(
        "step => document.querySelector('input[aria-label=\"Go to step\"]')?.value === String(step)", arg=step
    )


def number_in(label: str) -> float:
    """Return the number a label ends with."""
    found = re.search(r": (-?[\d.]+(?:e-?\d+)?)", label)
    assert found, label
    return float(found[1])


def close(shown: float, true: float, digits: int = 3) -> bool:
    """Tell whether a shortened number is this one."""
    return shown == pytest.approx(true, rel=0.6 * 10 ** (1 - digits), abs=1e-300)


def copied(page: Any, name: str) -> float:
    """Return a number with all its digits, as its label says it."""
    label = page.get_by_role("button", name=re.compile(rf"^{re.escape(name)} .*, copy$")).first.get_attribute(
        "aria-label"
    )
    return float(label.removesuffix(", copy").split(" ")[-1])


@pytest.mark.parametrize(("viewport", "theme"), LOOKS)
@pytest.mark.parametrize("tab", ["inspect", "hand", "paths", "curves", "many"])
def test_every_panel_at_every_size_and_theme(browser, address, viewport, theme, tab):
    situation = f"?tab={tab}&pick=w1.2.1&step=30&optimizer=adam&noise=0.1"
    with opened(browser, address + situation, viewport, theme) as page:
        ready(page, 30)
        page.get_by_role("tabpanel").wait_for()
        page.wait_for_load_state("networkidle")
        assert not accessibility_problems(page)
        assert sideways_scroll(page) == 0
        look(page, f"playground-{tab}-{viewport['width']}-{theme}")


def test_one_view_holds_network_plane_and_time(browser, address):
    with opened(browser, address) as page:
        ready(page)
        for part in (".network", "section.side", ".transport", ".below", ".controls", "[role=tablist]"):
            box = page.locator(part).bounding_box()
            assert box["y"] + box["height"] <= 800, part


def test_leaving_while_it_plays(browser, address):
    with opened(browser, f"{address}?speed=8") as page:
        ready(page)
        page.get_by_role("button", name="Play", exact=True).click()
        page.wait_for_function("() => +document.querySelector('input[aria-label=\"Go to step\"]')?.value > 5")
        page.get_by_role("link", name="Cutaway, home").click()
        page.get_by_role("link", name="Playground").first.wait_for()
        page.evaluate("window.dispatchEvent(new Event('pagehide'))")
        assert urlsplit(page.url).query == ""
        page.go_back()
        ready(page)
        assert int(situation(page).get("step", "0")) >= 0


@HANDS
def test_numbers_are_the_playgrounds(browser, address, hand):
    """Random weights and units, their labels and the inspector, against the Python API."""
    config = PlaygroundConfig(data="moons", hidden=(3, 4), activation="sigmoid", optimizer="adam", learning_rate=0.1)
    playground = Playground(config, seeds=[2])
    playground.seek(25)
    gradients = playground.snapshot().update
    rng = random.Random(0)
    places = rng.sample(playground.network.places(), 6)
    situation = "?data=moons&hidden=3-4&activation=sigmoid&optimizer=adam&rate=0.1&seed=2&step=25&point=7"
    with hand.opened(browser, address + situation) as page:
        ready(page, 25)
        for layer, unit, source in places:
            kind = f"b{layer}.{unit}" if source is None else f"w{layer}.{unit}.{source}"
            mark = page.locator(f"[data-id='{kind}']")
            p = playground.network.position(layer, unit, source)
            assert close(number_in(mark.get_attribute("aria-label")), playground.state.parameters_KP[0, p])
            name, index = (f"b{layer}", (0, unit - 1)) if source is None else (f"W{layer}", (0, unit - 1, source - 1))
            gradient = gradients[name]["gradient"][index]
            said = mark.get_attribute("aria-label").split("gradient ")[1]
            assert close(float(said), gradient)
        snapshot = playground.snapshot(point=7)
        for layer in (1, 2, 3):
            label = page.locator(f"[data-id='u{layer}.1']").get_attribute("aria-label")
            assert close(number_in(label), snapshot.forward[f"a{layer}"][0, 0, 0])
        layer, unit, source = next(place for place in places if place[2] is not None)
        press(page.locator(f"[data-id='w{layer}.{unit}.{source}']"))
        for kind in ("gradient", "m", "v", "update", "new_value"):
            true = playground.formula(kind, layer, unit, source).value
            name = playground.formula(kind, layer, unit, source).name
            page.get_by_role("button", name=re.compile(rf"^{re.escape(name)} ")).first.wait_for()
            assert copied(page, name) == true
        assert copied(page, "new weight") == playground.formula("new_value", layer, unit, source).value
        scores = playground.scores()
        assert copied(page, "loss") == scores.loss_K[0]
        assert copied(page, "held-out loss") == scores.held_out_loss_K[0]


@HANDS
def test_play_pause_step_and_scrub(browser, address, hand):
    with hand.opened(browser, f"{address}?speed=8") as page:
        ready(page)
        hand.use(page.get_by_role("button", name="Play", exact=True))
        page.wait_for_function("() => +document.querySelector('input[aria-label=\"Go to step\"]')?.value > 20")
        hand.use(page.get_by_role("button", name="Pause", exact=True))
        here = int(page.get_by_label("Go to step").input_value())
        assert situation(page)["step"] == str(here)
        hand.use(page.get_by_role("button", name="One step back"))
        at_step(page, here - 1)
        hand.use(page.get_by_role("button", name="One step forward"))
        at_step(page, here)
        hand.use(page.get_by_role("button", name="Back to the beginning"))
        at_step(page, 0)
        # keyboard, with nothing focused
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        at_step(page, 2)
        page.keyboard.press("ArrowLeft")
        at_step(page, 1)
        page.keyboard.press("Space")
        page.get_by_role("button", name="Pause", exact=True).wait_for()
        page.keyboard.press("Space")
        page.get_by_role("button", name="Play", exact=True).wait_for()
        page.keyboard.press("Home")
        at_step(page, 0)
        # the scrubber, by mouse and by keys; any step by typing
        slider = page.get_by_role("slider", name="Step", exact=True)
        box = slider.bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_function("() => +document.querySelector('input[aria-label=\"Go to step\"]')?.value > 50")
        press(slider, "Home")
        at_step(page, 0)
        page.get_by_label("Go to step").fill("123")
        press(page.get_by_label("Go to step"))
        at_step(page, 123)
        loss = Playground()
        loss.seek(123)
        page.wait_for_function(
            "loss => document.querySelector('.losses .figure')?.getAttribute('aria-label') === `loss ${loss}, copy`",
            arg=float(loss.scores().loss_K[0]),
        )


def test_as_fast_as_possible_goes_far(browser, address):
    with opened(browser, f"{address}?hidden=8-8&data=spiral&speed=max") as page:
        ready(page)
        page.get_by_role("button", name="Play", exact=True).click()
        page.wait_for_function("() => +document.querySelector('input[aria-label=\"Go to step\"]')?.value > 600")
        page.get_by_role("button", name="Pause", exact=True).click()


@HANDS
def test_phases_one_at_a_time(browser, address, hand):
    with hand.opened(browser, f"{address}?step=3") as page:
        ready(page, 3)
        for phase in ("forward", "loss", "backward", "update"):
            hand.use(page.get_by_role("button", name="Next phase"))
            assert page.get_by_role("button", name=re.compile(phase, re.I), pressed=True).count()
        numbers = page.locator("[data-id='w2.1.1'] text").text_content()
        playground = Playground()
        playground.seek(3)
        assert close(float(numbers), playground.formula("update", 2, 1, 1).value, digits=2)
        hand.use(page.get_by_role("button", name="Next phase"))
        at_step(page, 4)
        assert situation(page)["phase"] == "forward"
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("Shift+ArrowLeft")
        at_step(page, 3)
        assert situation(page)["phase"] == "update"
        hand.use(page.get_by_role("button", name=re.compile("backward", re.I)).first)
        numbers = page.locator("[data-id='w2.1.1'] text").text_content()
        assert close(float(numbers), playground.formula("gradient", 2, 1, 1).value, digits=2)


@HANDS
def test_walk_the_network_by_keys(browser, address, hand):
    with hand.opened(browser, f"{address}?hidden=2-3") as page:
        ready(page)
        page.locator("[data-id='u1.1']").focus()
        seen = []
        for key in ("ArrowRight", "ArrowDown", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowRight", "ArrowRight"):
            page.keyboard.press(key)
            seen.append(page.evaluate("document.activeElement.dataset.id"))
        assert seen == ["w2.1.1", "w2.1.2", "u2.1", "w2.1.1", "u1.1", "w2.1.1", "u2.1"]
        page.keyboard.press("Enter")
        assert situation(page)["pick"] == "u2.1"
        page.get_by_role("heading", name="Unit 1 of layer 2").wait_for()
        # one stop for Tab: from the network it leads out
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('svg')") is None
        page.locator("[data-id='u2.2']").click()
        page.get_by_role("heading", name="Unit 2 of layer 2").wait_for()
        page.get_by_role("group", name="What it reads").get_by_role("button", name=re.compile("^from unit 1")).click()
        page.get_by_role("heading", name="Weight from unit 1 of layer 1 to unit 2 of layer 2").wait_for()


@HANDS
def test_change_a_weight(browser, address, hand):
    with hand.opened(browser, f"{address}?step=10") as page:
        ready(page, 10)
        weight = page.locator("[data-id='w1.2.1']")
        playground = Playground()
        playground.seek(10)
        before = playground.state.parameters_KP[0, playground.network.position(1, 2, 1)]
        # keys on the drawing
        weight.focus()
        page.keyboard.press("+")
        page.wait_for_function(
            "value => Math.abs(parseFloat(document.activeElement.ariaLabel.split(': ')[1]) - value) < 1e-3",
            arg=before + 0.05,
        )
        # typed in the inspector
        page.keyboard.press("Enter")
        value = page.get_by_label("Value of the weight from input x1 to unit 2")
        value.fill("1.5")
        press(value)
        playground.set_weight(1.5, 1, 2, 1)
        loss = float(playground.scores().loss_K[0])
        page.wait_for_function(
            "loss => document.querySelector('.losses .figure')?.getAttribute('aria-label') === `loss ${loss}, copy`",
            arg=loss,
        )
        assert situation(page)["edits"] == "10*w*1*2*1*1.5"
        # undone
        hand.use(page.get_by_role("button", name="Undo"))
        page.wait_for_function("() => !new URLSearchParams(location.search).has('edits')")
        page.go_back()
        page.wait_for_function("() => new URLSearchParams(location.search).has('edits')")


def test_drag_a_weight(browser, address):
    with opened(browser, f"{address}?hidden=2") as page:
        ready(page)
        place = page.evaluate(
            """() => {
              const path = document.querySelector("[data-id='w2.1.1'] .grip");
              const at = path.getPointAtLength(path.getTotalLength() * 0.3);
              const on = at.matrixTransform(path.ownerSVGElement.getScreenCTM());
              return [on.x, on.y];
            }"""
        )
        page.mouse.move(*place)
        page.mouse.down()
        page.mouse.move(place[0], place[1] - 20)
        page.mouse.move(place[0], place[1] - 50)
        page.mouse.up()
        playground = Playground(PlaygroundConfig(hidden=(2,)))
        before = playground.state.parameters_KP[0, playground.network.position(2, 1, 1)]
        assert situation(page)["edits"] == f"0*w*2*1*1*{round(before + 1.0, 2):g}"
        page.go_back()  # a drag is one entry
        page.wait_for_function("() => !new URLSearchParams(location.search).has('edits')")


@HANDS
def test_points_moved_flipped_and_painted(browser, address, hand):
    with hand.opened(browser, address) as page:
        ready(page)
        plane = page.get_by_role("application")
        plane.evaluate("node => node.scrollIntoView({block: 'center'})")
        plane.focus()
        page.keyboard.press("n")
        assert situation(page)["point"] == "1"
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowUp")
        changed = situation(page)["edits"]
        x1, x2 = Playground().data.x_N2[1]
        assert changed == f"0*p*1*{round(x1 + 0.025, 3):g}*{round(round(x2, 3) + 0.125, 3):g}*1" or changed.startswith(
            "0*p*1*"
        )
        page.keyboard.press("Space")
        page.wait_for_function("() => new URLSearchParams(location.search).get('edits').endsWith('_0*f*1')")
        page.wait_for_function("() => document.querySelector('[role=application]')?.ariaLabel?.includes('label 0')")
        page.keyboard.press("Space")  # flipped twice is not flipped
        page.wait_for_function("() => !new URLSearchParams(location.search).get('edits').includes('f')")
        page.keyboard.press("Control+z")
        page.wait_for_function("() => !new URLSearchParams(location.search).has('edits')")
        # by mouse: a point dragged, then a stroke of the brush
        box = plane.bounding_box()

        def place(x1: float, x2: float) -> tuple[float, float]:
            return box["x"] + box["width"] * (0.5 + x1 / 2.5), box["y"] + box["height"] * (0.5 - x2 / 2.5)

        page.mouse.move(*place(*Playground().data.x_N2[5]))
        page.mouse.down()
        page.mouse.move(*place(0, 0))
        page.mouse.move(*place(0.02, 0.05))
        page.mouse.up()
        edits = situation(page)["edits"].split("*")
        assert edits[:2] == ["0", "p"]
        assert abs(float(edits[3]) - 0.02) < 0.02
        hand.use(page.get_by_role("button", name="Paint noise"))
        plane.evaluate("node => node.scrollIntoView({block: 'center'})")
        box = plane.bounding_box()
        page.mouse.move(*place(-0.8, 0.6))
        page.mouse.down()
        for n in range(8):
            page.mouse.move(*place(-0.8 + 0.05 * n, 0.6))
        page.mouse.up()
        flips = situation(page)["edits"].split("_")[1].split("*")[2:]
        assert len(flips) > 3
        where = Playground().data.x_N2[[int(p) for p in flips]]
        assert (np.abs(where[:, 1] - 0.6) < 0.2).all()


@HANDS
def test_settings(browser, address, hand):
    with hand.opened(browser, address) as page:
        ready(page)
        page.get_by_text("Spiral", exact=True).click()
        hand.use(page.get_by_role("button", name="One hidden layer more"))
        hand.use(page.get_by_role("button", name="One unit less in layer 2"))
        page.locator("[data-id='u2.3']").wait_for()
        page.get_by_role("combobox", name="Optimizer").select_option("adam")
        page.get_by_role("combobox", name="Activation").select_option("relu")
        page.get_by_role("combobox", name="Loss").select_option("squared_error")
        page.get_by_role("combobox", name="Batch").select_option("10")
        for name, key in (
            ("Learning rate", "ArrowLeft"),
            ("Noise", "End"),
            ("Points", "End"),
            ("Confidence", "ArrowRight"),
        ):
            press(page.get_by_role("slider", name=name), key)
        page.get_by_label("Seed").fill("5")
        press(page.get_by_label("Seed"))
        assert situation(page) == {
            "data": "spiral", "hidden": "4-3", "optimizer": "adam", "activation": "relu", "loss": "squared_error",
            "batch": "10", "rate": "0.49", "noise": "0.5", "points": "500", "penalty": "0.05", "seed": "5",
        }  # fmt: skip
        hand.use(page.get_by_role("button", name="Randomise"))
        page.wait_for_function("() => new URLSearchParams(location.search).get('seed') !== '5'")
        page.go_back()
        page.wait_for_function("() => new URLSearchParams(location.search).get('seed') === '5'")
        ready(page)


@pytest.mark.quick
def test_other_weights_while_it_plays(browser, address):
    with opened(browser, f"{address}?speed=2&step=150") as page:
        ready(page, 150)
        page.get_by_role("button", name="Play", exact=True).click()
        page.wait_for_function("() => +document.querySelector('input[aria-label=\"Go to step\"]')?.value > 155")
        page.get_by_role("button", name="Randomise").click()
        page.wait_for_function("() => +document.querySelector('input[aria-label=\"Go to step\"]')?.value < 100")
        page.wait_for_function("() => +document.querySelector('input[aria-label=\"Go to step\"]')?.value > 3")
        page.get_by_role("button", name="Pause", exact=True).click()
        assert int(situation(page)["step"]) < 100


def test_own_points(browser, address):
    with opened(browser, address) as page:
        ready(page)
        page.get_by_role("button", name="Own points").click()
        text = page.get_by_label("A row for each point")
        text.fill("0 0 1\n1 1 2")
        page.get_by_role("button", name="Learn from these").click()
        page.get_by_text('Row 2 is "1 1 2"').wait_for()
        text.fill("0 0 1\n1, 1, 0\n-1 1 1")
        page.get_by_role("button", name="Learn from these").click()
        page.wait_for_function("() => document.querySelector('[role=application]')?.ariaLabel?.includes('of 3')")
        assert situation(page)["own"] == "0*0*1_1*1*0_-1*1*1"


@HANDS
def test_by_hand(browser, address, hand):
    with hand.opened(browser, f"{address}?step=8&hidden=2&point=3") as page:
        ready(page, 8)
        page.get_by_role("tab", name="Inspector").focus()
        page.keyboard.press("ArrowRight")
        page.get_by_text(re.compile(r"^✓ \d+ of \d+ lines")).wait_for()
        page.get_by_text("Gradient check:").wait_for()
        playground = Playground(PlaygroundConfig(hidden=(2,)))
        playground.seek(8)
        for kind, place in (("z", (1, 2)), ("a", (2, 1))):
            formula = playground.formula(kind, *place, point=3)
            assert copied(page, formula.name) == formula.value
        page.get_by_text("Update: layer 1").click()
        formula = playground.formula("new_value", 1, 2, 1)
        assert copied(page, formula.name) == formula.value
        assert copied(page, "loss of the batch") == playground.formula("loss").value
        page.get_by_text("Gradient check of every weight").click()
        page.get_by_role("table").get_by_role("button", name="weight from input x1 to unit 2").click()
        page.get_by_role("heading", name="Weight from input x1 to unit 2").wait_for()


@HANDS
def test_paths(browser, address, hand):
    with hand.opened(browser, f"{address}?tab=paths&step=100&hidden=3-2") as page:
        ready(page, 100)
        playground = Playground(PlaygroundConfig(hidden=(3, 2)))
        playground.seek(100)
        strongest = playground.path_strengths()
        rows = page.locator("#dock-panel li")
        rows.first.wait_for()
        for n, path in enumerate(strongest[:12]):
            name = " → ".join(
                f"x{u}" if layer == 0 else "output" if layer == 3 else f"unit {u}" for layer, u in enumerate(path.units)
            )
            assert rows.nth(n).get_by_role("button").first.inner_text() == name
            label = rows.nth(n).get_by_role("button").last.get_attribute("aria-label")
            assert label == f"strength of {name} {np.format_float_positional(path.strength, trim='-')}, copy" or close(
                float(label.removesuffix(", copy").split(" ")[-1]), path.strength, 15
            )
        rows.first.get_by_role("button").first.focus()
        faint = page.locator("g.unit.faint").count()
        assert faint == 1 + 2 + 1
        rows.nth(1).get_by_role("button").first.click()
        assert rows.nth(1).get_by_role("button").first.get_attribute("aria-pressed") == "true"


@HANDS
def test_curves(browser, address, hand):
    with hand.opened(browser, f"{address}?tab=curves&step=60") as page:
        ready(page, 60)
        page.get_by_role("heading", name="Share of right answers").wait_for()
        hand.use(page.get_by_role("button", name="into the output"))
        page.get_by_text("4 → 1").first.wait_for()
        assert situation(page)["layer"] == "2"


@HANDS
def test_nine_seeds_and_nine_rates(browser, address, hand):
    with hand.opened(browser, f"{address}?tab=many&hidden=2&step=400") as page:
        ready(page, 400)
        crowd = Playground(PlaygroundConfig(hidden=(2,)), seeds=range(9))
        crowd.seek(400)
        right = crowd.scores().accuracy_K
        page.get_by_text(f"{int((right == 1).sum())} of 9 have every point right").wait_for()
        for seed, share in enumerate(right):
            card = page.get_by_role("button", name=re.compile(f"^Open seed {seed}:"))
            said = card.get_attribute("aria-label")
            assert ("all right" in said) == (share == 1)
            if share < 1:
                assert f"{round(share * 100):d} % right" in said
        hand.use(page.get_by_role("button", name=re.compile("^Open seed 4:")))
        page.wait_for_function("() => new URLSearchParams(location.search).get('seed') === '4'")
        hand.use(page.get_by_role("button", name="Nine learning rates"))
        hand.use(page.get_by_role("button", name=re.compile("^Open rate 3:")))
        assert situation(page)["rate"] == "3"


@HANDS
def test_divergence_in_words(browser, address, hand):
    with hand.opened(browser, f"{address}?activation=relu&edits=40*w*2*1*2*1e200&step=38") as page:
        ready(page, 38)
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("Space")
        page.get_by_text("It stops at step 41.").wait_for()
        page.get_by_text("z of layer 2, unit 1, point 47 became infinite").wait_for()
        page.get_by_role("button", name="Play", exact=True).wait_for()  # it has paused by itself
        hand.use(page.get_by_role("button", name="bias of unit 2", exact=True).last)
        at_step(page, 40)
        assert situation(page)["pick"] == "b1.2"
        page.get_by_role("heading", name="Bias of unit 2").wait_for()


def test_a_leap_in_words(browser, address):
    config = PlaygroundConfig(data="circles", hidden=(8, 8), activation="relu", learning_rate=5)
    with opened(browser, f"{address}?data=circles&hidden=8-8&activation=relu&rate=5") as page:
        ready(page)
        playground = Playground(config)
        before = playground.scores().loss_K[0]
        playground.step()
        after = playground.scores().loss_K[0]
        page.get_by_text(f"the loss goes up from {before:.3g} to {after:.3g}").wait_for()


@HANDS
def test_presets_share_and_help(browser, address, hand):
    with hand.opened(browser, address) as page:
        ready(page)
        hand.use(page.get_by_role("button", name="Presets"))
        page.get_by_role("link", name=re.compile("Too small for XOR")).click()
        page.get_by_text("One hidden unit draws one line").wait_for()
        ready(page)
        assert situation(page) == {"preset": "small", "hidden": "1"}
        hand.use(page.get_by_role("button", name="Close these words"))
        hand.use(page.get_by_role("button", name="Share"))
        page.get_by_label("Presets").check()
        page.get_by_label("Learning", exact=True).check()
        hand.use(page.get_by_role("button", name="Copy", exact=True))
        page.get_by_text("Link copied").wait_for()
        link = page.evaluate("navigator.clipboard.readText()")
        assert "hide=presets.learning" in link
        page.keyboard.press("Escape")
        page.goto(link)
        ready(page)
        assert page.get_by_role("button", name="Presets").count() == 0
        assert page.get_by_label("Learning rate").count() == 0
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("?")
        page.get_by_role("heading", name="Keys and marks").wait_for()
        assert not accessibility_problems(page)
        page.keyboard.press("Escape")
        page.get_by_role("heading", name="Keys and marks").wait_for(state="hidden")


def test_nonsense_in_the_address_is_said_and_left_out(browser, address):
    nonsense = "?rate=9&hidden=4-9&data=xo&points=1e9&step=-1&foo=1&edits=3*w*1*9*1*1&pick=w1.2.9&point=400&noise=NaN"
    with opened(browser, address + nonsense) as page:
        ready(page, 0)
        said = page.get_by_role("alert").all_inner_texts()
        for word in (
            "rate=9",
            "hidden=4-9",
            "data=xo",
            "points=1e9",
            "step=-1",
            "foo=1",
            "edit",
            "w1.2.9",
            "point 400",
        ):
            assert any(word in line for line in said), (word, said)
        assert page.locator("[data-id='u1.4']").count() == 1


def test_numbers_on_demand_and_reading_without_colour(browser, address):
    with opened(browser, f"{address}?pick=w1.2.1") as page:
        ready(page)
        assert page.locator("[data-id='w1.1.1'] text").count() == 0
        page.get_by_label("numbers").check()
        playground = Playground()
        shown = page.locator("[data-id='w1.1.1'] text").text_content()
        assert close(float(shown), playground.state.parameters_KP[0, 0], digits=2)
        assert page.get_by_label("All digits").count() == 1


def test_a_lab_that_went_away_is_said(browser, address):
    with opened(browser, address) as page:
        ready(page)
        page.route("**/api/playground/**", lambda route: route.abort())
        page.get_by_role("button", name="One step forward").click()
        page.get_by_text("The lab does not answer").wait_for()
        page.unroute("**/api/playground/**")
        page.get_by_role("button", name="One step forward").click()
        page.get_by_text("The lab does not answer").wait_for(state="hidden")
        page.wrong.clear()


def tex(page: Any) -> list[str]:
    """Return the formulas of the panel as they were set."""
    page.locator("#dock-panel annotation").first.wait_for(state="attached")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#dock-panel .tex')].every(one => one.querySelector('annotation'))"
    )
    return ["".join(one.split()) for one in page.locator("#dock-panel .symbols annotation").all_text_contents()]


SLOPE = r"\frac{\partial%s}{\partial%s}"


def test_formulas_are_set_as_they_are(browser, address):
    """Their TeX, written out here by hand."""
    da_dz, dL_da, dL_dz = (SLOPE % pair for pair in (("a", "z"), ("L", "a"), ("L", "z")))
    with opened(browser, f"{address}?pick=u1.2&step=3") as page:
        ready(page, 3)
        assert tex(page) == [
            "=w_{1}\\,x_{1}+w_{2}\\,x_{2}+b",
            "=\\tanh(w_{1}\\,x_{1}+w_{2}\\,x_{2}+b)",
            "=1-a^{2}",
            "=w_{1}\\," + SLOPE % ("L", "z_{1}"),
            f"={dL_da}\\,{da_dz}",
        ]
    with opened(browser, f"{address}?pick=w2.1.3&step=3&optimizer=adam&loss=squared_error") as page:
        ready(page, 3)
        page.get_by_role("heading", name="Is the gradient right?").wait_for()
        assert tex(page) == [
            "=2\\,(a-y)",
            "=a\\,(1-a)",
            "=2\\,(a-y)\\,(a\\,(1-a))",
            f"={dL_dz}\\,a_{{3}}",
            f"=\\frac{{1}}{{B}}\\sum_{{b}}\\,{dL_dz}\\,a_{{3}}",
            "=\\beta_{1}\\,m+(1-\\beta_{1})\\,g",
            "=\\beta_{2}\\,v+(1-\\beta_{2})\\,g^{2}",
            "=m'/(1-\\beta_{1}^{t})",
            "=v'/(1-\\beta_{2}^{t})",
            "=-\\eta\\,\\hatm/(\\sqrt{\\hatv}+\\epsilon)",
            "=w+\\Deltaw",
        ]
