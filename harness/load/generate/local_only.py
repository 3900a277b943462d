"""Restricts load to this machine, unless remote targets are allowed explicitly."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from harness.core.errors import ConfigError


def require_local(url: str, *, allow_remote: bool = False) -> str:
    """Return the URL if it points to this machine.

    Raises:
        ConfigError: it points elsewhere without permission, or is not a URL.
    """
    host = urlsplit(url).hostname
    if not host:
        raise ConfigError(f"{url!r} is no URL", expected="such as http://127.0.0.1:3500")
    if not allow_remote and not _loopback(host):
        raise ConfigError(
            f"load for {host} is refused",
            expected="a target on this machine's loopback",
            hint="--allow-remote, if that host is yours and may bear it",
        )
    return url


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
