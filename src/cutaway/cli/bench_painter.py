"""`cutaway bench paint --run RUN|all`: runs of pictures measured; their figures and pictures in one folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cutaway.base.errors import UsageError
from cutaway.base.files import write_text
from cutaway.base.runs import RunFolder, open_run, runs_folder
from cutaway.cli.paint_words import sampling_of
from cutaway.diffusion.config import PicturesConfig
from cutaway.presets_paint import PHASES, finished_of
from cutaway.run_facts import PAINTER

FILE = "measured.json"


def bench_painters(
    name: str, count: int, is_quick: bool, out: Path, machine: str, say: Callable[[str], None]
) -> tuple[dict[str, Any], str]:
    """Measure a run, a painter's folder, or every phase; return all figures and their tables.

    Each one's figures are in the folder as soon as it is measured.

    Args:
        name: of a run, or a painter's folder; `all`: the newest finished run of every phase.
        count: pictures of each set.
        is_quick: a few pictures only, for a rough answer.
        out: the folder.

    Raises:
        UsageError: it was not trained on creatures, which is what the judge knows.
        RunError: there is no such run, or it has no model yet.
    """
    from cutaway.bench.paint_painter import Measured, Plan
    from cutaway.bench.paint_run import Examiner
    from cutaway.bench.paint_tables import examples_list, report
    from cutaway.diffusion.judge_training import open_judge
    from cutaway.diffusion.picture_files import write_picture

    targets = list(measured_runs(name))
    record = read_record(out / FILE)
    plan = Plan(16, 64, 200, (3,), (1,)) if is_quick else Plan(count)

    def on_step(step: int, n_steps: int, loss: float) -> None:
        if step == 1 or step % 100 == 0:
            say(f"training the judge, once: step {step} of {n_steps}, loss {loss:.2f}")

    judge = open_judge(on_step=on_step)
    examiner = Examiner(judge, plan, say)
    figures: dict[str, Any] = {}
    texts = []
    for target in targets:
        say(f"{target.name} ...")
        started = time.perf_counter()
        if isinstance(target, RunFolder):
            examined = examiner.run(target)
        else:
            examined = examiner.folder(target, sampling_of(target))
        figures[target.name] = {
            **examined.as_dict(),
            "judge": {"hash": judge.hash, "accuracy": judge.accuracy},
            "measured_with": f"{machine}, {time.perf_counter() - started:.0f} s",
        }
        texts.append(f"{target.name}\n\n{report(examined)}")
        for kind, png in (examined.found.sheets() if examined.found else {}).items():
            picture = out / f"{target.name}-{kind}.png"
            write_picture(picture, png)
            texts.append(str(picture))
            if kind == "examples" and isinstance(examined.found, Measured) and examined.found.sets:
                texts[-1] += f", row by row:\n{examples_list(examined.found)}"
        write_text(out / FILE, json.dumps({"runs": record | figures}, indent=1) + "\n")
    worst = min(judge.accuracy, key=lambda question: judge.accuracy[question])
    texts.append(
        f"{out / FILE}\nthe judge {judge.hash} is right on {100 * judge.accuracy[worst]:.1f} % or more of fresh drawings "
        f"(least on {worst}); pictures of 64 pixels are averaged down to the 32 it looks at"
    )
    return {"runs": figures, "file": str(out / FILE)}, "\n\n".join(texts)


def measured_runs(name: str) -> Iterator[RunFolder | Path]:
    """Yield what is to be measured.

    Raises:
        UsageError: no phase has a finished run.
        RunError: there is no such run.
    """
    if name != "all":
        folder = Path(name)
        yield folder if (folder / PAINTER).is_file() else open_run(name)
        return
    source = PicturesConfig().source
    found = [finished[-1] for phase in PHASES if (finished := finished_of(phase, source))]
    if not found:
        raise UsageError(f"no phase has a finished run in {runs_folder()}; first `cutaway paint train all`")
    yield from found


def read_record(path: Path) -> dict[str, Any]:
    """Return what was measured before, by run.

    Raises:
        UsageError: the file holds something else.
    """
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["runs"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is no record of measurements ({error!r}); move it away or give another --out"
        ) from None
