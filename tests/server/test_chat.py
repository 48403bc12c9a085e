"""Asking in turns: the answer of the model, a place in line for everybody, and a lab that does nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from fastapi.testclient import TestClient
from server.model_folders import save_model
from server.serving import serving_lab, wait_until

from cutaway import workbench
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import generate, prompt_ids
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.server.safety import Access
from cutaway.server.sessions import Sessions
from cutaway.server.streams import Streams

PEOPLE = 50


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("chat")
    for kind in ("gpt2", "llama"):
        save_model(home / "models" / kind, kind)
    return home


@pytest.fixture(scope="module")
def port(home: Path) -> Iterator[int]:
    with serving_lab(Lab(home)) as port:
        yield port


def asked(port: int, question: str, model: str = "models/gpt2", **settings: Any) -> list[dict[str, Any]]:
    body = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": 8, **settings}
    with httpx.stream("POST", f"http://127.0.0.1:{port}/api/chat/answer", json=body, timeout=60) as answer:
        if answer.status_code != 200:
            answer.read()
            return [{"event": "refused", "status": answer.status_code, "error": answer.json()["error"]}]
        return [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(one["text"] for one in events if one["event"] == "text")


def test_the_answer_is_the_models(home: Path, port: int) -> None:
    events = asked(port, "hello", seed=3, temperature=0.7)
    assert events[0] == {"event": "place", "ahead": 0}
    model, tokenizer = workbench.load(home / "models" / "gpt2")
    config = SamplingConfig(temperature=0.7, max_tokens=8, seed=3)
    expected = generate(model, tokenizer, prompt_ids(tokenizer, "hello", model), config)[0]
    assert text_of(events) == expected.text
    assert (events[-1]["event"], events[-1]["reason"], events[-1]["tokens"]) == ("end", "length", 8)


@pytest.mark.slow
def test_fifty_people_at_once_are_all_answered_or_told_their_place(home: Path) -> None:
    """All at once, half of them twice: nobody is lost, places only come down, and memory stays bounded."""
    lab = Lab(home)
    lab.streams = Streams(at_once=2)
    gate = threading.Barrier(PEOPLE)

    def person(number: int) -> list[list[dict[str, Any]]]:
        gate.wait(60)
        times = 1 + number % 2
        return [asked(port, "a question of mine", seed=number, person=str(number), max_tokens=6) for _ in range(times)]

    with serving_lab(lab) as port:
        asked(port, "warm")
        before = psutil.Process().memory_info().rss
        with ThreadPoolExecutor(PEOPLE) as pool:
            told = list(pool.map(person, range(PEOPLE)))
        grown = psutil.Process().memory_info().rss - before
        wait_until(lambda: lab.streams.n_running == 0)
    answers = [events for one in told for events in one]
    assert len(answers) == PEOPLE + PEOPLE // 2
    for own in told:
        for events in own:
            places = [one["ahead"] for one in events if one["event"] == "place"]
            assert places, "everybody is told"
            if events is own[0]:  # who asks a second time may be passed by who asks a first
                assert places == sorted(places, reverse=True), "one only comes nearer"
            assert events[-1]["event"] == "end", events[-1]
            assert text_of(events) == text_of(own[0])
    assert max(events[0]["ahead"] for events in answers) >= PEOPLE // 4, "most had to wait, and were told"
    assert not lab.streams._queue._last_round, "nothing is remembered of who was answered"
    assert len(lab.models.open_names()) == 1
    assert grown < 200 << 20


@pytest.mark.slow
def test_who_asks_too_much_at_once_is_told_so(home: Path) -> None:
    lab = Lab(home)
    lab.streams = Streams(at_once=1, waiting=3, waiting_each=2)
    with serving_lab(lab) as port, ThreadPoolExecutor(8) as pool:
        asked(port, "warm")
        wait_until(lambda: lab.streams.n_running == 0)
        with lab.models.open("models/gpt2").lock:  # nobody is answered meanwhile
            waiting = [pool.submit(asked, port, "a", person="a") for _ in range(3)]
            wait_until(lambda: lab.streams.n_waiting == 2)
            refused = asked(port, "a", person="a")[0]
            assert (refused["status"], "2 of your questions wait already" in refused["error"]) == (503, True)
            waiting.append(pool.submit(asked, port, "b", person="b"))
            wait_until(lambda: lab.streams.n_waiting == 3)
            assert "3 wait already" in asked(port, "c", person="c")[0]["error"]
        assert all(one.result()[-1]["event"] == "end" for one in waiting)


def test_what_cannot_be_answered_is_said(port: int) -> None:
    assert asked(port, "x" * 5000)[-1]["error"].startswith("the prompt has ")
    assert "no model 'models/gpt9'" in asked(port, "hi", model="models/gpt9")[-1]["error"]
    assert asked(port, "hi", temperature=9)[0]["status"] == 400
    assert asked(port, "hi", messages=[])[0]["status"] == 400


@pytest.mark.slow
def test_visitors_can_ask_and_nothing_else(home: Path) -> None:
    access = Access(Sessions("open sesame"), is_guest=True)
    lab = Lab(home, offered=("models/llama",))
    with serving_lab(lab, access) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        assert client.get("/api/chat").status_code == 401
        assert client.post("/api/login", json={"password": "wrong one"}).status_code == 422
        assert client.post("/api/login", json={"password": "open sesame"}).status_code == 200
        frame = client.get("/api/chat").json()
        assert ([one["name"] for one in frame["models"]], frame["is_guest"]) == (["models/llama"], True)
        for path in ("runs", "about", "voice", "models", "traces", "events", "jobs", "chatter/../runs"):
            assert client.get(f"/api/{path}").status_code in (403, 404), path
        assert client.delete("/api/runs/x").status_code == 403
        body = {"model": "models/gpt2", "messages": [{"role": "user", "content": "hi"}]}
        refused = client.post("/api/chat/answer", json=body)
        assert (refused.status_code, "there is models/llama" in refused.json()["error"]) == (404, True)
        assert [one["id"] for one in client.get("/v1/models").json()["data"]] == ["models/llama"]
        other = client.post("/v1/chat/completions", json=body)
        assert (other.status_code, other.json()["error"]["code"]) == (404, "model_not_found")
        assert (
            client.post("/api/chat/answer", json={**body, "model": "models/llama", "max_tokens": 2}).status_code == 200
        )


def test_the_lab_itself_shows_all_models(home: Path) -> None:
    frame = TestClient(create_app(Lab(home))).get("/api/chat").json()
    assert ({one["name"] for one in frame["models"]}, frame["is_guest"]) == ({"models/gpt2", "models/llama"}, False)
    assert all("parameters" in one["about"] for one in frame["models"])
