"""How soon the microscope screen shows what was clicked, in a real browser, and how soon a heat map is drawn.

A click on a random cell of a random tensor of GPT-2's 124M step; the time ends when the explanation of that number, its
formula set, is on the screen (after the frame that draws it). The heat map is 1,024 x 1,024 numbers, without a GPU.
"""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch
from torch import nn

import cutaway
from cutaway.bench.browser import chromium, opened, serving
from cutaway.bench.facts import Fact
from cutaway.bench.lab_microscope import record_into

CLICKS, CLICKS_IF_QUICK = 200, 40
DRAWINGS = 30
SIDE = 1024

CLICK = """async ([address, index, href]) => {
  const link = document.createElement('a');
  link.href = href;
  document.querySelector('#main').append(link);
  const wanted = JSON.stringify([address, index]);
  const isThere = () => {
    const shown = document.querySelector('.number article');
    if (!shown || JSON.stringify(JSON.parse(shown.dataset.of).slice(2)) !== wanted) return false;
    const tex = shown.querySelector('.tex');
    return !tex || tex.querySelector('.katex') !== null || tex.classList.contains('failed');
  };
  const started = performance.now();
  link.click();
  await new Promise((done, fail) => {
    const look = () => {
      if (isThere()) done();
      else if (performance.now() - started > 20000) fail(new Error(`nothing of ${wanted}`));
      else setTimeout(look, 1);
    };
    look();
  });
  await new Promise(done => requestAnimationFrame(() => {
    const painted = new MessageChannel();
    painted.port1.onmessage = done;
    painted.port2.postMessage(0);
  }));
  const took = performance.now() - started;
  link.remove();
  return took;
}"""

FOLLOW = """async href => {
  const link = document.createElement('a');
  link.href = href;
  document.body.append(link);
  link.click();
  link.remove();
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 30))));
}"""
DRAWN = "canvas.picture[data-drawn-ms]:not([data-drawn-ms='0.00'])"


def run_microscope_browser_bench(
    is_quick: bool, say: Callable[[str], None] = lambda line: None, folder: Path | None = None
) -> list[Fact]:
    """Return what was measured.

    Args:
        folder: where to record; left out: a temporary one. It is emptied afterwards.
    """
    from cutaway.server.app import create_app
    from cutaway.server.lab import Lab

    with tempfile.TemporaryDirectory(dir=folder) as home:
        say("recording a step of GPT-2 124M")
        record_into(Path(home) / "traces" / "gpt2", is_quick)
        square = torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(0))
        cutaway.trace(nn.Identity(), square).save(Path(home) / "square")
        app = create_app(Lab(Path(home)))
        with serving(app) as address, chromium() as browser:
            say("clicking on random numbers")
            facts = clicks(browser, address, CLICKS_IF_QUICK if is_quick else CLICKS)
            say("drawing 1,024 x 1,024")
            return facts + drawings(browser, address)


def clicks(browser: Any, address: str, n: int) -> list[Fact]:
    """Return how long it takes from a click to the explanation on the screen."""
    trace = "traces/gpt2"
    with opened(browser, f"{address}/microscope?trace={trace}&address=loss&tab=number") as page:
        page.locator(".number article .katex").first.wait_for(timeout=60_000)
        overview = page.evaluate(f"fetch('/api/microscope/overview?trace={trace}').then(answer => answer.json())")
        tensors = [pair for pair in zip(overview["addresses"], overview["shapes"], strict=True) if 0 not in pair[1]]
        generator = random.Random(0)
        took = []
        for number in range(n + 10):
            name, shape = generator.choice(tensors)
            index = [generator.randrange(size) for size in shape]
            at = ",".join(map(str, index))
            href = f"/microscope?trace={trace}&address={quote(name)}&index={at}&fixed={at}&tab=number"
            milliseconds = page.evaluate(CLICK, [name, index, href])
            if number >= 10:  # the first ones load what all others need
                took.append(milliseconds)
            page.wait_for_load_state("networkidle")
    return [
        Fact(f"click to explanation on the screen, {n} numbers: median", statistics.median(took), "ms"),
        Fact("  95th percentile", statistics.quantiles(took, n=20)[-1], "ms", 100.0),
    ]


def drawings(browser: Any, address: str) -> list[Fact]:
    """Return how long drawing a million cells takes: colours computed, cells of a pixel pooled, put on the canvas."""
    first, again = [], []
    place = f"{address}/microscope?trace=square&address=input.input&tab=tensor"
    for _ in range(8):
        with opened(browser, place) as page:
            page.wait_for_selector(DRAWN)
            first.append(float(page.get_attribute("canvas.picture", "data-drawn-ms")))
    with opened(browser, place) as page:
        page.wait_for_selector(DRAWN)
        for number in range(DRAWINGS):
            # another end of the scale: every cell gets its colour anew
            page.evaluate(FOLLOW, f"/microscope?trace=square&address=input.input&tab=tensor&range={1 + number / 10}")
            again.append(float(page.get_attribute("canvas.picture", "data-drawn-ms")))
    return [
        Fact("heat map 1,024 x 1,024, first drawing: median", statistics.median(first), "ms", 50.0),
        Fact("  slowest of 8", max(first), "ms"),
        Fact("  drawn again in another scale: median", statistics.median(again), "ms", 50.0),
        Fact("  95th percentile", statistics.quantiles(again, n=20)[-1], "ms", 50.0),
    ]
