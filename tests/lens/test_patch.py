"""Patching is what pasting by hand is, by hooks and by replay; it is 0 where nothing differs and 1 where all is pasted."""

from __future__ import annotations

import sys
import time

import pytest
import torch
from torch import Tensor

import cutaway
from cutaway.base.errors import CutawayError, UsageError
from cutaway.lens import onward
from cutaway.lens.activations import Edit, read
from cutaway.lens.by_replay import every_position, patched
from cutaway.lens.patch import Patching, changes_of, lay_side_by_side, patch
from cutaway.lens.prompt import Prompt
from cutaway.models.build import build
from cutaway.models.config import GPTConfig
from cutaway.models.decoder import Decoder
from lens.small_models import CONFIGS, KINDS, TOKENIZER, small_model

CLEAN, CORRUPTED = "the cat sat on", "the dog sat in"
T = len(CLEAN)


def tokens(text: str) -> Tensor:
    return torch.tensor([TOKENIZER.encode(text)])


def by_hooks(model: Decoder, name: str, edit: Edit, at: int = -1) -> float:
    said = read(model, tokens(CORRUPTED), (), {name: edit})["logits"][0, at]
    return float(said[TOKENIZER.encode("a")[0]] - said[TOKENIZER.encode("o")[0]])


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("what", ["resid_pre", "attn_out", "mlp_out"])
def test_every_patch_is_a_paste_by_hooks(kind: str, what: str) -> None:
    model = small_model(kind)
    found = patch(model, TOKENIZER, CLEAN, CORRUPTED, "a", "o", what)
    assert found.patched_LX.shape == (3, T)
    clean = read(model, tokens(CLEAN))
    for layer, t in ((layer, t) for layer in range(3) for t in (4, 12, T - 1)):

        def paste(value: Tensor, name: str = f"blocks.{layer}.{what}", t: int = t) -> Tensor:
            value = value.clone()
            value[:, t] = clean[name][:, t]
            return value

        expected = by_hooks(model, f"blocks.{layer}.{what}", paste)
        assert float(found.patched_LX[layer, t]) == pytest.approx(expected, abs=1e-5), (layer, t)
    assert model.training, "left as it was"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [None, [5], [12, 4, -1]])
def test_every_head_is_a_paste_by_hooks(kind: str, at: list[int] | None) -> None:
    model = small_model(kind)
    found = patch(model, TOKENIZER, CLEAN, CORRUPTED, "a", "o", "z", at=at)
    assert found.patched_LX.shape == (3, 4)
    clean = read(model, tokens(CLEAN))
    where = slice(None) if at is None else at
    for layer, head in ((layer, head) for layer in range(3) for head in range(4)):

        def paste(value: Tensor, name: str = f"blocks.{layer}.attn.z", head: int = head) -> Tensor:
            value = value.clone()
            value[:, where, head] = clean[name][:, where, head]
            return value

        expected = by_hooks(model, f"blocks.{layer}.attn.z", paste)
        assert float(found.patched_LX[layer, head]) == pytest.approx(expected, abs=1e-5), (layer, head)


@pytest.mark.parametrize("kind", KINDS)
def test_hooks_and_replay_agree(kind: str) -> None:
    model = small_model(kind).eval()
    clean, corrupted = (cutaway.trace(model, tokens(text)) for text in (CLEAN, CORRUPTED))
    a, o = TOKENIZER.encode("ao")
    for what in ("resid_pre", "attn_out", "mlp_out"):
        found = patch(model, TOKENIZER, CLEAN, CORRUPTED, "a", "o", what)
        by_replay = patched(clean, corrupted, every_position(corrupted, f"blocks.1.{what}"), a, o)
        torch.testing.assert_close(found.patched_LX[1], by_replay, atol=1e-5, rtol=0)
    heads = [("blocks.1.attn.z", (None, None, head, None)) for head in range(4)]
    found = patch(model, TOKENIZER, CLEAN, CORRUPTED, "a", "o", "z")
    torch.testing.assert_close(found.patched_LX[1], patched(clean, corrupted, heads, a, o), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("position", [3, 5, 9])
def test_an_answer_in_mid_text_knows_nothing_of_what_follows(kind: str, position: int) -> None:
    model = small_model(kind)
    if position == 3:
        with pytest.raises(UsageError, match="after both prompts, so there is nothing"):
            patch(model, TOKENIZER, CLEAN, CORRUPTED, "a", "o", position=position)
        return
    found = patch(model, TOKENIZER, CLEAN, CORRUPTED, "a", "o", position=position)
    short = patch(model, TOKENIZER, CLEAN[: position + 1], CORRUPTED[: position + 1], "a", "o")
    torch.testing.assert_close(found.patched_LX[:, : position + 1], short.patched_LX, atol=1e-5, rtol=0)
    assert not found.effect_LX[:, position + 1 :].any()


def test_effects_are_shares() -> None:
    model = small_model("ours")
    found = patch(model, TOKENIZER, CLEAN, CORRUPTED, "a", "o")
    a, o = TOKENIZER.encode("ao")
    for text, logit in ((CLEAN, found.clean_logit), (CORRUPTED, found.corrupted_logit)):
        row = read(model, tokens(text), ())["logits"][0, -1]
        assert logit == pytest.approx(float(row[a] - row[o]), abs=1e-6)
    assert not found.effect_LX[:, :4].any(), "the same before they part"
    only_last = patch(model, TOKENIZER, CLEAN, CLEAN[:-1] + "x", "a", "o")
    torch.testing.assert_close(only_last.effect_LX[:, -1], torch.ones(3, dtype=torch.float64), atol=1e-5, rtol=0)
    assert not only_last.effect_LX[:, :-1].any()
    facts = found.as_dict()
    assert facts["effect"][2][5] == float(found.effect_LX[2, 5])
    assert facts["note"] == "Both prompts have 14 tokens and are patched position by position."


def test_what_is_left_out_is_what_the_model_says() -> None:
    model = small_model("ours")

    def said(text: str) -> int:
        return int(read(model, tokens(text), ())["logits"][0, -1].argmax())

    texts = [CLEAN[:-1] + letter for letter in "abcdefghijklmnop"]
    unlike = next(text for text in texts if said(text) != said(CLEAN))
    alike = next(text for text in texts if said(text) == said(CLEAN))
    found = patch(model, TOKENIZER, CLEAN, unlike)
    assert [found.answer.token, found.answer.other] == [said(CLEAN), said(unlike)]
    with pytest.raises(UsageError, match=r"says '.' to both prompts; name the token"):
        patch(model, TOKENIZER, CLEAN, alike)
    alone = patch(model, TOKENIZER, CLEAN, CORRUPTED, "a")
    assert alone.answer.other is None


# ------------------------------------------------------------------------------------- prompts of different length


def test_the_longer_prompt_is_laid_beside_the_shorter() -> None:
    def partners(clean: str, corrupted: str) -> tuple[int | None, ...]:
        return lay_side_by_side(*(Prompt(tuple(map(ord, text)), tuple(text)) for text in (clean, corrupted)))

    assert partners("abcde", "axcde") == (0, 1, 2, 3, 4)
    assert partners("abbcd", "axcd") == (0, None, 3, 4)
    assert partners("abcd", "abbxcd") == (0, 1, None, None, 2, 3)
    assert partners("aaa", "aa") == (0, 2)
    assert partners("xabc", "abc") == (1, 2, 3)
    assert partners("aab", "ab") == (0, 2)
    with pytest.raises(UsageError, match="the clean prompt has 3 tokens and the corrupted one 2, and they do not end"):
        partners("abc", "ab")


@pytest.mark.parametrize("what", ["resid_pre", "mlp_out", "z"])
def test_prompts_of_different_length_are_patched_where_they_are_alike(what: str) -> None:
    model = small_model("ours")
    clean_text, corrupted_text = "the cat sat on", "the mouse sat on"
    found = patch(model, TOKENIZER, clean_text, corrupted_text, "a", "o", what)
    assert found.partners[9:] == tuple(range(7, 14))
    assert found.partners[4:9] == (None,) * 5
    assert "laid side by side on the first 4 and the last 7" in found.note
    clean = read(model, tokens(clean_text))
    name = f"blocks.1.{'attn.z' if what == 'z' else what}"

    def paste(value: Tensor) -> Tensor:
        value = value.clone()
        if what == "z":
            value[:, :4, 2], value[:, 9:, 2] = clean[name][:, :4, 2], clean[name][:, 7:, 2]
        else:
            value[:, 11] = clean[name][:, 9]
        return value

    said = read(model, tokens(corrupted_text), (), {name: paste})["logits"][0, -1]
    a, o = TOKENIZER.encode("ao")
    column = 2 if what == "z" else 11
    assert float(found.patched_LX[1, column]) == pytest.approx(float(said[a] - said[o]), abs=1e-5)
    if what != "z":
        assert found.patched_LX[:, 4:9].isnan().all()
        assert found.as_dict()["effect"][0][5] is None
        with pytest.raises(UsageError, match="position 6 of the corrupted prompt stands at no position of the clean"):
            patch(model, TOKENIZER, clean_text, corrupted_text, "a", "o", what, position=6)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"what": "resid"}, r"'resid' cannot be patched \(did you mean resid_pre"),
        ({"what": "mlp_out", "at": [1]}, r"positions are chosen for heads only"),
        ({"what": "z", "at": [14]}, r"no position 14: the text has 14 tokens"),
        ({"position": 14}, r"no position 14"),
        ({"clean": "the cat sat on a"}, r"has 16 tokens and the corrupted one 14"),
        ({"clean": ""}, r"nothing to read"),
    ],
)
def test_bad_questions(settings: dict[str, object], said: str) -> None:
    with pytest.raises(CutawayError, match=said) as caught:
        patch(small_model("ours"), TOKENIZER, **{"clean": CLEAN, "corrupted": CORRUPTED} | settings)
    assert "\n" not in str(caught.value)


# -------------------------------------------------------------------------------------------------- speed and rest


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("many", [1, 30, 100_000])
def test_how_many_go_side_by_side_changes_nothing(kind: str, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model(kind)
    before = patch(model, TOKENIZER, CLEAN, CORRUPTED, "a", "o", "attn_out")
    monkeypatch.setattr(onward, "POSITIONS_AT_ONCE", many)
    after = patch(model, TOKENIZER, CLEAN, CORRUPTED, "a", "o", "attn_out")
    torch.testing.assert_close(after.patched_LX, before.patched_LX, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision(kind: str) -> None:
    precise, rounded = (
        patch(small_model(kind, dtype), TOKENIZER, CLEAN, CORRUPTED, "a", "o")
        for dtype in (torch.float32, torch.bfloat16)
    )
    size = abs(precise.clean_logit) + abs(precise.corrupted_logit) + 1
    assert (precise.patched_LX - rounded.patched_LX).abs().max() < 0.1 * size


def test_a_heat_map_is_drawn_within_the_bar() -> None:
    """Four layers, thirty tokens: seconds in a benchmark, checked here with room for a busy machine."""
    model = build(
        GPTConfig(vocab_size=TOKENIZER.vocab_size, n_layers=4, context_length=64, zero_init_projections=False)
    )
    clean, corrupted = "the cat sat on a mat and slept", "the dog ran to a man and barked"[:30]
    started = time.perf_counter()
    found = patch(model, TOKENIZER, clean, corrupted, "a", "o")
    assert time.perf_counter() - started < 5
    assert found.patched_LX.shape == (4, 30)


def test_who_waits_is_told_how_much_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onward, "POSITIONS_AT_ONCE", 40)
    told: list[tuple[int, int]] = []
    patch(small_model("llama"), TOKENIZER, CLEAN, CORRUPTED, "a", "o", on_done=lambda *done: told.append(done))
    n = 4 + 2 * 10  # block 0: the four places that differ; later blocks: all from the first of them on
    assert told[-1] == (n, n)
    assert len(told) > 3
    assert told == sorted(set(told))


def test_a_layer_off_by_one_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison with hooks would see a patch that lands one block late."""
    real = changes_of

    def late(*arguments: object) -> object:
        return [(t, onward.Change(min(3, c.layer + 1), c.start, c.stream_TC)) for t, c in real(*arguments)]

    right = patch(small_model("gpt2"), TOKENIZER, CLEAN, CORRUPTED, "a", "o")
    monkeypatch.setattr(sys.modules["cutaway.lens.patch"], "changes_of", late)
    wrong: Patching = patch(small_model("gpt2"), TOKENIZER, CLEAN, CORRUPTED, "a", "o")
    assert (right.patched_LX - wrong.patched_LX).abs().max() > 1e-3
