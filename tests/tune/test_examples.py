"""What is learned of a conversation: the answers and their ends, nothing else, whatever the tokenizer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tune.small import ANSWERS, make_base, pairs, tokenizer_of

from cutaway.base.errors import DataError, TokenizerError
from cutaway.interop.conversations import Conversation, Message, conversation
from cutaway.tune.chat_form import ChatForm, chat_form
from cutaway.tune.examples import check_vocabulary, make_example, make_examples, split_off

KINDS = ("characters", "bpe")


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ChatForm]:
    folder = tmp_path_factory.mktemp("bases")
    return {kind: chat_form(make_base(folder / kind, "gpt2", kind), tokenizer_of(kind)) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_and_its_end_are_learned_and_the_prompt_is_not(forms: dict[str, ChatForm], kind: str) -> None:
    form = forms[kind]
    example = make_example(pairs()[0], form)
    assert example.marked(form) == [
        ("<|endoftext|>### Prompt:\nWrite about 0.\n\n### Response:\n", False),
        (ANSWERS[0] + "<|endoftext|>", True),
    ]
    assert example.tokens[-1] == form.stop_id
    assert example.is_learned[-1]
    assert example.n_bytes == len(ANSWERS[0])
    asked = form.prompt_ids([{"role": "user", "content": "Write about 0."}])
    assert example.tokens[: len(asked)].tolist() == asked
    assert not example.is_learned[: len(asked)].any()
    assert example.is_learned[len(asked) :].all()


def test_every_answer_of_a_long_conversation_is_learned(forms: dict[str, ChatForm]) -> None:
    form = forms["characters"]
    turns = [("user", "a"), ("assistant", "the sea"), ("user", "a hat"), ("assistant", "the road")]
    example = make_example(Conversation(tuple(Message(*turn) for turn in turns)), form)
    learned = [text for text, is_learned in example.marked(form) if is_learned]
    assert learned == ["the sea<|endoftext|>", "the road<|endoftext|>"]
    assert example.n_bytes == len("the seathe road")


@given(
    st.text(st.sampled_from("abc \n.#:"), max_size=20),
    st.text(st.sampled_from("abc \n.#:"), min_size=1, max_size=20).filter(str.strip),
)
@settings(max_examples=60, deadline=None)
def test_stretches_joined_are_the_text_and_what_is_learned_is_the_answer(prompt: str, answer: str) -> None:
    form = PLAIN
    example = make_example(conversation(prompt, answer), form)
    stretches = example.marked(form)
    assert "".join(text for text, _ in stretches) == "".join(
        part.text for part in form.segments(conversation(prompt, answer).plain())
    )
    assert [text for text, is_learned in stretches if is_learned] == [answer + "<|endoftext|>"]
    assert example.n_bytes == len(answer.encode())
    ids = form.prompt_ids([{"role": "user", "content": prompt}])
    assert example.tokens[: len(ids)].tolist() == ids, "asking later must read the very tokens it was trained behind"


def _plain() -> ChatForm:
    from cutaway.interop.chat_template import PLAIN_TEMPLATE
    from cutaway.text.bpe import BPETokenizer

    tokenizer = BPETokenizer.train(
        ["\n\n\n\n abc abc :\n a:\na :\n\n### Response:\n.\n\n" * 3], 290
    )  # joins over bounds
    return ChatForm(tokenizer, PLAIN_TEMPLATE, {"eos_token": "<|endoftext|>"})


PLAIN = _plain()


def test_masks_that_cannot_be_right_are_refused(forms: dict[str, ChatForm]) -> None:
    form = forms["bpe"]
    alone = Conversation((Message("assistant", "the sea"),))
    with pytest.raises(DataError, match="all of it would be learned"):
        make_example(alone, form, "pair 1")
    with pytest.raises(DataError, match="nothing to learn"):
        make_example(Conversation((Message("user", "why"),)), form, "pair 2")
    with pytest.raises(DataError, match="pair 3: an answer is empty"):
        make_example(conversation("why", ""), form, "pair 3")
    endless = dataclasses.replace(form, template=form.template.replace("{{ eos_token }}", ""))
    with pytest.raises(DataError, match=r"pair 4.*stop token"):
        make_example(pairs()[0], endless, "pair 4")
    with pytest.raises(DataError, match=r"pair 5.*mark of the end"):
        make_example(conversation("why", "so <|endoftext|> it is"), form, "pair 5")


def test_unknown_characters_are_named_with_their_pair(forms: dict[str, ChatForm]) -> None:
    one = conversation("Write.", "A hat \u2014 no.", source="christmas")
    with pytest.raises(DataError, match=r"pair 1 of train.jsonl \(christmas\): .*'\u2014'"):
        make_examples([one], forms["characters"], 99, file="train.jsonl")


def test_what_does_not_fit_is_named_or_left_out(forms: dict[str, ChatForm]) -> None:
    form = forms["characters"]
    both = [*pairs(2), conversation("Write.", "the sea " * 30, source="long")]
    lengths = [len(make_example(one, form).tokens) for one in both]
    with pytest.raises(DataError, match=r"pair 3 \(long\).*context of 120.*--context 120.*too-long skip"):
        make_examples(both, form, 120)
    got = make_examples(both, form, 120, "skip")
    assert (len(got.kept), got.skipped) == (2, ["pair 3 (long)"])
    assert not make_examples(both, form, max(lengths) - 1).skipped, "the last token is written, not read"
    with pytest.raises(DataError, match="longer than the context"):
        make_examples(both[2:], form, 120, "skip")


def test_a_tokenizer_of_another_model_is_refused() -> None:
    check_vocabulary(50257, 50304)
    check_vocabulary(60, 60)
    for n_tokens, n_rows in ((61, 60), (300, 50257)):
        with pytest.raises(TokenizerError, match="do not belong together"):
            check_vocabulary(n_tokens, n_rows)


def test_whole_sources_are_split_off() -> None:
    ones = [conversation("a", str(i), source=f"s{i % 6}") for i in range(30)]
    train, held = split_off(ones, 0.3, seed=1)
    sources = [{one.about["source"] for one in side} for side in (train, held)]
    assert not sources[0] & sources[1]
    assert len(sources[1]) == 2
    assert split_off(ones, 0.3, seed=1) == (train, held)
    assert np.array_equal(sorted(map(id, ones)), sorted(map(id, train + held)))
    with pytest.raises(DataError, match="too few sources"):
        split_off(ones[:1], 0.3, seed=1)
