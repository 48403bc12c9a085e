"""A picture in the terminal: an upper half block a character, its colour the upper pixel and its ground the lower one."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.style import Style
from rich.text import Text

ROWS = 16
"""Rows of characters at most."""
HALF = "\u2580"


def show_picture(file: Path, console: Console) -> Text | None:
    """Return a PNG file as characters; None where the console shows no such colours."""
    if not console.is_terminal or console.color_system not in ("truecolor", "256"):
        return None
    from PIL import Image

    with Image.open(file) as image:
        rgb = image.convert("RGB")
    share = min(2 * ROWS / rgb.height, (console.width - 4) / rgb.width, 1.0)
    width, height = max(1, round(rgb.width * share)), max(2, 2 * round(rgb.height * share / 2))
    small = rgb.resize((width, height), Image.Resampling.BOX)
    text = Text(no_wrap=True)
    for y in range(0, height, 2):
        text.append("  ")
        for x in range(width):
            text.append(HALF, Style(color=colour(small, x, y), bgcolor=colour(small, x, y + 1)))
        text.append("\n")
    text.rstrip()
    return text


def colour(image: object, x: int, y: int) -> str:
    """Return a pixel as rich writes colours."""
    red, green, blue = image.getpixel((x, y))  # type: ignore[attr-defined]
    return f"rgb({red},{green},{blue})"
