"""Pairs: the held-out pieces are whole and unlike the rest, no piece is too much of it, everything fits the context."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from cutaway.base.errors import DataError, UsageError
from cutaway.text.bpe import BPETokenizer
from cutaway.voice.near_duplicates import likenesses, words_of_text
from cutaway.voice.pairs import (
    PairSettings,
    make_pairs,
    match_drafts,
    pairs_of,
    read_topics,
    topic_of,
    write_topics,
)
from cutaway.voice.piece import Block, Piece
from cutaway.voice.token_budget import MARKS, budget, estimated

VOCABULARY = [
    a + b + c for a in ("ba", "ke", "mi", "so", "tu") for b in ("la", "re", "ni", "vo") for c in ("n", "t", "")
]


def essay(name: str, paragraphs: int = 6, words: int = 50, kind: str = "essay") -> Piece:
    draw = random.Random(name)
    blocks = [
        Block("paragraph", " ".join(draw.choices(VOCABULARY, k=words)).capitalize() + ".") for _ in range(paragraphs)
    ]
    return Piece(name, name.title(), kind, f"{name}.md", tuple(blocks), "2020-01-01")


MANY = [essay(f"essay-{i}") for i in range(40)]


def test_tiers_of_one_piece() -> None:
    made = pairs_of(MANY[0], "rain", draft="rain wet")
    assert Counter(pair.tier for pair in made) == {"draft": 1, "essay": 1, "continuation": 1, "paragraph": 6}
    assert made[0].prompt.endswith("rain wet")
    assert made[1].prompt == "Write an essay about this topic: rain"
    assert made[1].response == MANY[0].text
    blocks = [block.text for block in MANY[0].blocks]
    assert made[2].prompt.endswith(blocks[0])
    assert made[2].response == "\n\n".join(blocks[1:])
    assert [pair.response for pair in made[3:]] == blocks
    assert made[4].prompt.endswith(blocks[0])


def test_the_split_is_by_piece_and_by_seed() -> None:
    made = make_pairs(MANY)
    train, held = {pair.source for pair in made.train}, {pair.source for pair in made.held_out}
    assert not train & held
    assert len(held) == 4
    assert make_pairs(list(reversed(MANY))).split == made.split
    assert make_pairs(MANY, PairSettings(seed=1)).split.held_out != made.split.held_out


def test_five_planted_copies_across_the_split_are_found_and_moved() -> None:
    naive = set(make_pairs(MANY).split.held_out)
    others = [piece for piece in MANY if piece.name not in naive]
    draw = random.Random(0)
    copies = []
    for number, name in enumerate([*sorted(naive), others[0].name]):
        original = next(piece for piece in MANY if piece.name == name)
        blocks = original.blocks
        if number == 1:  # edited all over: every twelfth word or so is another
            blocks = tuple(
                Block("paragraph", " ".join(w if draw.random() > 0.08 else "other" for w in block.text.split()))
                for block in blocks
            )
        if number == 2:  # half of it inside something else
            blocks = blocks[:3] + essay("unlike", 3).blocks
        copies.append(Piece(f"copy-{number}", "Another title", "essay", "copy.md", blocks))
    made = make_pairs([*MANY, *copies])
    assert len(made.split.groups) == 5
    assert all(len(group) == 2 for group in made.split.groups)
    doubled = {name for group in made.split.groups for name in group}
    assert len(made.split.moved) >= 3
    assert set(made.split.moved) <= doubled
    assert not doubled & set(made.split.held_out)
    held_runs = {" ".join(run) for pair in made.held_out for run in runs(pair.response)}
    train_runs = {" ".join(run) for pair in made.train for run in runs(pair.response)}
    assert not held_runs & train_runs


def runs(text: str) -> list[list[str]]:
    words = words_of_text(text)
    return [words[i : i + 13] for i in range(len(words) - 12)]


def test_likeness_is_the_share_of_13_grams_and_jaccard() -> None:
    first, second = essay("x", 4), essay("y", 4)
    mixed = "\n\n".join(block.text for block in (*first.blocks[:2], *second.blocks[2:]))
    found = {(one.first, one.second): one for one in likenesses([first.text, second.text, mixed, first.text])}
    assert set(found) >= {(0, 2), (0, 3)}
    assert found[0, 3].overlap == 1
    assert found[0, 3].jaccard == 1
    grams = [{" ".join(run) for run in runs(text)} for text in (first.text, mixed)]
    assert found[0, 2].overlap == pytest.approx(len(grams[0] & grams[1]) / min(map(len, grams)))
    assert (0, 1) not in found


def test_a_copy_without_any_13_gram_left_is_found() -> None:
    words = MANY[0].text.split()
    words[::12] = ["other"] * len(words[::12])
    edited = Piece("edited", "Edited", "essay", "e.md", (Block("paragraph", " ".join(words)),))
    assert not any(one.overlap for one in likenesses([MANY[0].text, edited.text]))
    assert make_pairs([*MANY, edited]).split.groups == [["edited", "essay-0"]]


def test_no_piece_makes_more_than_its_share() -> None:
    made = make_pairs([*MANY[:12], essay("long", paragraphs=200)], PairSettings(largest_share=0.15))
    assert "long" in {pair.source for pair in made.train}
    assert max(Counter(pair.source for pair in made.train).values()) <= 0.15 * len(made.train)
    assert made.dropped["long"] > 100
    assert {"essay", "continuation"} <= {pair.tier for pair in made.train if pair.source == "long"}
    whole = make_pairs([*MANY[:12], essay("long", paragraphs=200)], PairSettings(largest_share=1))
    assert whole.largest[1] > 0.5


def test_too_few_pieces_for_the_share_are_said() -> None:
    made = make_pairs(MANY[:5])
    assert "5 pieces cannot" in made.remarks[0] or "4 pieces cannot" in made.remarks[0]
    assert not made.dropped


def test_three_pairs_are_too_few() -> None:
    notes = [essay(f"n{i}", 1, 30, "note") for i in range(3)]
    with pytest.raises(DataError, match="3 pairs from 3 pieces are too few: at least 10 pairs from 3 pieces"):
        make_pairs(notes)


def test_copies_alone_cannot_be_held_out() -> None:
    same = [Piece(f"c{i}", "c", "essay", "c", MANY[0].blocks) for i in range(5)]
    with pytest.raises(DataError, match="only 0 of 5 pieces are unlike all others"):
        make_pairs(same)


@pytest.mark.parametrize("settings", [PairSettings(held_out_share=1.5), PairSettings(tiers=("esay",))])
def test_settings_that_make_no_sense(settings: PairSettings) -> None:
    with pytest.raises(UsageError):
        make_pairs(MANY, settings)


def test_topics_are_kept_once_changed(tmp_path: Path) -> None:
    path = tmp_path / "topics.toml"
    write_topics(path, MANY[:2])
    path.write_text(path.read_text().replace('"Essay-0"', '"my \\"own\\" topic"'))
    write_topics(path, MANY[:3])
    topics = read_topics(path)
    assert topics == {"essay-0": 'my "own" topic', "essay-1": "Essay-1", "essay-2": "Essay-2"}
    assert 'about this topic: my "own" topic' in pairs_of(MANY[0], topics["essay-0"])[0].prompt
    path.write_text('a = "x"\nb = \n')
    with pytest.raises(DataError, match="line 2"):
        read_topics(path)


def test_a_note_without_title_is_about_its_first_sentence() -> None:
    assert topic_of(Piece("n", "", "note", "n", (Block("paragraph", "Mud is *good*. Rain too."),))) == "Mud is good"


def test_drafts_find_their_piece() -> None:
    draft = Piece("essay-3-2", "", "note", "drafts/essay-3.txt", (Block("paragraph", "rough"),))
    assert match_drafts([draft], MANY) == {"essay-3": "rough"}
    lost = Piece("z", "Nothing", "note", "drafts/nothing.txt", draft.blocks)
    with pytest.raises(DataError, match=r"drafts/nothing.txt fits no piece"):
        match_drafts([lost], MANY)
    made = make_pairs(MANY, drafts={"essay-3": "rough"})
    assert made.tiers()["draft"] == {"train": 1, "held_out": 0} or made.tiers()["draft"] == {"train": 0, "held_out": 1}


@pytest.mark.parametrize("context", [128, 200, 1024])
def test_what_does_not_fit_is_split_and_nothing_is_lost(context: int) -> None:
    def count(text: str) -> int:
        return len(text.split())

    pairs = [pair for piece in (*MANY[:3], essay("wall", 1, 900)) for pair in pairs_of(piece, "rain")]
    report, kept = budget(pairs, context, count)
    assert all(count(pair.prompt) + count(pair.response) + MARKS <= context for pair in kept)
    assert report.fits + sum(one.parts for one in report.split) == len(kept) == report.parts
    for name in {pair.source for pair in pairs}:
        for tier in ("essay", "continuation", "paragraph"):
            before = [
                word for pair in pairs if (pair.source, pair.tier) == (name, tier) for word in pair.response.split()
            ]
            after = [
                word for pair in kept if (pair.source, pair.tier) == (name, tier) for word in pair.response.split()
            ]
            assert after == before
    assert all(len(one.after) == one.parts - 1 for one in report.split)


def test_with_a_real_tokenizer_all_parts_fit() -> None:
    pairs = [pair for piece in (*MANY[:2], essay("wall", 1, 400)) for pair in pairs_of(piece, "rain")]
    tokenizer = BPETokenizer.train([pair.response for pair in pairs], 300)

    def count(text: str) -> int:
        return len(tokenizer.encode(text))

    report, kept = budget(pairs, 400, count)
    assert report.split
    assert all(count(pair.prompt) + count(pair.response) + MARKS <= 400 for pair in kept)


def test_tokens_are_estimated_from_words() -> None:
    assert estimated("one two three four five") == 7
