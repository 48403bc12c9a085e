"""What the lab says of attention, surprise and induction, against the Python API and against transformers."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from server.answers import arrays
from server.labs import training, wait_for
from server.model_folders import KINDS, TOKENIZER, save_model

from cutaway import lens
from cutaway.interop.hub_folder import save_folder
from cutaway.lens.activations import read
from cutaway.lens.attention_figure import SMALL, pooled
from cutaway.models.build import build
from cutaway.models.config import GPTConfig
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.server.routes import lens_attention
from cutaway.text.bpe import BPETokenizer
from cutaway.workbench import Run, load

TEXT = "the cat sat. the cat sat"
BITS = np.log(2)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("lab")
    for kind in KINDS:
        save_model(home / "models" / kind, kind)
    save_model(home / "models" / "half", "ours", dtype=torch.bfloat16)
    return home


@pytest.fixture(scope="module")
def client(home):
    with TestClient(create_app(Lab(home))) as client:
        yield client


def ask(client, path, **body):
    return arrays(client.post(f"/api/lens/{path}", json=body))


@pytest.mark.parametrize("kind", [*KINDS, "half"])
@pytest.mark.slow
def test_attention_is_the_python_apis(client, home, kind):
    model, tokenizer = load(home / "models" / kind)
    expected = lens.attention(model, tokenizer, TEXT)
    kinds = lens.head_kinds(expected)
    meta, found = ask(client, "attention", model=f"models/{kind}", text=TEXT)
    assert meta["tokens"] == list(expected.prompt.pieces)
    assert (meta["layers"], meta["heads"]) == (2, 4)
    np.testing.assert_array_equal(found["score"], kinds.score_LHK.numpy())
    np.testing.assert_array_equal(found["raw"], kinds.raw_LHK.numpy())
    assert meta["called"] == [[kinds.best(layer, head) for head in range(4)] for layer in range(2)]
    pattern = expected.pattern_LHTS
    np.testing.assert_array_equal(found["small"][:, :4], pattern.numpy())  # short enough to be sent as it is
    np.testing.assert_allclose(found["small"][:, 4], expected.over_heads_LTS.numpy(), rtol=0, atol=1e-7)
    for layer, head, of in [
        (1, 2, pattern[1, 2]),
        (0, None, pattern[0].mean(0)),
        (None, 3, pattern[:, 3].mean(0)),
        (None, None, expected.over_all_TS),
    ]:
        _, one = ask(client, "attention/head", model=f"models/{kind}", text=TEXT, layer=layer, head=head)
        np.testing.assert_allclose(one["pattern"], of.numpy(), rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_attention_is_transformers(client, home, kind):
    transformers = pytest.importorskip("transformers")
    other = transformers.AutoModelForCausalLM.from_pretrained(home / "models" / kind, attn_implementation="eager")
    with torch.no_grad():
        answer = other(torch.tensor([TOKENIZER.prompt_ids(TEXT)]), output_attentions=True)
    for layer in range(2):
        for head in range(4):
            _, found = ask(client, "attention/head", model=f"models/{kind}", text=TEXT, layer=layer, head=head)
            np.testing.assert_allclose(found["pattern"], answer.attentions[layer][0, head].numpy(), rtol=0, atol=1e-5)


def test_attention_of_a_long_text_is_cut_and_pooled(client):
    text = "abc def. " * 20
    meta, _ = ask(client, "attention", model="models/ours", text=text)
    assert meta["cut"] == len(text) - 48
    assert len(meta["tokens"]) == meta["context_length"] == 48
    assert meta["small_step"] == 1
    pattern = np.random.default_rng(0).random((2, 3, 2 * SMALL + 5, 2 * SMALL + 5)).astype(np.float32)
    small, step = pooled(pattern)
    assert step == 3
    assert small.shape[-1] <= SMALL
    assert small[1, 2, 4, 7] == pattern[1, 2, 12:15, 21:24].max()
    assert small[0, 0, -1, -1] == pattern[0, 0, 99:, 99:].max()


def test_attention_refuses_in_one_line(client):
    def said(path="attention/head", **body):
        answer = client.post(f"/api/lens/{path}", json={"model": "models/ours", "text": TEXT} | body)
        assert 400 <= answer.status_code < 500
        return answer.json()["error"]

    assert "there is no head 9: models/ours has heads 0 to 3" in said(layer=0, head=9)
    assert "there is no layer -1" in said(layer=-1, head=0)
    assert "nothing to read" in said("attention", text="")
    assert "models/none" in said("attention", model="models/none")
    assert "'~'" in said("attention", text="a ~ b")


def test_attention_of_too_much_is_refused(client, monkeypatch):
    monkeypatch.setattr(lens_attention, "MOST_WEIGHTS", 8 * 30**2)
    answer = client.post("/api/lens/attention", json={"model": "models/gpt2", "text": "a" * 31})
    assert answer.status_code == 400
    assert "up to 30 tokens" in answer.json()["error"]
    assert client.post("/api/lens/attention", json={"model": "models/gpt2", "text": "a" * 30}).status_code == 200


def test_a_model_written_anew_is_read_anew(tmp_path):
    save_model(tmp_path / "models" / "one", "gpt2", seed=1)
    with TestClient(create_app(Lab(tmp_path))) as client:
        _, before = ask(client, "attention", model="models/one", text=TEXT)
        save_model(tmp_path / "models" / "one", "gpt2", seed=2)
        _, after = ask(client, "attention", model="models/one", text=TEXT)
    assert np.abs(before["score"] - after["score"]).max() > 0.01


@pytest.fixture(scope="module")
def bpe(home):
    """A model whose tokens are pieces of several letters."""
    tokenizer = BPETokenizer.train([f"{TEXT} " * 20], 300)
    config = GPTConfig(tokenizer.vocab_size, 16, 24, 1, 2, zero_init_projections=False, init_std=0.3)
    save_folder(home / "models" / "bpe", build(config, seed=3), tokenizer)
    return "models/bpe"


@pytest.mark.parametrize("kind", [*KINDS, "half"])
def test_surprise_is_the_python_apis(client, home, kind):
    text = TEXT * 4  # longer than the context
    model, tokenizer = load(home / "models" / kind)
    expected = lens.surprisal(model, tokenizer, text)
    meta, found = ask(client, "surprise", model=f"models/{kind}", text=text)
    assert meta["tokens"] == list(expected.pieces)
    np.testing.assert_array_equal(found["bits"], expected.nats_T.numpy() / BITS)
    np.testing.assert_array_equal(found["rank"], expected.rank_T.numpy())
    np.testing.assert_allclose(found["entropy"], expected.entropy_T.numpy() / BITS, rtol=1e-12)
    assert meta["bits_per_byte"] == expected.bits_per_byte
    assert np.isnan(found["bits"]).sum() == (0 if expected.has_bos else 1)
    assert meta["bits"] == pytest.approx(np.nansum(found["bits"]), rel=1e-12)
    assert meta["counted"] == np.isfinite(found["bits"]).sum()
    assert meta["bits_per_token"] == pytest.approx(np.nanmean(found["bits"]), rel=1e-12)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_surprise_is_transformers(client, home, kind):
    transformers = pytest.importorskip("transformers")
    other = transformers.AutoModelForCausalLM.from_pretrained(home / "models" / kind)
    ids = torch.tensor([TOKENIZER.prompt_ids(TEXT)])
    with torch.no_grad():
        logits = other(ids).logits[0].double()
    nats = torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:], reduction="none").numpy()
    _, found = ask(client, "surprise", model=f"models/{kind}", text=TEXT)
    np.testing.assert_allclose(found["bits"][-len(nats) :], nats / BITS, rtol=0, atol=1e-5)


@pytest.mark.parametrize("at", [1, 5, 60])
def test_what_was_expected_is_what_the_number_came_from(client, at):
    text = TEXT * 4
    meta, found = ask(client, "surprise", model="models/ours", text=text)
    told = client.post("/api/lens/surprise/token", json={"model": "models/ours", "text": text, "at": at}).json()
    likeliest = [one["probability"] for one in told["expected"]]
    assert likeliest == sorted(likeliest, reverse=True)
    rank = int(found["rank"][at])
    for place, one in enumerate(told["expected"], 1):
        if one["id"] == meta["ids"][at]:
            assert place == rank
            assert one["probability"] == pytest.approx(2 ** -found["bits"][at], rel=1e-5)
            break
    else:
        assert rank > len(likeliest)


def test_two_models_with_other_tokens(client, home, bpe):
    first, second = (load(home / name) for name in ("models/ours", bpe))
    expected = lens.compare(lens.surprisal(*first, TEXT), lens.surprisal(*second, TEXT))
    meta, found = ask(client, "surprise/difference", model="models/ours", other=bpe, text=TEXT)
    assert meta["is_aligned"]
    assert "".join(meta["pieces"]) == TEXT
    np.testing.assert_allclose(found["first"] - found["second"], -expected.difference_N.numpy() / BITS, rtol=1e-12)
    assert (meta["first_bits_per_byte"], meta["second_bits_per_byte"]) == expected.bits_per_byte
    both = ~np.isnan(found["first"] + found["second"])
    assert meta["counted"] == both.sum()
    assert meta["first_bits"] == pytest.approx(found["first"][both].sum())
    meta, found = ask(client, "surprise/difference", model="models/ours", other="models/ours", text=TEXT)
    assert not meta["is_aligned"]
    assert np.nanmax(np.abs(found["first"] - found["second"])) == 0


def test_surprise_refuses_in_one_line(client):
    for body, said in [
        ({"text": ""}, "nothing to read"),
        ({"text": "\N{SNOWMAN}"}, "\N{SNOWMAN}"),
        ({"text": "a" * 100_001}, "text"),
        ({"model": "models/none"}, "models/none"),
    ]:
        answer = client.post("/api/lens/surprise", json={"model": "models/ours", "text": TEXT} | body)
        assert 400 <= answer.status_code < 500
        assert said in answer.json()["error"]
    answer = client.post("/api/lens/surprise/token", json={"model": "models/ours", "text": TEXT, "at": len(TEXT)})
    assert f"no token {len(TEXT)}" in answer.json()["error"]


@pytest.mark.parametrize("kind", [*KINDS, "half"])
def test_induction_is_the_python_apis(client, home, kind):
    model, tokenizer = load(home / "models" / kind)
    expected = lens.induction(model, tokenizer, length=12, n_sequences=4, seed=5)
    asked = {"model": f"models/{kind}", "length": 12, "sequences": 4, "seed": 5}
    meta, found = ask(client, "induction", **asked)
    for name, of in [("prefix", "prefix_LH"), ("control", "control_LH"), ("copying", "copying_LH"), ("loss", "loss_T")]:
        np.testing.assert_array_equal(found[name], getattr(expected, of).float().numpy())
    assert meta["found"] == expected.heads
    assert meta["second_half_nats"] == expected.second_half_nats
    assert meta["checkpoints"] == []
    tokens = expected.sequences.repeated_BT[:1]
    one, pattern = ask(client, "induction/head", **asked, layer=1, head=2)
    assert one["tokens"] == [tokenizer.token_text(index) for index in tokens[0].tolist()]
    assert one["tokens"][-12:] == one["tokens"][-24:-12]
    np.testing.assert_allclose(
        pattern["pattern"], read(model, tokens)["blocks.1.attn.pattern"][0, 2].float().numpy(), rtol=0, atol=1e-6
    )


@pytest.mark.slow
def test_induction_over_the_checkpoints_of_a_run(tmp_path):
    words = training(tmp_path, "fox", 6, "--train.checkpoint-every", "2", "--train.keep-checkpoints", "all")
    environment = os.environ | {"CUTAWAY_RUNS": str(tmp_path / "runs"), "CUTAWAY_CACHE": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-m", "cutaway", *words], env=environment, check=True, capture_output=True)
    asked = {"model": "fox", "length": 5, "sequences": 3}
    with TestClient(create_app(Lab(tmp_path / "runs"))) as client:
        steps = ask(client, "induction", **asked)[0]["checkpoints"]
        assert {2, 4, 6} <= set(steps)
        wait_for(lambda: ask(client, "induction/checkpoints", **asked)[0]["state"] == "done")
        meta, found = ask(client, "induction/checkpoints", **asked)
        assert client.post("/api/lens/induction/checkpoints", json=asked | {"model": "none"}).status_code == 404
    assert (meta["share"], meta["total"]) == (1, len(steps))
    assert found["steps"].tolist() == steps
    for k, step in enumerate(steps):
        model, tokenizer = Run(tmp_path / "runs" / "fox").load(step)
        expected = lens.induction(model, tokenizer, length=5, n_sequences=3)
        np.testing.assert_allclose(found["prefix"][k], expected.prefix_LH.numpy(), rtol=0, atol=1e-6)
        np.testing.assert_allclose(found["copying"][k], expected.copying_LH.numpy(), rtol=0, atol=1e-5)
        assert found["second_half"][k] == pytest.approx(expected.second_half_nats, rel=1e-5)
        assert meta["found"][k] == expected.heads


def test_induction_refuses_in_one_line(client):
    for path, body, said in [
        ("induction", {"length": 400}, "expected 2 to"),
        ("induction/head", {"layer": 2, "head": 0}, "layers 0 to 1"),
        ("induction/checkpoints", {}, "no checkpoints"),
    ]:
        answer = client.post(f"/api/lens/{path}", json={"model": "models/ours"} | body)
        assert 400 <= answer.status_code < 500
        assert said in answer.json()["error"]
