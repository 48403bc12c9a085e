"""Every family's export, made on the spot as the site makes it: words, dates, titles, kinds arrive; traps are refused."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from pathlib import Path

import docx
import pytest

from cutaway.base.errors import CutawayError, DataError, UsageError
from cutaway.voice import extra, found_files
from cutaway.voice.importers import Imported, import_writing
from cutaway.voice.piece import Piece, read_pieces, write_pieces

SUBSTACK_PAGE = """
<p>Rain is <em>patient</em>, and so was I.<a class="footnote-anchor" id="footnote-anchor-1" href="#footnote-1">1</a></p>
<div class="subscription-widget-wrap-editor"><div class="subscription-widget"><p>Type your email</p></div></div>
<h2>A heading</h2>
<blockquote><p>Quoted <strong>words</strong>.</p></blockquote>
<p class="button-wrapper"><a href="https://x.example/share">Share</a></p>
<ul><li><p>one</p></li><li><p>two</p></li></ul>
<p>See <a href="https://en.example/wiki/Rain_(film)">the film</a>.</p>
<div class="footnote"><a id="footnote-1" class="footnote-number" href="#footnote-anchor-1">1</a>
<div class="footnote-content"><p>It was not.</p></div></div>
"""
TABLE = """post_id,post_date,is_published,email_sent_at,type,audience,title,subtitle,podcast_url
11.rain,2024-03-01T08:00:00.000Z,true,,newsletter,everyone,"On rain, again",Wet thoughts,
12.half,2024-04-01T08:00:00.000Z,false,,newsletter,everyone,Half a thought,,
13.lost,2024-05-01T08:00:00.000Z,true,,podcast,everyone,Lost,,
"""


def archive(path: Path, files: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return path


def only(imported: Imported) -> Piece:
    assert len(imported.pieces) == 1
    return imported.pieces[0]


def texts(piece: Piece) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in piece.blocks]


def test_substack(tmp_path: Path) -> None:
    notes = "id,date,body\n1,2024-05-05T01:00:00Z,A note on *mud*.\n"
    files = {"posts.csv": TABLE, "posts/11.rain.html": SUBSTACK_PAGE, "posts/12.half.html": "<p>Half.</p>",
             "notes.csv": notes, "email_list.csv": "email\nreader@x.example\n"}  # fmt: skip
    got = import_writing(archive(tmp_path / "export.zip", files))
    assert got.found == {"Substack export": 3}
    assert [(one.name, one.title, one.kind, one.date) for one in got.pieces] == [
        ("a-note-on-mud", "", "note", "2024-05-05T01:00:00Z"),
        ("on-rain-again", "On rain, again", "essay", "2024-03-01T08:00:00Z"),
        ("half-a-thought", "Half a thought", "draft", "2024-04-01T08:00:00Z"),
    ]
    rain = got.pieces[1]
    assert texts(rain) == [
        ("heading", "## Wet thoughts"),
        ("paragraph", "Rain is *patient*, and so was I.[^1]"),
        ("subscribe", "Type your email"),
        ("heading", "## A heading"),
        ("quote", "> Quoted **words**."),
        ("button", "[Share](https://x.example/share)"),
        ("list", "- one\n- two"),
        ("paragraph", "See [the film](https://en.example/wiki/Rain_(film))."),
    ]
    assert [(note.label, note.text) for note in rain.footnotes] == [("1", "It was not.")]
    assert any("left out 1 posts" in remark for remark in got.remarks)
    assert "reader@x.example" not in str(got)


def test_substack_without_posts(tmp_path: Path) -> None:
    path = archive(tmp_path / "export.zip", {"posts.csv": TABLE.split("\n")[0] + "\n"})
    with pytest.raises(DataError, match="lists no posts"):
        import_writing(path)


def test_substack_notes_as_json(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text(json.dumps({"items": [{"comment": {"body": "Mud.", "date": "2024-01-02"}}]}))
    one = only(import_writing(tmp_path))
    assert (one.kind, one.date, one.text) == ("note", "2024-01-02", "Mud.")


def test_medium(tmp_path: Path) -> None:
    page = """<html><body><article class="h-entry"><header><h1 class="p-name">Mist</h1></header>
    <section data-field="subtitle" class="p-summary">Low clouds</section>
    <section data-field="body" class="e-content"><h3 class="graf graf--title">Mist</h3><p>It came in.</p></section>
    <footer><p><time class="dt-published" datetime="2020-05-06T07:08:09.000Z">May</time></p></footer></article>"""
    path = archive(tmp_path / "m.zip", {"posts/2020-05-06_Mist-ab.html": page, "posts/draft_Fog-cd.html": page})
    mist, fog = import_writing(path).pieces
    assert (mist.title, mist.kind, mist.date) == ("Mist", "note", "2020-05-06T07:08:09Z")
    assert texts(mist) == [("heading", "## Low clouds"), ("paragraph", "It came in.")]
    assert fog.kind == "draft"


def tweet(key: str, text: str, **more: object) -> dict[str, object]:
    return {"tweet": {"id_str": key, "full_text": text, "created_at": f"Wed Oct {key} 20:19:24 +0000 2018", **more}}


def test_twitter_threads_links_and_retweets(tmp_path: Path) -> None:
    link = {"url": "https://t.co/a", "expanded_url": "https://long.example"}
    tweets = [
        tweet("11", "Second &amp; last.", in_reply_to_status_id_str="10", in_reply_to_user_id_str="1"),
        tweet("10", "First https://t.co/a", entities={"urls": [link]}),
        tweet("12", "RT @other: not mine"),
        tweet("13", "@other no", in_reply_to_status_id_str="99", in_reply_to_user_id_str="2"),
    ]
    path = archive(tmp_path / "x.zip", {"data/tweets.js": "window.YTD.tweets.part0 = " + json.dumps(tweets)})
    thread, reply = import_writing(path).pieces
    assert (thread.text, thread.kind, thread.date) == (
        "First https://long.example\n\nSecond & last.", "note", "2018-10-10T20:19:24Z"
    )  # fmt: skip
    assert (reply.text, reply.kind) == ("@other no", "reply")


WXR = """<?xml version="1.0" encoding="UTF-8"?>{doctype}
<rss xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:wp="http://wordpress.org/export/1.2/"><channel>
<item><title>Hail</title><content:encoded><![CDATA[First line
second line.

<strong>Next</strong> paragraph.]]></content:encoded><wp:post_date_gmt>2019-01-02 03:04:05</wp:post_date_gmt>
<wp:post_type>post</wp:post_type><wp:status>publish</wp:status></item>
<item><title>pic</title><wp:post_type>attachment</wp:post_type></item>
</channel></rss>"""


def test_wordpress(tmp_path: Path) -> None:
    (tmp_path / "wp.xml").write_text(WXR.format(doctype=""))
    one = only(import_writing(tmp_path))
    assert (one.title, one.kind, one.date) == ("Hail", "essay", "2019-01-02T03:04:05")
    assert texts(one) == [("paragraph", "First line\nsecond line."), ("paragraph", "**Next** paragraph.")]


@pytest.mark.parametrize("inside", ['<!ENTITY a "ha"><!ENTITY b "&a;&a;">', '<!ENTITY f SYSTEM "file:///etc/passwd">'])
def test_wordpress_entity_bombs_are_refused(inside: str, tmp_path: Path) -> None:
    (tmp_path / "wp.xml").write_text(WXR.format(doctype=f"<!DOCTYPE rss [{inside}]>"))
    with pytest.raises(DataError, match="defines its own entities"):
        import_writing(tmp_path)


def test_markdown(tmp_path: Path) -> None:
    text = """---
title: 'Frost: a study'
date: 2021-02-03
---
One *line*
and the next.[^a] Verse  
stays.

> A quote

<div class="subscription-widget-wrap">Subscribe</div>

[^a]: The note.
"""  # noqa: W291
    (tmp_path / "2020-01-01-frost.md").write_text(text)
    (tmp_path / "bare.md").write_text("# Bare\n\nWords.\n")
    (tmp_path / "broken.md").write_text("---\ntitle: [\n---\nText.\n")
    got = import_writing(tmp_path)
    frost, bare, broken = got.pieces
    assert (frost.title, frost.date) == ("Frost: a study", "2021-02-03")
    assert texts(frost) == [
        ("paragraph", "One *line* and the next.[^a] Verse\nstays."),
        ("quote", "> A quote"),
        ("subscribe", "Subscribe"),
    ]
    assert [(note.label, note.text) for note in frost.footnotes] == [("a", "The note.")]
    assert (bare.title, bare.text) == ("Bare", "Words.")
    assert broken.text == "Text."
    assert any("front matter is not YAML" in remark for remark in got.remarks)


def test_html_page_with_declared_encoding(tmp_path: Path) -> None:
    page = """<html><head><meta charset="iso-8859-2"><title>Site - Dew</title></head><body><nav>Menu</nav>
    <article><h1>Dew</h1><time datetime="2022-03-04">then</time><p>Wilgo\u0107.</p><script>x()</script></article></html>"""
    (tmp_path / "dew.html").write_bytes(page.encode("iso-8859-2"))
    got = import_writing(tmp_path)
    assert (only(got).title, only(got).date, "Menu" in only(got).text) == ("Dew", "2022-03-04", False)
    assert "Wilgo\u0107." in only(got).text
    assert got.encodings == {"iso-8859-2": 1}


def test_text_with_mixed_encodings_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Snow\n\nUn caf\u00e9.\n".encode() + b"A \x93caf\xe9\x94.\n")
    got = import_writing(tmp_path)
    assert (only(got).title, only(got).text) == ("Snow", "Un caf\u00e9.\nA \u201ccaf\u00e9\u201d.")
    assert got.remarks == ["a.txt: mixed encodings: UTF-8, but Windows-1252 at line 4"]


def test_docx(tmp_path: Path) -> None:
    made = docx.Document()
    made.add_paragraph("Thaw", style="Title")
    made.add_heading("Part", 2)
    paragraph = made.add_paragraph("It ")
    paragraph.add_run("melts").italic = True
    made.add_paragraph("Said he.", style="Quote")
    made.save(str(tmp_path / "2023-01-02 thaw.docx"))
    one = only(import_writing(tmp_path))
    assert (one.title, one.date) == ("Thaw", "2023-01-02")
    assert texts(one) == [("heading", "## Part"), ("paragraph", "It *melts*"), ("quote", "> Said he.")]


MBOX = """From me@x.example Thu Jan 01 00:00:00 2015
From: Me <me@x.example>
Subject: Ice
Date: Thu, 01 Jan 2015 00:00:00 +0000

My own words.

On Wed, 31 Dec 2014, You wrote:
> your words

-- \nMe

From you@x.example Thu Jan 01 00:00:00 2015
From: you@x.example
Subject: Ice

Yours.
"""


def test_mbox_by_sender(tmp_path: Path) -> None:
    (tmp_path / "all.mbox").write_text(MBOX)
    with pytest.raises(UsageError, match=r"2 senders: me@x.example \(1\).*--sender"):
        import_writing(tmp_path)
    one = only(import_writing(tmp_path, sender="ME@x.example"))
    assert (one.title, one.kind, one.date) == ("Ice", "message", "2015-01-01T00:00:00Z")
    assert texts(one) == [
        ("paragraph", "My own words."),
        ("reply_quote", "On Wed, 31 Dec 2014, You wrote:\n> your words"),
        ("signature", "Me"),
    ]


def test_conversations_by_role(tmp_path: Path) -> None:
    line = {"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]}
    (tmp_path / "chat.jsonl").write_text(json.dumps(line) + "\n")
    one = only(import_writing(tmp_path))
    assert (one.prompt, one.text) == ("Why?", "Because.")
    assert only(import_writing(tmp_path, role="user")).text == "Why?"
    (tmp_path / "chat.jsonl").write_text("\n".join([json.dumps(line)] * 811 + ["{"]))
    with pytest.raises(DataError, match="line 812"):
        import_writing(tmp_path)


@pytest.mark.parametrize("name", ["../evil.md", "/etc/evil.md", "a/../../evil.md", "..\\evil.md", "C:/evil.md"])
def test_names_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leads out of it; nothing was unpacked"):
        import_writing(archive(tmp_path / "a.zip", {name: "x"}))


def test_links_and_bombs_are_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link.md")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "l.zip", "w") as made:
        made.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="a link"):
        import_writing(tmp_path / "l.zip")
    with pytest.raises(DataError, match="zip bomb"):
        import_writing(archive(tmp_path / "b.zip", {"a.md": b"0" * (8 << 20)}))
    inside = io.BytesIO()
    with zipfile.ZipFile(inside, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("word/document.xml", b" " * (8 << 20))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "bomb.docx").write_bytes(inside.getvalue())
    with pytest.raises(DataError, match="zip bomb"):
        import_writing(tmp_path / "d")


def test_a_link_out_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside.md").write_text("secret")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.md").write_text("mine")
    (tmp_path / "in" / "b.md").symlink_to(tmp_path / "outside.md")
    assert only(import_writing(tmp_path / "in")).text == "mine"


@pytest.mark.parametrize("data", [b"PK\x03\x04 not a zip", b""])
def test_a_damaged_zip_is_one_line(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match="not a zip that can be read"):
        import_writing(tmp_path / "a.zip")


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no writing"):
        import_writing(tmp_path)
    with pytest.raises(DataError, match="there is no"):
        import_writing(tmp_path / "nowhere")


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found_files, "MOST_FILES", 1)
    with pytest.raises(DataError, match="holds 2 files"):
        import_writing(archive(tmp_path / "a.zip", {"a.md": "x", "b.md": "y"}))


def test_a_missing_parser_says_what_to_install() -> None:
    with pytest.raises(CutawayError, match=r"pip install 'cutaway\[voice\]'"):
        extra.parser("no_such_parser")


def test_pieces_read_back_equal(tmp_path: Path) -> None:
    path = archive(tmp_path / "export.zip", {"posts.csv": TABLE, "posts/11.rain.html": SUBSTACK_PAGE})
    pieces = import_writing(path).pieces
    write_pieces(tmp_path / "pieces.jsonl", pieces)
    assert read_pieces(tmp_path / "pieces.jsonl") == pieces
    (tmp_path / "pieces.jsonl").write_text("{")
    with pytest.raises(DataError, match="broken at line 1"):
        read_pieces(tmp_path / "pieces.jsonl")
