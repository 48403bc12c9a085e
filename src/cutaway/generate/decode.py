"""Writing: read the text, guess the next token, append it, again.

    logits[t] = model(text[..t])        token[t+1] = choose(logits[t])

Each new token is read once, against the keys and values of all before it kept in a cache. When the text
outgrows the model's context, the oldest tokens drop out half a context at a time and the rest is read
afresh, so that with and without a cache the model always sees the same tokens. Several samples are written
side by side: they share every read of the weights, which is what takes the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cutaway.base.errors import NonFiniteError, TokenizerError, UsageError
from cutaway.base.seed import numpy_generator
from cutaway.base.tap import is_listening
from cutaway.generate.config import SamplingConfig
from cutaway.generate.flat import FlatDecoder
from cutaway.generate.sampling import choose_token
from cutaway.generate.steps import Drawn, Step, explain_drawn
from cutaway.generate.stream import TextStream
from cutaway.generate.temperature import temperatures
from cutaway.models.decoder import Decoder, evaluating
from cutaway.text.tokenizer import Tokenizer

READ_AT_ONCE = 256
"""A long prompt is read in parts of so many tokens, so that reading can end when nobody wants the text."""


@dataclass(frozen=True)
class Completion:
    """What one sample wrote."""

    text: str
    """The new text, without the prompt."""
    tokens: list[int]
    """The ids of the new tokens; the one that ended the text is included."""
    stop_reason: Literal["max_tokens", "stop", "end", "unwanted"]
    """Why it ended: enough tokens, a stop string, the model's own end of text, or nobody wanted more."""
    logprobs: list[float] | None = None
    """Natural logarithm of each new token's probability, before temperature and filters."""
    top_logprobs: list[list[tuple[int, float]]] | None = None
    """The likeliest tokens at each position with theirs, likeliest first."""
    prompt_cut: int = 0
    """So many tokens at the prompt's beginning the model did not see: its context has no room for them."""


def generate(
    model: Decoder,
    tokenizer: Tokenizer,
    prompt: str | Sequence[int] = "",
    config: SamplingConfig | None = None,
    n_samples: int = 1,
    on_token: Callable[[int, str], None] | None = None,
    use_cache: bool = True,
    logprobs: int | None = None,
    on_logprobs: Callable[[int, int, float, list[tuple[int, float]]], None] | None = None,
    on_step: Callable[[int, Step], None] | None = None,
    forced: Sequence[int] | Mapping[int, int] = (),
    is_wanted: Callable[[], bool] | None = None,
) -> list[Completion]:
    """Continue the prompt, `n_samples` times; sample i is the same whatever `n_samples` is.

    Args:
        prompt: a text, or the ids of its tokens.
        on_token: called with the sample's number and each piece of text as soon as it is certain.
        use_cache: False reads the whole text again at each token: slow, and the same to rounding.
        logprobs: also return the log-probabilities of the chosen tokens and of this many of the likeliest.
        on_logprobs: where these are asked for, called with the sample's number, the token, and its two, token by token.
        on_step: called with the sample's number and what each stage of choosing did, token by token.
        forced: the first new tokens, or new tokens by their number, that are what they are said to be whatever is drawn.
        is_wanted: asked before each token, and while a long prompt is read; when it says no, the text ends there.

    Raises:
        TokenizerError: the prompt has characters the tokenizer does not know.
        NonFiniteError: the model's logits are not numbers.
        UsageError: a token is not in the vocabulary.
    """
    config = config or SamplingConfig()
    before = prompt_ids(tokenizer, prompt, model)
    by_number = dict(forced if isinstance(forced, Mapping) else enumerate(forced))
    samples = [_Sample(tokenizer, before, config.stop, logprobs) for _ in range(n_samples)]
    for drawn in draw_tokens(
        model, tokenizer, before, config, n_samples, use_cache, forced=by_number, is_wanted=is_wanted
    ):
        for i, (sample, token) in enumerate(zip(samples, drawn.tokens_B.tolist(), strict=True)):
            if sample.stop_reason is None:
                if logprobs is not None:
                    sample.note_logprobs(drawn.logits_BV[i].log_softmax(dim=-1), token)
                    if on_logprobs is not None:
                        on_logprobs(i, token, sample.logprobs[-1], sample.top_logprobs[-1])
                piece = sample.push(token)
                if on_step is not None:
                    on_step(i, explain_drawn(drawn, config, i))
                if piece and on_token is not None:
                    on_token(i, piece)
        if all(sample.stop_reason is not None for sample in samples):
            break
    cut = first_visible(len(before), model.config.context_length)
    for i, sample in enumerate(samples):
        piece = sample.stream.finish()
        if piece and on_token is not None:
            on_token(i, piece)
        if sample.stop_reason is None and len(sample.tokens) < config.max_tokens:
            sample.stop_reason = "unwanted"
    return [sample.completion(cut) for sample in samples]


def draw_tokens(
    model: Decoder,
    tokenizer: Tokenizer,
    before: Sequence[int],
    config: SamplingConfig,
    n_samples: int = 1,
    use_cache: bool = True,
    given: Sequence[int] = (),
    forced: Mapping[int, int] | None = None,
    is_wanted: Callable[[], bool] | None = None,
) -> Iterator[Drawn]:
    """Yield the new tokens one by one, for as long as somebody asks for the next.

    Args:
        before: the prompt's ids.
        given: new tokens that are known already: they are read at once, and the first one yielded comes after them.
        forced: new tokens, by their number, that are what they are said to be whatever is drawn.
        is_wanted: asked before each token, and while a long prompt is read; when it says no, that was the last.

    Raises:
        NonFiniteError: the model's logits are not numbers.
        UsageError: a token that is given or forced is not in the vocabulary.
    """
    if n_samples < 1:
        raise UsageError(f"asked for {n_samples} samples; expected 1 or more")
    forced = forced or {}
    check_tokens(model, (*given, *forced.values()))
    schedule = temperatures(config.temperature, config.max_tokens)
    uniforms_BT = torch.stack([_uniforms(config, sample) for sample in range(n_samples)])
    n_more = max(0, config.max_tokens - len(given))
    with torch.inference_mode():
        reader = Reader(model, [*before, *given], n_samples, n_more, use_cache)
        seen_BV = reader.seen_tokens() if config.repetition_penalty != 1 else None
        never_V = _never_drawn(model, tokenizer)
    with evaluating(model):
        for t in range(len(given), config.max_tokens):
            with torch.inference_mode():
                last_BV = reader.next_logits(is_wanted)
                if last_BV is None:
                    return
                logits_BV = last_BV.float().cpu()
                if not math.isfinite(logits_BV.max()):
                    raise NonFiniteError(
                        f"the model's logits are not finite at new token {t}: its weights are damaged or diverged"
                    )
                allowed_BV = logits_BV if never_V is None else logits_BV.masked_fill(never_V, -torch.inf)
                tokens_B = choose_token(allowed_BV, config, schedule[t], uniforms_BT[:, t], seen_BV)
                if t in forced:
                    tokens_B = torch.full_like(tokens_B, forced[t])
                reader.append(tokens_B)
            yield Drawn(t, schedule[t], logits_BV, allowed_BV, uniforms_BT[:, t], tokens_B, seen_BV)
            if seen_BV is not None:
                with torch.inference_mode():
                    seen_BV.scatter_(1, tokens_B[:, None], True)


def explain_token(
    model: Decoder,
    tokenizer: Tokenizer,
    prompt: str | Sequence[int],
    tokens: Sequence[int],
    config: SamplingConfig,
    n_candidates: int = 12,
) -> Step:
    """Return how the last of some new tokens was chosen, equal to rounding to what `generate` told `on_step`.

    Args:
        tokens: the first new tokens of a text, up to the one in question.

    Raises:
        UsageError: there are no tokens, more than the settings allow, or one the model does not have.
    """
    if not 0 < len(tokens) <= config.max_tokens:
        raise UsageError(f"there are {len(tokens)} new tokens; expected 1 to {config.max_tokens} (max_tokens)")
    before = prompt_ids(tokenizer, prompt, model)
    last = {len(tokens) - 1: tokens[-1]}
    for drawn in draw_tokens(model, tokenizer, before, config, given=tokens[:-1], forced=last):
        return explain_drawn(drawn, config, 0, n_candidates)
    raise AssertionError("the text has no such token")


class Reader:
    """The model's side: the texts so far, read into a cache.

    Args:
        n_more: most tokens that will be appended.
    """

    def __init__(self, model: Decoder, prompt_ids: Sequence[int], n_samples: int, n_more: int, use_cache: bool) -> None:
        self.model, self.n_samples = model, n_samples
        weight = model.token_embedding.weight  # the head's may be rounded to 8 bits
        self.length = len(prompt_ids)
        self.tokens_BN = torch.zeros(n_samples, self.length + n_more, dtype=torch.int64, device=weight.device)
        self.tokens_BN[:, : self.length] = torch.tensor(prompt_ids)
        self.cache = model.new_cache(n_samples, self.length + n_more) if use_cache else None
        self.flat = FlatDecoder(model, self.cache, n_more) if self.cache and FlatDecoder.fits(model) else None
        self._start = 0

    def append(self, tokens: Int[Tensor, " B"]) -> None:
        """Add one token to each text."""
        self.tokens_BN[:, self.length] = tokens
        self.length += 1

    def next_logits(self, is_wanted: Callable[[], bool] | None = None) -> Float[Tensor, "B V"] | None:
        """Read what was not read yet; return the logits of the token to come.

        Args:
            is_wanted: when it says no, reading ends and nothing is returned.
        """
        if is_wanted is not None and not is_wanted():
            return None
        start = first_visible(self.length, self.model.config.context_length)
        if self.cache is None:
            unread_BT = self.tokens_BN[:, start : self.length]
        else:
            if start != self._start:
                self.cache.shorten(0)
                self._start = start
            unread_BT = self.tokens_BN[:, start + self.cache.length : self.length]
        if self.flat is not None and unread_BT.shape[1] == 1 and not is_listening():
            return self.flat.step(unread_BT)
        if self.cache is None or is_listening():
            return self.model.lm_head(self.model.hidden(unread_BT, self.cache)[:, -1])
        for part_BT in unread_BT.split(READ_AT_ONCE, dim=1):
            if self.cache.length > 0 and is_wanted is not None and not is_wanted():
                return None
            hidden_BTC = self.model.hidden(part_BT, self.cache)
        return self.model.lm_head(hidden_BTC[:, -1])

    def seen_tokens(self) -> Tensor:
        """Return which tokens of the vocabulary each text has."""
        seen_BV = torch.zeros(self.n_samples, self.model.lm_head.out_features, dtype=torch.bool)
        return seen_BV.scatter_(1, self.tokens_BN[:, : self.length].cpu(), True)


def first_visible(length: int, context_length: int) -> int:
    """Return how many of the oldest tokens no longer count when the text has `length` tokens."""
    step = max(1, context_length // 2)
    return max(0, -((context_length - length) // step)) * step


class _Sample:
    """One text being written."""

    def __init__(self, tokenizer: Tokenizer, prompt_ids: list[int], stop: tuple[str, ...], n_top: int | None) -> None:
        self.stream = TextStream(tokenizer, prompt_ids, stop)
        self.eos_id = tokenizer.eos_id
        self.tokens: list[int] = []
        self.stop_reason: Literal["stop", "end", "unwanted"] | None = None
        self.n_top = n_top
        self.logprobs: list[float] = []
        self.top_logprobs: list[list[tuple[int, float]]] = []

    def push(self, token: int) -> str:
        self.tokens.append(token)
        if token == self.eos_id:
            self.stop_reason = "end"
            return ""
        piece = self.stream.push(token)
        if self.stream.stopped:
            self.stop_reason = "stop"
        return piece

    def note_logprobs(self, logprobs: Float[Tensor, " V"], token: int) -> None:
        self.logprobs.append(float(logprobs[token]))
        top = logprobs.topk(min(self.n_top or 0, len(logprobs)))
        self.top_logprobs.append(list(zip(top.indices.tolist(), top.values.tolist(), strict=True)))

    def completion(self, prompt_cut: int) -> Completion:
        wanted = self.n_top is not None
        return Completion(
            self.stream.text,
            self.tokens,
            self.stop_reason or "max_tokens",
            self.logprobs if wanted else None,
            self.top_logprobs if wanted else None,
            prompt_cut,
        )


def prompt_ids(tokenizer: Tokenizer, prompt: str | Sequence[int], model: Decoder) -> list[int]:
    """Return the ids a text begins with: the prompt's, or where there is none the mark of the beginning, or a line end.

    Raises:
        TokenizerError: characters the tokenizer does not know; a tokenizer of another model.
        UsageError: a token that is not in the vocabulary.
    """
    if not isinstance(prompt, str):
        check_tokens(model, prompt)
    ids = tokenizer.prompt_ids(prompt) if isinstance(prompt, str) else list(prompt)
    if not ids and tokenizer.bos_id is not None:
        ids = [tokenizer.bos_id]
    if not ids:
        try:
            ids = tokenizer.encode("\n")
        except TokenizerError as error:
            raise TokenizerError("this model needs a prompt to start from: give it at least one character") from error
    if max(ids) >= model.lm_head.out_features:
        raise TokenizerError(
            f"the tokenizer gives token {max(ids)}, but the model has only {model.lm_head.out_features}: "
            f"they do not belong together; load both from one folder"
        )
    return ids


def check_tokens(model: Decoder, tokens: Sequence[int]) -> None:
    """Refuse ids the model does not have.

    Raises:
        UsageError: there is no such token.
    """
    for token in tokens:
        if not 0 <= token < model.lm_head.out_features:
            raise UsageError(f"there is no token {token}; the model has 0 to {model.lm_head.out_features - 1}")


def _uniforms(config: SamplingConfig, sample: int) -> Float[Tensor, " N"]:
    """Return the sample's random numbers; more tokens only lengthen the list."""
    return torch.from_numpy(numpy_generator(config.seed, "sample", sample).random(config.max_tokens))


def _never_drawn(model: Decoder, tokenizer: Tokenizer) -> Tensor | None:
    """Return a mask of tokens that stand for no text: the unknown token, and padding of the vocabulary."""
    never_V = torch.arange(model.lm_head.out_features) >= tokenizer.vocab_size
    if tokenizer.unknown_id is not None:
        never_V[tokenizer.unknown_id] = True
    return never_V if never_V.any() else None
