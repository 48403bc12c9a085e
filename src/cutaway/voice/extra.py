"""The parsers that come with the extra `voice`, imported when first used."""

from __future__ import annotations

import importlib
from typing import Any

from cutaway.base.errors import CutawayError


def parser(module: str) -> Any:
    """Return a module of the extra.

    Raises:
        CutawayError: it is not installed; the line says how.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise CutawayError(f"reading this needs {error.name}: pip install 'cutaway[voice]'") from error
