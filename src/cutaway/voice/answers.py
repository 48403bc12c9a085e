"""Prompts answered by a model with fixed seeds and settings, and every answer kept.

A prompt goes through the chat template of the model's own folder, so that each model is asked in the form it knows; one
without a template gets the prompt as a text to go on with. The same weights, prompt, seed and settings give the same
answer, so what is kept already is not written again: an answer belongs to the hash of the weights that wrote it. Files of
answers are only ever added to.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cutaway.base.errors import DataError
from cutaway.base.files import disk_errors
from cutaway.base.runs import JsonLines, read_jsonl, timestamp
from cutaway.generate.config import SamplingConfig
from cutaway.interop.chat_template import chat_text

if TYPE_CHECKING:
    from cutaway.models.decoder import Decoder
    from cutaway.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Speaker:
    """A model that can be asked."""

    name: str
    model: Decoder
    tokenizer: Tokenizer
    folder: Path
    """Where its chat template lies, if it has one."""

    def weights_hash(self) -> str:
        """Return 16 hexadecimal digits that say which weights these are."""
        import torch

        digest = hashlib.blake2b(self.tokenizer.hash.encode(), digest_size=8)
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def ids(self, prompt: str) -> list[int]:
        """Return a prompt as this model reads it, ready for the answer."""
        from cutaway.generate.decode import prompt_ids
        from cutaway.text.tokenizer import encode_marked

        chat = chat_text(self.folder, [{"role": "user", "content": prompt}])
        marked = [token for token, _ in encode_marked(self.tokenizer, chat.text)] if chat.has_marks else chat.text
        return prompt_ids(self.tokenizer, marked, self.model)


@dataclass(frozen=True)
class Prompt:
    """Something to ask, and how long the answer may be."""

    name: str
    kind: str
    text: str
    max_tokens: int = 200
    source: str = ""
    """The piece it is about, if there is one."""


@dataclass(frozen=True)
class AnswerSettings:
    """How answers are drawn: the same for every model, or they could not be compared."""

    temperature: float = 0.8
    top_p: float | None = 0.95
    seed: int = 0
    samples: int = 1
    """Answers to each prompt."""


@dataclass(frozen=True)
class Answer:
    """What a model wrote to a prompt."""

    name: str
    """The prompt's."""
    kind: str
    prompt: str
    source: str
    text: str
    n_tokens: int
    stop_reason: str
    """`end`: the model ended it; `max_tokens`: it was cut off."""
    sample: int
    """Which of the answers to this prompt."""
    temperature: float
    top_p: float | None
    seed: int
    max_tokens: int
    model: str
    """The hash of the weights that wrote it."""
    made: str = ""
    """When, UTC."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as a line of a file."""
        return dataclasses.asdict(self)

    @property
    def key(self) -> tuple[Any, ...]:
        """What decides the text."""
        return (self.model, self.prompt, self.sample, self.temperature, self.top_p, self.seed, self.max_tokens)


def read_answers(path: Path) -> list[Answer]:
    """Return every answer kept in a file, oldest first; none if there is no file.

    Raises:
        DataError: a line says something else.
    """
    known = {field.name for field in dataclasses.fields(Answer)}
    try:
        return [Answer(**{name: line[name] for name in line if name in known}) for line in read_jsonl(path)]
    except (TypeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a file of answers ({error}); move it away and answer again") from error


def keep_answers(path: Path, answers: Sequence[Answer]) -> None:
    """Add answers to a file; a line cut off by a crash is taken away first."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    lines = JsonLines(path)
    for one in answers:
        lines.append(one.as_dict())
    lines.close()


def answer_all(
    speaker: Speaker,
    prompts: Sequence[Prompt],
    settings: AnswerSettings,
    path: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Answer]:
    """Return the model's answers to all prompts; those a file keeps are read, the others written and added to it."""
    weights = speaker.weights_hash()
    kept = {answer.key: answer for answer in read_answers(path)} if path else {}
    found: list[Answer] = []
    for number, prompt in enumerate(prompts):
        wanted = [_key(weights, prompt, settings, sample) for sample in range(settings.samples)]
        if not all(key in kept for key in wanted):
            made = [one for one in _written(speaker, prompt, settings, weights) if one.key not in kept]
            if path:
                keep_answers(path, made)
            kept |= {one.key: one for one in made}
        # the same prompt may have been renamed since
        found += [
            dataclasses.replace(kept[key], name=prompt.name, kind=prompt.kind, source=prompt.source) for key in wanted
        ]
        progress(number + 1, len(prompts))
    return found


def _key(weights: str, prompt: Prompt, settings: AnswerSettings, sample: int) -> tuple[Any, ...]:
    return (weights, prompt.text, sample, settings.temperature, settings.top_p, settings.seed, prompt.max_tokens)


def _written(speaker: Speaker, prompt: Prompt, settings: AnswerSettings, weights: str) -> list[Answer]:
    from cutaway.generate.decode import generate

    config = SamplingConfig(
        max_tokens=prompt.max_tokens, temperature=settings.temperature, top_p=settings.top_p, seed=settings.seed
    )
    completions = generate(speaker.model, speaker.tokenizer, speaker.ids(prompt.text), config, settings.samples)
    return [
        Answer(
            prompt.name, prompt.kind, prompt.text, prompt.source, one.text.strip(), len(one.tokens), one.stop_reason,
            sample, settings.temperature, settings.top_p, settings.seed, prompt.max_tokens, weights, timestamp(),
        )
        for sample, one in enumerate(completions)
    ]  # fmt: skip
