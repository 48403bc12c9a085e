"""`cutaway bench generate`: writing beside `transformers`' `generate`, and many texts beside one.

Same architecture, same weights (copied from theirs to ours), same prompt, both greedy, in one process, in
turn. A turn is one whole call, whatever either side does before its first token included. Times are for
one token of one text.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch

from cutaway.base.errors import UsageError
from cutaway.bench.alternate import Race, alternate
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import generate
from cutaway.interop.hub_folder import load_folder
from cutaway.models.decoder import Decoder
from cutaway.nn.quantized import quantize_int8
from cutaway.text.characters import CharacterTokenizer

SMALL: dict[str, Any] = {"n_layer": 4, "n_head": 4, "n_embd": 128, "n_positions": 256, "vocab_size": 65}
GPT2: dict[str, Any] = {"n_layer": 12, "n_head": 12, "n_embd": 768, "n_positions": 1024, "vocab_size": 50257}
N_TEXTS = 16


def run_generate_bench(is_quick: bool = False, say: Callable[[str], None] = lambda line: None) -> list[Race]:
    """Race both sizes on the current number of threads.

    Raises:
        UsageError: `transformers` is not installed.
    """
    races = []
    for name, shape, n_tokens, rounds, bar in (
        ("4 layers, 128 wide", SMALL, 200, 15, 3.0),
        ("GPT-2 124M", GPT2, 100, 7, 1.3),
    ):
        rounds = 3 if is_quick else rounds
        ours, theirs = build_sides(shape)
        say(f"{name}, float32")
        one = our_turn(ours, n_tokens)
        races.append(alternate(f"{name}, float32", one, their_turn(theirs, n_tokens), rounds, bar))
        if shape is GPT2:
            say(f"{name}, int8 weights")
            quick = our_turn(quantize_int8(ours), n_tokens)
            races.append(alternate(f"{name}, int8 weights", quick, their_turn(theirs, n_tokens), rounds, 3.5))
        say(f"{name}, {N_TEXTS} texts at once beside one")
        many = our_turn(ours, n_tokens, N_TEXTS)
        races.append(alternate(f"{name}, {N_TEXTS} texts at once beside one", many, one, rounds, 5.0))
    return races


def build_sides(shape: dict[str, Any]) -> tuple[Decoder, Any]:
    """Return our model and theirs with the same weights."""
    try:
        from transformers import GPT2Config, GPT2LMHeadModel
    except ImportError:
        raise UsageError("the benchmark needs transformers beside us; install it: pip install 'cutaway[dev]'") from None
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(GPT2Config(**shape, bos_token_id=None, eos_token_id=None)).eval()
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours, _ = load_folder(folder)
    return ours.eval(), theirs


def our_turn(model: Decoder, n_tokens: int, n_texts: int = 1) -> Callable[[], float]:
    """Return a function that writes once and tells the seconds for one token of one text."""
    characters = [chr(0x10000 + i) for i in range(model.config.known_vocab_size)]
    tokenizer, config = CharacterTokenizer(characters), SamplingConfig(max_tokens=n_tokens, temperature=0.0)
    prompt = "".join(characters[1:9])

    def turn() -> float:
        started = time.perf_counter()
        completions = generate(model, tokenizer, prompt, config, n_samples=n_texts)
        seconds = time.perf_counter() - started
        return seconds / sum(len(completion.tokens) for completion in completions)

    return turn


def their_turn(model: Any, n_tokens: int) -> Callable[[], float]:
    """Return the same for their side."""
    prompt = torch.arange(1, 9)[None]
    mask = torch.ones_like(prompt)

    def turn() -> float:
        started = time.perf_counter()
        tokens = model.generate(prompt, attention_mask=mask, max_new_tokens=n_tokens, do_sample=False, pad_token_id=0)
        return (time.perf_counter() - started) / (tokens.shape[1] - prompt.shape[1])

    return turn
