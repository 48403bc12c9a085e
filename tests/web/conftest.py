from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web.browser import CHROMIUM, chromium
from web.lens_lab import write_models

from cutaway.server.app import APP_FILES


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test in a browser is slow, but for one a screen, marked quick."""
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("quick"):
            item.add_marker(pytest.mark.slow)


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


@pytest.fixture(scope="session")
def lens_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and models to ask, for a lab to copy."""
    home = tmp_path_factory.mktemp("lens") / "runs"
    home.mkdir()
    write_models(home)
    return home
