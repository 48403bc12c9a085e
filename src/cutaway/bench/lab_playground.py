"""How smoothly the playground plays at 2-8-8-1, and how soon it follows a hand, in the system's Chromium.

The page plays for five seconds while the time between its frames is taken; then a weight is changed, a point is moved and
the scrubber jumps, each many times, and what is timed is until the page shows the new loss.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from cutaway.bench.browser import chromium, opened
from cutaway.bench.facts import Fact
from cutaway.bench.lab_process import running_lab

NETWORK = "hidden=8-8&data=spiral&rate=0.3"
PLAYED_SECONDS, PLAYED_SECONDS_IF_QUICK = 5, 2
CHANGES, CHANGES_IF_QUICK = 60, 15

FRAMES = """async seconds => {
  const field = document.querySelector('input[aria-label="Go to step"]');
  const first = Number(field.value), gaps = [], seen = new Set();
  await new Promise(done => {
    let last = performance.now();
    const end = last + 1000 * seconds;
    const next = time => {
      gaps.push(time - last);
      last = time;
      seen.add(field.value);
      time < end ? requestAnimationFrame(next) : done();
    };
    requestAnimationFrame(time => { last = time; requestAnimationFrame(next); });
  });
  return {gaps, shown: seen.size, steps: Number(field.value) - first};
}"""

FOLLOWS = """async ([what, n]) => {
  const loss = () => document.querySelector('.losses .figure').getAttribute('aria-label');
  const key = (node, key) => node.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
  const weight = document.querySelector("[data-id='w2.1.1']");
  const plane = document.querySelector('[role=application]');
  const slider = document.querySelector('input[type=range][aria-label=Step]');
  const change = {
    weight: i => key(weight, i % 2 ? '-' : '+'),
    point: i => key(plane, i % 2 ? 'ArrowLeft' : 'ArrowRight'),
    scrub: i => { slider.value = (i * 37) % 200; slider.dispatchEvent(new Event('input', {bubbles: true})); },
  }[what];
  const took = [];
  for (let i = 0; i < n; i += 1) {
    const before = loss(), started = performance.now();
    change(i + 1);
    await new Promise(done => {
      const look = () => loss() !== before || performance.now() - started > 3000 ? done() : setTimeout(look, 0);
      look();
    });
    took.push(performance.now() - started);
    await new Promise(done => setTimeout(done, 30));
  }
  return took;
}"""


def run_playground_screen_bench(is_quick: bool, say: Callable[[str], None] = lambda line: None) -> list[Fact]:
    """Return what was measured."""
    facts: list[Fact] = []
    with running_lab() as lab, chromium() as browser:
        for speed, words in (("4", "40 steps a second"), ("8", "80 steps a second"), ("max", "as fast as possible")):
            say(f"playing, {words}")
            with opened(browser, f"{lab.address}/playground?{NETWORK}&speed={speed}") as page:
                facts += played(page, PLAYED_SECONDS_IF_QUICK if is_quick else PLAYED_SECONDS, words)
        say("changing weights and points, scrubbing")
        with opened(browser, f"{lab.address}/playground?{NETWORK}&step=200") as page:
            ready(page)
            for what, words in (("weight", "a weight changed"), ("point", "a point moved"), ("scrub", "scrubbed")):
                took = sorted(page.evaluate(FOLLOWS, [what, CHANGES_IF_QUICK if is_quick else CHANGES]))
                facts.append(Fact(f"{words}, until it is seen: median", statistics.median(took), "ms", 30.0))
                facts.append(Fact(f"{words}, 95th percentile", took[int(0.95 * len(took))], "ms"))
    return facts


def ready(page: Any) -> None:
    """Wait until the network is drawn and its loss is shown."""
    page.locator("[data-id='u1.1']").wait_for()
    page.locator(".losses .figure").first.wait_for()


def played(page: Any, seconds: float, words: str) -> list[Fact]:
    """Play, and return how evenly the frames came."""
    ready(page)
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_timeout(500)  # the first rows of frames are on their way
    found = page.evaluate(FRAMES, seconds)
    gaps = sorted(found["gaps"])
    return [
        Fact(f"{words}: time between frames, median", statistics.median(gaps), "ms", 17.0),
        Fact(f"{words}: 95th percentile", gaps[int(0.95 * len(gaps))], "ms"),
        Fact(f"{words}: steps made in a second", found["steps"] / seconds, ""),
    ]


if __name__ == "__main__":
    from cutaway.bench.facts import fact_table

    print(fact_table(run_playground_screen_bench(is_quick=False, say=print)))
