"""The Writing tab's answers: equal to the terminal's, from the same files; uploads that lead nowhere else."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from server.writings import LINE, essay_text, make_export

from cutaway.cli.main import main
from cutaway.interop.conversations import read_conversations
from cutaway.server import voice_uploads
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.server.safety import Access
from cutaway.voice.clean import RULES, clean
from cutaway.voice.pairs import read_topics
from cutaway.voice.piece import read_pieces


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab") / "home"


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[TestClient]:
    """A lab with one folder, imported, cleaned and made into pairs by asking the lab."""
    home.mkdir()
    export = make_export(home.parent / "export")
    with TestClient(create_app(Lab(home))) as client:
        for file in export.iterdir():
            kept = client.post("/api/uploads/voice/key12345", params={"path": f"essays/{file.name}"},
                               content=file.read_bytes())  # fmt: skip
            assert kept.json() == {"size_bytes": file.stat().st_size}
        said = client.post("/api/voice/import", json={"writing": "voice", "upload": "key12345"})
        assert said.status_code == 200, said.text
        client.post("/api/voice/clean", json={"writing": "voice", "without": ["urls"]})
        client.post("/api/voice/pairs", json={"writing": "voice", "seed": 1})
        yield client


def test_the_files_are_those_of_the_terminal(client: TestClient, home: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "voice")
    assert main(["voice", "import", str(make_export(tmp_path / "essays")), "--out", out]) == 0
    assert main(["voice", "clean", out, "--without", "urls"]) == 0
    assert main(["voice", "pairs", out, "--seed", "1"]) == 0
    for name in ("pieces.jsonl", "cleaned.jsonl", "removed.diff", "topics.toml", "train.jsonl", "held_out.jsonl"):
        assert (home / "voice" / name).read_bytes() == (tmp_path / "voice" / name).read_bytes(), name
    assert not (home / voice_uploads.FOLDER / "key12345").exists()


def test_what_was_found(client: TestClient, home: Path) -> None:
    said = client.get("/api/voice/writing", params={"writing": "voice"}).json()
    pieces = read_pieces(home / "voice" / "pieces.jsonl")
    assert said["imported"]["pieces"] == len(pieces) == 12
    assert said["imported"]["words"] == said["words_before"] == sum(piece.words for piece in pieces)
    assert said["imported"]["found"] == {"Markdown": 12}
    assert (said["imported"]["first_date"], said["imported"]["last_date"]) == ("2020-01-03", "2020-12-03")
    cleaned = read_pieces(home / "voice" / "cleaned.jsonl")
    assert said["words"] == sum(piece.words for piece in cleaned)
    assert said["is_cleaned"]


def test_each_rule_says_what_it_did_or_would_do(client: TestClient, home: Path) -> None:
    rules = client.get("/api/voice/writing", params={"writing": "voice"}).json()["rules"]
    pieces = read_pieces(home / "voice" / "pieces.jsonl")
    assert [rule["name"] for rule in rules] == list(RULES)
    done, all_on = clean(pieces, ["urls"]), clean(pieces)
    for rule in rules:
        expected = (done if rule["is_on"] else all_on).counts()[rule["name"]]
        assert {name: rule[name] for name in expected} == expected
        changes = client.get("/api/voice/changes", params={"writing": "voice", "rule": rule["name"]}).json()
        theirs = [one for one in (done if rule["is_on"] else all_on).changes if one.rule == rule["name"]]
        assert changes["total"] == len(theirs) == expected["blocks"]
        for one, change in zip(changes["changes"], theirs, strict=False):
            assert "".join(part["text"] for part in one["parts"] if part["where"] != "second") == change.before
            assert "".join(part["text"] for part in one["parts"] if part["where"] != "first") == change.after
    assert {rule["name"]: rule["blocks"] for rule in rules if rule["blocks"]} == {
        "subscription_boxes": 12, "footnote_marks": 12, "urls": 12, "boilerplate": 12,
    }  # fmt: skip


def test_one_piece_before_and_after(client: TestClient, home: Path) -> None:
    said = client.get("/api/voice/piece", params={"writing": "voice", "name": "essay-number-3"}).json()
    before = next(one for one in read_pieces(home / "voice" / "pieces.jsonl") if one.name == "essay-number-3")
    after = next(one for one in read_pieces(home / "voice" / "cleaned.jsonl") if one.name == "essay-number-3")
    texts = [["".join(part["text"] for part in block["parts"] if part["where"] != other) for other in ("second", "first")]
             for block in said["blocks"]]  # fmt: skip
    assert [first for first, _ in texts] == [block.text for block in before.blocks]
    assert [second for _, second in texts if second] == [block.text for block in after.blocks]
    gone = {block["parts"][0]["text"]: block["rules"] for block in said["blocks"] if block["is_gone"]}
    assert gone == {LINE: ["boilerplate"], "Subscribe now": ["subscription_boxes"]}
    assert said["facts"]["words_before"] == before.words
    assert said["facts"]["words"] == after.words
    note = client.get("/api/voice/piece", params={"writing": "voice", "name": "essay-number-3-footnote-1"}).json()
    assert note["facts"]["kind"] == "footnote"
    assert note["facts"]["words_before"] is None


def test_pieces_are_searched(client: TestClient) -> None:
    every = client.get("/api/voice/pieces", params={"writing": "voice"}).json()["pieces"]
    assert len(every) == 24
    found = client.get("/api/voice/pieces", params={"writing": "voice", "q": "NUMBER 7 rainy"}).json()["pieces"]
    assert "essay-number-7" in [one["name"] for one in found]
    assert len(found) < len(every)
    held = {one["name"] for one in every if one["side"] == "held_out"}
    report = client.get("/api/voice/pairs", params={"writing": "voice"}).json()["report"]
    assert held == set(report["held_out_pieces"])


def test_pairs_are_the_files(client: TestClient, home: Path) -> None:
    now = client.get("/api/voice/pairs", params={"writing": "voice"}).json()
    said = json.loads((home / "voice" / "pairs.json").read_text())
    assert not now["is_stale"]
    assert now["report"]["settings"]["seed"] == 1
    assert {one["tier"]: one["train"] for one in now["report"]["tiers"]} == {
        tier: counts["train"] for tier, counts in said["tiers"].items()
    }
    for side in ("train", "held_out"):
        theirs = read_conversations(home / "voice" / f"{side}.jsonl")
        listed = client.get("/api/voice/pair-list", params={"writing": "voice", "side": side, "limit": 200}).json()
        assert listed["total"] == len(theirs) == now["report"][side]
        last = len(theirs) - 1
        whole = client.get("/api/voice/pair", params={"writing": "voice", "side": side, "index": last}).json()
        assert [turn["text"] for turn in whole["turns"]] == [message.content for message in theirs[last].messages]
        only = client.get("/api/voice/pair-list", params={"writing": "voice", "side": side, "tier": "essay"}).json()
        assert only["total"] == sum(one.about["tier"] == "essay" for one in theirs)


def test_topics_are_kept_in_the_file(client: TestClient, home: Path) -> None:
    saved = client.post("/api/voice/topics", json={"writing": "voice", "topics": {"essay-number-2": " why it  rains "}})
    assert {one["piece"]: one["topic"] for one in saved.json()["topics"]}["essay-number-2"] == "why it rains"
    assert read_topics(home / "voice" / "topics.toml")["essay-number-2"] == "why it rains"
    assert client.get("/api/voice/pairs", params={"writing": "voice"}).json()["is_stale"]
    client.post("/api/voice/topics", json={"writing": "voice", "topics": {"essay-number-2": ""}})
    assert read_topics(home / "voice" / "topics.toml")["essay-number-2"] == "Essay number 2"
    wrong = client.post("/api/voice/topics", json={"writing": "voice", "topics": {"no-such": "x"}})
    assert wrong.status_code == 422
    assert "no-such" in wrong.json()["error"]


def test_drafts_come_and_go(client: TestClient, home: Path) -> None:
    client.post("/api/uploads/voice/drafts11", params={"path": "d/essay number 4.txt"}, content=b"rain wet, why")
    assert client.post("/api/voice/drafts", json={"writing": "voice", "upload": "drafts11"}).json() == {
        "pieces": ["essay-number-4"]
    }
    now = client.get("/api/voice/pairs", params={"writing": "voice"}).json()
    assert (now["drafts"], now["is_stale"]) == (["essay-number-4"], True)
    client.post("/api/uploads/voice/drafts22", params={"path": "some other thing.txt"}, content=b"rain")
    wrong = client.post("/api/voice/drafts", json={"writing": "voice", "upload": "drafts22"})
    assert "fits no piece" in wrong.json()["error"]
    assert client.get("/api/voice/pairs", params={"writing": "voice"}).json()["drafts"] == ["essay-number-4"]
    made = client.post("/api/voice/pairs", json={"writing": "voice", "seed": 1}).json()
    assert {one["tier"]: one["train"] for one in made["report"]["tiers"]}["draft"] == 1
    client.delete("/api/voice/drafts", params={"writing": "voice"})
    assert client.post("/api/voice/pairs", json={"writing": "voice", "seed": 1}).json()["drafts"] == []


def test_a_zip_is_imported_and_a_taken_name_is_not(client: TestClient, home: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(3):
            archive.writestr(f"essays/{number}.md", essay_text(number))
    for key in ("zipzipzip1", "zipzipzip2"):
        client.post(f"/api/uploads/voice/{key}", params={"path": "export.zip"}, content=packed.getvalue())
    taken = client.post("/api/voice/import", json={"writing": "voice", "upload": "zipzipzip1"})
    assert (taken.status_code, taken.json()["field"]) == (400, "writing")
    said = client.post("/api/voice/import", json={"writing": "zipped", "upload": "zipzipzip1"}).json()
    assert (said["pieces"], said["source"]) == (3, "export.zip")
    again = {"writing": "zipped", "upload": "zipzipzip2", "replace": True}
    assert client.post("/api/voice/import", json=again).json()["pieces"] == 3
    gone = client.post("/api/voice/import", json=again)
    assert "choose the files again" in gone.json()["error"]


def test_what_cannot_be_read_names_the_file_of_the_person(client: TestClient, home: Path) -> None:
    client.post("/api/uploads/voice/brokenone", params={"path": "my export.zip"}, content=b"PK not a zip")
    said = client.post("/api/voice/import", json={"writing": "broken", "upload": "brokenone"}).json()["error"]
    assert "my export.zip is not a zip" in said
    assert str(home) not in said
    assert not (home / "broken").exists()


def test_paths_only_where_the_lab_is_local(tmp_path: Path) -> None:
    export = make_export(tmp_path / "export", 3)
    asked = {"writing": "voice", "path": str(export)}
    with TestClient(create_app(Lab(tmp_path / "a"), Access(is_local=False))) as client:
        said = client.post("/api/voice/import", json=asked)
        assert said.status_code == 400
        assert "reads no paths" in said.json()["error"]
    with TestClient(create_app(Lab(tmp_path / "b"))) as client:
        assert client.post("/api/voice/import", json=asked).json()["pieces"] == 3


@pytest.mark.parametrize("path", ["../out.md", "a/../../out.md", "/etc/out.md", "a//b", "", "a\\b", "x" * 300])
def test_uploads_stay_in_their_folder(client: TestClient, home: Path, path: str) -> None:
    assert client.post("/api/uploads/voice/key99999", params={"path": path}, content=b"x").status_code == 400
    assert client.post("/api/uploads/voice/UP..", params={"path": "a.md"}, content=b"x").status_code == 400
    assert not list(home.rglob("out.md"))


def test_old_uploads_are_forgotten(tmp_path: Path) -> None:
    for key in ("old000000", "new000000"):
        voice_uploads.keep(tmp_path, key, "a.md", [b"x"])
    os.utime(tmp_path / voice_uploads.FOLDER / "old000000", (1, 1))
    voice_uploads.forget_old(tmp_path)
    assert [path.name for path in (tmp_path / voice_uploads.FOLDER).iterdir()] == ["new000000"]
