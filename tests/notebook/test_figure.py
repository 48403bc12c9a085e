"""Figures in notebooks: what they say with and without anywidget, and that no number changes on the way."""

from __future__ import annotations

import base64
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cutaway
from cutaway import lens
from cutaway.base.errors import CutawayError
from cutaway.base.runs import JsonLines
from cutaway.lens import attention_figure
from cutaway.notebook import Figure, figure
from cutaway.notebook.still import Still
from lens.small_models import TEXT, TOKENIZER, small_model

FILES = Path(cutaway.__file__).parent / "notebook" / "figure_files"
VIEW = "application/vnd.jupyter.widget-view+json"


def decoded(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Read what web/src/api/arrays.ts reads."""
    assert data[:4] == b"CUT1"
    start = 8 + int.from_bytes(data[4:8], "little")
    header = json.loads(data[8:start], parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    arrays = {}
    for one in header["arrays"]:
        assert (start + one["offset"]) % 8 == 0
        count = math.prod(one["shape"])
        found = np.frombuffer(data, one["dtype"], count, start + one["offset"])
        arrays[one["name"]] = found.reshape(one["shape"])
    return header["meta"], arrays


@pytest.fixture
def in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figure, "in_notebook", lambda: True)


def a_figure() -> Figure:
    data = {
        "x": np.array([1.0, math.nan, math.inf]),
        "half": torch.tensor([[0.5, 3.0]], dtype=torch.bfloat16, requires_grad=True),
        "words": ("a", {"b": math.nan, "c": [-math.inf, np.float32(0.5), np.int64(3)]}),
    }
    return Figure("run", data, Still("A <figure>", ["name", "value"], [["a", "1.5"], ["<b>", "20"]], "About & it"))


def test_numbers_travel_as_bytes_and_as_they_are() -> None:
    meta, arrays = decoded(a_figure().as_bytes())
    np.testing.assert_array_equal(arrays["x"], [1.0, math.nan, math.inf])
    np.testing.assert_array_equal(arrays["half"], [[0.5, 3.0]])
    assert meta["words"] == ["a", {"b": "nan", "c": ["-inf", 0.5, 3]}]
    assert (meta["kind"], meta["title"], meta["can_ask"]) == ("run", "A <figure>", False)


def test_a_terminal_shows_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    shown = a_figure()
    assert repr(shown).splitlines() == ["A <figure>", "About & it", "  name  value", "  a       1.5", "  <b>      20"]
    assert shown.show() is shown
    assert capsys.readouterr().out == f"{shown!r}\n"
    assert shown._repr_mimebundle_() == {"text/plain": repr(shown)}


def test_a_page_without_scripts_shows_the_table() -> None:
    page = a_figure().still.as_html("Say")
    assert "<strong>A &lt;figure&gt;</strong><br>About &amp; it" in page
    assert "<td>&lt;b&gt;</td><td>20</td>" in page
    assert "<em>Say</em>" in page


def test_a_drawing_has_gaps_where_nothing_was_measured() -> None:
    lines = {"loss": (np.arange(4.0), np.array([4.0, math.nan, 2.0, 1.0]))}
    page = Still("Loss", lines=lines).as_html()
    found = re.search(r'<img alt="Loss, as lines" src="data:image/svg\+xml;base64,(.*?)">', page)
    assert found is not None
    drawn = base64.b64decode(found[1]).decode()
    assert drawn.count("M") == 2
    assert "nan" not in drawn
    assert "<img" not in Still("Loss", lines={"loss": (np.arange(2.0), np.array([math.nan, math.inf]))}).as_html()


@pytest.mark.usefixtures("in_a_notebook")
def test_without_anywidget_the_table_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cutaway.notebook.widget", None)
    shown = a_figure()
    with pytest.raises(CutawayError, match=r"^figures in notebooks need anywidget: pip install 'cutaway\[notebook\]'$"):
        shown.widget  # noqa: B018
    bundle = shown._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert "pip install" in bundle["text/plain"]
    assert "pip install" in bundle["text/html"]


@pytest.mark.usefixtures("in_a_notebook")
def test_a_notebook_gets_the_widget_and_what_stands_in() -> None:
    anywidget = pytest.importorskip("anywidget")
    if not FILES.is_dir():
        pytest.skip("the figures are not built: `make web` builds them (it needs Node)")
    shown = a_figure()
    bundle = shown._repr_mimebundle_()
    assert bundle[VIEW]["model_id"] == shown.widget.model_id
    assert bundle["text/plain"] == repr(shown)
    assert bundle["text/html"] == shown.still.as_html()
    assert isinstance(shown.widget, anywidget.AnyWidget)
    assert bytes(shown.widget.get_state()["data"]) == shown.as_bytes()
    assert "render" in shown.widget._esm
    assert ".cutaway-figure" in shown.widget.css


def test_a_question_is_answered_or_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("anywidget")
    if not FILES.is_dir():
        pytest.skip("the figures are not built: `make web` builds them (it needs Node)")

    def answer(question: Any) -> dict[str, Any]:
        if question["n"] < 0:
            raise CutawayError("a number below zero")
        return {"roots": np.sqrt(np.arange(question["n"], dtype=np.float64))}

    widget = Figure("run", {}, Still("T"), answer).widget
    said: list[tuple[Any, Any]] = []
    monkeypatch.setattr(type(widget), "send", lambda self, content, buffers=None: said.append((content, buffers)))
    for content in ({"question": "1-1", "n": 3}, {"question": "1-2", "n": -1}, {"n": 3}, "noise"):
        widget._handle_custom_msg(content, [])
    assert said[0][0] == {"question": "1-1"}
    np.testing.assert_array_equal(decoded(said[0][1][0])[1]["roots"], np.sqrt([0, 1, 2]))
    assert said[1:] == [({"question": "1-2", "error": "a number below zero"}, None)]


def test_a_run_shows_its_curves(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('name = "x"\n')
    lines = JsonLines(tmp_path / "metrics.jsonl")
    lines.append({"step": 1, "loss": 3.5, "validation_loss": 3.25})
    lines.append({"step": 2, "loss": math.nan})
    lines.close()
    run = cutaway.Run(tmp_path)
    meta, arrays = decoded(run.show().as_bytes())
    assert meta["name"] == tmp_path.name
    np.testing.assert_array_equal(arrays["loss"], [3.5, math.nan])
    np.testing.assert_array_equal(arrays["validation_loss"], [3.25, math.nan])
    assert repr(run.show()).splitlines()[-1].split() == ["1", "3.5", "3.25"]
    assert repr(run) in run._repr_mimebundle_()["text/plain"]


def test_patterns_of_a_long_text_are_asked_for_head_by_head(monkeypatch: pytest.MonkeyPatch) -> None:
    found = lens.attention(small_model("ours"), TOKENIZER, TEXT)
    assert "pattern" in found.show().data
    monkeypatch.setattr(attention_figure, "MOST_SAVED_BYTES", 0)
    shown = found.show()
    assert "pattern" not in shown.data
    assert shown.answer is not None
    one = shown.answer({"what": "head", "layer": 2, "head": 1})["pattern"]
    np.testing.assert_array_equal(one, found.pattern_LHTS[2, 1].numpy())
    mean = shown.answer({"what": "head", "layer": None, "head": None})["pattern"]
    np.testing.assert_allclose(mean, found.over_all_TS.numpy(), rtol=1e-6)
    with pytest.raises(CutawayError, match="there is no 9: it goes from 0 to 3"):
        shown.answer({"what": "head", "layer": 0, "head": 9})
