"""Canaries: fixed prompts that every model answers after every run, so that runs can be compared by reading.

    known   a topic you wrote about; the piece is in the training text, so this is where a model repeats it
    new     a topic you did not write about: what is left of your voice without your sentences
    long    a long form: whether it holds together, and where it begins to go in circles

They are chosen once, from the pairs and from topics shipped here that share fewest words with yours, and written to
canaries.toml in the writing folder, where you change them as you like. A run's answers are kept in its canaries.jsonl; a
base is asked once for all its runs, in base_answers.jsonl of the writing folder.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cutaway.base.errors import DataError, suggest
from cutaway.base.files import write_text
from cutaway.interop.conversations import Conversation, read_conversations
from cutaway.voice.answers import AnswerSettings, Prompt
from cutaway.voice.pairs import PROMPTS

CONTINUED = PROMPTS["continuation"].split("\n")[0]
"""How the prompt of a part begins that is no beginning."""
KINDS = {
    "known": "a topic you wrote about",
    "new": "a new topic",
    "long": "a long form",
}
FILE, RUN_ANSWERS, BASE_ANSWERS = "canaries.toml", "canaries.jsonl", "base_answers.jsonl"
N_KNOWN, N_NEW, N_LONG = 4, 4, 2
SHORT_TOKENS, LONG_TOKENS = 200, 600
ASKED = ("essay", "note", "message", "draft", "continuation", "paragraph")
"""Tiers whose prompts serve as known topics, the best first."""
TOPICS = (
    "A bicycle left out in the rain", "The sound a house makes at night", "Learning to cook from a stranger",
    "Why maps are never finished", "The last shop on the street", "An umbrella nobody came back for",
    "What a gardener knows about waiting", "Letters that were never posted", "The etiquette of lifts",
    "A defence of being late", "The colour of winter mornings", "On mending things badly",
    "How to lose at chess", "The neighbour's dog", "Two ways of crossing a river", "The museum on a weekday",
    "Keys that fit no lock", "A short history of the chair", "On whispering", "The taste of tap water",
    "Sleeping on trains", "The wrong size of shoe", "Why islands are drawn round", "A recipe without quantities",
)  # fmt: skip
SMALL_WORDS = {
    "about",
    "after",
    "from",
    "have",
    "into",
    "that",
    "their",
    "there",
    "they",
    "this",
    "under",
    "were",
    "what",
}
SMALL_WORDS |= {"when", "which", "with", "without", "your", "write", "essay", "topic"}


@dataclass(frozen=True)
class Canaries:
    """The prompts and how they are answered."""

    prompts: tuple[Prompt, ...]
    settings: AnswerSettings


def choose_canaries(train: Sequence[Conversation], held_out: Sequence[Conversation] = ()) -> Canaries:
    """Choose prompts of the three kinds for a set of pairs; the same pairs give the same prompts."""
    known: dict[str, Prompt] = {}
    for tier in ASKED:
        of_tier = [one for one in train if one.about.get("tier", "essay") == tier and _is_asked(one, tier)]
        for one in sorted(of_tier, key=lambda one: _drawn(_asked(one))):
            source = str(one.about.get("source", _asked(one)))
            if len(known) < N_KNOWN and source not in known:
                known[source] = Prompt(f"known-{len(known) + 1}", "known", _asked(one), SHORT_TOKENS, source)
        if len(known) >= N_KNOWN:
            break
    taken = _words(text for one in (*train, *held_out) for text in (_asked(one), str(one.about.get("source", ""))))
    fresh = sorted(TOPICS, key=lambda topic: (len(_words([topic]) & taken), _drawn(topic)))
    form = "note" if _mostly_notes(train) else "essay"
    asks = [PROMPTS[form].format(topic=topic) for topic in fresh[:N_NEW]]
    new = [Prompt(f"new-{i}", "new", ask, SHORT_TOKENS) for i, ask in enumerate(asks, 1)]
    rest = fresh[N_NEW : N_NEW + N_LONG]
    longest = [
        Prompt(f"long-{i + 1}", "long", "Write a long essay about this topic: " + topic, LONG_TOKENS)
        for i, topic in enumerate(rest)
    ]
    return Canaries((*known.values(), *new, *longest), AnswerSettings())


def _is_asked(one: Conversation, tier: str) -> bool:
    """Whether the prompt asks for what its tier says; of a piece that was split, only the first part does."""
    return tier in ("continuation", "paragraph") or not _asked(one).startswith(CONTINUED)


def _asked(one: Conversation) -> str:
    return next((message.content for message in one.messages if message.role == "user"), "")


def _drawn(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _words(texts: Iterable[str]) -> set[str]:
    """Return the words that carry a topic, cut to their first five letters: `letters` is about the same as `letter`."""
    words = {word for text in texts for word in re.findall(r"[^\W\d_]{4,}", text.lower())}
    return {word[:5] for word in words - SMALL_WORDS}


def _mostly_notes(train: Sequence[Conversation]) -> bool:
    tiers = [one.about.get("tier") for one in train]
    return tiers.count("note") > tiers.count("essay")


def canaries_of(writing: Path) -> Canaries:
    """Return a writing folder's canaries; chosen and written down the first time.

    Raises:
        DataError: there are no pairs yet, or canaries.toml is broken; the place is named.
    """
    path = writing / FILE
    if path.is_file():
        return read_canaries(path)
    if not (writing / "train.jsonl").is_file():
        raise DataError(f"there are no pairs in {writing}; first: cutaway voice pairs {writing}")
    held = writing / "held_out.jsonl"
    chosen = choose_canaries(
        read_conversations(writing / "train.jsonl"), read_conversations(held) if held.is_file() else ()
    )
    write_canaries(path, chosen)
    return chosen


def write_canaries(path: Path, canaries: Canaries) -> None:
    """Write prompts and settings for a person to edit."""
    settings = canaries.settings
    lines = [
        "# Canaries: prompts that every model answers after every run, always with these settings.",
        "# Change, add or take away any. Kinds: known (a topic you wrote about), new, long.",
        f"temperature = {settings.temperature}",
        *([f"top_p = {settings.top_p}"] if settings.top_p is not None else []),
        f"seed = {settings.seed}",
        f"samples = {settings.samples}  # answers to each prompt",
    ]
    for prompt in canaries.prompts:
        lines += ["", "[[prompts]]", *(f"{name} = {_quoted(value)}" for name, value in _fields(prompt))]
    write_text(path, "\n".join(lines) + "\n")


def _fields(prompt: Prompt) -> list[tuple[str, str | int]]:
    fields: list[tuple[str, str | int]] = [("name", prompt.name), ("kind", prompt.kind), ("text", prompt.text)]
    fields.append(("max_tokens", prompt.max_tokens))
    return fields + ([("source", prompt.source)] if prompt.source else [])


def _quoted(value: str | int) -> str:
    return str(value) if isinstance(value, int) else json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_canaries(path: Path) -> Canaries:
    """Read what a person may have edited.

    Raises:
        DataError: the file is broken or says something that cannot be; the place is named.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}; mend that line or delete the file") from error
    return canaries_from(data, str(path))


def canaries_from(data: Mapping[str, object], place: str) -> Canaries:
    """Return what a file, or a form, says.

    Args:
        data: settings, and `prompts`: a list of tables with name, kind, text and max_tokens.
        place: where it stands, for what is said of mistakes.

    Raises:
        DataError: it says something that cannot be.
    """
    settings = {name: value for name, value in data.items() if name != "prompts"}
    prompts = data.get("prompts", [])
    if not isinstance(prompts, list) or not prompts:
        raise DataError(f"{place} has no [[prompts]]; add one or delete the file, and new ones are chosen")
    found = tuple(_prompt(entry, f"{place}, prompt {number}") for number, entry in enumerate(prompts, 1))
    names = [prompt.name for prompt in found]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise DataError(f"{place}: two prompts are called {twice!r}; give one another name")
    return Canaries(found, _settings(settings, place))


def _prompt(entry: object, place: str) -> Prompt:
    if not isinstance(entry, dict):
        raise DataError(f"{place}: expected a table [[prompts]] with name, kind and text")
    known = ("name", "kind", "text", "max_tokens", "source")
    if unknown := next((name for name in entry if name not in known), ""):
        raise DataError(f"{place}: there is no {unknown!r}{suggest(unknown, known)}; there is {', '.join(known)}")
    kind, text, tokens = entry.get("kind"), entry.get("text"), entry.get("max_tokens", SHORT_TOKENS)
    if kind not in KINDS:
        raise DataError(f"{place}: kind is {kind!r}; expected {', '.join(KINDS)}")
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{place}: text is empty; write what is to be asked")
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1:
        raise DataError(f"{place}: max_tokens is {tokens!r}; expected 1 or more")
    return Prompt(str(entry.get("name") or text), str(kind), text, tokens, str(entry.get("source", "")))


def _settings(data: Mapping[str, object], place: str) -> AnswerSettings:
    known = ("temperature", "top_p", "seed", "samples")
    if unknown := next((name for name in data if name not in known), ""):
        raise DataError(f"{place}: there is no setting {unknown!r}{suggest(unknown, known)}")
    for name, least, most in (("temperature", 0, 10), ("top_p", 0, 1), ("seed", 0, 1 << 62), ("samples", 1, 100)):
        value = data.get(name, least)
        wanted = int if name in ("seed", "samples") else (int, float)
        if not isinstance(value, wanted) or isinstance(value, bool) or not least <= value <= most:
            raise DataError(f"{place}: {name} is {value!r}; expected {least} to {most}")
    if data.get("top_p") == 0:
        raise DataError(f"{place}: top_p is 0; expected above 0, or leave the line out")
    default = AnswerSettings()
    return AnswerSettings(
        float(data.get("temperature", default.temperature)),  # type: ignore[arg-type]
        float(data["top_p"]) if "top_p" in data else None,  # type: ignore[arg-type]
        int(data.get("seed", default.seed)),  # type: ignore[call-overload]
        int(data.get("samples", default.samples)),  # type: ignore[call-overload]
    )
