"""Parts assembled into whole models."""
