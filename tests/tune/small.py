"""Small models and pairs to tune on."""

from __future__ import annotations

from pathlib import Path

from cutaway.interop.conversations import Conversation, conversation, write_conversations
from cutaway.interop.hub_folder import save_folder
from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig
from cutaway.models.presets import plain
from cutaway.text.bpe import BPETokenizer
from cutaway.text.characters import CharacterTokenizer
from cutaway.text.tokenizer import Tokenizer

ANSWERS = (
    "The rain came down on the roof all night.",
    "A hat is a house for the head.",
    "I would rather walk to the sea than ride.",
    "Bread, butter and a long road.",
    "The lamp was lit, and the fog lay over the town.",
)
CONTEXT = 160


def pairs(n: int = 5, first: int = 0) -> list[Conversation]:
    return [
        conversation(f"Write about {i}.", ANSWERS[i % len(ANSWERS)], source=f"piece {i}", tier="note")
        for i in range(first, first + n)
    ]


def tokenizer_of(kind: str) -> Tokenizer:
    text = "\n".join(ANSWERS) + "\nWrite about 0123456789.\n### Prompt:\n### Response:\n"
    if kind == "bpe":
        return BPETokenizer.train([text], 300)
    return CharacterTokenizer.train([text, text], separator=True)


def config_of(family: str, vocab_size: int) -> ModelConfig:
    """Return a small GPT-2 (learned positions), Llama (rotary) or one of our own (with runs of tokens)."""
    if family == "gpt2":
        return GPTConfig(**{**vars(plain(CONTEXT, 32, 2, 4)), "vocab_size": vocab_size, "dropout": 0.0})
    if family == "llama":
        return LlamaConfig(vocab_size, CONTEXT, 32, 2, 4, 2, d_ff=48)
    return GPTConfig(vocab_size, CONTEXT, 32, 2, 2, ngram_sizes=(2, 3), ngram_rows=(97, 101))


def make_base(folder: Path, family: str = "cutaway", tokenizer: str = "characters", seed: int = 0) -> Path:
    """Write a model with random weights and its tokenizer."""
    reader = tokenizer_of(tokenizer)
    save_folder(folder, build(config_of(family, reader.vocab_size), seed), reader)
    return folder


def make_writing(folder: Path, n: int = 5, held_out: int = 2) -> Path:
    """Write pairs to learn and pairs held out."""
    folder.mkdir(parents=True, exist_ok=True)
    write_conversations(folder / "train.jsonl", pairs(n))
    write_conversations(folder / "held_out.jsonl", pairs(held_out, first=n))
    return folder
