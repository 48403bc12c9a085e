"""Every token is scored once, with the tokens before it that were promised; sums are the same however a text is cut."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.utils.logging import disable_progress_bar

from cutaway.base.errors import TokenizerError, UsageError
from cutaway.interop.hub_folder import load_model
from cutaway.lens.surprisal import compare, surprisal
from cutaway.models.build import build
from cutaway.models.config import GPTConfig
from cutaway.models.decoder import Decoder
from cutaway.text.bpe import BPETokenizer
from cutaway.text.characters import CharacterTokenizer
from cutaway.text.tokenizer import Tokenizer
from lens.small_models import KINDS, TEXT, TOKENIZER, small_model

disable_progress_bar()
LONG = "the cat sat on a mat. a dog, a cat and the man sat on the mat, and on and on they sat!"
ACCENTS = "naïve café: 日本語 🎉 plain text, and naïve again"


def reading(tokenizer: Tokenizer, seed: int = 0, context_length: int = 8) -> Decoder:
    model = build(GPTConfig(vocab_size=tokenizer.vocab_size, d_model=16, n_layers=2, n_heads=2,
                            context_length=context_length, zero_init_projections=False), seed)  # fmt: skip
    with torch.no_grad():
        model.lm_head.weight.mul_(3)
    return model


def bpe(vocab_size: int = 300) -> BPETokenizer:
    return BPETokenizer.train([LONG, ACCENTS] * 3, vocab_size)


@pytest.mark.parametrize("stride", [None, 1, 3, 8])
@pytest.mark.parametrize("tokenizer", [TOKENIZER, bpe()], ids=["without a mark", "with a mark"])
def test_each_token_is_scored_after_those_before_it(tokenizer: Tokenizer, stride: int | None) -> None:
    model = reading(tokenizer)
    found = surprisal(model, tokenizer, LONG, stride)
    ids = tokenizer.prompt_ids(LONG)
    before = len(ids) - len(found.ids)
    assert found.has_bos == (before == 1) == (tokenizer.bos_id is not None)
    for t in range(len(found.ids)):
        at, seen = t + before, int(found.seen_T[t])
        if at == 0:
            assert math.isnan(found.nats_T[t]), "nothing came before it: not computed, and not 0"
            assert (seen, int(found.rank_T[t])) == (0, -1)
            continue
        assert min(at, 8 - (stride or 4) + 1) <= seen <= min(at, 8)
        with torch.no_grad():
            log_V = model(torch.tensor([ids[at - seen : at]]))[0, -1].log_softmax(-1)
        assert float(found.nats_T[t]) == pytest.approx(-float(log_V[ids[at]]), abs=1e-5)
        assert int(found.rank_T[t]) == 1 + int((log_V > log_V[ids[at]]).sum())
        assert float(found.entropy_T[t]) == pytest.approx(-float((log_V.exp() * log_V).sum()), abs=1e-5)


def test_averages() -> None:
    with_mark, without = bpe(), TOKENIZER
    found = surprisal(reading(with_mark, context_length=512), with_mark, ACCENTS)
    assert found.n_bytes == len(ACCENTS.encode())
    assert found.bits_per_byte == pytest.approx(float(found.nats_T.sum()) / math.log(2) / found.n_bytes)
    assert found.nats_per_token == pytest.approx(float(found.nats_T.mean()))
    torch.testing.assert_close(found.bits_T * math.log(2), found.nats_T)
    found = surprisal(reading(without), without, LONG)
    assert (found.n_scored, found.n_bytes) == (len(LONG) - 1, len(LONG) - 1)
    assert found.bits_per_byte == pytest.approx(float(found.nats_T[1:].sum()) / math.log(2) / (len(LONG) - 1))


def test_one_token_without_anything_before_it_has_no_average() -> None:
    found = surprisal(reading(TOKENIZER), TOKENIZER, "a")
    assert (found.bits_per_byte, found.nats_per_token, found.n_scored) == (None, None, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_nats_per_token_are_the_loss_of_training(kind: str) -> None:
    model = small_model(kind)
    found = surprisal(model, TOKENIZER, TEXT)
    ids = torch.tensor([TOKENIZER.encode(TEXT)])
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(model.eval()(ids)[0, :-1], ids[0, 1:])
    assert found.nats_per_token == pytest.approx(float(loss), abs=1e-5)


def test_the_same_from_transformers_with_the_tokens_before(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": TOKENIZER.vocab_size, "n_positions": 16, "n_embd": 24, "n_layer": 2, "n_head": 4}
    theirs = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).eval()
    theirs.save_pretrained(tmp_path)
    ids = TOKENIZER.encode(LONG)
    found = surprisal(load_model(tmp_path), TOKENIZER, LONG, stride=5)
    for t in range(1, len(ids), 3):
        seen = ids[t - int(found.seen_T[t]) : t]
        with torch.no_grad():
            log_V = theirs(torch.tensor([seen])).logits[0, -1].log_softmax(-1)
        assert float(found.nats_T[t]) == pytest.approx(-float(log_V[ids[t]]), abs=1e-5)


def test_two_models_that_cut_a_text_differently() -> None:
    # learned from different texts, so that neither cuts finer everywhere
    first, second = BPETokenizer.train([LONG] * 3, 300), BPETokenizer.train([ACCENTS] * 3, 300)
    text = LONG + ACCENTS
    a = surprisal(reading(first, 0), first, text)
    b = surprisal(reading(second, 1), second, text)
    assert set(a.ends) - set(b.ends)
    assert set(b.ends) - set(a.ends)
    both = compare(a, b)
    assert "".join(both.pieces) == text
    assert float(both.first_nats_N.sum()) == pytest.approx(a.total_nats)
    assert float(both.second_nats_N.sum()) == pytest.approx(b.total_nats)
    assert both.bits_per_byte == pytest.approx((a.bits_per_byte, b.bits_per_byte))
    assert set(both.ends) == set(a.ends) & set(b.ends), "no piece could be cut further"
    torch.testing.assert_close(both.difference_N, both.second_nats_N - both.first_nats_N)


def test_bytes_of_one_character_stay_together() -> None:
    tokenizer = BPETokenizer.train(["plain"], 260)
    found = surprisal(reading(tokenizer), tokenizer, "a日b")
    assert found.ends == (1, 2, 2, 2, 3)
    both = compare(found, found)
    assert both.pieces == ("a", "日", "b")
    assert float(both.first_nats_N[1]) == pytest.approx(float(found.nats_T[1:4].sum()))


def test_what_one_did_not_compute_counts_for_neither() -> None:
    letters = CharacterTokenizer(sorted(set(LONG)))
    pieces = bpe()
    a, b = surprisal(reading(letters), letters, LONG), surprisal(reading(pieces, 1), pieces, LONG)
    both = compare(a, b)
    assert both.first_nats_N[0].isnan()
    assert not both.second_nats_N.isnan().any()
    assert both.difference_N.isnan().tolist() == [True] + [False] * (len(both.pieces) - 1)
    n_bytes = len(LONG) - len(both.pieces[0])
    first, second = both.first_nats_N[1:].sum() / math.log(2), both.second_nats_N[1:].sum() / math.log(2)
    assert both.bits_per_byte == pytest.approx((float(first) / n_bytes, float(second) / n_bytes))


def test_what_cannot_be() -> None:
    model = reading(TOKENIZER)
    with pytest.raises(TokenizerError, match="nothing to read"):
        surprisal(model, TOKENIZER, "")
    with pytest.raises(TokenizerError, match="never saw in training: 'X'"):
        surprisal(model, TOKENIZER, "teXt")
    with pytest.raises(UsageError, match="a stride of 9 cannot be; expected 1 to 8"):
        surprisal(model, TOKENIZER, LONG, stride=9)
    with pytest.raises(UsageError, match="the same text only"):
        compare(surprisal(model, TOKENIZER, "a cat"), surprisal(model, TOKENIZER, "a dog"))


def test_half_precision_and_a_model_in_training() -> None:
    model = small_model("gpt2", torch.bfloat16)
    found = surprisal(model, TOKENIZER, LONG)
    assert model.training
    torch.testing.assert_close(found.nats_T, surprisal(model, TOKENIZER, LONG).nats_T, equal_nan=True)
