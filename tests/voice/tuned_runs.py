"""Small tuned runs made on the spot: a base, and what it becomes by LoRA or in full, in the folders a session writes."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F

from cutaway.base.runs import RunFolder
from cutaway.interop.chat_template import PLAIN_TEMPLATE
from cutaway.interop.conversations import conversation, read_conversations, write_conversations
from cutaway.interop.hub_folder import load_folder, save_folder
from cutaway.models.build import build
from cutaway.models.config import LlamaConfig
from cutaway.text.bpe import BPETokenizer
from cutaway.tune.chat_form import chat_form
from cutaway.tune.examples import make_examples
from cutaway.tune.lora import LoRAConfig, add_lora, save_adapter

TEXT = "the sea was grey and the wind came over the hill while nobody spoke of what had been said before noon"
WORDS = TEXT.split(" ")
SHAPE = LlamaConfig(vocab_size=300, context_length=128, d_model=32, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=48)


def make_base(folder: Path) -> Path:
    """Write a Llama with random weights and its tokenizer."""
    words = BPETokenizer.train([TEXT, PLAIN_TEMPLATE, "### Prompt: Response: Write about"], 300)
    save_folder(folder, build(SHAPE, seed=1), words)
    return folder


def make_writing(folder: Path) -> Path:
    """Write pairs of six pieces, two of them held out."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = [
        conversation(f"Write about {WORDS[i]}", " ".join(WORDS[i : i + 9]) + ".", tier="note", source=f"piece-{i}")
        for i in range(6)
    ]
    write_conversations(folder / "train.jsonl", pairs[:4])
    write_conversations(folder / "held_out.jsonl", pairs[4:])
    return folder


def make_tuned(home: Path, name: str, base: Path, writing: Path, method: str = "lora", steps: int = 12) -> RunFolder:
    """Tune the base for a few steps and write the run."""
    run = RunFolder(home / name)
    run.path.mkdir(parents=True)
    model, words = load_folder(base)
    assert words is not None
    form = chat_form(base, words)
    examples = make_examples(read_conversations(writing / "train.jsonl"), form, 128).kept
    if method == "lora":
        add_lora(model, LoRAConfig(rank=4, alpha=8.0), seed=2)
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=0.01 if method == "lora" else 0.002, weight_decay=0.0)
    for step in range(steps):
        example = examples[step % len(examples)]
        ids = torch.tensor(example.tokens)[None]
        targets = torch.where(torch.tensor(example.is_learned), ids[0], -100)
        F.cross_entropy(model(ids[:, :-1])[0], targets[1:]).backward()
        optimizer.step()
        optimizer.zero_grad()
    if method == "lora":
        save_adapter(run.model_folder, model, base=str(base.absolute()))
        words.save(run.model_folder)
    else:
        save_folder(run.model_folder, model, words)
    (run.model_folder / "chat_template.jinja").write_text(form.template)
    run.recipe_file.write_text(
        f"# Recipe of run {name}, started 2026-11-21T10:00:00Z.\n"
        f"[data]\nsource = {json.dumps(str(writing / 'train.jsonl'))}\n"
        f"held_out = {json.dumps(str(writing / 'held_out.jsonl'))}\ndocuments = 'conversation'\n"
        f"[tune]\nbase = {json.dumps(str(base))}\nmethod = '{method}'\nrank = 4\nalpha = 8.0\n",
        encoding="utf-8",
    )
    run.write_summary({"status": "finished", "ended": "2026-11-21T10:01:00Z", "steps": steps, "validation_loss": 2.5})
    return run
