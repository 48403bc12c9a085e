"""What is a path, what is an id, and what is never downloaded."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from cutaway.base.errors import ModelFormatError
from cutaway.interop.fetch import FILES, find_cached, find_folder


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


def test_a_model_behind_terms_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx
    from huggingface_hub.errors import GatedRepoError

    response = httpx.Response(401, request=httpx.Request("GET", "https://huggingface.co/o/n"))

    def snapshot_download(*arguments: object, **settings: object) -> str:
        raise GatedRepoError("401 Client Error", response=response)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(ModelFormatError, match=r"agree on https://huggingface.co/owner/gated.*hf auth login"):
        find_folder("hf:owner/gated")


def test_what_was_fetched_before_needs_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def snapshot_download(repo_id: str, *, allow_patterns: list[str], local_files_only: bool) -> str:
        assert local_files_only
        if repo_id != "owner/here":
            raise LocalEntryNotFoundError("not here")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert find_cached("owner/here") == tmp_path
    assert find_cached("owner/elsewhere") is None
    assert find_cached("../not an id") is None
