"""Both sides of `cutaway bench tune`: the same weights, the same conversations, a step each.

Theirs is a plain loop as the documentation of `transformers` and `peft` sets it up: conversations padded on the right to
the longest of the batch, an attention mask, labels of -100 where nothing is learned, `torch.optim.AdamW`. Ours is the
objective and the optimizer of `cutaway voice tune`.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cutaway.base.errors import UsageError
from cutaway.base.seed import numpy_generator
from cutaway.interop.hub_folder import load_folder
from cutaway.session import prepare_process
from cutaway.train.config import TrainConfig
from cutaway.train.optimizers import build_optimizers
from cutaway.train.trainer import autocast
from cutaway.tune.config import default_rate
from cutaway.tune.examples import Example
from cutaway.tune.lora import load_adapter
from cutaway.tune.packing import pack
from cutaway.tune.sft import Answering

CPU = torch.device("cpu")
RANK, ALPHA = 16, 32
RATES = {True: default_rate("lora", 256), False: default_rate("full", 768)}
"""With an adapter, and without."""
LLAMA: dict[str, Any] = {
    "vocab_size": 8192,
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "max_position_embeddings": 1024,
}
GPT2: dict[str, Any] = {"n_layer": 12, "n_head": 12, "n_embd": 768, "n_positions": 1024, "vocab_size": 50257}
MEDIAN_ANSWER, LONGEST = 120, 400


def equal_texts(n_batches: int, n_texts: int, length: int, vocab_size: int) -> list[list[Example]]:
    """Return batches of random texts of one length, of which all is learned but the first token."""
    tokens = numpy_generator(0, "texts").integers(0, vocab_size, (n_batches, n_texts, length + 1))
    return [[Example(row, np.arange(length + 1) > 0, length) for row in batch] for batch in tokens]


def pairs(n_batches: int, n_pairs: int, vocab_size: int) -> list[list[Example]]:
    """Return batches of random prompts and answers, of lengths as they come in notes and essays."""
    generator = numpy_generator(0, "pairs")
    found = []
    for _ in range(n_batches * n_pairs):
        prompt = int(generator.integers(10, 40))
        answer = int(np.clip(generator.lognormal(np.log(MEDIAN_ANSWER), 0.8), 12, LONGEST))
        tokens = generator.integers(0, vocab_size, prompt + answer)
        found.append(Example(tokens, np.arange(prompt + answer) >= prompt, answer))
    return [found[i : i + n_pairs] for i in range(0, len(found), n_pairs)]


def save_base(folder: Path, kind: str) -> None:
    """Write random weights (`llama` with an adapter beside it, or `gpt2`) for both sides to load."""
    transformers, peft = peers()
    torch.manual_seed(0)
    with quiet():
        if kind == "gpt2":
            no_dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
            config = transformers.GPT2Config(**GPT2, **no_dropout, bos_token_id=None, eos_token_id=None)
            transformers.GPT2LMHeadModel(config).save_pretrained(folder)
            return
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA))
        model.save_pretrained(folder)
        settings = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
        peft.get_peft_model(model, settings).save_pretrained(folder / "adapter")


def our_side(folder: Path, batches: Sequence[list[Example]], precision: str) -> Callable[[], float]:
    """Return our turn, with the adapter of the folder if there is one: one update, and its loss."""
    prepare_process(TrainConfig(steps=1, threads=torch.get_num_threads()))
    model, _ = load_folder(folder)
    if has_adapter := (folder / "adapter").exists():
        load_adapter(folder / "adapter", model)
    objective = Answering(model.train(), batches[0], [], len(batches[0]))
    config = TrainConfig(steps=1, optimizer="adamw", learning_rate=RATES[has_adapter], weight_decay=0.0, beta2=0.999)
    optimizers = build_optimizers(model, config)
    order = cycle(batches)

    def step() -> float:
        examples = next(order)
        with autocast(precision, CPU):
            loss = objective.loss(model, (pack(examples), sum(one.n_learned for one in examples)))
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def their_side(
    folder: Path, batches: Sequence[list[Example]], precision: str, is_fused: bool = False
) -> Callable[[], float]:
    """Return their turn on the same conversations in the same order.

    Args:
        is_fused: ask PyTorch for the fused AdamW, as no loop in their documentation does.
    """
    transformers, peft = peers()
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    has_adapter = (folder / "adapter").exists()
    with quiet():
        # a model that learns as a whole keeps its weights in 32 bits, and its products are rounded (`autocast`)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype if has_adapter else torch.float32)
        if has_adapter:
            model = peft.PeftModel.from_pretrained(model, folder / "adapter", is_trainable=True)
    model.train()
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=RATES[has_adapter], weight_decay=0.0, fused=True if is_fused else None)
    order = cycle(batches)

    def step() -> float:
        batch = padded(next(order))
        with autocast(precision, CPU):
            loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return step


def padded(examples: Sequence[Example]) -> dict[str, Tensor]:
    """Return conversations as rows, padded on the right."""
    rows = nn.utils.rnn.pad_sequence
    tokens = [torch.from_numpy(one.tokens) for one in examples]
    labels = [torch.from_numpy(np.where(one.is_learned, one.tokens, -100)) for one in examples]
    return {
        "input_ids": rows(tokens, batch_first=True, padding_value=0),
        "attention_mask": rows([torch.ones_like(row) for row in tokens], batch_first=True),
        "labels": rows(labels, batch_first=True, padding_value=-100),
    }


def peers() -> tuple[Any, Any]:
    """Return `transformers` and `peft`.

    Raises:
        UsageError: one is not installed.
    """
    try:
        with quiet():
            import peft
            import transformers
    except ImportError:
        raise UsageError(
            "the benchmark needs transformers and peft beside us; install them: pip install 'cutaway[bench]'"
        ) from None
    return transformers, peft


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what others print and warn of to themselves."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
