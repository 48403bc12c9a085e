"""How smoothly a chart of 100,000 points moves under a hand, in the system's Chromium.

A finger that moves on, or a wheel that turns, in each frame. Two things are timed: the work of a frame, from the hand's
move until the chart's canvas holds the new picture, and the time between frames, which has the browser's own drawing in it.
"""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cutaway.bench.browser import chromium, opened
from cutaway.bench.facts import Fact
from cutaway.bench.lab_process import running_lab

POINTS = 100_000
FRAMES, FRAMES_IF_QUICK = 240, 60
FRAME_MS = 1000 / 60

MOVES = """async ([what, n]) => {
  const figure = document.querySelector('section[aria-label="Loss"] .figure'), hand = figure.querySelector('svg');
  const box = hand.getBoundingClientRect(), middle = box.left + box.width / 2;
  const pointer = (kind, x) => hand.dispatchEvent(new PointerEvent(kind, {
    clientX: x, clientY: box.top + 20, button: 0, pointerId: 7, pointerType: 'touch', bubbles: true, cancelable: true}));
  const move = {
    pan: i => pointer('pointermove', middle + 150 * Math.sin(i / 12)),
    zoom: i => hand.dispatchEvent(new WheelEvent('wheel', {
      clientX: middle, deltaY: i % 60 < 30 ? -12 : 12, ctrlKey: true, bubbles: true, cancelable: true})),
  }[what];
  const frame = () => new Promise(requestAnimationFrame);
  const pen = CanvasRenderingContext2D.prototype, clear = pen.clearRect;
  let drawn = 0;
  pen.clearRect = function (...given) { drawn += figure.contains(this.canvas); return clear.apply(this, given); };
  if (what === 'pan') pointer('pointerdown', middle);
  const work = [], gaps = [];
  let before = await frame();
  for (let i = 1; i <= n; i += 1) {
    const known = drawn, started = performance.now();
    move(i);
    await Promise.resolve();
    const handled = performance.now() - started;  // what the move itself sets off; the drawing waits for the next frame
    let next = 0;
    requestAnimationFrame(() => (next = performance.now()));
    const now = await frame();
    await new Promise(done => { const to = new MessageChannel(); to.port1.onmessage = done; to.port2.postMessage(0); });
    if (drawn > known) work.push(handled + performance.now() - next);
    gaps.push(now - before);
    before = now;
  }
  if (what === 'pan') pointer('pointerup', middle);
  pen.clearRect = clear;
  return {work, gaps, view: location.search};
}"""


def run_charts_bench(is_quick: bool, say: Callable[[str], None] = lambda line: None) -> list[Fact]:
    """Return what was measured."""
    facts: list[Fact] = []
    with running_lab() as lab, chromium() as browser:
        write_long_run(lab.home / "long")
        say(f"a chart of {POINTS:,} points")
        address = f"{lab.address}/runs/long?smooth=0.9&from=30000&to=80000"
        with opened(browser, address) as page:
            page.locator('section[aria-label="Loss"] canvas').wait_for()
            page.wait_for_load_state("networkidle")
            for what, words in (("pan", "moved along"), ("zoom", "zoomed")):
                facts += moved(
                    page, what, f"chart of {POINTS:,} points, {words}", FRAMES_IF_QUICK if is_quick else FRAMES
                )
    return facts


def moved(page: Any, what: str, words: str, n: int) -> list[Fact]:
    """Move the chart in each frame, and return how long the frames took."""
    found = page.evaluate(MOVES, [what, n])
    work, gaps = sorted(found["work"]), sorted(found["gaps"])
    assert len(work) > n // 2, f"the chart was drawn {len(work)} times in {n} frames"
    return [
        Fact(f"{words}: work of a frame, median", statistics.median(work), "ms", FRAME_MS),
        Fact(f"{words}: work of a frame, 95th percentile", work[int(0.95 * len(work))], "ms", FRAME_MS),
        Fact(f"{words}: time between frames, median", statistics.median(gaps), "ms"),
        Fact(f"{words}: time between frames, 95th percentile", gaps[int(0.95 * len(gaps))], "ms"),
    ]


def write_long_run(folder: Path) -> None:
    """Write the metrics of a run of many steps."""
    folder.mkdir()
    (folder / "recipe.toml").write_text(f'name = "long"\n[train]\nsteps = {POINTS}\n')
    noise = random.Random(0)
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(1, POINTS + 1):
            loss = 2 + 3 / (1 + step / 2000) + noise.gauss(0, 0.05)
            row = {
                "step": step,
                "loss": loss,
                "tokens": 16 * step,
                "seconds": step / 100,
                "rate": 1.0,
                "grad_norm": 0.5,
            }
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    from cutaway.bench.facts import fact_table

    print(fact_table(run_charts_bench(is_quick=False, say=print)))
