"""Addresses: which stay on this machine, how one types them, and opening one in the browser."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import webbrowser

LOOPBACK_NAMES = frozenset({"localhost"})


def is_loopback(host: str) -> bool:
    """Whether an address to listen at can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host in LOOPBACK_NAMES


def shown_host(host: str) -> str:
    """Return a host as one types it into a browser."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname() or "localhost"
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def open_browser(address: str) -> bool:
    """Open the address in the person's browser; return whether there is a screen to open it on."""
    has_screen = sys.platform != "linux" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    try:
        return has_screen and webbrowser.open(address)
    except (webbrowser.Error, OSError):
        return False
