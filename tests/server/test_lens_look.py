"""What the lab says of attention, surprise and induction, against the Python API and against transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from server.answers import arrays
from server.model_folders import KINDS, TOKENIZER, save_model

from cutaway import lens
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.server.routes.lens_attention import SMALL, pooled
from cutaway.workbench import load

TEXT = "the cat sat. the cat sat"


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


def test_a_model_written_anew_is_read_anew(tmp_path):
    save_model(tmp_path / "models" / "one", "gpt2", seed=1)
    with TestClient(create_app(Lab(tmp_path))) as client:
        _, before = ask(client, "attention", model="models/one", text=TEXT)
        save_model(tmp_path / "models" / "one", "gpt2", seed=2)
        _, after = ask(client, "attention", model="models/one", text=TEXT)
    assert np.abs(before["score"] - after["score"]).max() > 0.01
