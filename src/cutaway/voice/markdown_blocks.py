"""Markdown to blocks, through markdown-it's parser; the words stay as they were written.

Front matter (YAML between lines of `---`) is the piece's facts. Soft line breaks become spaces, hard ones stay; HTML inside
Markdown is read as HTML.
"""

from __future__ import annotations

from typing import Any

from cutaway.voice.extra import parser
from cutaway.voice.html_blocks import html_blocks
from cutaway.voice.piece import Block, Footnote


def front_matter(text: str) -> tuple[dict[str, Any], str, str]:
    """Return (facts, the text after them, a remark where they cannot be read)."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return {}, text, ""
    end = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() in ("---", "...")), None)
    if end is None:
        return {}, text, ""
    yaml = parser("yaml")
    try:
        facts = yaml.safe_load("\n".join(lines[1:end])) or {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return (
            {},
            "\n".join(lines[end + 1 :]),
            f"front matter is not YAML ({' '.join(str(error).split())[:90]}); ignored",
        )
    if not isinstance(facts, dict):
        return {}, text, ""
    return {str(key).lower(): value for key, value in facts.items()}, "\n".join(lines[end + 1 :]), ""


def markdown_blocks(text: str) -> tuple[list[Block], list[Footnote]]:
    """Return the blocks and footnotes of a Markdown text."""
    from_plugin = parser("mdit_py_plugins.footnote")
    markdown = parser("markdown_it").MarkdownIt("commonmark").use(from_plugin.footnote_plugin, inline=False)
    lines = text.split("\n")
    tokens = markdown.parse(text)
    blocks: list[Block] = []
    footnotes: list[Footnote] = []
    index = 0
    while index < len(tokens):
        end = _end(tokens, index)
        token = tokens[index]
        kind = token.type.removesuffix("_open")
        if kind == "footnote_block":
            footnotes += _footnotes(tokens[index : end + 1])
        elif kind == "html_block":
            inner, notes = html_blocks(token.content)
            blocks += inner
            footnotes += notes
        elif kind == "hr":
            blocks.append(Block("rule", "* * *"))
        elif kind in ("fence", "code_block"):
            blocks.append(Block("code", f"```{token.info}\n{token.content.rstrip()}\n```"))
        elif kind == "heading":
            blocks.append(Block("heading", f"{'#' * int(token.tag[1])} {tokens[index + 1].content.strip()}"))
        elif kind == "blockquote":
            blocks.append(Block("quote", _source(lines, token)))
        elif kind in ("bullet_list", "ordered_list"):
            blocks.append(Block("list", _source(lines, token)))
        elif kind == "paragraph":
            blocks.append(Block("paragraph", flowing(tokens[index + 1].content)))
        index = end + 1
    return [block for block in blocks if block.text.strip()], footnotes


def flowing(text: str) -> str:
    """Return a paragraph with its soft line breaks as spaces; two spaces or a backslash before the break keep it."""
    lines = text.split("\n")
    joined = lines[0]
    for line in lines[1:]:
        if joined.endswith(("  ", "\\")):
            joined = joined.rstrip(" ").removesuffix("\\") + "\n" + line.lstrip()
        else:
            joined = joined.rstrip() + " " + line.lstrip()
    return joined.strip()


def _end(tokens: list[Any], index: int) -> int:
    depth = 0
    for place in range(index, len(tokens)):
        depth += tokens[place].nesting
        if depth <= 0:
            return place
    return len(tokens) - 1


def _source(lines: list[str], token: Any) -> str:
    return "\n".join(line.rstrip() for line in lines[token.map[0] : token.map[1]]).strip("\n")


def _footnotes(tokens: list[Any]) -> list[Footnote]:
    found: list[Footnote] = []
    label = ""
    texts: list[str] = []
    for token in tokens:
        if token.type == "footnote_open":
            label, texts = str(token.meta.get("label") or token.meta["id"] + 1), []
        elif token.type == "inline":
            texts.append(flowing(token.content))
        elif token.type == "footnote_close":
            found.append(Footnote(label, "\n\n".join(texts)))
    return found
