"""Formulas of the playground as they are set on screen: what calculus says, not only what the numbers give."""

from __future__ import annotations

import pytest
from web.browser import opened, serving

from cutaway.server.app import create_app
from cutaway.server.lab import Lab

SLOPE = r"\frac{\partial L}{\partial %s}"
CHAINS = {
    "tanh": r"1 - a^{2}",
    "sigmoid": r"a\,(1 - a)",
    "relu": r"1\text{ if }z > 0\text{ else }0",
}


@pytest.mark.parametrize("activation", CHAINS)
def test_the_chain_to_a_weight_is_the_chain_rule(browser, tmp_path, activation):
    with (
        serving(create_app(Lab(tmp_path))) as address,
        opened(browser, f"{address}/playground?step=5&pick=w1.2.1&activation={activation}") as page,
    ):
        page.locator(".katex annotation").first.wait_for(state="attached")
        page.wait_for_function("document.querySelectorAll('.katex annotation').length >= 10")
        shown = "".join(page.locator(".katex annotation").all_text_contents()).replace(" ", "")
        expected = [
            rf"{SLOPE % 'a'} = w_{{1}}\,{SLOPE % 'z_{1}'}",
            rf"\frac{{\partial a}}{{\partial z}} = {CHAINS[activation]}",
            rf"{SLOPE % 'z'} = {SLOPE % 'a'}\,\frac{{\partial a}}{{\partial z}}",
            rf"{SLOPE % 'w'} = {SLOPE % 'z'}\,x_{{1}}",
            r"w^{\text{new}} = w + \Delta w",
        ]
        missing = [tex for tex in expected if tex.replace(" ", "") not in shown]
        assert not missing, shown
