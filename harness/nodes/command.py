"""A user's command, and the port on which it listens."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.core.deadline import Check, Observation
from harness.core.endpoint import LOOPBACK, Endpoint
from harness.core.errors import AppFailed
from harness.core.launch import Build
from harness.core.node import Scope
from harness.core.placeholders import nodes_in
from harness.ready.http import HttpCheck
from harness.ready.tcp import TcpCheck

KEPT = 120
"""Seconds for which an app keeps an idle connection.

daprd keeps its idle connections to the app for 90 s (Go's default, pkg/runtime/channels of Dapr
1.18.2). It does not retry if the app closes one just as it is used: the caller gets 500,
ERR_DIRECT_INVOKE, "EOF". With uvicorn's default of 5 s, one in 40 calls failed after a pause of
that length.
"""


def words_of(command: str | Sequence[str]) -> tuple[str, ...]:
    """A command line as words; a string is split as a shell splits it."""
    return tuple(shlex.split(command) if isinstance(command, str) else command)


def needs_of(needs: Sequence[str], env: Mapping[str, str]) -> tuple[str, ...]:
    """The explicit dependencies, then the nodes that variables refer to; each once."""
    used = {node for text in env.values() for node in nodes_in(text)}
    return tuple(dict.fromkeys([*needs, *sorted(used)]))


def command_line(
    words: Sequence[str], listen: Endpoint | None, *, in_container: bool
) -> tuple[str, ...]:
    """The words with ``{port}`` and ``{host}`` filled, and the right interpreter."""
    values = {"{port}": str(listen.port), "{host}": listen.host} if listen else {}
    if in_container:
        # The image contains its own interpreter, not this machine's.
        values[sys.executable] = "python3"
    return tuple(_filled(word, values) for word in words)


def asgi_line(python: str, asgi: str, listen: Endpoint) -> tuple[str, ...]:
    """uvicorn, which keeps idle connections longer than daprd does.

    Its access log is enabled, because readers of a failing test look for it first.
    """
    address = ("--host", listen.host, "--port", str(listen.port))
    return (python, "-m", "uvicorn", asgi, *address, "--timeout-keep-alive", str(KEPT))


def build_of(root: Path, cwd: Path, requirements: Path | None, extra: tuple[str, ...]) -> Build:
    """The image of a program: its folder, and the packages that pip installs."""
    listed = None if requirements is None else root / requirements
    return Build((root / cwd).resolve(), listed, extra)


def port_checks(scope: Scope, health: str | None, *, on_host: bool) -> Sequence[Check]:
    """Its port accepts; its health path responds."""
    endpoint = scope.endpoint()
    paths = (HttpCheck(f"{endpoint.http}{health}", "health"),) if health else ()
    elsewhere = on_host and endpoint.host != LOOPBACK
    port = HostPortCheck(endpoint) if elsewhere else TcpCheck(endpoint)
    forwarded = scope.in_container
    return (replace(port, forwarded=True) if forwarded else port, *paths)


def port_exports(scope: Scope) -> Mapping[str, str]:
    """``host``, ``port`` and ``url``."""
    endpoint = scope.endpoint()
    return {"host": endpoint.host, "port": str(endpoint.port), "url": endpoint.http}


def _filled(word: str, values: Mapping[str, str]) -> str:
    for mark, value in values.items():
        word = word.replace(mark, value)
    return word


@dataclass(frozen=True)
class HostPortCheck(TcpCheck):
    """The app accepts on the address where its sidecar, in a container, can reach it."""

    def observe(self) -> Observation:
        """Connect once; an app that listens only on loopback will never be reachable."""
        seen = super().observe()
        own = Endpoint(LOOPBACK, self.endpoint.port)
        if not seen.ok and TcpCheck(own).observe().ok:
            raise AppFailed(
                f"the app on this machine listens on {own} only, where its sidecar cannot reach it",
                expected=f"an app that listens on {self.endpoint}",
                hint="bind APP_HOST and APP_PORT, or put {host} and {port} into its command",
            )
        return seen
