"""Made once for all tests of this folder."""

from __future__ import annotations

import pytest
from voice.copier import Copier, make_copier


@pytest.fixture(scope="session")
def copier(tmp_path_factory: pytest.TempPathFactory) -> Copier:
    """A model that knows five texts by heart."""
    return make_copier(tmp_path_factory.mktemp("copier"))
