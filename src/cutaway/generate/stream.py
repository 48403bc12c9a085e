"""Tokens become text while more are coming: only what can no longer change is given out.

A token may end in the middle of a character (BPE works on bytes), and a text may end in the middle of a
stop string. Both are held back until the next tokens decide. Joined together, the pieces are exactly the
final text.
"""

from __future__ import annotations

from collections.abc import Sequence

from cutaway.text.tokenizer import Tokenizer

_CONTEXT_TOKENS = 4
_MOST_DECODED = 16


class TextStream:
    """The text of one sample.

    Args:
        before: the ids the new ones follow; some tokenizers write a token differently at the start of a text.
        stop: strings that end the text.
    """

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int], stop: Sequence[str] = ()) -> None:
        self.text = ""
        """All that was given out so far."""
        self.stopped = False
        """Whether a stop string was found."""
        self._tokenizer, self._stop = tokenizer, stop
        self._ids = list(before[-_CONTEXT_TOKENS:])
        self._shown = tokenizer.decode(self._ids)
        self._held = ""

    def push(self, token: int) -> str:
        """Take one more token; return the text that became certain."""
        if self.stopped:
            return ""
        self._ids.append(token)
        decoded = self._tokenizer.decode(self._ids)
        if decoded.endswith("\ufffd") and len(decoded) > len(self._shown):
            return ""
        return self._take(decoded)

    def finish(self) -> str:
        """Return what was held back."""
        decoded = self._tokenizer.decode(self._ids)
        piece = "" if self.stopped else self._take(decoded)
        rest, self._held = self._held, ""
        self.text += rest
        return piece + rest

    def _take(self, decoded: str) -> str:
        self._held += decoded[len(self._shown) :]
        self._shown = decoded
        if len(self._ids) > _MOST_DECODED:
            self._ids = self._ids[-_CONTEXT_TOKENS:]
            self._shown = self._tokenizer.decode(self._ids)
        if not self._stop:
            piece, self._held = self._held, ""
        else:
            piece = self._until_stop()
        self.text += piece
        return piece

    def _until_stop(self) -> str:
        found = [self._held.find(stop) for stop in self._stop]
        if any(index >= 0 for index in found):
            piece = self._held[: min(index for index in found if index >= 0)]
            self._held, self.stopped = "", True
            return piece
        undecided = max(_overlap(self._held, stop) for stop in self._stop)
        split = len(self._held) - undecided
        piece, self._held = self._held[:split], self._held[split:]
        return piece


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of the text that begins the stop string."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
