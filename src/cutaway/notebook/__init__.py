"""Figures in a notebook: the lab's own, saved with the notebook."""
