"""The password of a lab that other machines can reach, and who has given it.

The password is kept as its argon2 hash, a session as the SHA-256 of its random token: neither can be read out of the
process. Guessing is slowed down, for each address and for all together.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import deque
from http.cookies import CookieError, SimpleCookie

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

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

    Raises:
        UsageError: the password is too short.
    """

    def __init__(self, password: str, name: str = "cutaway") -> None:
        if len(password) < MIN_PASSWORD:
            raise UsageError(f"the lab's password has {len(password)} characters; expected {MIN_PASSWORD} or more")
        self.name = name
        self._hasher = PasswordHasher()
        self._hash = self._hasher.hash(password)
        self._key = secrets.token_bytes(32)
        self._sessions: dict[bytes, float] = {}
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
        return f"{self.name}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={SESSION_SECONDS}"

    def check(self, password: str, address: str) -> None:
        """Pass who gives the password with each request, as programs do.

        The slow check is made once in a session's time; after that the password is recognised by its digest under a key
        that only this process has.

        Raises:
            PasswordError: the password is wrong, or was wrong too often.
        """
        digest = hashlib.blake2b(password.encode(), key=self._key).digest()
        if self._sessions.get(digest, 0.0) > time.monotonic():
            return
        with self._lock:
            self._sessions[digest] = self._verify(password, address) + SESSION_SECONDS

    def _verify(self, password: str, address: str) -> float:
        """Return the time now if this is the password; to be called while holding the lock."""
        now = time.monotonic()
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
        return bool(token) and self._sessions.get(_digest(token), 0.0) > time.monotonic()

    def log_out(self, cookies: str) -> str:
        """Forget a session; return the cookie that makes the browser forget it too."""
        with self._lock:
            self._sessions.pop(_digest(self._token(cookies)), None)
        return f"{self.name}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0"

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


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
