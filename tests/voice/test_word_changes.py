"""Differences of two texts: both texts can be put together from the parts, and what is shared is really shared."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cutaway.voice import word_changes as module
from cutaway.voice.word_changes import word_changes

TEXTS = st.lists(st.sampled_from(["the ", "cat", " sat. ", "\n\n", "it's ", "on", "!", "é "]), max_size=20).map("".join)


@given(TEXTS, TEXTS, st.integers(1, 4))
def test_both_texts_are_there(first: str, second: str, fewest: int) -> None:
    parts = word_changes(first, second, fewest)
    assert "".join(part.text for part in parts if part.where != "second") == first
    assert "".join(part.text for part in parts if part.where != "first") == second
    assert all(part.text for part in parts)


def test_a_word_taken_away() -> None:
    assert word_changes("read my long post here", "read my post here") == [
        ("both", "read my "), ("first", "long "), ("both", "post here"),
    ]  # fmt: skip
    assert word_changes("same", "same") == [("both", "same")]
    assert word_changes("", "new") == [("second", "new")]


def test_single_words_shared_by_chance_are_not_marked() -> None:
    first, second = "The cat of the house slept well today.", "The sky of a summer day burned the fields."
    assert [part.where for part in word_changes(first, second, 3)] == ["first", "second"]
    shared = [part.text for part in word_changes(f"So it goes on. {first}", f"So it goes on. {second}", 3)]
    assert shared[0].startswith("So it goes on. ")


def test_long_texts_are_compared_at_their_ends(monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_PARTS", 4)
    assert word_changes("a b c d e", "a b X d e") == [
        ("both", "a b "), ("first", "c"), ("second", "X"), ("both", " d e"),
    ]  # fmt: skip
