"""WordPress's export (WXR): an RSS file whose items are posts, pages, drafts and much else.

Read with defusedxml: a file that defines entities (the way small files blow up to gigabytes, or read others) is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cutaway.base.errors import DataError
from cutaway.voice.extra import parser
from cutaway.voice.found_files import FoundFiles
from cutaway.voice.html_blocks import html_blocks
from cutaway.voice.piece import Piece
from cutaway.voice.reading import Asked, iso_date

WHAT = "WordPress export"
CONTENT = "{http://purl.org/rss/1.0/modules/content/}encoded"


def finds(files: FoundFiles, names: list[str]) -> list[str]:
    """Return XML files that name WordPress's own namespace."""
    return [name for name in names if name.endswith(".xml") and b"wordpress.org/export" in files.read(name)[:20_000]]


def pieces(files: FoundFiles, names: list[str], asked: Asked) -> Iterator[Piece]:
    """Read posts and pages, published or not."""
    for name in names:
        others = 0
        for item in _root(files.read(name), name).iter("item"):
            facts = {str(child.tag).rsplit("}", 1)[-1]: child.text or "" for child in item if child.tag != CONTENT}
            kind, status = facts.get("post_type", "post"), facts.get("status", "publish")
            if kind not in ("post", "page") or status == "trash":
                others += 1
                continue
            html = item.findtext(CONTENT) or ""
            blocks, footnotes = html_blocks(html, keep_blank_lines="<p" not in html)
            finished = "page" if kind == "page" else "essay"
            date = (
                iso_date(facts.get("post_date_gmt"))
                or iso_date(facts.get("post_date"))
                or iso_date(facts.get("pubDate"))
            )
            yield Piece("", facts.get("title", "").strip(), finished if status in ("publish", "private") else "draft",
                        name, tuple(blocks), date, tuple(footnotes))  # fmt: skip
        asked.left_out(others, f"items of {name} that are no posts (pictures, menus, trash)")


def _root(data: bytes, name: str) -> Any:
    defused = parser("defusedxml")
    try:
        return parser("defusedxml.ElementTree").fromstring(data, forbid_dtd=True)
    except defused.DefusedXmlException as error:
        raise DataError(f"{name} defines its own entities or a document type, which no WordPress export does; "
                        f"it was not read ({type(error).__name__})") from error  # fmt: skip
    except (SyntaxError, ValueError, LookupError) as error:
        raise DataError(f"{name} is broken XML: {error}; export it again") from error
