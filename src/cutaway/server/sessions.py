"""The password of a lab that other machines can reach, and who has given it.

The password is kept as its argon2 hash, a session as the SHA-256 of its random token: neither can be read out of the
process, nor out of the file in which they outlive it. Whoever starts the lab with another password ends all sessions.
Guessing is slowed down, for each address and for all together.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import threading
import time
from collections import deque
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError

from cutaway.base.errors import CutawayError, UsageError

SESSION_SECONDS = 12 * 3600
MIN_PASSWORD = 8
WRONG_A_MINUTE = 5
WRONG_A_MINUTE_OF_ALL = 30


class PasswordError(CutawayError):
    """A wrong password, or too many of them."""


class Sessions:
    """Who has given the password.

    Args:
        name: of the cookie; labs on other ports of the same host need another.
        file: where sessions are kept over a restart; left out: nowhere.

    Raises:
        UsageError: the password is too short.
    """

    def __init__(self, password: str, name: str = "cutaway", file: Path | None = None) -> None:
        if len(password) < MIN_PASSWORD:
            raise UsageError(f"the lab's password has {len(password)} characters; expected {MIN_PASSWORD} or more")
        self.name, self.file = name, file
        self._hasher = PasswordHasher()
        self._hash = self._hasher.hash(password)
        self._key = secrets.token_bytes(32)
        self._given: dict[bytes, float] = {}
        self._sessions: dict[str, float] = self._kept(password)
        self._wrong: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def log_in(self, password: str, address: str) -> str:
        """Return the cookie of a new session.

        Raises:
            PasswordError: the password is wrong, or was wrong too often.
        """
        with self._lock:  # one at a time: each check takes memory on purpose
            now = self._verify(password, address)
            token = secrets.token_urlsafe(32)
            self._sessions[_digest(token)] = now + SESSION_SECONDS
            self._keep()
        return f"{self.name}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={SESSION_SECONDS}"

    def check(self, password: str, address: str) -> None:
        """Pass who gives the password with each request, as programs do.

        The slow check is made once in a session's time; after that the password is recognised by its digest under a key
        that only this process has.

        Raises:
            PasswordError: the password is wrong, or was wrong too often.
        """
        digest = hashlib.blake2b(password.encode(), key=self._key).digest()
        if self._given.get(digest, 0.0) > time.time():
            return
        with self._lock:
            self._given[digest] = self._verify(password, address) + SESSION_SECONDS

    def _verify(self, password: str, address: str) -> float:
        """Return the time now if this is the password; to be called while holding the lock."""
        now = time.time()
        self._forget(now)
        own, everyone = self._recent(address, now), self._recent("", now)
        if len(own) >= WRONG_A_MINUTE or len(everyone) >= WRONG_A_MINUTE_OF_ALL:
            raise PasswordError("too many wrong passwords; wait a minute and try again")
        try:
            self._hasher.verify(self._hash, password)
        except VerifyMismatchError:
            own.append(now)
            everyone.append(now)
            raise PasswordError("this is not the lab's password") from None
        return now

    def knows(self, cookies: str) -> bool:
        """Whether a Cookie header holds a session that goes on."""
        token = self._token(cookies)
        return bool(token) and self._sessions.get(_digest(token), 0.0) > time.time()

    def log_out(self, cookies: str) -> str:
        """Forget a session; return the cookie that makes the browser forget it too."""
        with self._lock:
            self._sessions.pop(_digest(self._token(cookies)), None)
            self._keep()
        return f"{self.name}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0"

    def _kept(self, password: str) -> dict[str, float]:
        """Return the sessions of the lab before this one, if its password was the same."""
        try:
            found: Any = json.loads(self.file.read_text(encoding="utf-8")) if self.file else {}
            self._hasher.verify(found["password"], password)
            return {str(key): float(until) for key, until in found["sessions"].items() if until > time.time()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, Argon2Error, InvalidHashError):
            return {}

    def _keep(self) -> None:
        """Write the sessions down, for nobody's eyes but the owner's; a full disk only means to log in again."""
        if self.file is None:
            return
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            new = self.file.with_suffix(".new")
            with contextlib.suppress(FileNotFoundError):
                new.unlink()
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as kept:
                json.dump({"password": self._hash, "sessions": self._sessions}, kept)
            new.replace(self.file)

    def _token(self, cookies: str) -> str:
        try:
            found = SimpleCookie(cookies).get(self.name)
        except CookieError:
            return ""
        return found.value if found else ""

    def _recent(self, address: str, now: float) -> deque[float]:
        """Return when passwords of an address (of all: "") were wrong in the last minute."""
        times = self._wrong.setdefault(address, deque())
        while times and times[0] < now - 60:
            times.popleft()
        return times

    def _forget(self, now: float) -> None:
        """Forget old guesses and sessions, so that nothing grows for ever."""
        self._wrong = {address: times for address, times in self._wrong.items() if times and times[-1] > now - 60}
        self._sessions = {key: until for key, until in self._sessions.items() if until > now}
        self._given = {digest: until for digest, until in self._given.items() if until > now}


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
