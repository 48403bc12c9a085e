from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web.browser import CHROMIUM, LATE, chromium

from cutaway.server.app import APP_FILES


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try a test once more where the browser did not answer in time: two cores are shared with everything else."""
    for item in items:
        if Path(__file__).parent in item.path.parents and not LATE:
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=r"Timeout \d+ms exceeded"))


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
