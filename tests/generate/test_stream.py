from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cutaway.generate.stream import TextStream
from cutaway.text.bpe import BPETokenizer
from cutaway.text.characters import CharacterTokenizer

BPE = BPETokenizer.train(["some text with words, é and ☃ and 😀 in it\n" * 9], 290)
CHARACTERS = CharacterTokenizer(list("abc \n"))


@given(st.text(alphabet="some ☃é😀tx\n", max_size=30), st.sampled_from(["", "so ☃", "😀"]))
def test_pieces_joined_are_the_text_and_are_never_half_a_character(text: str, before: str) -> None:
    stream = TextStream(BPE, BPE.encode(before))
    pieces = [stream.push(token) for token in BPE.encode(text)]
    assert all("\ufffd" not in piece for piece in pieces)
    pieces.append(stream.finish())
    assert "".join(pieces) == text == stream.text


@given(st.lists(st.integers(0, 289), max_size=30))
def test_bytes_that_are_no_text_come_out_as_decoding_all_at_once(tokens: list[int]) -> None:
    stream = TextStream(BPE, [])
    pieces = [stream.push(token) for token in tokens] + [stream.finish()]
    assert "".join(pieces) == stream.text == BPE.decode(tokens)


@given(
    st.text(alphabet="abc", max_size=30),
    st.lists(st.text(alphabet="abc", min_size=1, max_size=4), min_size=1),
)
def test_a_stop_string_cuts_the_text_wherever_it_falls(text: str, stop: list[str]) -> None:
    stream = TextStream(CHARACTERS, [], stop)
    pieces = []
    for token in CHARACTERS.encode(text):
        pieces.append(stream.push(token))
        if stream.stopped:
            break
    pieces.append(stream.finish())
    ends = [(text.find(s) + len(s), text.find(s)) for s in stop if s in text]
    # The stop string completed first wins; of two completed by the same token, the one that began first.
    expected = text[: min(ends)[1]] if ends else text
    assert "".join(pieces) == stream.text == expected
    assert stream.stopped == bool(ends)


def test_a_stop_string_may_span_tokens_of_several_characters() -> None:
    stream = TextStream(BPE, [], ["words, é"])
    pieces = [stream.push(token) for token in BPE.encode("some text with words, é and")]
    assert "".join(pieces) == "some text with "
    assert stream.stopped
