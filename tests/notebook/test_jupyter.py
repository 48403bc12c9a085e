"""A notebook that Jupyter ran: what it saves of a figure, and that a browser draws it again without Python."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from web.browser import opened

from notebook.saved import WIDGET_STATE, page_of

CELLS = ("from notebook.small_figures import a_trace\ntrace = a_trace()", "trace.show('output', (1, 0))", "trace")
VIEW = "application/vnd.jupyter.widget-view+json"


def executed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the notebook after Jupyter ran it."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=":")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Jupyter's own parts
        nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    nbformat.validate(notebook)
    return notebook


@pytest.mark.slow
def test_a_figure_is_saved_with_the_notebook(browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = executed(monkeypatch)
    for cell in notebook.cells[1:]:
        (output,) = cell.outputs
        assert output.data["text/plain"].startswith("Trace of Sequential\n")
        assert "<table>" in output.data["text/html"]
        saved = notebook.metadata["widgets"][WIDGET_STATE]["state"][output.data[VIEW]["model_id"]]
        assert saved["model_module"] == "anywidget"
    address = page_of(notebook.metadata, tmp_path / "saved.html")
    with opened(browser, address) as page:
        page.locator("section[aria-label='How output[1, 0] was made']").wait_for()
        assert page.locator("section[aria-label='Trace of Sequential']").count() == 2
