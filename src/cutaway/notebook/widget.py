"""The widget behind a figure; imported only where anywidget is there."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from cutaway.base.errors import CutawayError
from cutaway.notebook.figure import pack

if TYPE_CHECKING:
    from cutaway.notebook.figure import Figure

FILES = Path(__file__).parent / "figure_files"


@cache
def built(name: str) -> str:
    """Return one of the files that web/src/notebook is built into.

    Raises:
        CutawayError: it was not built.
    """
    try:
        return (FILES / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CutawayError(
            "the figures of notebooks are not built here: run `make web`, or install the package"
        ) from None


class FigureWidget(anywidget.AnyWidget):
    """Draws a figure's data, and hands questions asked in it to the figure."""

    data = traitlets.Bytes().tag(sync=True)
    css = traitlets.Unicode().tag(sync=True)
    """Its styles, which it keeps to itself: not `_css`, which would be the whole page's."""

    _esm = traitlets.Unicode().tag(sync=True)
    """Empty unless set, so that it is never left out of what is saved as being what everybody has."""

    def __init__(self, figure: Figure) -> None:
        super().__init__(data=figure.as_bytes(), css=built("figure.css"), _esm=built("figure.js"))
        self._figure = figure
        self.on_msg(self._asked)

    def _asked(self, _: Any, question: Any, __: Any) -> None:
        """Answer a question, or say why not."""
        if not isinstance(question, dict) or "question" not in question or self._figure.answer is None:
            return
        told: dict[str, Any] = {"question": question["question"]}
        try:
            self.send(told, buffers=[pack(self._figure.answer(question))])
        except CutawayError as error:
            self.send(told | {"error": str(error)})
