"""`cutaway bench lens`: activation patching beside `transformer_lens`, on the same weights.

A turn is a whole heat map: both prompts read, every place patched, alone. The prompts differ from the first token on, so
that no patch is spared. They patch one place after another through the whole model; we batch, start where the patch is
and compute what stands after it only. Both maps are compared, too.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cutaway.base.errors import UsageError
from cutaway.bench.alternate import Race, alternate
from cutaway.bench.facts import Fact
from cutaway.interop.hub_folder import load_model
from cutaway.lens.ablate import scan
from cutaway.lens.attribution import attribute
from cutaway.lens.patch import patch
from cutaway.lens.prompt import Prompt
from cutaway.models.decoder import Decoder
from cutaway.text.characters import CharacterTokenizer

SMALL: dict[str, Any] = {"n_layer": 4, "n_head": 4, "n_embd": 128, "n_positions": 256, "vocab_size": 65}
GPT2: dict[str, Any] = {"n_layer": 12, "n_head": 12, "n_embd": 768, "n_positions": 1024, "vocab_size": 50257}
N_TOKENS = 30
ANSWER, OTHER = 17, 4
BAR_SECONDS = 5.0


def run_lens_bench(
    is_quick: bool = False, say: Callable[[str], None] = lambda line: None
) -> tuple[list[Race], list[Fact]]:
    """Race both sizes on the current number of threads.

    Args:
        is_quick: the small model only, three rounds.

    Raises:
        UsageError: `transformer_lens` is not installed.
    """
    races, facts = measure("4 layers, 128 wide", SMALL, 3 if is_quick else 15, say)
    facts.insert(
        0, Fact(f"heat map, {races[0].what}", 1000 * statistics.median(races[0].ours), "ms", 1000 * BAR_SECONDS)
    )
    if not is_quick:
        more = measure("GPT-2 124M", GPT2, 3, say)
        races, facts = races + more[0], facts + more[1]
    return races, facts


def measure(name: str, shape: dict[str, Any], rounds: int, say: Callable[[str], None]) -> tuple[list[Race], list[Fact]]:
    """Race one size: the residual stream at every position, then every head; then what has no peer here."""
    ours, theirs, tokenizer = build_sides(shape)
    clean, corrupted = two_prompts(tokenizer, N_TOKENS)
    races, facts = [], []
    for what, columns in (("resid_pre", "positions"), ("z", "heads")):
        said = f"{name}, {what}: layers x {columns}, {N_TOKENS} tokens"
        say(said)
        maps: dict[str, torch.Tensor] = {}
        mine = our_turn(ours, tokenizer, clean, corrupted, what, maps)
        races.append(alternate(said, mine, their_turn(theirs, clean, corrupted, what, maps), rounds))
        difference = float((maps["ours"] - maps["theirs"]).abs().max())
        facts.append(Fact(f"{name}, {what}: largest difference of the maps, millionths", 1e6 * difference, "", 100))
    for said, work in (("every head and MLP ablated", scan), ("attribution of a logit", attribute)):
        facts.append(Fact(f"{name}: {said}", seconds(partial(work, ours, tokenizer, clean)) * 1000, "ms"))
    return races, facts


def build_sides(shape: dict[str, Any]) -> tuple[Decoder, Any, CharacterTokenizer]:
    """Return our model and theirs with the same weights, and a tokenizer with a character a token."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from tokenizers import Tokenizer
            from tokenizers.models import WordLevel
            from transformer_lens.model_bridge import TransformerBridge
            from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
    except ImportError:
        raise UsageError(
            "the benchmark needs transformer_lens beside us; install it: pip install 'cutaway[bench]'"
        ) from None
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(GPT2Config(**shape, bos_token_id=0, eos_token_id=0)).eval()
    words = Tokenizer(WordLevel({str(i): i for i in range(shape["vocab_size"])}, unk_token="0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="0", eos_token="0", pad_token="0")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        theirs.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        ours = load_model(Path(folder))
        bridge = TransformerBridge.boot_transformers(folder, hf_model=theirs, device="cpu")
        bridge.enable_compatibility_mode(disable_warnings=True, no_processing=True)
    return ours.eval(), bridge, CharacterTokenizer([chr(0x10000 + i) for i in range(shape["vocab_size"])])


def two_prompts(tokenizer: CharacterTokenizer, n_tokens: int) -> tuple[Prompt, Prompt]:
    """Return two prompts of random tokens, the first of each unlike."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 64, (2, n_tokens), generator=generator)
    ids[1, 0] = ids[0, 0] % 63 + 1
    clean, corrupted = (Prompt(tuple(row), tuple(tokenizer.token_text(i) for i in row)) for row in ids.tolist())
    return clean, corrupted


def our_turn(
    model: Decoder,
    tokenizer: CharacterTokenizer,
    clean: Prompt,
    corrupted: Prompt,
    what: str,
    maps: dict[str, torch.Tensor],
) -> Callable[[], float]:
    """Return a function that draws one heat map, keeps it in `maps`, and tells the seconds."""

    def turn() -> float:
        started = time.perf_counter()
        found = patch(model, tokenizer, clean, corrupted, ANSWER, OTHER, what)
        elapsed = time.perf_counter() - started
        maps["ours"] = found.patched_LX
        return elapsed

    return turn


def their_turn(
    model: Any, clean: Prompt, corrupted: Prompt, what: str, maps: dict[str, torch.Tensor]
) -> Callable[[], float]:
    """Return the same for their side."""
    from transformer_lens import patching

    draw = {"resid_pre": patching.get_act_patch_resid_pre, "z": patching.get_act_patch_attn_head_out_all_pos}[what]

    def metric(logits: torch.Tensor) -> torch.Tensor:
        return logits[0, -1, ANSWER] - logits[0, -1, OTHER]

    @torch.no_grad()
    def turn() -> float:
        with contextlib.redirect_stderr(io.StringIO()):  # their progress bars
            started = time.perf_counter()
            _, cache = model.run_with_cache(clean.tokens)
            found = draw(model, corrupted.tokens, cache, metric)
            elapsed = time.perf_counter() - started
        maps["theirs"] = found.double()
        return elapsed

    return turn


def seconds(work: Callable[[], object], rounds: int = 5) -> float:
    """Return how long something takes, the median of some turns after one that warms up."""
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])
