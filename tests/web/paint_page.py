"""What the tests of the Paint screen read from its page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import numpy as np
from server.paint_lab import PROMPT, QUICK


def url(address: str, tab: str = "paint", model: str = "models/words", prompt: str = PROMPT, **state: Any) -> str:
    """Return the address of a tab in a situation."""
    return f"{address}/paint?{urlencode({'tab': tab, 'model': model, 'prompt': prompt, **QUICK, **state})}"


def done(page: Any) -> None:
    """Wait until the pictures are painted."""
    page.locator("[data-stage='done']").first.wait_for()


def canvas(picture: Any) -> np.ndarray:
    """Return the pixels that a picture on the page has: rows, columns, colours."""
    read = """(one) => {
      const canvas = one.querySelector('canvas');
      return [canvas.width, ...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data];
    }"""
    size, *values = picture.evaluate(read)
    return np.array(values, np.uint8).reshape(size, size, 4)[..., :3]
