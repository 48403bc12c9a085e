"""The temperature profile finds a planted curve and generation follows it; the usable range has its two ends."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from voice.authors import Author

from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import generate
from cutaway.generate.temperature import temperatures
from cutaway.lens.surprisal import surprisal
from cutaway.models.build import build
from cutaway.models.config import GPTConfig
from cutaway.models.decoder import Decoder
from cutaway.text.characters import CharacterTokenizer
from cutaway.text.tokenizer import Tokenizer
from cutaway.voice.temperature_profile import GRID, temperature_profile
from cutaway.voice.temperature_range import AtTemperature, longest_run, repetition, unknown, usable_range

ONE = Author(1)
OWN = ONE.texts(6, 100, seed=2)


@pytest.fixture(scope="module")
def scribe() -> tuple[Decoder, Tokenizer]:
    """Return a model that learned one author's texts for some seconds."""
    texts = list(ONE.texts(20, 300).values())
    tokenizer = CharacterTokenizer.train(texts, separator=True)
    model = build(GPTConfig(tokenizer.vocab_size, 96, 32, 1, 2, ngram_sizes=(2, 3), ngram_rows=(499, 1999)), 0)
    ids_N = torch.tensor(tokenizer.encode_documents(texts).astype(np.int64))
    draw = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(80):
        starts = torch.randint(len(ids_N) - 65, (12,), generator=draw)
        rows_BT = torch.stack([ids_N[start : start + 65] for start in starts.tolist()])
        loss = torch.nn.functional.cross_entropy(model(rows_BT[:, :-1]).flatten(0, 1), rows_BT[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval(), tokenizer


def written(model: Decoder, tokenizer: Tokenizer, temperature: float | str, n: int, length: int) -> dict[str, str]:
    config = SamplingConfig(length, temperature, seed=5)
    found = generate(model, tokenizer, "", config, n)
    assert tokenizer.eos_id is not None
    return {str(i): tokenizer.decode([t for t in one.tokens if t != tokenizer.eos_id]) for i, one in enumerate(found)}


@pytest.mark.slow
def test_a_planted_curve_is_found_and_followed(scribe: tuple[Decoder, Tokenizer]) -> None:
    model, tokenizer = scribe
    planted = "0:1.6 10:1.6 30:0.5 90:0.5"
    texts = written(model, tokenizer, planted, 80, 90)
    profile = temperature_profile(model, tokenizer, texts)
    expected = temperatures(planted, 90)
    for place in profile.places:
        true = np.mean(expected[place.first : place.last + 1])
        assert place.temperature == pytest.approx(true, rel=0.2), place
    curve = profile.curve(90)
    assert curve is not None
    again = temperature_profile(model, tokenizer, written(model, tokenizer, curve, 80, 90))
    for first, second in zip(profile.places, again.places, strict=True):
        assert second.surprisal == pytest.approx(first.surprisal, abs=0.25)
    level = temperature_profile(model, tokenizer, written(model, tokenizer, 1.0, 80, 90))
    assert [place.temperature for place in level.places] == pytest.approx([1] * len(level.places), abs=0.3)


def test_surprisal_and_entropy_are_the_lens_s(scribe: tuple[Decoder, Tokenizer]) -> None:
    model, tokenizer = scribe
    text = OWN["text-1"]
    profile = temperature_profile(model, tokenizer, {"a": text})
    known = surprisal(model, tokenizer, text.strip())
    places, wave = profile.places, profile.piece_wave
    assert profile.n_tokens == len(known.ids) == sum(place.n_tokens for place in places) == sum(wave.n_tokens)
    for what, theirs in (("surprisal", known.nats_T), ("entropy", known.entropy_T)):
        mean = sum(getattr(place, what) * place.n_tokens for place in places) / profile.n_tokens
        assert mean == pytest.approx(float(theirs.mean()), abs=1e-5)
        parts = zip(getattr(wave, what), wave.n_tokens, strict=True)
        assert sum(x * n for x, n in parts if x is not None) / profile.n_tokens == pytest.approx(mean, abs=1e-5)


def test_an_answer_is_read_after_what_it_answers(scribe: tuple[Decoder, Tokenizer]) -> None:
    model, tokenizer = scribe
    prompt = tokenizer.prompt_ids("Re lu ")
    answered = temperature_profile(model, tokenizer, {"a": "re, " * 20}, {"a": prompt})
    after = surprisal(model, tokenizer, "Re lu " + "re, " * 20)
    assert answered.n_tokens == 79
    mean = np.average([p.surprisal for p in answered.places], weights=[p.n_tokens for p in answered.places])
    assert mean == pytest.approx(float(after.nats_T[6:85].mean()), abs=1e-5)
    assert answered.places[0].first == 0


def test_the_wave_of_a_sentence(scribe: tuple[Decoder, Tokenizer]) -> None:
    profile = temperature_profile(*scribe, OWN)
    assert profile.n_texts == 6
    assert profile.sentence_wave.n_tokens[0] > 60
    low, high = min(p.temperature for p in profile.places), max(p.temperature for p in profile.places)
    assert 0.5 < low <= high < 1.7  # it was trained on this author: about 1
    assert f"{low:.2f} to {high:.2f}" in profile.sentence()
    config = profile.following(SamplingConfig(64))
    assert config.temperature == profile.curve(64)
    assert len(generate(*scribe, "", config)[0].tokens) > 0
    assert temperature_profile(*scribe, dict(reversed(OWN.items()))) == profile
    json.dumps(profile.as_dict(), allow_nan=False)


def test_without_text_nothing_is_said(scribe: tuple[Decoder, Tokenizer]) -> None:
    for texts in ({}, {"a": ""}, {"a": " "}):
        profile = temperature_profile(*scribe, texts)
        assert (profile.places, profile.curve(10), profile.n_texts) == ((), None, 0)
        assert "not enough data" in profile.sentence()
        assert profile.following(SamplingConfig()) == SamplingConfig()
        json.dumps(profile.as_dict(), allow_nan=False)
    assert 1.0 in GRID


@pytest.mark.slow
def test_the_usable_range_has_two_ends(scribe: tuple[Decoder, Tokenizer]) -> None:
    prompts: Sequence[str] = ["Re", "Lu", "Ren"]
    found = usable_range(*scribe, prompts, OWN, scribe, temperatures=(0.05, 0.9, 3.0), max_tokens=110)
    wrong = {at.temperature: at.wrong for at in found.tried}
    assert "repeats itself" in wrong[0.05]
    assert {"falls apart", "unknown words"} <= {*wrong[3.0]} or wrong[3.0] == ("too short",)
    assert found.low == 0.9
    assert found.high == 0.9
    assert "Usable temperatures: " in found.sentence()
    json.dumps(found.as_dict(), allow_nan=False)


def test_too_little_is_said(scribe: tuple[Decoder, Tokenizer]) -> None:
    few = dict(list(OWN.items())[:2])
    for own, prompts in ((few, ["a"]), ({}, ["Re"]), (OWN, [])):
        found = usable_range(*scribe, prompts, own, scribe, temperatures=(1.0,), max_tokens=8)
        assert "not enough data" in found.sentence()
        assert found.low is None
    short = {str(i): "re lu." for i in range(6)}
    assert "have" in usable_range(*scribe, ["Re"], short, scribe, temperatures=(1.0,), max_tokens=8).why


def test_the_parts_of_the_rule() -> None:
    assert repetition(["a", "b", "c", "d"] * 2) == pytest.approx(1 / 5)
    assert repetition(["a"]) == 0
    assert unknown(["a", "b", "c", "a"], {"a"}) == 0.5
    tried = [
        AtTemperature(t, 0, 0, 0, 1, wrong)
        for t, wrong in ((0.2, ("x",)), (0.4, ()), (0.6, ("x",)), (0.8, ()), (1, ()))
    ]
    assert longest_run(tried) == (0.8, 1)
    assert longest_run(tried[:1]) == (None, None)
    assert math.isclose(repetition(("a " * 20).split()), 16 / 17)
