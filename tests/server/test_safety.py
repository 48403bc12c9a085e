"""Who may drive the lab: nobody's page but its own, nobody without the password, no path out of the folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from cutaway.base.errors import UsageError
from cutaway.server import safety
from cutaway.server.address import is_loopback
from cutaway.server.app import create_app
from cutaway.server.lab import Lab
from cutaway.server.safety import Access, protected
from cutaway.server.sessions import WRONG_A_MINUTE, PasswordError, Sessions

OWN = "http://127.0.0.1:8765"


def client_of(home: Path, access: Access) -> TestClient:
    return TestClient(protected(create_app(Lab(home), access), access), base_url=OWN)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with client_of(tmp_path, Access()) as client:
        yield client


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "[::1]:8765", "127.0.0.1", "LOCALHOST"])
def test_own_names_are_known(client: TestClient, host: str) -> None:
    assert client.get("/api/about", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost.evil.example", "", "192.168.0.9", "["],
)
@pytest.mark.parametrize("path", ["/", "/api/about", "/api/events", "/assets/none.js"])
def test_a_foreign_name_is_refused(client: TestClient, host: str, path: str) -> None:
    answer = client.get(path, headers={"host": host})
    assert answer.status_code == 421
    assert "open it at the address it printed" in answer.json()["error"]


FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:3000"},  # another program on this machine
    {"origin": "http://127.0.0.1:8765.evil.example"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": OWN, "sec-fetch-site": "cross-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_foreign_page_drives_nothing(client: TestClient, headers: dict[str, str]) -> None:
    asked = [
        client.get("/api/about", headers=headers),
        client.post("/api/home/first-run?again=true", headers=headers),
        client.delete("/api/jobs/1", headers=headers),
        client.request("OPTIONS", "/api/jobs", headers=headers),
    ]
    assert [answer.status_code for answer in asked] == [403] * 4
    assert client.get("/api/jobs").json() == []


@pytest.mark.parametrize("headers", [{}, {"origin": OWN, "sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}])
def test_the_own_page_and_programs_may(client: TestClient, headers: dict[str, str]) -> None:
    assert client.get("/api/about", headers=headers).status_code == 200


def test_a_link_from_elsewhere_opens_the_page(client: TestClient) -> None:
    assert client.get("/runs", headers={"sec-fetch-site": "cross-site"}).status_code in (200, 503)


def test_every_answer_tells_the_browser_what_a_page_may_do(client: TestClient) -> None:
    for path in ("/", "/runs/x", "/api/about", "/api/nothing", "/assets/none.js", "/api/jobs/77"):
        headers = client.get(path).headers
        assert headers["content-security-policy"] == safety.POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == ("no-store" if path.startswith("/api") else "no-cache")
    assert "unsafe" not in safety.POLICY


def test_the_app_is_packed_and_kept_by_the_browser(client: TestClient) -> None:
    page = client.get("/")
    if page.status_code == 503:
        pytest.skip("the web app is not built: `make web` builds it")
    script = page.text.partition('src="/assets/')[2].partition('"')[0]
    answer = client.get(f"/assets/{script}")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"].startswith("text/javascript")


LEAVING = [
    "/api/events/%2e%2e", "/api/events/..%2fsecret", "/api/events/%2Fetc", "/api/events/a%00b",
    "/api/events/.hidden", "/api/events/linked", "/api/runs/%2e%2e%2fsecret/metrics", "/api/runs/linked/samples",
    "/api/runs/..%5csecret", "/api/microscope/overview?trace=../secret/traces/1", "/api/microscope/overview?trace=/etc",
    "/api/microscope/overview?trace=linked/traces/1", "/api/microscope/overview?trace=a%00b",
]  # fmt: skip


@pytest.mark.parametrize("path", LEAVING)
def test_no_path_leaves_the_folder(tmp_path: Path, path: str) -> None:
    home, secret = tmp_path / "home", tmp_path / "secret"
    home.mkdir()
    (secret / "traces" / "1").mkdir(parents=True)
    (secret / "recipe.toml").write_text("name = 'kept secret'")
    (secret / "metrics.jsonl").write_text('{"step": 1, "loss": 77}\n')
    (home / "linked").symlink_to(secret)
    with client_of(home, Access()) as client:
        answer = client.get(path)
    assert 400 <= answer.status_code < 500, answer.text
    assert "77" not in answer.text
    assert "kept" not in answer.text


@pytest.mark.parametrize(
    "path", ["/../secret", "/%2e%2e/secret", "/assets/%2e%2e/%2e%2e/app.py", "/a%00b", "//etc/passwd"]
)
def test_no_file_but_the_apps_own_is_served(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (404, 503) or "<!doctype html>" in answer.text
    assert "import" not in answer.text


def test_too_much_is_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "MAX_JSON_BYTES", 1 << 20)
    monkeypatch.setattr(safety, "MAX_UPLOAD_BYTES", 2 << 20)
    json_type, file_type = {"content-type": "application/json"}, {"content-type": "text/plain"}

    def status(path: str, size: int, headers: dict[str, str], in_pieces: bool) -> int:
        body = iter([b"x" * (size // 4)] * 4) if in_pieces else b"x" * size
        return client.post(f"/api/{path}", content=body, headers=headers).status_code

    for in_pieces in (False, True):
        for kind in (json_type, file_type):  # what a file is called by its sender makes no difference
            assert status("login", (1 << 20) + 4, kind, in_pieces) == 413
            assert status("uploads/a.txt", (2 << 20) + 4, kind, in_pieces) == 413
            assert status("uploads/a.txt", (1 << 20) + 4, kind, in_pieces) == 200
        assert status("login", 1 << 19, json_type, in_pieces) == 400  # read, and found to be no password
    assert client.post("/api/login", content=b"{}", headers={"content-length": "-1"}).status_code == 413


def test_a_password_opens_the_lab(tmp_path: Path) -> None:
    access = Access(Sessions("open sesame"), is_local=False)
    with client_of(tmp_path, access) as client:
        for path in ("/api/about", "/api/jobs", "/api/events", "/api/openapi.json", "/api/runs", "/api/nothing"):
            assert client.get(path).status_code == 401
        assert client.get("/").status_code in (200, 503)  # the app itself, which asks for the password
        assert client.post("/api/login", json={"password": "open barley"}).status_code == 422
        answer = client.post("/api/login", json={"password": "open sesame"})
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert client.get("/api/about").status_code == 200
        client.post("/api/logout")
        assert client.get("/api/about").status_code == 401
        assert client.get("/api/about", headers={"cookie": cookie.partition(";")[0]}).status_code == 401
        assert client.get("/api/about", headers={"cookie": "cutaway=\x7f;;=,"}).status_code == 401


def test_an_open_lab_is_known_by_number_and_name(tmp_path: Path) -> None:
    access = Access(None, is_local=False, names=frozenset({"lab.school.example"}))
    with client_of(tmp_path, access) as client:
        for host, status in (("192.168.0.9:8765", 200), ("lab.school.example", 200), ("evil.example", 421)):
            assert client.get("/api/about", headers={"host": host}).status_code == status


def test_guessing_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions, now = Sessions("open sesame"), 1000.0
    monkeypatch.setattr("cutaway.server.sessions.time.time", lambda: now)
    for _ in range(WRONG_A_MINUTE):
        with pytest.raises(PasswordError, match="not the lab's password"):
            sessions.log_in("open barley", "10.0.0.1")
    with pytest.raises(PasswordError, match="wait a minute"):
        sessions.log_in("open sesame", "10.0.0.1")
    assert sessions.log_in("open sesame", "10.0.0.2")
    now += 61
    cookie = sessions.log_in("open sesame", "10.0.0.1").partition(";")[0]
    assert sessions.knows(cookie)
    now += 13 * 3600
    assert not sessions.knows(cookie)


def test_neither_password_nor_session_is_kept() -> None:
    sessions = Sessions("open sesame")
    cookie = sessions.log_in("open sesame", "here").partition(";")[0].partition("=")[2]
    kept = repr(vars(sessions))
    assert "open sesame" not in kept
    assert cookie not in kept
    with pytest.raises(UsageError, match="expected 8 or more"):
        Sessions("sesame")


@pytest.mark.slow
def test_sessions_outlive_the_lab_but_not_its_password(tmp_path: Path) -> None:
    file = tmp_path / ".jobs" / "sessions.json"
    sessions = Sessions("open sesame", file=file)
    cookie = sessions.log_in("open sesame", "here").partition(";")[0]
    left = sessions.log_in("open sesame", "here").partition(";")[0]
    sessions.log_out(left)
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    assert "open sesame" not in text
    assert cookie.partition("=")[2] not in text
    again = Sessions("open sesame", file=file)
    assert again.knows(cookie)
    assert not again.knows(left)
    assert not Sessions("open barley", file=file).knows(cookie)
    kept = json.loads(text)
    kept["sessions"] = dict.fromkeys(kept["sessions"], 0.0)
    file.write_text(json.dumps(kept))
    assert not Sessions("open sesame", file=file).knows(cookie), "its time is over"
    for broken in ("", "[]", '{"password": 1}', '{"password": "x", "sessions": {}}'):
        file.write_text(broken)
        assert not Sessions("open sesame", file=file).knows(cookie)


def test_which_addresses_stay_here() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "192.168.0.9", "lab.school.example", ""]))


def test_nothing_is_unpickled() -> None:
    """The server's and the readers' code has no way to unpickle."""
    package = Path(safety.__file__).parents[1]
    for folder in ("server", "interop", "base"):
        for file in (package / folder).rglob("*.py"):
            text = file.read_text()
            assert not any(word in text for word in ("import pickle", "torch.load(", "allow_pickle=True")), file
