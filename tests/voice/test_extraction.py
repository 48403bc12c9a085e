"""What is read off in one pass is what writing gives; the copier gives its texts back, the untrained model none."""

from __future__ import annotations

import json

import pytest
from voice.copier import Copier, text

from cutaway.base.errors import UsageError
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import generate
from cutaway.interop.conversations import conversation
from cutaway.voice.extraction import edit_similarity, extraction


def test_the_copier_gives_its_texts_back_and_no_others(copier: Copier) -> None:
    found = extraction(copier.copier, copier.tokenizer, copier.train, copier.held_out, prefix=16, length=16, written=8)
    assert found.verdict == "extracted"
    assert found.exact.train.value > 0.9
    assert found.exact.held_out.value < 0.1
    assert found.approximate.train.value == 1
    assert (found.exact.n_train, found.approximate.n_train) == (33, 8)
    assert found.exact.p is not None
    assert found.exact.p < 0.02
    none = extraction(
        copier.untrained, copier.tokenizer, copier.train, copier.held_out, prefix=16, length=16, written=3
    )
    assert none.verdict == "not extracted"
    assert none.exact.train.value == 0
    assert none.exact.train.high == pytest.approx(1 - 0.05 ** (1 / 5))
    for one in (found, none):
        assert one.sentence().endswith(".")
        json.dumps(one.as_dict(), allow_nan=False)


@pytest.mark.slow
def test_a_place_is_what_writing_gives(copier: Copier) -> None:
    """A model between the two: some places come out, some do not."""
    settings: dict[str, int] = {"prefix": 12, "length": 3, "written": 200}
    found = extraction(copier.copier, copier.tokenizer, copier.train[:1], copier.held_out[:1], **settings)
    exact = {(place.before, place.text): place.is_exact for place in found.places}
    assert set(exact.values()) == {True, False}
    for example in (copier.train[0], copier.held_out[0]):
        first, tokens = int(example.is_learned.argmax()), example.tokens.tolist()
        for at in range(first + 12, len(tokens) - 2, 3):
            wanted = tokens[at : at + 3]
            key = copier.tokenizer.decode(tokens[max(0, at - 60) : at]), copier.tokenizer.decode(wanted)
            written = generate(
                copier.copier, copier.tokenizer, tokens[:at], SamplingConfig(max_tokens=3, temperature=0)
            )
            assert exact.pop(key) == (written[0].tokens == wanted)
    assert not exact


def test_a_text_with_a_word_changed_is_nearly_extracted(copier: Copier) -> None:
    """The model goes on with the text it learned, which is not quite the one it is asked for."""
    changed = []
    for one in copier.train_pairs[:6:2]:
        prompt, answer = (turn.content for turn in one.messages)
        words = answer.split()
        words[-3:-2] = ["lanterns"]
        changed.append(conversation(prompt, " ".join(words), **one.about))
    asked = {"prefix": 16, "length": 24, "written": 12}
    found = extraction(copier.copier, copier.tokenizer, copier.examples(changed), copier.held_out[:6], **asked)
    assert found.approximate.train.value > found.exact.train.value
    near = next(place for place in found.places if not place.is_exact)
    assert 0.75 < (near.similarity or 0) < 1
    assert near.written != near.text


def test_edit_similarity() -> None:
    assert edit_similarity([1, 2, 3, 4], [1, 2, 3, 4]) == 1
    assert edit_similarity([1, 9, 3, 4], [1, 2, 3, 4]) == 0.75
    assert edit_similarity([2, 3, 4], [1, 2, 3, 4]) == 0.75  # one left out: the rest is still in place
    assert edit_similarity([], [1, 2]) == 0
    assert edit_similarity([1], []) == 0
    assert edit_similarity([], []) == 1
    kitten, sitting = list(map(ord, "kitten")), list(map(ord, "sitting"))
    assert edit_similarity(kitten, sitting) == pytest.approx(1 - 3 / 7)


def test_answers_too_short_to_ask_for(copier: Copier) -> None:
    short = copier.examples([conversation("a", "no", source="x"), conversation("b", text("y", 1), source="y")])
    found = extraction(copier.copier, copier.tokenizer, short, copier.held_out)
    assert found.verdict == "not enough data"
    assert "was not measured" in found.sentence()
    alone = extraction(copier.copier, copier.tokenizer, copier.train, [], prefix=16, length=16, written=2)
    assert alone.verdict == "not enough data"
    assert "no held-out answers" in alone.sentence()
    json.dumps([found.as_dict(), alone.as_dict()], allow_nan=False)
    with pytest.raises(UsageError, match="expected 1 or more"):
        extraction(copier.copier, copier.tokenizer, [], [], prefix=-1)
