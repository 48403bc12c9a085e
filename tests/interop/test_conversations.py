"""Formats of other tools: what is written reads back equal, what is broken is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway.base.errors import DataError, UsageError
from cutaway.interop.conversations import (
    FORMATS,
    Conversation,
    Message,
    conversation,
    read_conversations,
    write_conversations,
)

ONE = conversation("Write about rain.", "It rains.\n\n### Response\n\\### End\nStill.\n", tier="essay", source="rain")
TALK = Conversation(
    (Message("system", "Be brief."), *ONE.messages, Message("user", "More."), Message("assistant", "It rains on.")),
    {"source": "rain"},
)


@pytest.mark.parametrize("form", FORMATS)
def test_reads_back_what_it_wrote(form: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs"
    write_conversations(path, [ONE, ONE], form)
    assert [one.messages for one in read_conversations(path)] == [ONE.messages] * 2
    if form != "text":
        assert read_conversations(path, form)[0].about == ONE.about


@pytest.mark.parametrize("form", ["messages", "sharegpt", "alpaca", "text"])
def test_keeps_several_turns(form: str, tmp_path: Path) -> None:
    write_conversations(tmp_path / "pairs", [TALK], form)
    assert read_conversations(tmp_path / "pairs")[0].messages == TALK.messages


def test_refuses_to_lose_turns(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="conversation 1: the format 'prompt' holds one prompt"):
        write_conversations(tmp_path / "pairs", [TALK], "prompt")
    assert not (tmp_path / "pairs").exists()


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: text.strip())


@given(prompt=words, response=words, form=st.sampled_from(FORMATS))
def test_any_text_survives(prompt: str, response: str, form: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "pairs"
    write_conversations(path, [conversation(prompt, response)], form)
    assert read_conversations(path)[0].messages == conversation(prompt, response).messages


def test_reads_what_other_tools_write(tmp_path: Path) -> None:
    records = [
        {"instruction": "Translate.", "input": "Regen", "output": "rain"},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]},
        {"prompt": "a", "completion": "b", "id": 7},
    ]
    path = tmp_path / "list.json"
    path.write_text(json.dumps(records))
    found = read_conversations(path)
    assert found[0].messages == (Message("user", "Translate.\n\nRegen"), Message("assistant", "rain"))
    assert found[1].messages == (Message("user", "Hi"), Message("assistant", "Ho"))
    assert found[2].about == {"id": 7}


def test_names_the_broken_line(tmp_path: Path) -> None:
    lines = [json.dumps({"prompt": "a", "completion": "b"})] * 900
    lines[811] = '{"prompt": "a", "completion": '
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match="broken JSON at line 812"):
        read_conversations(path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "a", "completion": " "}', "line 2: the response is empty"),
        ('{"prompt": "a"}', "line 2: completion is missing"),
        ('{"text": "a"}', "line 2: expected `messages`"),
        ("[1]", "line 2: expected a JSON object, got list"),
        ('{"messages": [{"role": "robot", "content": "a"}]}', "line 2: role is 'robot'"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "line 2: no answer"),
        ('{"messages": "a"}', "line 2: messages is str; expected a list"),
    ],
)
def test_says_what_is_wrong_with_a_line(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n' + line + "\n")
    with pytest.raises(DataError, match=said):
        read_conversations(path)


def test_a_text_cut_off_is_refused(tmp_path: Path) -> None:
    write_conversations(tmp_path / "pairs", [ONE], "text")
    (tmp_path / "pairs").write_text((tmp_path / "pairs").read_text().removesuffix("### End\n"))
    with pytest.raises(DataError, match="no ### End"):
        read_conversations(tmp_path / "pairs")


def test_not_utf8_is_named_by_line(tmp_path: Path) -> None:
    (tmp_path / "pairs").write_bytes(b'{"prompt": "a", "completion": "b"}\n{"prompt": "caf\xe9"}')
    with pytest.raises(DataError, match="not UTF-8 at line 2"):
        read_conversations(tmp_path / "pairs")
