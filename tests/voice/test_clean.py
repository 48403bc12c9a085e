"""Every rule takes what it says and nothing else, and can be left out."""

from __future__ import annotations

import pytest

from cutaway.base.errors import UsageError
from cutaway.voice.clean import RULES, clean, without_urls
from cutaway.voice.piece import Block, Footnote, Piece

OWN = "I walked to the sea and it was *grey*, as it is in my memory."


def piece(name: str, *blocks: str | Block, notes: tuple[Footnote, ...] = ()) -> Piece:
    made = tuple(Block("paragraph", block) if isinstance(block, str) else block for block in blocks)
    return Piece(name, name, "essay", f"{name}.md", made, None, notes)


def left(*blocks: str | Block, without: tuple[str, ...] = ()) -> list[str]:
    return [block.text for one in clean([piece("a", OWN, *blocks)], without).pieces for block in one.blocks][1:]


TAKEN = [
    ("subscription_boxes", Block("subscribe", "Type your email")),
    ("subscription_boxes", "Subscribe now"),
    ("subscription_boxes", "Rain is a reader-supported publication. To receive new posts, subscribe."),
    ("share_buttons", Block("button", "Share")),
    ("share_buttons", "[Leave a comment](https://x.example/comments)"),
    ("thanks_for_reading", "**Thanks for reading Rain!** Subscribe for free to receive new posts."),
    ("embeds", Block("embed", "Another post")),
    ("captions", Block("caption", "A picture of the sea")),
    ("mail_quotes", Block("reply_quote", "> your words")),
    ("signatures", Block("signature", "Me")),
]


@pytest.mark.parametrize(("rule", "block"), TAKEN)
def test_a_rule_takes_its_block_unless_left_out(rule: str, block: str | Block) -> None:
    words = block if isinstance(block, str) else block.text
    assert left(block) == []
    assert left(block, without=(rule, "urls")) == [words]
    counts = clean([piece("a", OWN, block)]).counts()
    assert counts[rule] == {"blocks": 1, "pieces": 1, "words": len(words.split())}


@pytest.mark.parametrize(
    "words",
    [
        "Share what you have, said my grandmother, and she meant the bread.",
        "Subscribe to nothing you cannot explain to a child.",
        "Like a fish",
        "Thank you for reading this to me, he said. " + "And then he told the whole story over again. " * 6,
        "## Share",
        "> Quoted **words**.",
    ],
)
def test_the_writing_stays(words: str) -> None:
    kind = "heading" if words[0] == "#" else "quote" if words[0] == ">" else "paragraph"
    assert left(Block(kind, words.strip())) == [words.strip()]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("See [the *film*](https://en.example/wiki/Rain_(film)) now.", "See the *film* now."),
        ("A ![picture](https://x.example/a.png) here [sic] and [1](u).", "A  here [sic] and 1."),
        ("Look: https://x.example/a?b=c. Then go.", "Look:. Then go."),
        ("Look (www.x.example/a) there.", "Look there."),
        ("No links, f(x)[0] stays.", "No links, f(x)[0] stays."),
    ],
)
def test_urls(before: str, after: str) -> None:
    assert without_urls(before) == after
    assert left(before, without=("urls",)) == [before]


def test_footnotes_become_pieces() -> None:
    whole = piece("a", "It rained.[^1] Twice[^b], even.", notes=(Footnote("1", "Hard."), Footnote("b", "And long.")))
    main, *notes = clean([whole]).pieces
    assert main.text == "It rained. Twice, even."
    assert [(note.name, note.kind, note.text) for note in notes] == [
        ("a-footnote-1", "footnote", "Hard."),
        ("a-footnote-2", "footnote", "And long."),
    ]
    (kept,) = clean([whole], without=("footnote_marks",)).pieces
    assert kept.text == "It rained.[^1] Twice[^b], even.\n\n[^1]: Hard.\n\n[^b]: And long."


def test_boilerplate_in_three_pieces_goes_but_copies_of_a_piece_stay() -> None:
    foot = "I write Rain No. {} every week from a small town."
    others = [piece(f"p{i}", f"{OWN} {('alpha', 'beta', 'gamma')[i]} " * 3, foot.format(i)) for i in range(3)]
    cleaned = clean(others)
    assert [len(one.blocks) for one in cleaned.pieces] == [1, 1, 1]
    assert cleaned.counts()["boilerplate"]["blocks"] == 3
    assert clean(others[:2]).changes == []
    assert clean(others, without=("boilerplate",)).changes == []
    copies = [piece(f"c{i}", OWN, "Another paragraph of the same piece.") for i in range(5)]
    assert clean(copies).changes == []


def test_the_diff_shows_every_change() -> None:
    cleaned = clean([piece("a", OWN, "Subscribe now", "Go [there](https://x.example).")])
    assert cleaned.diff() == (
        "--- imported/a\n+++ cleaned/a\n@@ subscription_boxes @@\n-Subscribe now\n"
        "@@ urls @@\n-Go [there](https://x.example).\n+Go there.\n"
    )


def test_a_piece_of_nothing_else_is_named() -> None:
    assert clean([piece("a", OWN), piece("b", "Subscribe now")]).emptied == ["b"]


def test_unknown_rules_are_refused() -> None:
    with pytest.raises(UsageError, match=r"no rule 'url'.*did you mean urls"):
        clean([], without=("url",))


def test_everything_left_out_changes_nothing() -> None:
    whole = piece("a", OWN, "Subscribe now", "Go [there](https://x.example).")
    cleaned = clean([whole], without=tuple(RULES))
    assert cleaned.pieces == [whole]
    assert cleaned.changes == []
