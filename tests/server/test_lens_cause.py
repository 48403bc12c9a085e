"""What the lab says of layers, shares and missing parts, against the Python API and against transformers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from server.answers import arrays
from server.model_folders import KINDS, TOKENIZER, save_model

from cutaway.lens.ablate import ablate, scan
from cutaway.lens.attribution import attribute
from cutaway.lens.patch import WHAT, patch
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.workbench import load

TEXT = "the cat sat on a mat"
SECOND = "the dog sat on a mat"


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


def refused(client, path, **body):
    answer = client.post(f"/api/lens/{path}", json=body)
    assert answer.status_code in (400, 404, 422), answer.text
    return answer.json()["error"], answer.json()["field"]


def theirs(home, kind, text):
    """Return what each block of the same model in transformers leaves, and what it says in the end."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(home / "models" / kind).eval()
    with torch.no_grad():
        found = model(torch.tensor([TOKENIZER.prompt_ids(text)]), output_hidden_states=True)
    base = model.transformer if kind == "gpt2" else model.model
    return model, (base.ln_f if kind == "gpt2" else base.norm), found


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_the_layers_are_transformers_hidden_states_through_its_norm_and_head(client, home, kind):
    model, norm, found = theirs(home, kind, TEXT)
    meta, numbers = ask(client, "layers", model=f"models/{kind}", prompt=TEXT)
    final_TV = found.logits[0].double().log_softmax(-1)
    answer_T = final_TV.argmax(-1)
    assert meta["tokens"] == list(TEXT)
    assert meta["answers"] == [TOKENIZER.token_text(int(one)) for one in answer_T]
    ends = [i for i, row in enumerate(meta["rows"]) if row["depth"] == int(row["depth"])]
    assert [meta["rows"][i]["name"] for i in ends] == ["embed", "blocks.0.resid_post", "blocks.1.resid_post"]
    for i, state in zip(ends, found.hidden_states, strict=True):
        with torch.no_grad():  # the last state of transformers already went through the norm
            logits_TV = model.lm_head(state[0] if i == ends[-1] else norm(state[0])).double()
        log_TV = logits_TV.log_softmax(-1)
        own_T = log_TV.gather(1, answer_T[:, None])
        np.testing.assert_allclose(numbers["probability"][i], own_T[:, 0].exp(), atol=1e-5)
        np.testing.assert_array_equal(numbers["rank"][i], 1 + (log_TV > own_T).sum(-1))
        kl_T = (final_TV.exp() * (final_TV - log_TV)).sum(-1)
        np.testing.assert_allclose(numbers["kl"][i], kl_T, atol=1e-5)
        np.testing.assert_allclose(numbers["entropy"][i], -(log_TV.exp() * log_TV).sum(-1), atol=1e-5)
        chance, ids = log_TV.exp().topk(meta["most"])
        np.testing.assert_allclose(numbers["chance"][i], chance, atol=1e-5)
        told = [[meta["texts"][one] for one in row] for row in numbers["top"][i]]
        assert told == [[TOKENIZER.token_text(int(one)) for one in row] for row in ids]
    assert np.all(numbers["kl"][-1] == 0)
    assert np.all(numbers["rank"][-1] == 1)


@pytest.mark.parametrize("kind", [*KINDS, "half"])
def test_why_is_the_python_api_and_adds_up(client, home, kind):
    model, tokenizer = load(home / "models" / kind)
    for token, rather, position in [("", "", -1), ("a", "t", 4), ("#3", "", 0)]:
        expected = attribute(
            model,
            tokenizer,
            TEXT,
            None if not token else 3 if token == "#3" else token,
            rather or None,
            position,
        )
        body = {"prompt": TEXT, "token": token, "rather": rather, "position": position}
        meta, numbers = ask(client, "why", model=f"models/{kind}", **body)
        assert [(t["name"], t["kind"], t["layer"], t["value"]) for t in meta["terms"]] == [
            (t.name, t.kind, t.layer, t.value) for t in expected.terms
        ]
        assert meta["logit"] == expected.logit
        assert meta["position"] == expected.answer.position
        assert meta["token"]["id"] == expected.answer.token
        assert (meta["rather"] or {"id": None})["id"] == expected.answer.other
        assert meta["reading"] == expected.reading
        total = sum(term["value"] for term in meta["terms"])
        assert math.isclose(total, meta["logit"], abs_tol=0.1 if kind == "half" else 1e-4)
        np.testing.assert_array_equal(numbers["sources"], expected.sources_LHS.numpy())
        heads = {t["name"]: t["value"] for t in meta["terms"] if t["kind"] == "head"}
        for layer in range(2):
            for head in range(4):
                share = numbers["sources"][layer, head].sum()
                assert math.isclose(share, heads[f"{layer}.{head}"], abs_tol=0.05 if kind == "half" else 1e-5)
            told = [(one["unit"], one["value"]) for one in meta["neurons"][layer]]
            assert told == expected.top_neurons(layer, 12)


def test_the_candidates_are_the_models_own(client, home):
    model, tokenizer = load(home / "models" / "gpt2")
    with torch.no_grad():
        logits_V = model(torch.tensor([tokenizer.prompt_ids(TEXT)]))[0, 6]
    meta, _ = ask(client, "why", model="models/gpt2", prompt=TEXT, position=6)
    expected = logits_V.softmax(-1).topk(10)
    assert [one["id"] for one in meta["candidates"]] == expected.indices.tolist()
    np.testing.assert_allclose([one["probability"] for one in meta["candidates"]], expected.values.tolist(), atol=1e-6)
    assert [one["text"] for one in meta["candidates"]] == [tokenizer.token_text(i) for i in expected.indices.tolist()]


@pytest.mark.parametrize("kind", [*KINDS, "half"])
@pytest.mark.parametrize("how", ["zero", "mean"])
def test_what_is_taken_away_is_the_python_apis_ablation(client, home, kind, how):
    model, tokenizer = load(home / "models" / kind)
    parts = ["1.2", "mlp 0", "mlp 1 unit 17"]
    expected = ablate(model, tokenizer, TEXT, parts, by=how)
    meta, numbers = ask(client, "ablate", model=f"models/{kind}", prompt=TEXT, off=parts, how=how)
    assert math.isclose(meta["loss_before"], expected.before.loss_nats, abs_tol=1e-6)
    assert math.isclose(meta["loss_after"], expected.after.loss_nats, abs_tol=1e-6)
    assert math.isclose(np.nanmean(numbers["after"]), meta["loss_after"], abs_tol=1e-12)
    assert math.isnan(numbers["before"][0])
    assert meta["off"] == parts
    chances = {one["id"]: one for one in meta["candidates"]}
    assert math.isclose(chances[expected.answer.token]["before"], expected.before.probability, abs_tol=1e-6)
    assert math.isclose(chances[expected.answer.token]["after"], expected.after.probability, abs_tol=1e-6)
    assert max(meta["candidates"], key=lambda one: one["after"])["id"] == expected.guess
    first = [one["before"] for one in meta["candidates"][:6]]
    assert first == sorted(first, reverse=True)


def test_nothing_taken_away_changes_nothing(client):
    meta, numbers = ask(client, "ablate", model="models/gpt2", prompt=TEXT)
    np.testing.assert_array_equal(numbers["before"], numbers["after"])
    assert meta["loss_before"] == meta["loss_after"]
    assert (meta["layers"], meta["heads"], meta["units"]) == (2, 4, 96)


@pytest.mark.parametrize("how", ["zero", "mean"])
def test_the_scan_is_each_part_by_itself(client, home, how):
    model, tokenizer = load(home / "models" / "llama")
    expected = scan(model, tokenizer, TEXT, by=how, position=9)
    meta, numbers = ask(client, "ablate/scan", model="models/llama", prompt=TEXT, how=how, position=9)
    np.testing.assert_array_equal(numbers["loss_heads"], expected.heads_loss_LH - expected.before.loss_nats)
    np.testing.assert_array_equal(numbers["answer_mlps"], expected.before.logit - expected.mlps_logit_L)
    assert meta["answer"]["id"] == expected.answer.token
    alone, _ = ask(client, "ablate", model="models/llama", prompt=TEXT, how=how, off=["1.3"])
    assert math.isclose(alone["loss_after"] - alone["loss_before"], numbers["loss_heads"][1, 3], abs_tol=1e-5)


@pytest.mark.parametrize("kind", [*KINDS, "half"])
@pytest.mark.parametrize("what", WHAT)
def test_what_is_carried_over_is_the_python_apis_patching(client, home, kind, what):
    model, tokenizer = load(home / "models" / kind)
    body = {"prompt": TEXT, "second": SECOND, "what": what, "answer": "a", "other": "t"}
    expected = patch(model, tokenizer, TEXT, SECOND, "a", "t", what)
    meta, numbers = ask(client, "patch", model=f"models/{kind}", **body)
    np.testing.assert_array_equal(numbers["effect"], expected.effect_LX.numpy())
    np.testing.assert_array_equal(numbers["value"], expected.patched_LX.numpy())
    assert (meta["first_value"], meta["second_value"]) == (expected.clean_logit, expected.corrupted_logit)
    assert len(meta["columns"]) == numbers["effect"].shape[1]
    if what != "z":
        assert meta["columns"] == list(SECOND)
        assert meta["others"] == list(TEXT)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_where_one_token_differs_the_stream_there_carries_everything(client, kind):
    body = {"prompt": TEXT, "second": "the bat sat on a mat", "answer": "a", "other": "t"}
    _, numbers = ask(client, "patch", model=f"models/{kind}", **body)
    effect = numbers["effect"]
    assert effect[0, 4] == pytest.approx(1, abs=1e-3)
    assert np.all(effect[0, :4] == 0)
    assert np.all(effect[0, 5:] == 0)


def test_heads_are_carried_over_at_one_position(client, home):
    model, tokenizer = load(home / "models" / "gpt2")
    body = {"prompt": TEXT, "second": SECOND, "what": "z", "answer": "a", "other": "t"}
    meta, numbers = ask(client, "patch", model="models/gpt2", at=6, **body)
    expected = patch(model, tokenizer, TEXT, SECOND, "a", "t", "z", at=[6])
    np.testing.assert_array_equal(numbers["effect"], expected.effect_LX.numpy())
    assert meta["at"] == 6


def test_left_out_tokens_are_the_two_texts_own_answers(client, home):
    model, tokenizer = load(home / "models" / "gpt2")

    def first(text):
        with torch.no_grad():
            return int(model(torch.tensor([tokenizer.prompt_ids(text)]))[0, -1].argmax())

    texts = ["the cat", "a dog", "mat.", "ABC", "xyz, w", "qq", "hello"]
    one, two = next((a, b) for a in texts for b in texts if len(a) == len(b) and first(a) != first(b))
    meta, _ = ask(client, "patch", model="models/gpt2", prompt=one, second=two)
    assert (meta["answer"]["id"], meta["other"]["id"]) == (first(one), first(two))
    assert meta["answer"]["id"] == meta["first_candidates"][0]["id"]


def test_texts_of_different_length_are_laid_side_by_side_or_refused(client):
    meta, numbers = ask(
        client, "patch", model="models/gpt2", prompt="the cat sat", second="the horse sat", other="a", answer="b"
    )
    assert np.isnan(numbers["effect"]).any()
    assert "first 4 and the last 4" in meta["note"]
    assert meta["others"][4] is None
    error, field = refused(client, "patch", model="models/gpt2", prompt="the cat", second="the horses")
    assert field == "second"
    assert "cannot be laid side by side" in error


@pytest.mark.parametrize(
    ("path", "body", "said", "at"),
    [
        ("layers", {"prompt": ""}, "nothing to read", "prompt"),
        ("layers", {"prompt": "Zürich"}, "Z", "prompt"),
        ("why", {"token": "abc"}, "3 tokens, not one", "token"),
        ("why", {"token": "#99"}, "no token 99", "token"),
        ("why", {"token": "a", "rather": "a"}, "choose two different", "rather"),
        ("ablate", {"off": ["7.0"]}, "heads 0.0 to 1.3", "off"),
        ("ablate", {"off": ["mlp 0 unit 96"]}, "units 0 to 95", "off"),
        ("ablate", {"off": ["everything"]}, "no part of a model", "off"),
        ("patch", {"second": "Zürich"}, "Z", "second"),
        ("patch", {"second": SECOND, "answer": "a", "other": "a"}, "choose two different", "other"),
        ("patch", {"second": TEXT}, "nothing to bring back", "second"),
    ],
)
def test_what_cannot_be_asked_says_why_and_where(client, path, body, said, at):
    error, field = refused(client, path, **{"model": "models/gpt2", "prompt": TEXT, **body})
    assert said in error
    assert field == at
    assert "\n" not in error


def test_a_long_text_is_cut_from_the_left_and_a_position_beyond_is_the_last(client):
    long = TEXT * 5
    for path in ("layers", "why", "ablate"):
        meta, _ = ask(client, path, model="models/gpt2", prompt=long, position=400)
        assert meta["cut"] == len(long) - 48
        assert meta["tokens"] == list(long[-48:])
        assert meta.get("position", 47) == 47


def test_a_model_that_diverged_is_refused_in_words(home, client):
    from safetensors.torch import load_file, save_file

    folder = save_model(home / "models" / "broken", "gpt2")
    file = next(folder.glob("*.safetensors"))
    save_file({name: tensor * math.nan for name, tensor in load_file(file).items()}, file)
    for path in ("why", "ablate", "patch"):
        error, _ = refused(client, path, model="models/broken", prompt=TEXT, second=SECOND)
        assert "infinite or undefined" in error
