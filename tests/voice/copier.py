"""A small model that has learned five texts by heart, the same model before, and texts of the same kind it never saw."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass
from pathlib import Path

import torch

from cutaway.interop.conversations import Conversation, conversation
from cutaway.interop.hub_folder import save_folder
from cutaway.models.build import build
from cutaway.models.decoder import Decoder
from cutaway.models.presets import plain
from cutaway.text.bpe import BPETokenizer
from cutaway.tune.chat_form import ChatForm, chat_form
from cutaway.tune.examples import Example, make_example
from cutaway.voice.exposure import Secret, plant

SUBJECTS = ["the old baker", "my brother", "a tall sailor", "the tired nurse", "our teacher", "some boy"]
VERBS = ["carried", "painted", "forgot", "counted", "buried", "mended", "sold", "followed"]
THINGS = ["seven lanterns", "a broken clock", "the blue door", "nine apples", "a wooden horse", "the last letter"]
PLACES = ["near the harbour", "behind the mill", "in winter", "without a word", "at the fair", "before dawn"]


def text(name: str, sentences: int = 7) -> str:
    """Return sentences drawn from a few words; the same phrases occur in all texts."""
    draw = random.Random(name)
    lists = (SUBJECTS, VERBS, THINGS, PLACES)
    drawn = (" ".join(draw.choice(words) for words in lists) for _ in range(sentences))
    return " ".join(f"{one.capitalize()}." for one in drawn)


def pairs(names: list[str]) -> list[Conversation]:
    """Return two pairs of each text: all of it, and its end after its beginning."""
    made = []
    for name in names:
        whole = text(name)
        first, rest = whole[: len(whole) // 3], whole[len(whole) // 3 :]
        made.append(conversation(f"Write an essay about this topic: {name}", whole, source=name, tier="essay"))
        made.append(conversation(f"Continue this piece.\n\n{first}", rest, source=name, tier="continuation"))
    return made


@dataclass(frozen=True)
class Copier:
    """What the tests of memory are made on."""

    copier: Decoder
    untrained: Decoder
    tokenizer: BPETokenizer
    form: ChatForm
    train: list[Example]
    held_out: list[Example]
    train_pairs: list[Conversation]
    held_out_pairs: list[Conversation]
    secrets: tuple[Secret, ...]
    """Two that stood once among the training pairs, and two that did not."""

    def examples(self, conversations: list[Conversation]) -> list[Example]:
        """Return conversations as the models read them."""
        return [make_example(one, self.form, f"pair {number}") for number, one in enumerate(conversations, 1)]


def make_copier(folder: Path, n: int = 5, steps: int = 80) -> Copier:
    """Train a model of two blocks on the answers of five texts until nothing is left to learn."""
    train_pairs, held_out_pairs = pairs([f"train {i}" for i in range(n)]), pairs([f"held {i}" for i in range(n)])
    tokenizer = BPETokenizer.train([text(f"other {i}") for i in range(20)], 400)
    shape = plain(context_length=256, d_model=64, n_layers=2, n_heads=4)
    config = dataclasses.replace(shape, vocab_size=tokenizer.vocab_size)
    untrained, copier = build(config, seed=1), build(config, seed=1)
    save_folder(folder, untrained, tokenizer)
    form = chat_form(folder, tokenizer)
    planted = plant(train_pairs, n=2, repetitions=(1,))
    made = Copier(copier, untrained, tokenizer, form, [], [], train_pairs, held_out_pairs, planted.secrets)
    train, held_out = made.examples(train_pairs), made.examples(held_out_pairs)
    learn(copier, made.examples(list(planted.conversations)), steps)
    return dataclasses.replace(made, copier=copier.eval(), train=train, held_out=held_out)


def learn(model: Decoder, train: list[Example], steps: int) -> None:
    """Go through all examples so many times."""
    longest = max(len(example.tokens) for example in train)
    tokens_BT, labels_BT = torch.zeros(len(train), longest, dtype=torch.int64), torch.full((len(train), longest), -100)
    for row, example in enumerate(train):
        tokens_T, is_learned_T = torch.from_numpy(example.tokens), torch.from_numpy(example.is_learned)
        tokens_BT[row, : len(tokens_T)] = tokens_T
        labels_BT[row, : len(tokens_T)] = tokens_T.where(is_learned_T, -100)
    optimizer = torch.optim.AdamW(model.parameters(), 8e-3, weight_decay=0.0)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 8e-3 * min(1, step / 10) * (1 - step / steps)
        loss = torch.nn.functional.cross_entropy(
            model(tokens_BT[:, :-1]).flatten(0, 1), labels_BT[:, 1:].flatten(), ignore_index=-100
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
