"""The microscope's screen as a person drives it: with the mouse on a wide screen, with the keyboard on a phone."""

from __future__ import annotations

from typing import Any

from web.browser import Hand, press


def panel(page: Any, hand: Hand, name: str) -> None:
    """Open a panel: a wide screen shows them beside each other, a phone one at a time."""
    if not hand.is_mouse:
        by_arrows(page.get_by_role("tablist", name="Panels"), name)


def side(page: Any, hand: Hand, name: str) -> None:
    """Choose what the overview's panel shows."""
    panel(page, hand, "Overview")
    tabs = page.get_by_role("tablist", name="Overview")
    if hand.is_mouse:
        tabs.get_by_role("tab", name=name).click()
    else:
        by_arrows(tabs, name)


def by_arrows(tabs: Any, name: str) -> None:
    """Go from tab to tab until this one is chosen."""
    for _ in range(tabs.get_by_role("tab").count()):
        if tabs.get_by_role("tab", name=name, exact=True, selected=True).count():
            return
        press(tabs.get_by_role("tab", selected=True), "ArrowRight")
    tabs.get_by_role("tab", name=name, exact=True, selected=True).wait_for()


def walk(page: Any, name: str) -> None:
    """Arrow down the tree of modules until the cursor is on a row."""
    tree = page.get_by_role("treegrid")
    for _ in range(60):
        press(tree, "ArrowDown")
        here = "document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))?.ariaLabel ?? ''"
        if page.evaluate(here).startswith(name):
            return
    raise AssertionError(f"arrow keys lead to no row {name!r}")
