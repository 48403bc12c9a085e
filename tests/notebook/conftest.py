from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from web.browser import CHROMIUM, chromium

from cutaway.notebook import widget

pytest.importorskip("anywidget")


@pytest.fixture(scope="module")  # no longer: Playwright's event loop would stand in the way of all that follows
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip(
            "no chromium on this machine: figures of notebooks were not drawn (Debian: apt-get install chromium)"
        )
    if not (widget.FILES / "figure.js").is_file():
        pytest.skip("the figures are not built: `make web` builds them (it needs Node)")
    with chromium() as started:
        yield started
