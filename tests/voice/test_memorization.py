"""Copies are found whole and in place; held-out writing shares what chance gives; nothing is made of nothing."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from cutaway.interop.conversations import conversation
from cutaway.voice.against import Output, memorization
from cutaway.voice.memorization import Corpus, texts_of
from cutaway.voice.suffix_array import SuffixArray, suffix_order
from cutaway.voice.word_spans import word_spans

WORDS = [a + b for a in ("ba", "ke", "mi", "so", "tu", "ra", "do") for b in ("lan", "ret", "nik", "vor", "sim")]


def text(seed: int, words: int = 200) -> str:
    """Return sentences of common and rare words, so that short runs occur again by chance."""
    draw = random.Random(seed)
    weights = [1 / (1 + i) for i in range(len(WORDS))]
    return " ".join(
        word.capitalize() + "," if draw.random() < 0.1 else word
        for word in draw.choices(WORDS, weights=weights, k=words)
    )


TRAIN = {f"essay {i}": text(i) for i in range(8)}
HELD_OUT = {f"held {i}": text(100 + i) for i in range(5)}


@pytest.mark.parametrize("n", [0, 1, 2, 300])
def test_the_order_of_endings(n: int) -> None:
    sequence = np.random.default_rng(n).integers(0, 3, n)
    assert suffix_order(sequence).tolist() == sorted(range(n), key=lambda start: sequence[start:].tolist())


def test_the_longest_run_is_that_of_a_search_through_everything() -> None:
    generator = np.random.default_rng(1)
    sequence = generator.integers(0, 4, 400).tolist()
    array = SuffixArray(sequence + sequence[100:250])
    line = "".join(map(str, array.text))
    for start in (0, 100, 130, 333):
        asked = [*sequence[start : start + 90], 7, *sequence[:5]]
        length, where = array.longest(asked)
        digits = "".join(map(str, asked))
        assert length == max(n for n in range(len(digits) + 1) if digits[:n] in line)
        assert array.text[where : where + length] == asked[:length]
    assert array.longest([9]) == (0, -1)
    assert array.longest([]) == (0, -1)
    assert SuffixArray([]).longest([1]) == (0, -1)


def test_words_in_many_scripts() -> None:
    assert word_spans("Don\u2019t STOP, a_b caf\u00e9 e\u0301t")[0] == [
        "don't", "stop", "a", "b", "caf\u00e9", "e\u0301t",
    ]  # fmt: skip
    assert word_spans("\u6211\u4eec\u3002\u597d")[0] == ["\u6211", "\u4eec", "\u597d"]
    assert len(word_spans("\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902")[0]) == 2  # Hindi, with vowel signs
    assert len(word_spans("\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd")[0]) == 1  # Hebrew, pointed
    assert word_spans(" ... \u2014 ")[0] == []


def test_a_planted_copy_is_found_with_its_places() -> None:
    corpus = Corpus(TRAIN)
    words = TRAIN["essay 3"].split()
    copied = " ".join(words[40:70])
    answer = f"zub zab {copied.upper()}; zib"
    found = corpus.overlap(answer)
    assert found.longest is not None
    assert (found.longest_words, found.longest.source, len(found.marks)) == (30, "essay 3", 1)
    assert found.longest_text == copied.upper().rstrip(",")
    mark = found.marks[0]
    assert answer[mark.start : mark.end] == found.longest_text
    assert TRAIN["essay 3"][mark.at : mark.at_end].upper() == found.longest_text
    assert found.share(5) == pytest.approx(26 / 29)
    assert found.share(13) == pytest.approx(18 / 21)
    assert "essay 3" in found.sentence()
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_run_ends_where_its_text_ends() -> None:
    corpus = Corpus({"a": "one two three", "b": "four five six"})
    found = corpus.overlap("one two three four five six")
    assert found.longest_words == 3
    assert corpus.overlap("three four").longest_words == 1


def test_what_the_prompt_said_does_not_count() -> None:
    corpus = Corpus(TRAIN)
    words = TRAIN["essay 2"].split()
    opening, answer = " ".join(words[:20]), " ".join(words[:29])
    assert corpus.overlap(answer).longest_words == 29
    quoting = corpus.overlap(answer, prompt=f"Continue this.\n\n{opening}")
    assert (quoting.longest_words, quoting.quoted_words, quoting.words) == (9, 20, 9)
    assert quoting.runs[5] == 5  # none of them goes over the quotation
    whole = corpus.overlap(opening, prompt=opening)
    assert (whole.words, whole.longest_words, whole.share(5)) == (0, 0, None)
    assert "no words" in whole.sentence()


@pytest.mark.parametrize("answer", ["", "...", "zub", "Zub zab zib", "\u6211\u4eec \u597d"])
def test_answers_with_next_to_nothing_in_them(answer: str) -> None:
    found = Corpus(TRAIN).overlap(answer)
    assert found.longest is None
    assert found.share(5) is None
    assert found.sentence()
    whole = memorization(TRAIN, HELD_OUT, [Output(answer)] * 4)
    assert whole.verdict == "not enough data"
    assert whole.sentence()
    json.dumps(whole.as_dict(), allow_nan=False)


def test_copies_are_told_from_chance() -> None:
    copies = [Output(" ".join(TRAIN[f"essay {i}"].split()[20:80]), name=f"{i}") for i in range(6)]
    found = memorization(TRAIN, HELD_OUT, copies)
    assert found.verdict == "copies"
    assert found.longest.observed.value == 60
    assert found.longest.difference.above(40)
    assert {one.verdict for one in found.shares.values()} == {"more than chance"}
    assert found.longest.p == pytest.approx(0.001)
    one = memorization(TRAIN, HELD_OUT, [copies[0], *(Output(text(500 + i, 60)) for i in range(7))])
    assert one.verdict == "copies"  # one answer of eight
    assert one.worst() == 0
    assert "60 words, from essay 0" in one.sentence()
    json.dumps(one.as_dict(), allow_nan=False)


def test_chance_is_what_cutting_the_held_out_texts_gives() -> None:
    """Every stretch taken out as a text of its own, by the search the answers go through."""
    corpus = Corpus(TRAIN)
    held_out = {"a": "zub zab zib", "b": " ".join(TRAIN["essay 1"].split()[:50]), "c": text(77, 60)}
    answer = Output(text(9, 16))
    found = memorization(TRAIN, held_out, [answer])
    line = " | ".join(held_out.values()).split()  # a stretch may go from one text into the next, a run may not
    words = [word for word in line if word != "|"]
    longest: dict[int, list[int]] = {}
    eights: list[int] = []
    for start in range(0, len(words) - 16 + 1, 4):
        inside = [0 if place < 3 else 1 if place < 53 else 2 for place in range(start, start + 16)]
        parts = [
            corpus.overlap(" ".join(w for w, d in zip(words[start : start + 16], inside, strict=True) if d == document))
            for document in sorted(set(inside))
        ]
        longest.setdefault(inside[0], []).append(max(part.longest_words for part in parts))
        eights.append(sum(part.found[8] for part in parts))
    every = [value for mine in longest.values() for value in mine]
    assert found.longest.chance.value == pytest.approx(np.mean(every))
    assert found.longest.chance.n == 3
    assert found.chance_longest == (pytest.approx(np.mean(every)),)
    assert found.shares[8].chance.value == pytest.approx(np.mean(eights) / 9)


def test_new_writing_of_the_same_kind_is_not_called_a_copy() -> None:
    """Short runs are found in it, as in the held-out texts; one time in twenty may be called too much."""
    called = 0
    for seed in range(12):
        answers = [Output(text(1000 + 10 * seed + i, 60)) for i in range(6)]
        found = memorization(TRAIN, HELD_OUT, answers, seed)
        assert found.longest.chance.value > 2
        called += found.verdict == "copies"
    assert called <= 2


def test_too_little_to_compare_with() -> None:
    copies = [Output(" ".join(TRAIN[f"essay {i}"].split()[:60])) for i in range(6)]
    for held in ({}, {"one": text(7)}, {"empty": ""}):
        found = memorization(TRAIN, held, copies)
        assert found.verdict == "not enough data"
        assert found.longest.observed.value == 60
        json.dumps(found.as_dict(), allow_nan=False)
    assert memorization(TRAIN, HELD_OUT, []).sentence() == "There are no answers to look for copies in."
    assert memorization({}, HELD_OUT, copies).longest.observed.value == 0
    short = {f"short {i}": text(i + 60, 40) for i in range(8)}  # shorter than the answers: stretches go on in the next
    assert memorization(TRAIN, short, copies).verdict == "copies"
    assert memorization(TRAIN, dict(list(short.items())[:4]), copies).verdict == "not enough data"


def test_texts_by_source_hold_each_answer_once() -> None:
    pairs = [
        conversation("a", "First part.\n\nSecond part.", source="one"),
        conversation("b", "Second part.", source="one"),
        conversation("c", "Else.", source="two"),
        conversation("d", "Nobody's."),
    ]
    assert texts_of(pairs) == {"one": "First part.\n\nSecond part.", "two": "Else.", "pair 4": "Nobody's."}


@pytest.mark.slow
def test_real_essays_share_little_with_each_other(shared_data: Path) -> None:
    texts = {
        path.stem: path.read_text(encoding="utf-8").split("---", 2)[-1]
        for path in sorted((shared_data / "essays").rglob("*.md"))
    }
    names = sorted(texts)
    random.Random(0).shuffle(names)
    train = {name: texts[name] for name in names[14:]}
    held_out = {name: texts[name] for name in names[7:14]}
    own = [Output(" ".join(texts[name].split()[100:260]), name=name) for name in names[:7]]
    found = memorization(train, held_out, own)
    assert found.verdict == "does not copy"
    assert 3 <= found.longest.observed.value <= 7  # words in a row, of 160
    assert found.shares[13].observed.value == 0
    copied = [Output(" ".join(train[name].split()[100:260])) for name in sorted(train)[:7]]
    assert memorization(train, held_out, copied).verdict == "copies"
