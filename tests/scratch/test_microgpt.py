"""The known answer, and the laws that hold between the two engines."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from cutaway.base.errors import DataError, TokenizerError
from cutaway.scratch import microgpt
from cutaway.scratch.gradcheck import central_differences
from cutaway.scratch.microgpt import ArrayGPT, ValueGPT, Vocabulary, draw_weights, learn_names, plain_dot, read_names

KNOWN = (
    "kamon ann karai jaire vialan karia yeran anna areli kaina "
    "konna keylen liole alerin earan lenne kana lara alela anton"
)
NAMES = ["anna", "otto", "maximilianmaximilian", "eve"]


@pytest.mark.parametrize("engine", ["array", "value"])
@pytest.mark.slow
def test_the_published_answer(shared_data: Path, engine: str) -> None:
    lesson = learn_names(read_names(shared_data / "names.txt"), engine)
    assert lesson.n_weights == 4192
    assert f"{lesson.losses[0]:.4f}" == "3.3660"
    assert f"{lesson.losses[-1]:.4f}" == "2.6497"
    assert " ".join(lesson.invented) == KNOWN


def models() -> tuple[Vocabulary, ValueGPT, ValueGPT, ArrayGPT]:
    vocabulary = Vocabulary.of(NAMES)
    weights = draw_weights(len(vocabulary), random.Random(1))
    return vocabulary, ValueGPT(weights), ValueGPT(weights, plain_dot), ArrayGPT(weights)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_all_engines_have_the_same_loss_and_gradients(name: str) -> None:
    vocabulary, fused, plain, array = models()
    tokens = vocabulary.encode(name)
    losses = [fused.loss(tokens), plain.loss(tokens)]
    arrays = array.loss(tokens)
    for loss in losses:
        loss.backward()
        assert loss.data == pytest.approx(float(arrays.data), rel=1e-13)
    arrays.backward()
    for part, weight in array.weights.items():
        for model in (fused, plain):
            gradients = [[number.grad for number in row] for row in model.weights[part]]
            np.testing.assert_allclose(gradients, weight.grad, rtol=0, atol=1e-14)


@pytest.mark.slow
def test_gradients_flow_through_the_cache() -> None:
    """The loss of the last position alone moves with the keys and values of the first, by central differences too."""
    vocabulary, fused, _, _ = models()
    tokens = vocabulary.encode("anna")
    weights = {name: np.array([[n.data for n in row] for row in rows]) for name, rows in fused.weights.items()}
    key = weights["0.k"]

    def last_loss() -> float:
        model = ValueGPT({name: rows.tolist() for name, rows in weights.items()})
        return loss_of_last(model).data

    def loss_of_last(model: ValueGPT) -> microgpt.Value:
        caches: list[tuple[list[list[microgpt.Value]], list[list[microgpt.Value]]]] = [([], [])]
        for position, token in enumerate(tokens[:-1]):
            logits = model.read(token, position, caches)
        return -microgpt.softmax(logits)[tokens[-1]].log()

    loss_of_last(fused).backward()
    exact = np.array([[n.grad for n in row] for row in fused.weights["0.k"]])
    picked = key[:2]  # two rows are enough
    np.testing.assert_allclose(central_differences(last_loss, picked), exact[:2], atol=1e-9)
    assert np.abs(exact).max() > 1e-6


def test_writing_with_the_cache_is_reading_all_at_once() -> None:
    vocabulary, fused, _, array = models()
    tokens = vocabulary.encode("otto")[:-1]
    expected = array.read(tokens).data
    for model in (fused, array):
        write = model.writer()
        np.testing.assert_allclose([write(token) for token in tokens], expected, rtol=0, atol=1e-13)


def test_both_engines_learn_alike() -> None:
    lessons = [learn_names(NAMES, engine, steps=6, seed=3) for engine in ("value", "array")]
    np.testing.assert_allclose(lessons[0].losses, lessons[1].losses, rtol=1e-12)
    assert lessons[0].invented == lessons[1].invented
    assert len(lessons[0].invented) == 20
    assert max(map(len, lessons[0].invented)) <= 16


def test_the_same_seed_is_the_same_lesson_and_steps_are_told() -> None:
    told: list[tuple[int, float]] = []
    lesson = learn_names(NAMES, steps=5, seed=3, on_step=lambda step, loss: told.append((step, loss)))
    assert told == list(enumerate(lesson.losses, 1))
    assert lesson == learn_names(NAMES, steps=5, seed=3)
    assert lesson != learn_names(NAMES, steps=5, seed=4)
    assert lesson.losses[0] == pytest.approx(np.log(len(Vocabulary.of(NAMES))), abs=0.2)  # at first, guessing


def test_a_character_nobody_had() -> None:
    with pytest.raises(TokenizerError, match="'zoe' has 'z'; the vocabulary is 'aeilmnotvx'"):
        Vocabulary.of(NAMES).encode("zoe")


def test_files_without_names(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty.txt", tmp_path / "binary"
    empty.write_text("\n  \n")
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"empty\.txt: no names in it"):
        read_names(empty)
    with pytest.raises(DataError, match="binary: not UTF-8"):
        read_names(binary)
    with pytest.raises(DataError, match=r"nothing.txt: cannot be read \(No such file"):
        read_names(tmp_path / "nothing.txt")
