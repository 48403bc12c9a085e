"""`cutaway lab`, and `cutaway` alone: words, passwords, the browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from cutaway.base.errors import UsageError
from cutaway.cli import lab
from cutaway.cli.main import main
from cutaway.server import address, serve
from cutaway.server.lab import Lab


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[serve.Place]:
    """Where labs would have been served, and whose browser opened."""
    places: list[serve.Place] = []

    def note(place: serve.Place, say: object, when_ready: object) -> Lab:
        places.append(place)
        return Lab(place.home)

    monkeypatch.setattr(serve, "serve", note)
    return places


def test_cutaway_alone_opens_the_lab(served: list[serve.Place], tmp_path: Path) -> None:
    assert main([]) == 0
    assert served == [serve.Place(tmp_path / "runs", "127.0.0.1", 8765)]


def test_words(served: list[serve.Place], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("open sesame\nnot this\n")
    words = [
        "--host",
        "0.0.0.0",
        "--port",
        "9000",
        "--names",
        "lab.example",
        "--password-file",
        str(tmp_path / "secret"),
    ]
    assert main(["lab", str(tmp_path), *words]) == 0
    assert served == [serve.Place(tmp_path, "0.0.0.0", 9000, ("lab.example",), "open sesame")]


def test_models_elsewhere(served: list[serve.Place], tmp_path: Path) -> None:
    assert main(["lab", str(tmp_path), "--model", "a/gpt2", "b"]) == 0
    assert served[0].models == (Path("a/gpt2"), Path("b"))


def test_a_model_that_is_none_is_said_before_anything_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lab", str(tmp_path), "--model", str(tmp_path), "--no-open"]) == 2
    assert "holds no model (no config.json); --model expects a folder" in capsys.readouterr().err


def test_an_open_lab_needs_a_password(
    served: list[serve.Place], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert main(["lab", "--host", "0.0.0.0"]) == 2
    assert "needs a password: give it with --password-file or in $CUTAWAY_PASSWORD" in capsys.readouterr().err
    monkeypatch.setenv("CUTAWAY_PASSWORD", "open sesame")
    assert main(["lab", "--host", "0.0.0.0"]) == 0
    assert served[0].password == "open sesame"


def test_a_password_typed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    typed = iter(["open sesame", "open sesame", "open sesame", "open barley"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    assert lab.find_password("", True) == "open sesame"
    with pytest.raises(UsageError, match="the two were different"):
        lab.find_password("", True)
    assert lab.find_password("", False) == ""


def test_an_empty_password_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\nopen sesame\n")
    with pytest.raises(UsageError, match="is empty"):
        lab.find_password(str(tmp_path / "secret"), False)


def test_a_lab_open_to_others_without_a_password_is_never_served(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a password"):
        serve.serve(serve.Place(tmp_path, "0.0.0.0", 0), print, print)


def test_no_screen_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda where: not opened.append(where))
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert not address.open_browser("http://127.0.0.1:1")
    assert not opened
    monkeypatch.setenv("DISPLAY", ":0")
    assert address.open_browser("http://127.0.0.1:1")
    assert opened == ["http://127.0.0.1:1"]


def test_how_a_host_is_typed() -> None:
    assert [address.shown_host(host) for host in ("127.0.0.1", "::1")] == ["127.0.0.1", "[::1]"]
