"""Where an adapter's base lies: as written, beside a run that was moved, or nowhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tune.small import make_base

from cutaway.base.errors import ModelFormatError
from cutaway.interop.adapter_folder import chain, find_adapter_base, is_adapter


def adapter(folder: Path, base: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    return folder


def test_a_base_is_where_it_is_said_to_be(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    one = adapter(tmp_path / "one", str(base))
    assert is_adapter(one)
    assert not is_adapter(base)
    assert find_adapter_base(one) == base
    assert chain(adapter(tmp_path / "two", str(one))) == [tmp_path / "two", one, base]


def test_runs_moved_together_still_find_each_other(tmp_path: Path) -> None:
    make_base(tmp_path / "runs" / "small-1" / "model")
    adapter(tmp_path / "runs" / "tuned-1" / "model", str(tmp_path / "runs" / "small-1" / "model"))
    shutil.move(tmp_path / "runs", tmp_path / "elsewhere")
    home = tmp_path / "elsewhere"
    assert find_adapter_base(home / "tuned-1" / "model") == home / "small-1" / "model"


def test_what_cannot_be_followed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="does not say which model"):
        find_adapter_base(adapter(tmp_path / "none", None))
    with pytest.raises(ModelFormatError, match="not on this machine; put it back, or write"):
        find_adapter_base(adapter(tmp_path / "lost", str(tmp_path / "nowhere" / "model")))
    itself = adapter(tmp_path / "itself", str(tmp_path / "itself"))
    with pytest.raises(ModelFormatError, match="bake some of them in"):
        chain(itself)
