"""Our reader of safetensors against the library's writer, and against damaged files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cutaway.base.errors import ModelFormatError
from cutaway.interop import safetensors_file
from cutaway.interop.safetensors_file import read_header


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_pieces_put_together_are_the_tensor(
    dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safetensors_file, "PIECE_BYTES", 200)
    state = {
        "matrix": torch.randn(31, 24).to(dtype),
        "vector": torch.randn(700).to(dtype),
        "cube": torch.randn(7, 3, 2).to(dtype),
        "number": torch.randn(()).to(dtype),
        "nothing": torch.zeros(0, 3, dtype=dtype),
    }
    save_file(state, tmp_path / "x.safetensors", {"format": "pt"})
    stored = read_header(tmp_path / "x.safetensors")
    assert stored.keys() == state.keys()
    for name, expected in state.items():
        assert stored[name].shape == tuple(expected.shape)
        pieces = list(stored[name].pieces())
        found = torch.cat([rows for _, rows in pieces]) if len(expected.shape) > 1 and pieces else None
        if found is None:
            found = pieces[0][1] if pieces else torch.zeros(0, 3, dtype=dtype)
        assert torch.equal(found, expected), name
    assert len(list(stored["matrix"].pieces())) > 1


def entry(start: int, stop: int, shape: list[int], dtype: object = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


@pytest.mark.parametrize(
    ("header", "n_bytes", "message"),
    [
        ({"a": entry(0, 8, [2])}, 4, "describes"),
        ({"a": entry(0, 8, [2])}, 12, "describes"),
        ({"a": entry(0, 8, [3])}, 8, "cannot be 8 bytes"),
        ({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, 12, "do not follow"),
        ({"a": entry(4, 12, [2])}, 12, "do not follow"),
        ({"a": entry(8, 0, [2])}, 8, "cannot be"),
        ({"a": entry(0, 8, [-2])}, 8, "makes no sense"),
        ({"a": entry(0, 8, [2.0])}, 8, "makes no sense"),
        ({"a": entry(0, 8, [2], 7)}, 8, "makes no sense"),
        ({"a": [1]}, 8, "makes no sense"),
        ({"a": {"dtype": "F32"}}, 8, "makes no sense"),
        ([1, 2], 8, "not a JSON object"),
    ],
)
def test_headers_that_lie_are_refused(header: object, n_bytes: int, message: str, tmp_path: Path) -> None:
    text = json.dumps(header).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(n_bytes))
    with pytest.raises(ModelFormatError, match=message) as caught:
        read_header(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        (2**62).to_bytes(8, "little") + b"{}",
        (9).to_bytes(8, "little") + b"{}",
        b"\x04" + bytes(7) + b"\xff{}x",
    ],
)
def test_files_of_another_kind_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFormatError, match="truncated or altered"):
        read_header(path)


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.randn(9, 9)}, path)
    stored = read_header(path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ModelFormatError, match="ends within tensor a"):
        list(stored["a"].pieces())
