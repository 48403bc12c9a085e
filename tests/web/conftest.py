from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from web.browser import CHROMIUM, chromium

from cutaway.server.app import APP_FILES


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip(
            "no chromium on this machine: the lab was not tested in a browser (Debian: apt-get install chromium)"
        )
    if not (APP_FILES / "index.html").is_file():
        pytest.skip("the web app is not built: `make web` builds it (it needs Node)")
    with chromium() as started:
        yield started
