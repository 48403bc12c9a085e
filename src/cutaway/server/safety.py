"""Who may drive the lab, and what a page may do.

A lab on one's own machine has no password, so it must be sure that who asks is a page of its own: a web page elsewhere can
send requests to 127.0.0.1 too, and a name of its own can lead there (DNS rebinding). Therefore a request must name a host
that is ours, and what a browser says about its origin must be our own address. Open to other machines, the lab wants a
password besides. Every answer tells the browser to run nothing but the lab's own files and to ask nobody else.

    headers -> host -> origin -> session -> size -> the application
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cutaway.server.address import LOOPBACK_NAMES
from cutaway.server.arrays import MEDIA_TYPE
from cutaway.server.sessions import PasswordError, Sessions

MAX_JSON_BYTES = 4 << 20
MAX_UPLOAD_BYTES = 256 << 20
"""Of a file sent as such."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
UPLOADS = "/api/uploads/"
PROGRAMS = "/v1/"
"""Where programs ask, in OpenAI's form; they give the password as a key."""
FOR_GUESTS = ("/api/chat", "/api/login", "/api/logout")
"""What visitors may ask of a lab that only answers them."""
OPEN_TO_ALL = frozenset({"/api/login"})
"""What may be asked before logging in, besides the app's own files."""


@dataclass
class Access:
    """Who may use a lab."""

    sessions: Sessions | None = None
    """Where a password is wanted."""
    is_local: bool = True
    """Only this machine can reach it."""
    names: frozenset[str] = field(default_factory=frozenset)
    """Host names it goes by besides, in lower case."""
    is_guest: bool = False
    """Whether whoever comes may only ask models, and nothing else of the lab answers."""

    def knows_host(self, host: str) -> bool:
        """Whether a Host header names this lab; a number is always ours, for no foreign name leads to a number."""
        name = _host_name(host)
        try:
            address = ipaddress.ip_address(name)
            return address.is_loopback or not self.is_local
        except ValueError:
            own = frozenset() if self.is_local else _machine_names()
            return name in LOOPBACK_NAMES | self.names | own


def protected(app: ASGIApp, access: Access) -> ASGIApp:
    """Return the application behind every check."""
    packed = GZipMiddleware(
        Guard(app, access),
        minimum_size=1000,
        compresslevel=6,
        exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, MEDIA_TYPE),
    )
    return SafeHeaders(packed)


class SafeHeaders:
    """Adds what browsers are told with every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = {**HEADERS, "cache-control": _cache(path, message["status"])}
                there = {name.lower() for name, _ in message["headers"]}
                extra = [(name.encode(), value.encode()) for name, value in added.items() if name.encode() not in there]
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        await self.app(scope, receive, send_with)


def _cache(path: str, status: int) -> str:
    if path.startswith(("/api/", PROGRAMS)):
        return "no-store"
    is_named_by_content = path.startswith("/assets/") and status == 200
    return "public, max-age=31536000, immutable" if is_named_by_content else "no-cache"


class Guard:
    """Refuses what does not come from a page of this lab, from nobody who may, or is too large."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        refused = self._refusal(scope["path"], headers)
        if refused is None and scope["path"].startswith(PROGRAMS):
            refused = await self._refusal_of_program(scope, headers)
        if refused:
            await _answer(send, *refused, in_their_form=scope["path"].startswith(PROGRAMS))
            return
        limit = MAX_UPLOAD_BYTES if scope["path"].startswith(UPLOADS) else MAX_JSON_BYTES
        said = headers.get("content-length", "0")
        if not said.isdigit() or int(said) > limit:
            await _answer(send, 413, _too_large(limit))
            return
        await self._pass(scope, receive, send, limit)

    def _refusal(self, path: str, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self.access.knows_host(host):
            return 421, f"this lab does not go by the name {host!r}; open it at the address it printed"
        if not path.startswith(("/api", PROGRAMS)):
            return None
        if self.access.is_guest and path.startswith("/api") and not path.startswith(FOR_GUESTS):
            return 403, "this lab only answers questions to its models"
        if not is_own_page(host, headers):
            return 403, "this was asked by a page that is not the lab's own; nothing was done"
        sessions = self.access.sessions
        is_open = path in OPEN_TO_ALL or path.startswith(PROGRAMS)  # programs are asked otherwise
        if sessions and not is_open and not sessions.knows(headers.get("cookie", "")):
            return 401, "this lab wants its password first"
        return None

    async def _refusal_of_program(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        sessions = self.access.sessions
        if sessions is None or sessions.knows(headers.get("cookie", "")):
            return None
        kind, _, key = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not key.strip():
            return 401, "this lab wants its password: give it as the API key (Authorization: Bearer ...)"
        address = (scope.get("client") or ("", 0))[0]
        try:
            await asyncio.to_thread(sessions.check, key.strip(), address)
        except PasswordError as error:
            return 401, str(error)
        return None

    async def _pass(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        taken, is_refused = 0, False

        async def receive_counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _TooLarge  # the application answers something; what is sent says why
            return message

        async def send_checked(message: Message) -> None:
            nonlocal is_refused
            if taken > limit and message["type"] == "http.response.start":
                is_refused = True
                await _answer(send, 413, _too_large(limit))
            elif not is_refused:
                await send(message)

        try:
            await self.app(scope, receive_counted, send_checked)
        except _TooLarge:
            if not is_refused:
                await _answer(send, 413, _too_large(limit))


class _TooLarge(Exception):
    pass


def _too_large(limit: int) -> str:
    return f"more was sent than the {limit >> 20} MB this lab takes at once; give the path of a file on its machine instead"


def is_own_page(host: str, headers: Headers) -> bool:
    """Whether a browser says the request comes from the lab's own page, or by nobody's page; programs say nothing."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or (urlsplit(origin).netloc.lower() == host.lower() and origin != "null")


async def _answer(send: Send, status: int, error: str, in_their_form: bool = False) -> None:
    code = "invalid_api_key" if status == 401 else None
    theirs = {"error": {"message": error, "type": "invalid_request_error", "param": None, "code": code}}
    body = json.dumps(theirs if in_their_form else {"error": error, "field": ""}).encode()
    headers: list[Any] = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _host_name(host: str) -> str:
    """Return a Host header's name, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _machine_names() -> frozenset[str]:
    name = socket.gethostname().lower()
    return frozenset({name, name.partition(".")[0], f"{name.partition('.')[0]}.local"})
