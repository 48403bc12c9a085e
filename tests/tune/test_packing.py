"""A law: conversations end to end give the loss and gradients they give one by one."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from cutaway.base.errors import UsageError
from cutaway.base.tap import listening
from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig
from cutaway.models.decoder import Decoder
from cutaway.models.presets import plain

V, S = 31, 24
LENGTHS = (7, 1, 11, 3)
CONFIGS = {
    "learned": GPTConfig(**{**vars(plain(S, 24, 3, 4)), "vocab_size": V}),
    "rotary, grouped": LlamaConfig(V, S, 24, 3, 4, 2, d_ff=40),
    "runs of tokens": GPTConfig(V, S, 24, 3, 4, ngram_sizes=(2, 3), ngram_rows=(97, 101), zero_init_projections=False),
    "no positions": GPTConfig(V, S, 24, 3, 4, positions="none", zero_init_projections=False),
}


def texts() -> Tensor:
    return torch.randint(V, (1, sum(LENGTHS)), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", CONFIGS)
def test_texts_end_to_end_are_read_as_if_alone(kind: str) -> None:
    together = build(CONFIGS[kind], dtype=torch.float64)
    alone = copy.deepcopy(together)
    weights = torch.randn(1, sum(LENGTHS), V, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    packed = together(texts(), lengths=LENGTHS)
    parts = [alone(text) for text in texts().split(LENGTHS, dim=1)]
    torch.testing.assert_close(packed, torch.cat(parts, dim=1), rtol=1e-12, atol=1e-12)
    (packed * weights).sum().backward()
    (torch.cat(parts, dim=1) * weights).sum().backward()
    for (name, ours), theirs in zip(together.named_parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-10, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("kind", CONFIGS)
def test_no_text_sees_another(kind: str) -> None:
    model = build(CONFIGS[kind])
    changed = texts()
    changed[0, 6] = (changed[0, 6] + 1) % V  # the last of the first text, beside the next one
    before, after = (model(one, lengths=LENGTHS)[0] for one in (texts(), changed))
    is_same = (before == after).all(dim=1)
    assert is_same[:6].all()
    assert not is_same[6], "the change must be seen in its own text"
    assert is_same[7:].all()
    assert not (model(texts())[0] == model(changed)[0]).all(dim=1)[7:].all(), "without lengths it is one text"


def test_logits_of_some_positions_are_those_of_all() -> None:
    model = build(CONFIGS["runs of tokens"])
    wanted = torch.tensor([0, 5, 8, 21])
    torch.testing.assert_close(
        model(texts(), lengths=LENGTHS, wanted=wanted), model(texts(), lengths=LENGTHS)[:, wanted], rtol=1e-6, atol=1e-6
    )
    assert model(texts(), wanted=wanted).shape == (1, 4, V)


def test_each_text_has_its_own_pattern() -> None:
    model = build(CONFIGS["rotary, grouped"])
    heard: list[tuple[int, ...]] = []

    def hear(name: str, value: Tensor) -> None:
        if name == "pattern_BHTS":
            heard.append(tuple(value.shape))

    with listening(hear):
        model(texts(), lengths=LENGTHS)
    assert heard == [(1, 4, n, n) for n in LENGTHS] * 3


def test_lengths_must_be_those_of_the_row() -> None:
    model: Decoder = build(CONFIGS["learned"])
    for tokens, lengths in ((texts(), (7, 1)), (texts().expand(2, -1), LENGTHS), (texts(), (22, 0))):
        with pytest.raises(UsageError, match="end to end"):
            model(tokens, lengths=lengths)
    with pytest.raises(UsageError, match="end to end"):
        model(texts(), cache=model.new_cache(), lengths=LENGTHS)
    long = torch.zeros(1, 2 * S, dtype=torch.long)
    assert model(long, lengths=(S, S)).shape[1] == 2 * S, "the context is each text's own"
    with pytest.raises(UsageError, match="context"):
        model(long, lengths=(S + 1, S - 1))
