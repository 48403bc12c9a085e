"""Changing a model that is already trained."""
