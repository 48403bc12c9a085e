"""Measurements beside peers: both sides in one process, in turn, medians and a ratio."""
