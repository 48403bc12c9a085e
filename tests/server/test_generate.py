"""What the Write tab asks: equal to `generate`, in bursts, branches, and an end when nobody listens."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from web.browser import serving

from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import generate
from cutaway.interop.hub_folder import save_folder
from cutaway.models.build import build
from cutaway.models.config import GPTConfig
from cutaway.models.decoder import Decoder
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.server.routes import generate as routes
from cutaway.text.characters import CharacterTokenizer

TOKENIZER = CharacterTokenizer(["<|endoftext|>", "\n", *"abcdefghijklmnopqrstuvwxyz "])
CONFIG = GPTConfig(TOKENIZER.vocab_size, 32, 24, 2, 4, n_kv_heads=2, zero_init_projections=False, init_std=0.3)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    home = tmp_path_factory.mktemp("home")
    save_folder(home / "models" / "small", build(CONFIG, seed=1), TOKENIZER)
    return Lab(home)


@pytest.fixture(scope="module")
def client(lab: Lab) -> Iterator[TestClient]:
    with TestClient(create_app(lab)) as started:
        yield started


@pytest.fixture(scope="module")
def model(lab: Lab) -> Decoder:
    return lab.models.open("models/small").model


def written_by(model: Decoder, **settings: Any) -> list[int]:
    return generate(model, TOKENIZER, "hello", SamplingConfig(**settings))[0].tokens


def write(client: TestClient, **asked: Any) -> tuple[dict, list[dict], dict]:
    """Return the start, all tokens and the end of a text."""
    answer = client.post("/api/generate/write", json={"model": "models/small", "prompt": "hello", **asked})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
    assert [event["event"] for event in events] == ["start", *["tokens"] * (len(events) - 2), "end"]
    return events[0], [token for event in events[1:-1] for token in event["tokens"]], events[-1]


def test_it_writes_what_generate_writes(client: TestClient, model: Decoder) -> None:
    settings = {"max_tokens": 60, "temperature": 1.0, "top_p": 0.9, "seed": 4, "repetition_penalty": 1.1}
    start, tokens, end = write(client, settings=settings)
    theirs = generate(model, TOKENIZER, "hello", SamplingConfig(**settings), logprobs=0)[0]
    assert [token["id"] for token in tokens] == theirs.tokens
    assert "".join(token["text"] for token in tokens) == end["text"] == theirs.text
    assert [token["t"] for token in tokens] == list(range(len(tokens)))
    assert theirs.logprobs is not None
    for token, logprob in zip(tokens, theirs.logprobs, strict=True):
        assert token["probability"] == pytest.approx(torch.tensor(logprob).exp().item(), rel=1e-5)
    assert start["prompt_tokens"] == 6
    assert start["cut"] == 0
    assert start["temperatures"] == [1.0] * 60
    assert end["reason"] == theirs.stop_reason


def test_entropy_is_that_of_the_model(client: TestClient, model: Decoder) -> None:
    _, tokens, _ = write(client, settings={"max_tokens": 5, "temperature": 0.3, "seed": 2})
    ids = torch.tensor([[*TOKENIZER.prompt_ids("hello"), *(token["id"] for token in tokens)]])
    with torch.no_grad():
        logits = model(ids)[0, 5:-1].double()
    entropy = torch.distributions.Categorical(logits=logits).entropy() / torch.log(torch.tensor(2.0))
    assert [token["entropy_bits"] for token in tokens] == pytest.approx(entropy.tolist(), abs=1e-4)


def test_a_branch(client: TestClient) -> None:
    settings = {"max_tokens": 40, "temperature": 1.0, "seed": 1}
    _, trunk, _ = write(client, settings=settings)
    other = next(i for i in range(2, TOKENIZER.vocab_size) if i != trunk[9]["id"])
    _, branch, whole = write(client, settings=settings, forced={9: other})
    _, rest, end = write(client, settings=settings, given=[*(token["id"] for token in trunk[:9]), other])
    assert [token["id"] for token in branch[:9]] == [token["id"] for token in trunk[:9]]
    assert [token["id"] for token in branch[10:]] == [token["id"] for token in rest]
    assert end["text"] == whole["text"]
    assert rest[0]["t"] == 10


def test_a_stop_string_is_cut_off(client: TestClient) -> None:
    _, tokens, end = write(client, settings={"max_tokens": 60, "seed": 1})
    text = "".join(token["text"] for token in tokens)
    stop = text[10:12]
    _, shorter, ended = write(client, settings={"max_tokens": 60, "seed": 1, "stop": [stop]})
    assert ended["reason"] == "stop"
    assert ended["text"] == text[: text.index(stop)]
    assert len(shorter) < len(tokens) or end["reason"] == "end"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"prompt": "héllo"}, "characters this model never saw in training: 'é'"),
        ({"settings": {"temperature": "t +"}}, "in the temperature formula"),
        ({"settings": {"temperature": -1}}, "expected a number from 0 up"),
        ({"settings": {"top_p": 0}}, "generate.top_p is 0"),
        ({"settings": {"max_tokens": 0}}, "settings.max_tokens"),
        ({"forced": {"3": 99}}, "there is no token 99"),
        ({"model": "nothing-1"}, "nothing-1"),
    ],
)
def test_what_makes_no_sense_is_said_at_once(client: TestClient, asked: dict, said: str) -> None:
    answer = client.post("/api/generate/write", json={"model": "models/small", "prompt": "hello", **asked})
    assert answer.status_code in (400, 404, 422)
    assert said in answer.json()["error"]


def test_a_long_prompt_is_cut_and_that_is_said(client: TestClient) -> None:
    start, _, _ = write(client, prompt="a" * 100, settings={"max_tokens": 2})
    assert start["prompt_tokens"] == 101
    assert 101 - start["cut"] <= 32


def test_names_of_tokens(client: TestClient) -> None:
    answer = client.post("/api/generate/token-names", json={"model": "models/small", "ids": [0, 1, 2]})
    assert answer.json() == {"texts": ["<|endoftext|>", "\n", "a"]}


@pytest.mark.slow
def test_writing_stops_when_nobody_listens(lab: Lab, model: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    n_written, over = 0, threading.Event()
    push, written = routes.Teller.push, routes.written

    def slow(teller: routes.Teller, token: int) -> str:
        nonlocal n_written
        n_written += 1
        time.sleep(0.005)
        return push(teller, token)

    def watched(*arguments: Any) -> Iterator[Any]:
        try:
            yield from written(*arguments)
        finally:
            over.set()

    monkeypatch.setattr(routes.Teller, "push", slow)
    monkeypatch.setattr(routes, "written", watched)
    settings = {"max_tokens": 4096, "temperature": 5.0}
    long = (seed for seed in range(999) if len(written_by(model, max_tokens=60, temperature=5.0, seed=seed)) == 60)
    body = json.dumps({"model": "models/small", "prompt": "hello", "settings": {**settings, "seed": next(long)}})
    with serving(create_app(Lab(lab.home))) as address:
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=20)
        connection.request("POST", "/api/generate/write", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        while n_written < 10:
            assert answer.readline() != b""
        answer.close()
        connection.close()
        assert over.wait(20)
    assert 10 <= n_written < 50
