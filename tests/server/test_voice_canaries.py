"""The prompts as a form: what is kept is what a file edited by hand would say, and mistakes are one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from server.writings import make_compared

from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.voice.canaries import FILE, canaries_of, read_canaries

PATH = "/api/voice/canaries"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_compared(tmp_path / "home")


@pytest.fixture
def client(home: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Lab(home))) as client:
        yield client


def told(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get(PATH, params={"writing": "voice"}).json()
    return found


def test_they_are_the_files_and_go_there(client: TestClient, home: Path) -> None:
    file = home / "voice" / FILE
    before, said = canaries_of(home / "voice"), told(client)
    assert said["prompts"] == [vars(one) for one in before.prompts]
    assert {name: said[name] for name in vars(before.settings)} == vars(before.settings)
    kept = client.post(PATH, json={"writing": "voice", **said}).json()
    assert kept == said
    assert read_canaries(file) == before  # nothing changed, nothing moved
    said["prompts"][0]["text"] = ' "Quoted", with a \\ and\na new line '
    taken = {one["name"] for one in said["prompts"]}
    for text in ("Write about snow.", "Write about rain."):
        said["prompts"].insert(1, {"name": "", "kind": "new", "text": text, "max_tokens": 7})
    said |= {"samples": 2, "seed": 5, "temperature": 0.5, "top_p": None}
    kept = client.post(PATH, json={"writing": "voice", **said}).json()
    after = read_canaries(file)
    assert after.prompts[0].text == '"Quoted", with a \\ and\na new line'
    assert len({one.name for one in after.prompts}) == len(after.prompts) == len(taken) + 2
    assert after.prompts[1].name.startswith("new-")
    assert (after.prompts[1].text, after.prompts[1].max_tokens) == ("Write about rain.", 7)
    assert after.prompts[2].text == "Write about snow."
    assert after.prompts[3:] == before.prompts[1:]
    assert vars(after.settings) == {"samples": 2, "seed": 5, "temperature": 0.5, "top_p": None}
    assert kept == told(client)


def test_answers_to_what_stays_stay(client: TestClient) -> None:
    asked = {"writing": "voice", "models": "me-1,hf:small/base"}
    n = len(client.get("/api/voice/compare", params=asked).json()["prompts"])
    said = told(client)
    was = said["prompts"][0]["text"]

    def answered() -> list[int]:
        return [one["answers"] for one in client.get("/api/voice/compare", params=asked).json()["sides"]]

    assert answered() == [n, n]
    for text, left in (("something else", n - 1), (was, n)):
        said["prompts"][0]["text"] = text
        client.post(PATH, json={"writing": "voice", **said})
        assert answered() == [left, left]


def test_mistakes_are_one_line_and_change_nothing(client: TestClient, home: Path) -> None:
    said, file = told(client), home / "voice" / FILE
    before = file.read_bytes()
    first = said["prompts"][0]
    for wrong, says in (
        ({"prompts": []}, "no prompt left"),
        ({"prompts": [first | {"text": "  "}]}, "prompt 1: text is empty"),
        ({"prompts": [first, first | {"max_tokens": 0}]}, "prompt 2: max_tokens is 0"),
        ({"prompts": [first, first]}, "two prompts are called"),
        ({"prompts": [first | {"kind": "odd"}]}, "kind"),
        ({"samples": 0}, "samples is 0"),
        ({"temperature": None}, "temperature"),
        ({"writing": "nowhere"}, "nowhere"),
    ):
        answer = client.post(PATH, json={"writing": "voice", **said, **wrong})
        assert answer.status_code in (400, 404, 422), answer.text
        assert says in answer.json()["error"]
        assert "\n" not in answer.json()["error"]
        assert file.read_bytes() == before
