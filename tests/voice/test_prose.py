"""Words and sentences in many scripts, running text out of Markdown, stretches, and both sides cut alike."""

from __future__ import annotations

import pytest

from cutaway.voice.cut import common_length, cut
from cutaway.voice.prose import even_marks, paragraphs, prose, sentences, stretches, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don\u2019t -- the well-known 3rd.", ["don't", "the", "well", "known", "3rd"]),
        ("Stra\u00dfe", ["strasse"]),
        ("\u65e5\u672c go", ["\u65e5", "\u672c", "go"]),
        (
            "\u0939\u093f\u0928\u094d\u0926\u0940 \u0939\u0948\u0964",
            ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u0948"],
        ),
        ("'quoted' words'", ["quoted", "words"]),
        ("", []),
        ("-- ... !", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_sentences() -> None:
    text = (
        "Mr. Shaw met J. S. Bach, Dr. Hook vs. St. Paul. \u201cWhy?\u201d he said. \u201cNo!\u201d So it was... and "
        "ended. It cost 3.50 in all.\n\nA last line without a stop\n\n---\n\n\u5929\u6c14\u597d\u3002\u6211\u8d70\u3002"
    )
    assert sentences(text) == [
        "Mr. Shaw met J. S. Bach, Dr. Hook vs. St. Paul.",
        "\u201cWhy?\u201d he said.",
        "\u201cNo!\u201d",
        "So it was... and ended.",
        "It cost 3.50 in all.",
        "A last line without a stop",
        "\u5929\u6c14\u597d\u3002",
        "\u6211\u8d70\u3002",
    ]
    assert sentences("") == []


def test_prose_leaves_the_running_text() -> None:
    text = (
        "# Title\n\nIt was *very* **cold**[^1] and snake_case_names stay; 2 * 3 * 4.\n\n> a quote\n> goes on\n\n- one\n"
        "- two\n\n```\ncode\n```\n\n***\n\nTitle\n=====\n\nThe end."
    )
    assert prose(text) == "It was very cold and snake_case_names stay; 2 * 3 * 4.\n\none\ntwo\n\nThe end."
    assert prose(prose(text)) == prose(text)


def test_paragraphs_are_lines_where_nothing_is_empty() -> None:
    assert paragraphs("a\nb\n\n\nc") == ["a\nb", "c"]
    assert paragraphs("a\nb") == ["a", "b"]
    assert paragraphs(" \n ") == []


def test_marks_are_made_even() -> None:
    assert even_marks("\u201ca\u201d \u2018b\u2019 -- c\u2014d....") == "\"a\" 'b' - c-d\u2026"


def test_stretches_have_equal_words_and_lose_nothing_between() -> None:
    text = '"One two, three." Four -- five six; seven'
    assert stretches(text, 3) == ['"One two, three."', "Four -- five six;"]
    assert stretches(text, 7) == [text]
    assert stretches(text, 8) == []
    assert stretches("", 3) == []


def test_both_sides_are_cut_alike() -> None:
    own = {f"own {i}": "word " * n for i, n in enumerate((50, 200, 250, 300, 350, 400))}
    outputs = {f"output {i}": "# A heading\n\n" + "word " * 120 for i in range(5)}
    both = cut(own, outputs, 1000, 80)
    assert (both.n_words, both.missing) == (120, "")
    assert [len(text) for text in both.own] == [1, 2, 2, 2, 3]
    assert {len(words(part)) for side in both.flat() for part in side} == {120}
    assert cut(own, outputs, 1000, 150).missing
    assert cut(own, {}, 1000, 80).n_words == 0
    assert common_length(["a b c"] * 9 + ["a"], most=10, least=2) == 3
    assert common_length(["a b c"] * 4 + ["a b"], most=10, least=2) == 2  # four would be too few
