"""Tensors in files that others may read too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from cutaway.base import tensor_file
from cutaway.base.tensor_file import save_tensors


def test_tensors_come_back_and_notes_with_them(tmp_path: Path) -> None:
    file, tensors = (
        tmp_path / "x.safetensors",
        {"a": torch.arange(6.0).view(2, 3).T, "b": torch.ones(2, dtype=torch.int8)},
    )
    save_tensors(tensors, file, {"format": "pt"})
    found = load_file(file)
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    with safe_open(file, "pt") as opened:
        assert opened.metadata() == {"format": "pt"}


@pytest.mark.skipif(os.name != "posix", reason="umask is POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_who_may_read_it_is_for_the_umask_to_say(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        save_tensors({"a": torch.ones(1)}, tmp_path / "x.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "x.safetensors").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_folder_that_is_missing_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save_tensors({"a": torch.ones(1)}, tmp_path / "none" / "x.safetensors")


def test_what_the_library_says_of_a_full_disk_is_an_os_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(tensor_file, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_tensors({"a": torch.ones(1)}, tmp_path / "x.safetensors")
