"""The report's routes: nothing is made up where there is none, the page may run nothing, a report is made as a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from cutaway.server import safety
from cutaway.server.app import create_app
from cutaway.server.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    for name in ("me", "broken"):
        (tmp_path / name / "report").mkdir(parents=True)
        (tmp_path / name / "recipe.toml").write_text('[tune]\nbase = "gpt2"\n')
    (tmp_path / "broken" / "report" / "report.json").write_text('{"made": ')
    return Lab(tmp_path)


@pytest.fixture
def client(lab: Lab) -> TestClient:
    return TestClient(create_app(lab), base_url="http://127.0.0.1")


@pytest.mark.parametrize("name", ["me", "broken"])
def test_without_a_report(client: TestClient, name: str) -> None:
    head = client.get(f"/api/voice/report/{name}").json()
    assert (head["made"], head["verdict"], head["command"]) == (None, "", f"cutaway voice report {name}")
    said = client.get(f"/api/voice/report/{name}/page")
    assert said.status_code == 422
    assert "has no report yet" in said.json()["error"]
    assert client.get("/api/voice/report/nobody").status_code == 404


def test_the_page_may_run_nothing(client: TestClient, lab: Lab) -> None:
    (lab.home / "me" / "report" / "report.json").write_text(
        '{"run": "<script>alert(1)</script>", "made": "2026", "how": "A quick report: ...", "verdict": {"name": "mixed", '
        '"sentence": "So so.", "rulings": []}}'
    )
    head = client.get("/api/voice/report/me").json()
    assert (head["made"], head["verdict"], head["sentence"], head["is_quick"]) == ("2026", "mixed", "So so.", True)
    page = client.get("/api/voice/report/me/page", params={"theme": "dark"})
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert "frame-ancestors 'self'" in policy
    assert "frame-src 'self'" in safety.POLICY
    assert "<script" not in page.text
    assert 'data-theme="dark"' in page.text
    assert client.get("/api/voice/report/me/page", params={"theme": "red"}).status_code == 400


def test_a_report_is_a_job(client: TestClient, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    real = lab.jobs.submit
    monkeypatch.setattr(lab.jobs, "start", lambda: None)
    monkeypatch.setattr(lab.jobs, "submit", lambda *words: (asked.append(words), real(*words))[1])
    job = client.post("/api/voice/report/me", json={"is_quick": True}).json()
    assert asked == [(["voice", "report", str(lab.home / "me"), "--quick"], "report", "me")]
    assert (job["kind"], job["target"], job["state"]) == ("report", "me", "queued")
    assert client.post("/api/voice/report/nobody", json={}).status_code == 404
