"""Canaries: chosen from the writing, editable, answered the same whenever the same model is asked, and kept."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from cutaway.base.errors import DataError
from cutaway.interop.conversations import Conversation, conversation, write_conversations
from cutaway.models.build import build
from cutaway.models.config import GPTConfig
from cutaway.text.bpe import BPETokenizer
from cutaway.voice.answers import AnswerSettings, Prompt, Speaker, answer_all, read_answers
from cutaway.voice.canaries import FILE, TOPICS, canaries_of, choose_canaries, read_canaries, write_canaries

TEXT = "On mending things, and on keys that fit no lock, there is much to say. " * 8


def speaker(folder: Path, seed: int = 0) -> Speaker:
    tokenizer = BPETokenizer.train([TEXT], 300)
    model = build(
        GPTConfig(vocab_size=tokenizer.vocab_size, d_model=24, n_layers=2, n_heads=4, context_length=64), seed
    )
    return Speaker("small", model, tokenizer, folder)


def pairs(topics: list[str], tier: str = "essay") -> list[Conversation]:
    ask = "Write an essay about this topic: "
    return [conversation(ask + topic, TEXT, tier=tier, source=topic.lower()) for topic in topics]


TRAIN = pairs(["The bicycle", "Rain", "Umbrellas and hats", "A stranger's letter", "Maps", "The sea"])
PROMPTS = [Prompt("known-1", "known", "Write about mending", 12), Prompt("long-1", "long", "Write about keys", 90)]
SETTINGS = AnswerSettings(samples=2)


def test_kinds_and_sources() -> None:
    chosen = choose_canaries(TRAIN, pairs(["Winter mornings"])).prompts
    kinds = [prompt.kind for prompt in chosen]
    assert (kinds.count("known"), kinds.count("new"), kinds.count("long")) == (4, 4, 2)
    asked = {one.messages[0].content: one.about["source"] for one in TRAIN}
    assert all(asked[prompt.text] == prompt.source for prompt in chosen if prompt.kind == "known")
    new = " ".join(prompt.text for prompt in chosen if prompt.kind != "known").lower()
    assert not {"bicycle", "rain", "umbrella", "stranger", "letters", "maps", "winter"} & set(re.findall(r"\w+", new))
    assert choose_canaries(list(reversed(TRAIN)), pairs(["Winter mornings"])).prompts == chosen
    assert len({topic.lower() for topic in TOPICS}) == len(TOPICS)


def test_a_writer_of_notes_is_asked_for_notes_and_one_of_paragraphs_for_what_there_is() -> None:
    notes = choose_canaries(pairs(["Rain", "Sea", "Mud"], tier="note")).prompts
    assert next(p.text for p in notes if p.kind == "new").startswith("Write a short note")
    parts = choose_canaries(pairs(["Rain", "Sea"], tier="paragraph")).prompts
    assert {p.source for p in parts if p.kind == "known"} == {"sea", "rain"}


def test_the_file_is_written_once_and_reads_back_as_edited(tmp_path: Path) -> None:
    write_conversations(tmp_path / "train.jsonl", TRAIN)
    chosen = canaries_of(tmp_path)
    assert read_canaries(tmp_path / FILE) == chosen
    text = (tmp_path / FILE).read_text().replace("samples = 1", "samples = 3")
    (tmp_path / FILE).write_text(
        text + '\n[[prompts]]\nname = "mine"\nkind = "new"\ntext = "a \\"thing\\"\\n\\u007f"\n'
    )
    edited = canaries_of(tmp_path)
    assert (edited.settings.samples, edited.prompts[-1].text) == (3, 'a "thing"\n\x7f')
    write_canaries(tmp_path / FILE, edited)
    assert canaries_of(tmp_path) == edited


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no [[prompts]]"),
        ("temperature = \n", "line 1"),
        ('[[prompts]]\nkind = "old"\ntext = "a"\n', "kind is 'old'"),
        ('[[prompts]]\nkind = "new"\ntext = " "\n', "text is empty"),
        ('[[prompts]]\nkind = "new"\ntext = "a"\nmax_tokens = 0\n', "max_tokens is 0"),
        ('[[prompts]]\nkind = "new"\ntxt = "a"\n', "did you mean text"),
        ('top_p = 2\n[[prompts]]\nkind = "new"\ntext = "a"\n', "top_p is 2"),
        ('temprature = 2\n[[prompts]]\nkind = "new"\ntext = "a"\n', "did you mean temperature"),
        ('[[prompts]]\nkind = "new"\ntext = "a"\n[[prompts]]\nkind = "new"\ntext = "a"\n', "two prompts"),
    ],
)
def test_a_broken_file_is_named(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(DataError) as caught:
        canaries_of(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_pairs_the_next_step_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="first: cutaway voice pairs"):
        canaries_of(tmp_path)


def test_the_same_model_gives_the_same_answers_and_all_are_kept(tmp_path: Path) -> None:
    kept, again = tmp_path / "canaries.jsonl", tmp_path / "again.jsonl"
    first = answer_all(speaker(tmp_path), PROMPTS, SETTINGS, kept)
    second = answer_all(speaker(tmp_path), PROMPTS, SETTINGS, again)
    assert [one.text for one in first] == [one.text for one in second]
    assert [one.key for one in first] == [one.key for one in second]
    assert [(one.name, one.sample) for one in first] == [
        ("known-1", 0), ("known-1", 1), ("long-1", 0), ("long-1", 1)
    ]  # fmt: skip
    assert first[0].text != first[1].text  # a sample each
    assert read_answers(kept) == first
    other = answer_all(speaker(tmp_path, seed=1), PROMPTS, SETTINGS, kept)
    assert read_answers(kept) == [*first, *other]
    assert {one.model for one in first}.isdisjoint(one.model for one in other)


def test_what_is_kept_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "canaries.jsonl"
    first = answer_all(speaker(tmp_path), PROMPTS[:1], SETTINGS, kept)
    monkeypatch.setattr("cutaway.generate.decode.generate", lambda *_: pytest.fail("it was written again"))
    renamed = [Prompt("mine", "new", PROMPTS[0].text, PROMPTS[0].max_tokens)]
    second = answer_all(speaker(tmp_path), renamed, SETTINGS, kept)
    assert [one.text for one in second] == [one.text for one in first]
    assert (second[0].name, second[0].kind) == ("mine", "new")


def test_a_line_cut_off_by_a_crash_loses_nothing_else(tmp_path: Path) -> None:
    kept = tmp_path / "canaries.jsonl"
    first = answer_all(speaker(tmp_path), PROMPTS[:1], SETTINGS, kept)
    kept.write_text(kept.read_text() + '{"name": "long-1", "ki')
    both = answer_all(speaker(tmp_path), PROMPTS, SETTINGS, kept)
    assert read_answers(kept) == both
    assert both[:2] == first
    kept.write_text(json.dumps({"step": 3}) + "\n")
    with pytest.raises(DataError, match="not a file of answers"):
        read_answers(kept)


def test_prompts_go_through_the_models_own_template(tmp_path: Path) -> None:
    plain = speaker(tmp_path)
    assert plain.tokenizer.decode(plain.ids("keys that fit")) == "keys that fit"
    (tmp_path / "chat_template.jinja").write_text("{{ '[' + messages[0]['content'] + ']' }}")
    assert plain.tokenizer.decode(plain.ids("keys that fit")) == "[keys that fit]"


def test_the_hash_is_of_the_weights() -> None:
    one, same, other = (speaker(Path(), seed) for seed in (0, 0, 1))
    assert one.weights_hash() == same.weights_hash() != other.weights_hash()
    with torch.no_grad():
        next(same.model.parameters())[0, 0] += 1e-3
    assert one.weights_hash() != same.weights_hash()
