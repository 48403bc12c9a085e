"""Own text against model text: every prompt is answered by the model, ends are told from cuts, sameness is left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from tune.small import make_base, pairs

from cutaway.interop.conversations import Conversation
from cutaway.interop.hub_folder import load_folder
from cutaway.models.decoder import Decoder
from cutaway.tune.chat_form import ChatForm, chat_form
from cutaway.tune.preferences import make_preference
from cutaway.voice.preference_pairs import preference_pairs


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Decoder, ChatForm]:
    folder: Path = make_base(tmp_path_factory.mktemp("base") / "base", "llama")
    model, tokenizer = load_folder(folder)
    assert tokenizer is not None
    return model, chat_form(folder, tokenizer)


def test_every_prompt_is_answered(asked: tuple[Decoder, ChatForm]) -> None:
    conversations = pairs(4)
    told: list[tuple[int, int]] = []
    made = preference_pairs(*asked, conversations, 12, seed=1, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(made.pairs) + made.same == 4
    for one in made.pairs:
        whole = next(c for c in conversations if c.about["source"] == one.about["source"])
        assert (one.prompt, one.chosen) == (whole.messages[:1], whole.messages[1].content)
        has_end = asked[1].stop_id in make_preference(one, asked[1], 300).rejected.tokens[-1:]
        assert has_end is not ("cut" in one.about)
    assert preference_pairs(*asked, conversations, 12, seed=1) == made
    assert preference_pairs(*asked, conversations, 12, seed=2) != made
    assert f"{len(made.pairs)} pairs of your answer" in made.sentence()


def test_the_same_answer_is_left_out(asked: tuple[Decoder, ChatForm]) -> None:
    first = preference_pairs(*asked, pairs(1), 12, temperature=0).pairs[0]
    again = [Conversation((*first.prompt, pairs(1)[0].messages[1].__class__("assistant", first.rejected)))]
    made = preference_pairs(*asked, again, 12, temperature=0)
    assert (made.pairs, made.same) == ([], 1)
    assert "1 left out" in made.sentence()
