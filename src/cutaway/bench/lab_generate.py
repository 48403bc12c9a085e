"""What the lab adds to a model that writes: over a real socket beside the same text in one process, taking turns."""

from __future__ import annotations

import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from cutaway.bench.facts import Fact
from cutaway.bench.lab_process import RunningLab, running_lab
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import generate
from cutaway.interop.hub_folder import load_folder, save_folder
from cutaway.models.build import build
from cutaway.models.config import GPTConfig
from cutaway.text.characters import CharacterTokenizer

FIRST_TOKEN_MS = 100.0
SLOWER_PERCENT = 5.0
TOKENIZER = CharacterTokenizer(["\n", " ", *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,:;()"])
MODELS = {
    "4 layers, 128 wide": (GPTConfig(TOKENIZER.vocab_size, 1024, 128, 4, 4, zero_init_projections=False), 600),
    "6 layers, 384 wide": (GPTConfig(TOKENIZER.vocab_size, 512, 384, 6, 6, zero_init_projections=False), 200),
}
PROMPT = "the quick brown fox jumps over the lazy dog"


def run_generate_lab_bench(is_quick: bool, say: Callable[[str], None] = lambda line: None) -> list[Fact]:
    """Measure the first token and the streaming of all, for a small model and a larger one, both ways of asking."""
    facts: list[Fact] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the lab does for models of these sizes
    try:
        with tempfile.TemporaryDirectory(prefix="cutaway-bench-") as folder:
            home = Path(folder)
            for number, (config, _) in enumerate(MODELS.values()):
                save_folder(home / "models" / str(number), build(config, seed=0), TOKENIZER)
            with running_lab(home) as lab:
                for number, (name, (_, n_tokens)) in enumerate(MODELS.items()):
                    say(f"{name}: written by the lab beside the same text in one process")
                    facts += one_model(lab, name, number, n_tokens, rounds=3 if is_quick else 11)
    finally:
        torch.set_num_threads(threads)
    return facts


def one_model(lab: RunningLab, name: str, number: int, n_tokens: int, rounds: int) -> list[Fact]:
    """Return what the lab adds for one model."""
    model, tokenizer = load_folder(lab.home / "models" / str(number))
    assert tokenizer is not None
    ways: dict[str, Callable[[], Iterator[int]]] = {
        "/v1/completions": lambda: by_completions(lab, number, n_tokens),
        "the Write tab": lambda: by_write_tab(lab, number, n_tokens),
    }
    alone: tuple[list[float], list[float]] = ([], [])
    served: dict[str, tuple[list[float], list[float]]] = {way: ([], []) for way in ways}
    for round_ in range(rounds + 1):  # the first opens the model, and is not counted
        turns = [(alone, in_process(model, tokenizer, n_tokens))]
        turns += [(served[way], timed(ask())) for way, ask in ways.items()]
        for kept, (first, each) in turns:
            if round_:
                kept[0].append(first)
                kept[1].append(each)
    first, each = (statistics.median(times) for times in alone)
    facts = [Fact(f"{name}: one token, in one process", 1e3 * each, "ms")]
    for way, (firsts, eachs) in served.items():
        added = 1e3 * (statistics.median(firsts) - first)
        percent = 100 * (statistics.median(eachs) / each - 1)
        facts += [
            Fact(f"  {way}: the first token comes later by", added, "ms", FIRST_TOKEN_MS),
            Fact(f"  {way}: every token takes longer by", percent, "%", SLOWER_PERCENT),
        ]
    return facts


def in_process(model: object, tokenizer: object, n_tokens: int) -> tuple[float, float]:
    """Write in this process; return the seconds to the first token, and of each after it."""
    times: list[float] = []
    config = SamplingConfig(max_tokens=n_tokens, temperature=0.8)
    started = time.perf_counter()
    generate(model, tokenizer, PROMPT, config, on_token=lambda i, piece: times.append(time.perf_counter()))  # type: ignore[arg-type]
    return times[0] - started, (times[-1] - times[0]) / (len(times) - 1)


def timed(pieces: Iterator[int]) -> tuple[float, float]:
    """Read a stream of numbers of new tokens; return the same two times."""
    started = time.perf_counter()
    n_first, first, total, last = 0, 0.0, 0, 0.0
    for count in pieces:
        if not count:
            continue
        last = time.perf_counter()
        if total == 0:
            n_first, first = count, last
        total += count
    return first - started, (last - first) / max(1, total - n_first)


def by_completions(lab: RunningLab, number: int, n_tokens: int) -> Iterator[int]:
    """Ask as a client of OpenAI's does; give how many characters, here tokens, each piece has."""
    body = {"model": f"models/{number}", "prompt": PROMPT, "max_tokens": n_tokens, "seed": 0, "stream": True}
    for told in events(lab, "/v1/completions", {**body, "temperature": 0.8}):
        if told != "[DONE]":
            yield sum(len(choice["text"]) for choice in json.loads(told)["choices"])


def by_write_tab(lab: RunningLab, number: int, n_tokens: int) -> Iterator[int]:
    """Ask as the Generate screen does."""
    settings = {"max_tokens": n_tokens, "temperature": 0.8, "seed": 0}
    body = {"model": f"models/{number}", "prompt": PROMPT, "settings": settings}
    for told in events(lab, "/api/generate/write", body):
        yield len(json.loads(told).get("tokens", ()))


def events(lab: RunningLab, path: str, body: object) -> Iterator[str]:
    """Yield the data of the events of a stream, as they come."""
    host = lab.address.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=120)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        while line := answer.readline():
            if line.startswith(b"data: "):
                yield line[6:].decode().strip()
    finally:
        connection.close()
