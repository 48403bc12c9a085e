"""Drawings in float32, so that every machine is asked for the same; `test_quick_products.py` turns bfloat16 on."""

from __future__ import annotations

import pytest

from cutaway.diffusion import quick_products


@pytest.fixture(autouse=True)
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_products, "has_quick_bfloat16", lambda device: False)
