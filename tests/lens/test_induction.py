"""A model built by hand to continue what it saw is found, head by head; scores are what their formulas say."""

from __future__ import annotations

import math

import pytest
import torch

from cutaway.base.errors import UsageError
from cutaway.lens.activations import read
from cutaway.lens.induction import draw, induction, norm_size, read_out, spoken
from cutaway.models.build import build
from cutaway.models.config import GPTConfig
from cutaway.models.decoder import Decoder
from cutaway.text.bpe import BPETokenizer
from cutaway.text.characters import CharacterTokenizer
from lens.small_models import CONFIGS, KINDS, TOKENIZER, V, small_model

T = 32


def built_by_hand(copies: bool = True) -> Decoder:
    """A model of two blocks that continues what it saw before.

    The stream has a place for the token, the token before, the answer (V channels each) and the position (T). Block 0
    looks one back and notes the token there; block 1 looks for the place whose token before is the one here, and
    writes the token it finds as the answer, or against it.
    """
    width = 3 * V + T
    config = GPTConfig(
        vocab_size=V, context_length=T, d_model=width, n_layers=2, n_heads=1, positions="learned", d_ff=4,
        qk_norm=False, attention_scale=1.0, norm="rms", norm_gain=False, final_norm=False,
    )  # fmt: skip
    model = build(config)
    token, before, answer = (slice(i * V, (i + 1) * V) for i in range(3))
    position = slice(3 * V, width)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.token_embedding.weight[:, token] = torch.eye(V)
        model.added_embeddings["positions"].weight[:, position] = torch.eye(T)
        sharp, one = 3.0, torch.eye(V)
        first, second = model.blocks[0].attn, model.blocks[1].attn
        first.q_proj.weight[position, position] = sharp * torch.diag(torch.ones(T - 1), 1)  # t asks for t - 1
        first.k_proj.weight[position, position] = torch.eye(T)
        first.v_proj.weight[token, token] = one
        first.o_proj.weight[before, token] = one
        second.q_proj.weight[token, token] = sharp * one
        second.k_proj.weight[token, before] = one
        second.v_proj.weight[token, token] = one
        second.o_proj.weight[answer, token] = one if copies else -one
        model.lm_head.weight[:, answer] = 3 * one
    return model


def test_the_head_built_for_it_is_found_and_no_other() -> None:
    found = induction(built_by_hand(), TOKENIZER, length=16, n_sequences=4)
    assert found.heads == ["1.0"]
    assert found.is_induction(1, 0)
    assert not found.is_induction(0, 0)
    assert float(found.prefix_LH[1, 0]) > 0.95
    assert float(found.control_LH[1, 0]) < 0.1
    assert float(found.copying_LH[1, 0]) > 0.95
    assert float(found.raised_LH[1, 0]) > 1
    assert found.second_half_nats < 0.5 * found.first_half_nats
    assert found.control_second_half_nats > found.first_half_nats


def test_a_head_that_finds_the_place_and_says_the_opposite_is_none() -> None:
    found = induction(built_by_hand(copies=False), TOKENIZER, length=16, n_sequences=4)
    assert float(found.prefix_LH[1, 0]) > 0.95
    assert float(found.copying_LH[1, 0]) < -0.95
    assert found.heads == []


def test_a_head_that_always_looks_so_far_back_is_none() -> None:
    model = built_by_hand()
    far, position = 15, slice(3 * V, 3 * V + T)
    with torch.no_grad():
        attn = model.blocks[0].attn
        attn.q_proj.weight[position, position] = 9.0 * torch.diag(torch.ones(T - far), far)
        attn.o_proj.weight.zero_()
        attn.o_proj.weight[2 * V : 3 * V, :V] = torch.eye(V)  # and says what it sees
    found = induction(model, TOKENIZER, length=16, n_sequences=4)
    assert float(found.prefix_LH[0, 0]) > 0.9
    assert float(found.copying_LH[0, 0]) > 0.9
    assert not found.is_induction(0, 0), "it looks there whether the text repeats or not"


@pytest.mark.parametrize("kind", CONFIGS)
def test_scores_follow_their_formulas(kind: str) -> None:
    model = small_model(kind)
    found = induction(model, TOKENIZER, length=12, n_sequences=3, seed=5)
    one = found.sequences
    tokens, P = one.repeated_BT, one.length
    values = read(model, tokens)
    log_BTV = values["logits"].log_softmax(-1)
    for t in (1, 7, 20):
        nats = sum(-float(log_BTV[b, t - 1, tokens[b, t]]) for b in range(3)) / 3
        assert float(found.loss_T[t]) == pytest.approx(nats, abs=1e-4)
    assert found.loss_T[0].isnan()
    pool = spoken(model, TOKENIZER)
    layer, head = 1, 2
    pattern, z = values[f"blocks.{layer}.attn.pattern"][:, head], values[f"blocks.{layer}.attn.z"][:, :, head]
    attn = model.blocks[layer].attn
    columns = slice(head * attn.d_head, (head + 1) * attn.d_head)
    prefix, copying, raised = [], [], []
    for b in range(3):
        for t in range(P, 2 * P):
            prefix.append(float(pattern[b, t, t - P + 1]))
            # what the head adds to the logits: the difference it makes with the norm's size held where it is
            written = attn.o_proj.weight[:, columns] @ z[b, t]
            stream = values["blocks.2.resid_post"][b, t]
            logits = moved(model, stream, written)
            up = raise_ = 0.0
            for s in range(t + 1):
                own = float(logits[tokens[b, s]])
                others = [float(logits[v]) for v in pool if v != int(tokens[b, s])]
                rank = sum((own > other) - (own < other) for other in others) / len(others)
                up += float(pattern[b, t, s]) * rank
                raise_ += float(pattern[b, t, s]) * (own - sum(float(logits[v]) for v in pool) / len(pool))
            copying.append(up)
            raised.append(raise_)
    assert float(found.prefix_LH[layer, head]) == pytest.approx(sum(prefix) / len(prefix), abs=1e-5)
    assert float(found.copying_LH[layer, head]) == pytest.approx(sum(copying) / len(copying), abs=1e-4)
    assert float(found.raised_LH[layer, head]) == pytest.approx(sum(raised) / len(raised), abs=1e-3)
    assert model.training


@torch.no_grad()
def moved(model: Decoder, stream_C: torch.Tensor, written_C: torch.Tensor) -> torch.Tensor:
    """What writing a vector does to the logits, by the derivative of the norm's numerator alone."""
    norm = model.final_norm
    if type(norm).__name__ == "NoNorm":
        return model.lm_head.weight @ written_C
    is_centred = type(norm).__name__ == "LayerNorm"
    centred = stream_C - stream_C.mean() if is_centred else stream_C
    size = (centred.square().mean() + norm.eps).sqrt()
    written_C = written_C - written_C.mean() if is_centred else written_C
    gain = 1.0 if norm.weight is None else norm.weight
    return model.lm_head.weight @ (written_C * gain / size)


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_parts_of_the_norm_are_the_norm(kind: str) -> None:
    """All the stream through the two parts is the logits, but for the norm's own offset."""
    model = small_model(kind).eval()
    tokens = torch.tensor([[3, 1, 4, 1, 5]])
    values = read(model, tokens, ["blocks.2.resid_post"])
    stream = values["blocks.2.resid_post"]
    rebuilt = stream @ read_out(model, torch.arange(V)).T / norm_size(model, stream)
    offset = getattr(model.final_norm, "bias", None)
    if offset is not None:
        rebuilt = rebuilt + model.lm_head.weight @ offset
    torch.testing.assert_close(rebuilt, values["logits"], atol=1e-4, rtol=1e-4)


def test_sequences() -> None:
    model = small_model("gpt2")
    one = draw(model, TOKENIZER, None, 10, 5, 3)
    assert one.repeated_BT.shape == (5, 20)
    assert torch.equal(one.repeated_BT[:, :10], one.repeated_BT[:, 10:])
    assert torch.equal(one.repeated_BT[:, :10], one.other_BT[:, :10])
    assert not torch.equal(one.other_BT[:, :10], one.other_BT[:, 10:])
    assert all(len(set(row.tolist())) == 10 for row in one.repeated_BT[:, :10]), "no token twice in a half"
    assert torch.equal(one.repeated_BT, draw(model, TOKENIZER, None, 10, 5, 3).repeated_BT)
    assert not torch.equal(one.repeated_BT, draw(model, TOKENIZER, None, 10, 5, 4).repeated_BT)
    text = "the cat sat on a mat, and so on and on."
    ids = TOKENIZER.encode(text)
    taken = draw(model, TOKENIZER, text, 6, 4, 0)
    runs = {tuple(ids[i : i + 6]) for i in range(len(ids) - 5)}
    assert all(tuple(row) in runs for row in taken.repeated_BT[:, :6].tolist())


def test_tokens_that_stand_for_no_text_are_left_out() -> None:
    characters = CharacterTokenizer(["<|endoftext|>", "<|unknown|>", *"abc"])
    model = build(GPTConfig(vocab_size=5, context_length=16, d_model=8, n_layers=1, n_heads=1))
    assert [characters.token_text(i) for i in spoken(model, characters)] == list("abc")
    one = draw(model, characters, None, None, 2, 0)
    assert (one.n_before, one.length) == (1, 3)
    assert (one.repeated_BT[:, 0] == 0).all(), "the mark of the beginning comes first"
    pieces = BPETokenizer.train(["naïve naïve"], 300)
    model = build(GPTConfig(vocab_size=pieces.vocab_size, context_length=16, d_model=8, n_layers=1, n_heads=1))
    texts = [pieces.decode([i]) for i in spoken(model, pieces)]
    assert "" not in texts
    assert not any("\ufffd" in text for text in texts)


def test_what_cannot_be() -> None:
    model = small_model("gpt2")
    with pytest.raises(UsageError, match="halves of 17 tokens do not fit; expected 2 to 16"):
        induction(model, TOKENIZER, length=17)
    with pytest.raises(UsageError, match="the text has 5 tokens; expected at least 20"):
        induction(model, TOKENIZER, "abcde", length=10)
    with pytest.raises(UsageError, match="0 sequences say nothing"):
        induction(model, TOKENIZER, n_sequences=0)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision(kind: str) -> None:
    found = induction(small_model(kind, torch.bfloat16), TOKENIZER, length=8, n_sequences=2)
    assert all(math.isfinite(float(x.sum())) for x in (found.prefix_LH, found.copying_LH, found.raised_LH))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_prefix_matching_beside_transformer_lens(kind: str) -> None:
    from lens.peers import TOKENIZER as CHARACTERS
    from lens.peers import both_sides

    model, bridge = both_sides(kind, no_processing=True)
    found = induction(model, CHARACTERS, length=14, n_sequences=3)
    _, cache = bridge.run_with_cache(found.sequences.repeated_BT)
    P = 14
    for layer in range(3):
        # as in transformer_lens' demo: the stripe of the pattern P - 1 places back, of the queries in the second half
        stripe_BHT = cache["pattern", layer].diagonal(dim1=-2, dim2=-1, offset=1 - P)[..., -P:]
        torch.testing.assert_close(found.prefix_LH[layer], stripe_BHT.mean((0, 2)), atol=1e-5, rtol=0)
