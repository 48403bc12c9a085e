"""Figures in a notebook: the lab's own, saved with the notebook."""

from cutaway.notebook.figure import Figure, Shown

__all__ = ["Figure", "Shown"]
