"""`cutaway doctor`: what this machine has, and what that means."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cutaway.base.files import cache_folder
from cutaway.base.runs import runs_folder
from cutaway.cli.console import answer, answer_json, parse

PACKAGES = ("cutaway", "torch", "numpy", "safetensors", "tokenizers", "huggingface_hub", "transformers")


@dataclass(frozen=True)
class DoctorArguments:
    """Check this machine: versions, processor, memory, disk, compiler, and how fast it multiplies."""

    json: bool = False
    """Print one JSON object."""


def main(argv: list[str]) -> int:
    """Print what was found, a line each, problems marked with what to do."""
    arguments = parse(DoctorArguments, argv, "doctor", "cutaway doctor --json")
    facts = examine()
    if arguments.json:
        answer_json(facts)
    else:
        width = max(map(len, facts))
        for name, value in facts.items():
            answer(f"{name.replace('_', ' '):<{width}}  {value}")
    return 0


def examine() -> dict[str, Any]:
    """Return facts about this machine by name."""
    import torch

    facts: dict[str, Any] = {"python": f"{sys.version.split()[0]} at {sys.executable}", "system": platform.platform()}
    for package in PACKAGES:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            facts[package] = "not installed (only the tests and benchmarks need it)"
    facts["processor"] = processor()
    facts["cores"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts["memory_gb"] = memory_gb()
    facts["accelerator"] = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else ("Apple GPU" if torch.backends.mps.is_available() else "none, so the processor trains")
    )
    for dtype in (torch.float32, torch.bfloat16):
        facts[f"{str(dtype).removeprefix('torch.')}_gflops_one_core"] = multiply_speed(dtype)
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    facts["compiler"] = compiler or "no C++ compiler: nothing is compiled, some things run slower"
    for name, folder in (("runs", runs_folder()), ("cache", cache_folder())):
        facts[f"{name}_folder"] = f"{folder.absolute()} ({free_gb(folder):.1f} GB free)"
    return facts


def multiply_speed(dtype: Any) -> int:
    """Return billions of multiplications and additions a second of one core, on matrices of a model's size."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        a, b = torch.ones(2048, 512, dtype=dtype), torch.ones(512, 512, dtype=dtype)
        a @ b
        times = []
        for _ in range(7):
            started = time.perf_counter()
            a @ b
            times.append(time.perf_counter() - started)
        return round(2 * 2048 * 512 * 512 / sorted(times)[3] / 1e9)
    finally:
        torch.set_num_threads(threads)


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def memory_gb() -> float | str:
    """Return the machine's memory."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, AttributeError, OSError):
        return "unknown"


def free_gb(folder: Path) -> float:
    """Return the free space where a folder is or will be."""
    there = next(path for path in [folder.absolute(), *folder.absolute().parents] if path.is_dir())
    return shutil.disk_usage(there).free / 1e9
