"""What is a path, what is an id, and what is never downloaded."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from cutaway.base.errors import ModelFormatError
from cutaway.interop.fetch import FILES, find_folder


@pytest.fixture(name="asked")
def _asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, list[str]]]:
    """Note what is asked of the Hub, in a folder of its own, with no network."""
    asked: list[tuple[str, list[str]]] = []

    def snapshot_download(repo_id: str, *, allow_patterns: list[str]) -> str:
        asked.append((repo_id, allow_patterns))
        return str(tmp_path / "cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    return asked


@pytest.mark.parametrize(
    ("given", "hub_id"),
    [("owner/name", "owner/name"), ("hf:gpt2", "gpt2"), ("hf:owner/name-1.0", "owner/name-1.0")],
)
def test_ids_are_fetched(given: str, hub_id: str, asked: list, tmp_path: Path) -> None:
    assert find_folder(given) == tmp_path / "cache"
    assert asked == [(hub_id, FILES)]
    assert not any(pattern.endswith((".bin", ".pt", "*", ".py")) for pattern in FILES)


@pytest.mark.parametrize(
    "given",
    ["gpt2", "./owner/name", "/owner/name", "runs/mirun", "a/b/c", "../x/y", "~/x", Path("owner/name")],
)
def test_slips_of_the_pen_are_not(given: str | Path, asked: list, tmp_path: Path) -> None:
    (tmp_path / "runs" / "myrun").mkdir(parents=True)
    with pytest.raises(ModelFormatError, match="there is no folder /") as caught:
        find_folder(given)
    assert asked == []
    if given == "runs/mirun":
        assert "did you mean myrun" in str(caught.value)


def test_a_folder_wins_over_an_id(asked: list, tmp_path: Path) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert find_folder("owner/name") == Path("owner/name")
    assert asked == []


@pytest.mark.parametrize(
    "error", [LocalEntryNotFoundError("no network\nmore"), OSError(28, "disk full"), ValueError("?")]
)
def test_a_failed_download_is_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def snapshot_download(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFormatError, match="could not fetch 'owner/name' from the Hugging Face Hub: ") as caught:
        find_folder("owner/name")
    assert "\n" not in str(caught.value)


def test_hub_errors_are_of_the_kinds_caught() -> None:
    assert issubclass(HfHubHTTPError, OSError)
