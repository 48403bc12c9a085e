"""Which form a model is asked in: its own, or a plain one that its tokenizer can write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tune.small import make_base, tokenizer_of

from cutaway.base.errors import ModelFormatError, TokenizerError
from cutaway.text.characters import CharacterTokenizer
from cutaway.tune.chat_form import LETTERS_ONLY, chat_form

ASK = [{"role": "user", "content": "Write."}]
ANSWERED = [*ASK, {"role": "assistant", "content": "A hat."}]
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.mark.parametrize("kind", ["characters", "bpe"])
def test_a_base_without_a_template_gets_a_plain_form_that_ends(kind: str, tmp_path: Path) -> None:
    tokenizer = tokenizer_of(kind)
    form = chat_form(make_base(tmp_path / "base", "gpt2", kind), tokenizer)
    assert not form.is_own
    ids = form.prompt_ids(ASK)
    assert ids[0] == tokenizer.bos_id
    assert tokenizer.decode(ids) == "### Prompt:\nWrite.\n\n### Response:\n"
    text = "".join(segment.text for segment in form.segments(ANSWERED))
    assert form.encode(text)[-1] == tokenizer.eos_id
    assert form.encode(text)[: len(ids)] == ids


def test_few_characters_get_plainer_headings_and_too_few_are_named(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    few = CharacterTokenizer(["<|endoftext|>", *sorted(set("Prompt Response Write. A hat.\n"))])
    form = chat_form(base, few)
    assert form.template.endswith(LETTERS_ONLY)
    assert few.decode(form.prompt_ids(ASK)) == "Prompt\nWrite.\n\nResponse\n"
    with pytest.raises(TokenizerError, match="'P'"):
        chat_form(base, CharacterTokenizer(["<|endoftext|>", "a", "\n"]))


def test_a_tokenizer_that_cannot_end_a_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="no token that ends a text"):
        chat_form(tmp_path, CharacterTokenizer(["a", "b"]))


def test_a_template_must_end_an_answer_where_writing_stops(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base", "gpt2", "bpe")
    (base / "chat_template.jinja").write_text(CHATML)
    tokenizer = tokenizer_of("bpe")
    with pytest.raises(ModelFormatError, match=r"im_end.*never stop"):
        chat_form(base, tokenizer)
    tokenizer.inner.add_special_tokens(["<|im_start|>", "<|im_end|>"])  # type: ignore[attr-defined]
    tokenizer.eos_id = tokenizer.inner.token_to_id("<|im_end|>")  # type: ignore[attr-defined]
    config = json.loads((base / "tokenizer_config.json").read_text())
    (base / "tokenizer_config.json").write_text(json.dumps(config | {"eos_token": "<|im_end|>"}))
    form = chat_form(base, tokenizer)
    assert form.is_own
    assert form.stop_text == "<|im_end|>"
