"""What a model makes on the way, kept: a line each in samples.jsonl, pictures beside it as pictures/<step>.png."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cutaway.base.files import replacing_file
from cutaway.base.objective import Sample
from cutaway.base.runs import JsonLines, RunFolder


class Samples:
    """Writes the samples of one run, from where it goes on."""

    def __init__(self, run: RunFolder, last_step: int) -> None:
        self.run = run
        self._lines = JsonLines(run.samples_file, last_step)
        for file in run.pictures_folder.glob("*.png"):
            if not file.stem.isdigit() or int(file.stem) > last_step:
                file.unlink()  # it will be made again

    def append(self, step: int, sample: Sample) -> Path | None:
        """Keep a sample; return where its picture lies, if it is one."""
        line: dict[str, Any] = {"step": step, "prompt": sample.prompt, "seed": sample.seed, "text": sample.text}
        picture = None
        if sample.picture is not None:
            picture = self.run.pictures_folder / f"{step}.png"
            with replacing_file(picture) as aside:
                aside.write_bytes(sample.picture)
            line["picture"] = f"{picture.parent.name}/{picture.name}"
        self._lines.append(line)
        return picture

    def close(self) -> None:
        """Wait for the disk and close."""
        self._lines.close()
