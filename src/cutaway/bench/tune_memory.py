"""The peak memory of some steps of fine-tuning, each side in a process of its own.

python -m cutaway.bench.tune_memory ours|theirs llama|gpt2 FOLDER PRECISION    prints two numbers, in megabytes
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cutaway.base.errors import CutawayError, UsageError
from cutaway.base.memory import resident_bytes

STEPS = 4
MEGABYTE = 1 << 20


def peak(side: str, kind: str, folder: Path, precision: str) -> tuple[float, float]:
    """Return the most a process took, and how much of it came after its libraries were loaded, in megabytes."""
    words = [sys.executable, "-m", "cutaway.bench.tune_memory", side, kind, str(folder), precision]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise CutawayError(f"the {side} side of the memory measurement ended: {done.stderr.strip()[-300:]}")
    whole, above = map(float, done.stdout.split()[-2:])
    return whole, above


def main(side: str, kind: str, folder: Path, precision: str) -> None:
    """Take some steps of one side on pairs and print the two numbers."""
    import torch

    from cutaway.bench.tune import batches_of
    from cutaway.bench.tune_sides import our_side, peers, their_side

    if side == "theirs":
        transformers, _ = peers()
        transformers.LlamaForCausalLM, transformers.GPT2LMHeadModel  # noqa: B018 - loads their modules
    torch.set_num_threads(1)
    batches = batches_of(kind, is_pairs=True)
    before = resident_bytes()
    make = our_side if side == "ours" else their_side
    step = make(folder, batches, precision)
    for _ in range(STEPS):
        step()
    most = most_resident_bytes()
    print(most / MEGABYTE, (most - before) / MEGABYTE)


def most_resident_bytes() -> int:
    """Return the most memory this program took. (What `getrusage` says goes on from the process that started it.)"""
    status = Path("/proc/self/status")
    if not status.exists():
        raise UsageError("peak memory is measured on Linux only")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4])
