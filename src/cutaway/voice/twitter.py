"""X's (Twitter's) archive: data/tweets.js and its parts, JSON after `window.YTD.tweets.part0 =`.

A thread (a chain of answers to oneself) is one note. Retweets are others' words and are left out; answers to others are
kept as replies. Links are shown where they lead, not as t.co. Long posts come whole from note-tweet.js.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from typing import Any

from cutaway.base.errors import DataError
from cutaway.voice.found_files import FoundFiles
from cutaway.voice.piece import Block, Piece
from cutaway.voice.reading import Asked, iso_date

WHAT = "X (Twitter) archive"


def finds(files: FoundFiles, names: list[str]) -> list[str]:
    """Return the files of tweets."""
    return [name for name in names if _is_tweets(name) and files.read(name).lstrip().startswith(b"window.YTD.")]


def _is_tweets(name: str) -> bool:
    last = name.rsplit("/", 1)[-1]
    return last.endswith(".js") and last.split("-part")[0].removesuffix(".js") in ("tweet", "tweets", "note-tweet")


def pieces(files: FoundFiles, names: list[str], asked: Asked) -> Iterator[Piece]:
    """Read all parts, join threads, oldest first."""
    tweets: dict[str, dict[str, Any]] = {}
    sources: dict[str, str] = {}
    long: list[dict[str, Any]] = []
    for name in names:
        for entry in _entries(asked.text(files, name), name):
            if "noteTweet" in entry:
                long.append(entry["noteTweet"])
                continue
            tweet = entry.get("tweet", entry)
            key = str(tweet.get("id_str") or tweet.get("id") or len(tweets))
            tweets[key], sources[key] = tweet, name
    retweets = {key for key, tweet in tweets.items() if str(tweet.get("full_text", "")).startswith("RT @")}
    asked.left_out(len(retweets), "retweets")
    whole = {text[:60]: text for text in (str(note.get("core", {}).get("text", "")) for note in long) if text}
    follows: dict[str, str] = {}
    for key, tweet in tweets.items():
        before = str(tweet.get("in_reply_to_status_id_str") or tweet.get("in_reply_to_status_id") or "")
        if before in tweets and before not in retweets and key not in retweets:
            follows.setdefault(before, key)
    inside = set(follows.values())
    for key in sorted(tweets, key=lambda one: iso_date(tweets[one].get("created_at")) or ""):
        if key in retweets or key in inside:
            continue
        blocks, at, seen = [], key, set()
        while at and at not in seen:
            seen.add(at)
            blocks += [Block("paragraph", part) for part in _text(tweets[at], whole).split("\n\n") if part.strip()]
            at = follows.get(at, "")
        answers = tweets[key].get("in_reply_to_user_id_str") or tweets[key].get("in_reply_to_status_id_str")
        yield Piece(
            "", "", "reply" if answers else "note", sources[key], tuple(blocks), iso_date(tweets[key].get("created_at"))
        )


def _text(tweet: dict[str, Any], whole: dict[str, str]) -> str:
    text = html.unescape(str(tweet.get("full_text") or tweet.get("text") or ""))
    text = whole.get(text[:60], text) if len(text) > 200 else text
    entities = tweet.get("entities") or {}
    for link in entities.get("urls") or []:
        text = text.replace(str(link.get("url")), str(link.get("expanded_url") or link.get("url")))
    for picture in entities.get("media") or []:
        text = text.replace(str(picture.get("url")), "")
    return text.strip()


def _entries(text: str, name: str) -> list[dict[str, Any]]:
    _, found, data = text.partition("=")
    try:
        entries = json.loads(data.strip().removesuffix(";")) if found else None
    except (json.JSONDecodeError, RecursionError) as error:
        where = f" at line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"{name} is broken JSON{where}; download the archive again") from error
    if not isinstance(entries, list):
        raise DataError(f"{name} does not hold a list of tweets; download the archive again")
    return [entry for entry in entries if isinstance(entry, dict)]
