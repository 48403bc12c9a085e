"""Conversations as a model reads them: the text of `transformers`, and what of it is to be learned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cutaway.base.errors import ModelFormatError, UsageError
from cutaway.interop.chat_template import PLAIN_TEMPLATE, Segment, render, segments, segments_of

CHATML = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TALK = [
    {"role": "user", "content": "Rain?"},
    {"role": "assistant", "content": "Rain."},
    {"role": "user", "content": "Sun?"},
    {"role": "assistant", "content": "Sun."},
]


def folder(path: Path, template: str | None) -> Path:
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>"}}
    (path / "tokenizer_config.json").write_text(json.dumps(config | ({"chat_template": template} if template else {})))
    return path


def test_every_answer_is_learned_with_its_end(tmp_path: Path) -> None:
    found = segments(folder(tmp_path, CHATML), TALK)
    assert [one.text for one in found if one.is_response] == ["Rain.<|im_end|>\n", "Sun.<|im_end|>\n"]
    assert found[0].text == "<s><|im_start|>user\nRain?<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize("template", [CHATML, PLAIN_TEMPLATE])
def test_the_whole_text_is_that_of_transformers(template: str, tmp_path: Path) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    whole, _ = render_jinja_template(conversations=[TALK], chat_template=template, bos_token="<s>", eos_token="</s>")
    assert "".join(one.text for one in segments(folder(tmp_path, template), TALK)) == whole[0]


def test_a_base_gets_plain_delimiters(tmp_path: Path) -> None:
    assert segments(folder(tmp_path, None), TALK[:2]) == [
        Segment("### Prompt:\nRain?\n\n### Response:\n", False),
        Segment("Rain.</s>", True),
    ]
    asked = render(PLAIN_TEMPLATE, {"eos_token": "</s>"}, TALK[:1])
    assert asked == "### Prompt:\nRain?\n\n### Response:\n"


def test_refuses_a_template_whose_answers_cannot_be_found() -> None:
    with pytest.raises(ModelFormatError, match="does not write message 2 where"):
        segments_of("{% if add_generation_prompt %}think{% endif %}{{ messages[-1]['content'] }}", {}, TALK[:2])


def test_refuses_a_conversation_without_an_answer(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to learn"):
        segments(folder(tmp_path, CHATML), TALK[:1])
