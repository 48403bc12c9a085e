"""A figure for a notebook: the lab's own drawing of some data, saved with the notebook.

Jupyter and marimo draw it through anywidget; the numbers travel as bytes (base/arrays.py). Where nothing is drawn (a
terminal, a page that shows notebooks without running them) its table stands in: the same numbers as text, the widest
picture a viewer without scripts can show.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cutaway.base.arrays import encode, wire
from cutaway.base.errors import CutawayError
from cutaway.notebook.still import Still

if TYPE_CHECKING:
    from cutaway.notebook.widget import FigureWidget

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""From a question asked in the figure to data, of the form that `Figure` takes."""

INSTALL = "figures in notebooks need anywidget: pip install 'cutaway[notebook]'"


class Figure:
    """Something to look at.

    Args:
        kind: which of the drawings of web/src/notebook.
        data: plain values, NumPy arrays and tensors; arrays stand at the top.
        still: the same for a page or a terminal that draws nothing.
        answer: what answers questions asked in the figure, while Python runs.
    """

    def __init__(self, kind: str, data: Mapping[str, Any], still: Still, answer: Answer | None = None) -> None:
        self.kind, self.data, self.still, self.answer = kind, data, still, answer

    @property
    def title(self) -> str:
        """What it shows."""
        return self.still.title

    def __repr__(self) -> str:
        return self.still.as_text()

    def show(self) -> Figure:
        """Return the figure, which a notebook draws; a program prints it as text."""
        if not (in_notebook() or hasattr(sys, "ps1") or sys.flags.interactive):
            print(self)
        return self

    def as_bytes(self) -> bytes:
        """Return kind and data as they travel."""
        return pack(
            self.data, kind=self.kind, title=self.title, about=self.still.about, can_ask=self.answer is not None
        )

    @cached_property
    def widget(self) -> FigureWidget:
        """The figure as a widget, one for all the places where it is shown.

        Raises:
            CutawayError: anywidget is not installed.
        """
        try:
            from cutaway.notebook.widget import FigureWidget
        except ImportError as error:
            raise CutawayError(INSTALL) from error
        return FigureWidget(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Return the figure for Jupyter: the widget, and what stands in where none is drawn."""
        if not in_notebook():  # IPython in a terminal
            return {"text/plain": repr(self)}
        try:
            shown = self.widget._repr_mimebundle_()
        except CutawayError as error:
            note = str(error)
            return {"text/plain": f"{self!r}\n\n{note}", "text/html": self.still.as_html(note)}
        drawn = shown[0] if isinstance(shown, tuple) else shown or {}
        return dict(drawn) | {"text/plain": repr(self), "text/html": self.still.as_html()}

    def _display_(self) -> Any:
        """Return what marimo shows: it makes a widget its own."""
        try:
            return self.widget
        except CutawayError as error:
            import marimo

            return marimo.Html(self.still.as_html(str(error)))


class Shown:
    """What has a figure: the last line of a notebook's cell shows it.

    The class says which figure by `show`.
    """

    def show(self) -> Figure:
        """Return the figure."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **settings: Any) -> dict[str, Any]:
        if not in_notebook():
            return {"text/plain": repr(self)}
        return self.show()._repr_mimebundle_(**settings)

    def _display_(self) -> Any:
        return self.show()._display_()


def pack(data: Mapping[str, Any], **more: Any) -> bytes:
    """Return data as bytes: arrays as they are, the rest as JSON."""
    arrays = {name: array for name, value in data.items() if (array := as_array(value)) is not None}
    rest = {name: sayable(value) for name, value in data.items() if name not in arrays}
    return encode(rest | more, arrays)


def as_array(value: Any) -> np.ndarray[Any, Any] | None:
    """Return an array or a tensor for NumPy, None for anything else; bfloat16 is widened, which is exact."""
    if isinstance(value, np.ndarray):
        return value
    if not hasattr(value, "detach"):
        return None
    tensor = value.detach().cpu()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()


def sayable(value: Any) -> Any:
    """Return plain values as JSON can say them."""
    if isinstance(value, Mapping):
        return {str(name): sayable(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [sayable(one) for one in value]
    if isinstance(value, (float, np.floating)):
        return wire(value)
    return int(value) if isinstance(value, np.integer) else value


def in_notebook() -> bool:
    """Whether somebody draws what a cell returns: Jupyter, VS Code, Colab or marimo."""
    if "marimo" in sys.modules:
        import marimo

        if marimo.running_in_notebook():
            return True
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
