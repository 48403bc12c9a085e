"""Losses equal those of `transformers` with the prompt's labels left out; what changed, the gap and forgetting are told."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from voice.copier import Copier

from cutaway.base.errors import TokenizerError, UsageError
from cutaway.interop.conversations import Conversation, Message, conversation
from cutaway.models.build import build
from cutaway.models.presets import plain
from cutaway.text.characters import CharacterTokenizer
from cutaway.tune.sft import surprisals
from cutaway.voice.forgetting import forgetting, neutral_texts
from cutaway.voice.losses import Losses, compare_losses, gap, response_losses
from cutaway.voice.scoring import scores


def test_losses_are_those_of_transformers(copier: Copier, tmp_path: Path) -> None:
    """The same random weights in the other library, labels -100 on everything that is not an answer."""
    transformers = pytest.importorskip("transformers")
    from cutaway.interop.hub_folder import save_folder

    save_folder(tmp_path, copier.copier, copier.tokenizer)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    talk = Conversation(
        (
            Message("user", "the old baker"),
            Message("assistant", "sold nine apples"),
            Message("user", "and then"),
            Message("assistant", "forgot \u00e9 \u6211 the blue door"),
        )
    )
    examples = [*copier.train, *copier.held_out, *copier.examples([talk])]
    losses = response_losses(copier.copier, copier.tokenizer, examples)
    for example, pair in zip(examples, losses.pairs, strict=True):
        tokens = torch.from_numpy(example.tokens)[None]
        labels = tokens.where(torch.from_numpy(example.is_learned)[None], -100)
        with torch.no_grad():
            told = theirs(input_ids=tokens, labels=labels).loss
            each = torch.nn.functional.cross_entropy(
                theirs(input_ids=tokens).logits[0, :-1], labels[0, 1:], reduction="none", ignore_index=-100
            )
        np.testing.assert_allclose(pair.nats_T, each[labels[0, 1:] != -100], atol=2e-5)
        assert pair.nats / pair.n_targets == pytest.approx(float(told), abs=1e-5)
    for pair, own in zip(losses.pairs, surprisals(copier.copier, examples), strict=True):  # as training measures them
        np.testing.assert_allclose(pair.nats_T, own, atol=2e-5)
    assert losses.pairs[-1].n_bytes == len(b"sold nine apples" + "forgot \u00e9 \u6211 the blue door".encode())
    assert losses.pairs[0].n_bytes == len(copier.train_pairs[0].messages[1].content)


def test_bits_a_byte_and_the_documents(copier: Copier) -> None:
    losses = response_losses(copier.untrained, copier.tokenizer, copier.held_out)
    assert losses.nats.n == 5  # two pairs of each
    total = sum(pair.nats for pair in losses.pairs)
    assert losses.nats.value == pytest.approx(total / sum(pair.n_targets for pair in losses.pairs))
    assert losses.bits_per_byte.value == pytest.approx(total / math.log(2) / sum(pair.n_bytes for pair in losses.pairs))
    assert losses.nats.value == pytest.approx(math.log(copier.tokenizer.vocab_size), abs=0.2)
    assert "10 pairs of 5 documents" in losses.sentence()
    drawn = losses.pairs[0].as_dict()["tokens"]
    assert "".join(piece for piece, _ in drawn).startswith(copier.held_out_pairs[0].messages[1].content[:20])
    json.dumps([losses.as_dict(), losses.pairs[0].as_dict()], allow_nan=False)


def test_filling_up_rows_changes_no_number(copier: Copier, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [example.tokens for example in copier.train]
    together = scores(copier.copier, [*texts, [], [5]])
    monkeypatch.setattr("cutaway.voice.scoring.NUMBERS_AT_ONCE", 1)
    for one, other in zip(together, scores(copier.copier, [*texts, [], [5]]), strict=True):
        np.testing.assert_allclose(one.nats_T, other.nats_T, atol=1e-5)
    assert [len(one.nats_T) for one in together[-2:]] == [0, 0]


def test_what_does_not_fit_the_context_is_left_out(copier: Copier) -> None:
    long = copier.examples([conversation("a", " ".join(["the old baker sold nine apples."] * 60))])
    (pair,) = response_losses(copier.untrained, copier.tokenizer, long).pairs
    assert pair.n_cut == len(long[0].tokens) - copier.untrained.config.context_length - 1
    assert pair.n_targets + pair.n_cut == long[0].n_learned
    assert pair.n_bytes < long[0].n_bytes / 1.5
    with pytest.raises(TokenizerError, match="do not belong together"):
        scores(copier.untrained, [[1, 5000]])


def test_the_copier_knows_its_examples_and_the_untrained_model_none(copier: Copier) -> None:
    def losses(model: torch.nn.Module) -> tuple[Losses, Losses]:
        train, held_out = (
            response_losses(model, copier.tokenizer, examples)  # type: ignore[arg-type]
            for examples in (copier.train, copier.held_out)
        )
        return train, held_out

    before, after = losses(copier.untrained), losses(copier.copier)
    assert after[0].nats.value < 0.1
    assert gap(*after).difference.above(1)
    assert not gap(*before).difference.above(0.05)
    change = compare_losses(before[1], after[1])
    assert change.verdict == "lower"
    assert change.difference.below(0)
    assert compare_losses(before[1], before[1]).verdict == "no clear change"
    assert compare_losses(after[1], before[1]).verdict == "higher"
    # documents differ among each other more than the models do on each of them
    assert change.bits_difference.value == pytest.approx(after[1].bits_per_byte.value - before[1].bits_per_byte.value)
    for told in (change, gap(*after)):
        assert told.sentence().endswith(".")
        json.dumps(told.as_dict(), allow_nan=False)
    with pytest.raises(UsageError, match="the same pairs"):
        compare_losses(before[0], after[1])


def test_pairing_takes_out_what_makes_documents_hard(copier: Copier) -> None:
    """Every document 0.1 nats better, documents 1 nat apart: paired there is no doubt, unpaired there is nothing else."""
    base = response_losses(copier.untrained, copier.tokenizer, copier.held_out)
    spread = [
        dataclasses.replace(pair, nats_T=np.full(pair.n_targets, 3 + int(pair.source[-1]) * 0.5)) for pair in base.pairs
    ]
    better = [dataclasses.replace(pair, nats_T=pair.nats_T - 0.1) for pair in spread]
    change = compare_losses(Losses(tuple(spread)), Losses(tuple(better)))
    assert change.difference.low == pytest.approx(-0.1)
    assert change.difference.high == pytest.approx(-0.1)
    assert change.tuned.nats.high > change.base.nats.low


def test_one_held_out_document_tells_no_interval(copier: Copier) -> None:
    losses = response_losses(copier.copier, copier.tokenizer, copier.held_out[:2])
    assert not losses.nats.is_known
    assert "1 document cannot vary" in losses.sentence()
    assert compare_losses(losses, losses).verdict == "no clear change"
    nothing = response_losses(copier.copier, copier.tokenizer, [])
    assert nothing.nats.text() == "not computed"
    json.dumps([losses.as_dict(), nothing.as_dict(), gap(nothing, losses).as_dict()], allow_nan=False)


@pytest.mark.slow
def test_forgetting(copier: Copier) -> None:
    texts = dict(list(neutral_texts().items())[:6])
    found = forgetting(copier.untrained, copier.copier, copier.tokenizer, texts)
    assert found.verdict == "forgot"
    assert found.change.value == pytest.approx(found.after.value - found.before.value)
    assert found.n_bytes == pytest.approx(sum(len(text.encode()) for text in texts.values()), rel=0.02)
    assert forgetting(copier.copier, copier.untrained, copier.tokenizer, texts).verdict == "gained"
    same = forgetting(copier.untrained, copier.untrained, copier.tokenizer, texts)
    assert same.verdict == "no clear change"
    assert same.text_hash == found.text_hash
    for one in (found, same):
        assert one.sentence().endswith(".")
        json.dumps(one.as_dict(), allow_nan=False)


def test_forgetting_with_few_characters() -> None:
    """Lines with characters the tokenizer does not know are left out; where none is left that is said."""
    letters = CharacterTokenizer.train(["abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ.,\n"], separator=True)
    shape = plain(context_length=64, d_model=16, n_layers=1, n_heads=2)
    model = build(dataclasses.replace(shape, vocab_size=letters.vocab_size))
    assert 1000 < forgetting(model, model, letters).n_bytes < 28_000
    few = CharacterTokenizer.train(["xyz"], separator=True)
    model = build(dataclasses.replace(shape, vocab_size=few.vocab_size))
    found = forgetting(model, model, few, {"one": "Many words."})
    assert found.sentence().startswith("Forgetting was not measured")
    json.dumps(found.as_dict(), allow_nan=False)
