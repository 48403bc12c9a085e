"""The work behind an answer to OpenAI's clients: write each text, and tell its pieces as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cutaway.generate.config import SamplingConfig
from cutaway.interop.chat_template import chat_text
from cutaway.server.completion_asked import ChatAsked, FieldError, TextAsked
from cutaway.server.completion_told import REASONS, ChatShape, ContextError, Shape, TokenTold, Told, named, sent, usage
from cutaway.server.models import Opened
from cutaway.server.streams import Writer

if TYPE_CHECKING:
    from cutaway.generate.decode import Completion


@dataclass(frozen=True)
class Text:
    """One text to continue."""

    ids: list[int]
    echoed: str = ""
    """The prompt as text, where it is to be told too."""
    n_marks: int = 0
    """Tokens at its beginning that are no part of that text."""


@dataclass(frozen=True)
class Plan:
    """What is to be written."""

    texts: list[Text]
    config: SamplingConfig
    n_samples: int
    n_logprobs: int | None
    """How many of the likeliest tokens to tell of; None: no probabilities at all."""
    echo: bool = False
    writes: bool = True
    """False where the prompt is only measured."""


def plan_text(asked: TextAsked, opened: Opened) -> Plan:
    """Return what `/v1/completions` is asked for.

    Raises:
        CutawayError: something in it cannot be done.
    """
    from cutaway.generate.decode import prompt_ids

    asked.check_others()
    tokenizer, texts = opened.tokenizer, []
    for prompt in asked.prompts():
        ids = prompt_ids(tokenizer, prompt, opened.model)
        shown = prompt if isinstance(prompt, str) else tokenizer.decode(prompt)
        n_marks = len(ids) - len(tokenizer.encode(prompt)) if isinstance(prompt, str) else 0
        texts.append(Text(_fitting(ids, opened), shown, n_marks))
    max_tokens = 16 if asked.max_tokens is None else asked.max_tokens
    if max_tokens == 0 and not asked.echo:
        raise FieldError("max_tokens", "0 writes nothing; expected 1 or more, or echo: true")
    config = asked.sampling(max(1, max_tokens))
    return Plan(texts, config, asked.n_samples, asked.logprobs, bool(asked.echo), max_tokens > 0)


def plan_chat(asked: ChatAsked, opened: Opened) -> Plan:
    """Return what `/v1/chat/completions` is asked for.

    Raises:
        CutawayError: something in it cannot be done.
    """
    from cutaway.generate.decode import prompt_ids
    from cutaway.text.tokenizer import encode_marked

    asked.check_others()
    chat = chat_text(opened.folder, [message.plain() for message in asked.messages])
    if chat.has_marks:
        ids = [token for token, _ in encode_marked(opened.tokenizer, chat.text)]
    else:
        ids = prompt_ids(opened.tokenizer, chat.text, opened.model)
    ids = _fitting(prompt_ids(opened.tokenizer, ids, opened.model), opened)
    config = asked.sampling(asked.most_tokens(len(ids), opened.facts.context_length))
    return Plan([Text(ids)], config, asked.n_samples, asked.n_logprobs())


def _fitting(ids: list[int], opened: Opened) -> list[int]:
    context = opened.facts.context_length
    if len(ids) > context:
        raise ContextError(
            f"the prompt has {len(ids)} tokens, but model {opened.name!r} sees {context} at once; give it a shorter one"
        )
    return ids


@dataclass(frozen=True)
class Piece:
    """What came of one continuation."""

    index: int
    text: str = ""
    token: TokenTold | None = None
    reason: str | None = None


def write(opened: Opened, plan: Plan, writer: Writer) -> tuple[list[Told], dict[str, int]]:
    """Write all texts, putting the pieces as they come; return them whole, and the counts of tokens."""
    from cutaway.generate.decode import generate

    told: list[Told] = []
    n_written = 0
    tokenizer, has_logprobs = opened.tokenizer, plan.n_logprobs is not None
    with opened.lock:
        for number, text in enumerate(plan.texts):
            first = number * plan.n_samples
            own = [Told(first + i) for i in range(plan.n_samples)]
            told += own

            def put(piece: Piece, own: list[Told] = own, first: int = first) -> None:
                one = own[piece.index - first]
                one.text += piece.text
                one.reason = piece.reason or one.reason
                if piece.token is not None:
                    one.tokens.append(piece.token)
                writer.put(piece)

            if plan.echo:
                for i in range(plan.n_samples):
                    put(Piece(first + i, text.echoed))
                if has_logprobs:
                    for token in measured(opened, text, plan.n_logprobs or 0):
                        for i in range(plan.n_samples):
                            put(Piece(first + i, token=token))
            if not plan.writes:
                for i in range(plan.n_samples):
                    put(Piece(first + i, reason="length"))
                continue
            completions: list[Completion] = generate(
                opened.model,
                tokenizer,
                text.ids,
                plan.config,
                plan.n_samples,
                on_token=lambda i, piece, first=first, put=put: put(Piece(first + i, piece)),  # type: ignore[misc]
                logprobs=plan.n_logprobs,
                on_logprobs=_teller(first, put, opened) if has_logprobs else None,
                is_wanted=writer.between(opened.lock),
            )
            for i, completion in enumerate(completions):
                n_written += len(completion.tokens)
                put(Piece(first + i, reason=REASONS[completion.stop_reason]))
    return told, usage(sum(len(text.ids) for text in plan.texts), n_written)


def _teller(
    first: int, put: Callable[[Piece], None], opened: Opened
) -> Callable[[int, int, float, list[tuple[int, float]]], None]:
    def tell(i: int, token: int, logprob: float, top: list[tuple[int, float]]) -> None:
        put(Piece(first + i, token=named(opened.tokenizer, token, logprob, top)))

    return tell


def measured(opened: Opened, text: Text, n_top: int) -> list[TokenTold]:
    """Return the prompt's own tokens and how likely each was after those before it."""
    import torch

    with torch.inference_mode():
        logits_TV = opened.model(torch.tensor([text.ids], device=opened.model.device))[0].float()
        logprobs_TV = logits_TV.log_softmax(dim=-1)
        top = logprobs_TV.topk(min(n_top, logprobs_TV.shape[1]), dim=-1)
        indices, values = top.indices.tolist(), top.values.tolist()
    found = []
    for t in range(text.n_marks, len(text.ids)):
        token = text.ids[t]
        if t == 0:
            found.append(named(opened.tokenizer, token, None, []))
        else:
            pairs = list(zip(indices[t - 1], values[t - 1], strict=True))
            found.append(named(opened.tokenizer, token, float(logprobs_TV[t - 1, token]), pairs))
    return found


class Encoder:
    """Turns batches of pieces into server-sent events: what came of one continuation is one event."""

    def __init__(self, shape: Shape, n_choices: int) -> None:
        self.shape = shape
        self.offsets = [0] * n_choices
        self.has_begun = not isinstance(shape, ChatShape)
        self.n_choices = n_choices

    def __call__(self, batch: Sequence[Any]) -> bytes:
        """Return the events of a batch."""
        events = []
        if not self.has_begun and isinstance(self.shape, ChatShape):
            self.has_begun = True
            events.append(sent(self.shape.begin(self.n_choices)))
        pending: dict[int, Told] = {}
        for piece in batch:
            if not isinstance(piece, Piece):
                events.append(sent(self.shape.end(piece)))
                continue
            told = pending.setdefault(piece.index, Told(piece.index, offset=self.offsets[piece.index]))
            told.text += piece.text
            if piece.token is not None:
                told.tokens.append(piece.token)
                self.offsets[piece.index] += len(piece.token.text)
            if piece.reason is not None:
                if told.text or told.tokens:
                    events.append(sent(self.shape.piece([told])))
                end = Told(piece.index, offset=self.offsets[piece.index], reason=piece.reason)
                events.append(sent(self.shape.piece([end])))
                del pending[piece.index]
        # counts come after all else, so what is pending goes before them
        events += [sent(self.shape.piece([told])) for told in pending.values() if told.text or told.tokens]
        return b"".join(events)
