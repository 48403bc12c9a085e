"""HTML to blocks of Markdown: paragraphs, headings, quotes, lists, emphasis, links and footnotes stay what they are.

The tree comes from lxml's HTML parser through Beautiful Soup, so that broken pages read as browsers read them. Classes that
sites give their own furniture (Substack's subscription boxes and buttons, embedded posts) become the block's kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cutaway.voice.extra import parser
from cutaway.voice.piece import Block, Footnote

FURNITURE_CLASSES = {
    "subscription-widget-wrap": "subscribe",
    "subscription-widget-wrap-editor": "subscribe",
    "subscription-widget": "subscribe",
    "subscribe-widget": "subscribe",
    "wp-block-jetpack-subscriptions": "subscribe",
    "button-wrapper": "button",
    "captioned-button-wrap": "button",
    "share-dialog": "button",
    "sharedaddy": "button",
    "wp-block-button": "button",
    "digest-post-embed": "embed",
    "embedded-post-wrap": "embed",
    "embedded-publication-wrap": "embed",
    "twitter-embed": "embed",
    "tweet": "embed",
    "youtube-wrap": "embed",
}
SKIPPED = {"script", "style", "template", "noscript", "svg", "img", "picture", "iframe", "video", "audio", "head", "nav",
           "input", "select", "textarea", "object"}  # fmt: skip
BLOCKS = {"address", "article", "aside", "blockquote", "body", "dd", "div", "dl", "dt", "figcaption", "figure", "footer",
          "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "html", "li", "main", "ol", "p", "pre", "section",
          "table", "tbody", "td", "th", "thead", "tr", "ul"}  # fmt: skip
EMPHASIS = {"em": "*", "i": "*", "strong": "**", "b": "**", "del": "~~", "s": "~~", "code": "`"}
DEEPEST = 200


@dataclass
class Reading:
    """What has been read so far."""

    keep_blank_lines: bool = False
    """Whether an empty line in the text parts paragraphs (WordPress writes so)."""
    blocks: list[Block] = field(default_factory=list)
    footnotes: list[Footnote] = field(default_factory=list)
    line: list[str] = field(default_factory=list)

    def end_paragraph(self, kind: str = "paragraph", mark: str = "") -> None:
        """Make a block of the words since the last one."""
        text, self.line = tidy("".join(self.line)), []
        if text:
            self.blocks.append(Block(kind, mark + text))


def tree(html: str | bytes) -> Any:
    """Return a page as a Beautiful Soup tree."""
    parser("lxml")
    bs4 = parser("bs4")
    return bs4.BeautifulSoup(html, "lxml")


def html_blocks(html: str | Any, *, keep_blank_lines: bool = False) -> tuple[list[Block], list[Footnote]]:
    """Return the blocks and footnotes of a page or of one element of it."""
    reading = Reading(keep_blank_lines)
    _walk(tree(html) if isinstance(html, str) else html, reading, 0)
    reading.end_paragraph()
    return reading.blocks, reading.footnotes


def _walk(element: Any, reading: Reading, depth: int) -> None:
    """Add the children of a block element."""
    for child in element.children:
        if child.name is None:
            if type(child).__name__ == "NavigableString":
                _text(str(child), reading)
        elif child.name not in SKIPPED and depth < DEEPEST:
            _element(child, reading, depth)


def _text(text: str, reading: Reading) -> None:
    if reading.keep_blank_lines:
        first, *others = text.replace("\r\n", "\n").split("\n\n")
        reading.line.append(first.replace("\n", "  \n") if first.strip() else first)
        for other in others:
            reading.end_paragraph()
            reading.line.append(other)
    else:
        reading.line.append(collapse(text))


def _element(child: Any, reading: Reading, depth: int) -> None:
    name = child.name
    classes = child.get("class") or []
    furniture = next((FURNITURE_CLASSES[one] for one in classes if one in FURNITURE_CLASSES), None)
    if furniture:
        reading.end_paragraph()
        reading.line.append(_inline(child, depth))
        reading.end_paragraph(furniture)
    elif "footnote" in classes and name in BLOCKS:
        reading.end_paragraph()
        _footnote(child, reading, depth)
    elif name not in BLOCKS:
        reading.line.append(_inline_element(child, depth))
    elif name in ("h1", "h2", "h3", "h4", "h5", "h6"):
        reading.end_paragraph()
        reading.line.append(_inline(child, depth).replace("\n", " "))
        reading.end_paragraph("heading", "#" * int(name[1]) + " ")
    elif name == "hr":
        reading.end_paragraph()
        reading.blocks.append(Block("rule", "* * *"))
    elif name == "pre":
        reading.end_paragraph()
        reading.blocks.append(Block("code", "```\n" + child.get_text().strip("\n") + "\n```"))
    elif name in ("blockquote", "ul", "ol", "figcaption"):
        reading.end_paragraph()
        inner = Reading(reading.keep_blank_lines)
        if name in ("ul", "ol"):
            _list(child, inner, reading, depth)
        else:
            _walk(child, inner, depth + 1)
            inner.end_paragraph()
            _fold(inner, reading, "quote" if name == "blockquote" else "caption")
    elif name == "form":
        reading.end_paragraph()
        reading.line.append(_inline(child, depth))
        reading.end_paragraph("subscribe")
    else:
        reading.end_paragraph()
        _walk(child, reading, depth + 1)
        reading.end_paragraph()


def _fold(inner: Reading, reading: Reading, kind: str) -> None:
    """Make one block of a quote's paragraphs."""
    reading.footnotes += inner.footnotes
    text = "\n\n".join(block.text for block in inner.blocks)
    if text:
        marked = "\n".join(f"> {line}".rstrip() for line in text.split("\n")) if kind == "quote" else text
        reading.blocks.append(Block(kind, marked))


def _list(child: Any, inner: Reading, reading: Reading, depth: int) -> None:
    lines = []
    items = child.find_all("li", recursive=False)
    for number, item in enumerate(items, 1):
        part = Reading(inner.keep_blank_lines)
        _walk(item, part, depth + 1)
        part.end_paragraph()
        reading.footnotes += part.footnotes
        bullet = f"{number}. " if child.name == "ol" else "- "
        text = "\n".join(block.text for block in part.blocks)
        lines.append(bullet + text.replace("\n", "\n" + " " * len(bullet)))
    if lines:
        reading.blocks.append(Block("list", "\n".join(lines)))


def _footnote(child: Any, reading: Reading, depth: int) -> None:
    """A footnote's own element: its number, then its paragraphs."""
    number = child.find(class_="footnote-number")
    label = number.get_text().strip() if number else str(len(reading.footnotes) + 1)
    if number:
        number.extract()
    inner = Reading()
    _walk(child, inner, depth + 1)
    inner.end_paragraph()
    reading.footnotes.append(Footnote(label, "\n\n".join(block.text for block in inner.blocks)))


def _inline(element: Any, depth: int) -> str:
    """Return an element's words on one line, with emphasis and links."""
    pieces = []
    for child in element.children:
        if child.name is None:
            if type(child).__name__ == "NavigableString":
                pieces.append(collapse(str(child)))
        elif child.name not in SKIPPED and depth < DEEPEST:
            pieces.append(_inline_element(child, depth + 1))
    return "".join(pieces)


def _inline_element(child: Any, depth: int) -> str:
    name = child.name
    if name == "br":
        return "\n"
    text = _inline(child, depth)
    if not text.strip():
        return text
    if name == "a":
        target = child.get("href") or ""
        classes = child.get("class") or []
        if "footnote-anchor" in classes or child.get("rel") == ["footnote"] or target.startswith(("#footnote", "#fn")):
            return f"[^{text.strip().strip('[]')}]"
        if target and not target.startswith("#"):
            return f"[{text}]({target})" if target != text else text
        return text
    if name in EMPHASIS:
        mark, bare = EMPHASIS[name], text.strip()
        before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
        return f"{before}{mark}{bare}{mark}{after}"
    if name in BLOCKS:
        return f" {text} "
    return text


def collapse(text: str) -> str:
    """Return a text as HTML means it: any white space is one space."""
    return " ".join(f".{text}.".split())[1:-1]


def tidy(text: str) -> str:
    """Return a paragraph without doubled spaces and without spaces around its line breaks."""
    lines = [" ".join(line.replace("\u00a0", " ").replace("\u200b", "").split()) for line in text.split("\n")]
    return "\n".join(lines).strip()
