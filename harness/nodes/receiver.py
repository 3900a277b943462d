"""A stand-in for external systems: accepts and records webhooks, mail and traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from harness.core.deadline import Check
from harness.core.errors import ConfigError, Unavailable
from harness.core.launch import InContainer, Launch
from harness.core.node import Node, Scope, Target
from harness.nodes.base import BaseNode, main_port
from harness.nodes.certificates import TLS_FILE, hosts_of
from harness.nodes.recorder_files import command_of, process_of, texts_of
from harness.provision.authority import server_pem
from harness.ready.tcp import TcpCheck

RECORD = "received.jsonl"
PROGRAMS = ("receiver_server.py", "inbox_server.py")
HTTP_PACKAGES = ("h11",)
MAIL_PACKAGES = ("aiosmtpd", "public", "attr", "attrs")
"""aiosmtpd and its dependencies: atpublic and attrs."""

USER = "dapr"
"""The user who may send mail."""


@dataclass(frozen=True)
class Receiver(BaseNode):
    """An HTTP server that responds 202 to everything, and a mail server that accepts everything.

    ``dapr.inbox(name)`` reads what arrived: requests as daprd sent them, and mail as deliveries
    with the method ``MAIL`` whose data has ``from``, ``to``, ``subject`` and ``text``.
    ``dapr.trace(id)`` reads traces that a Configuration sends to ``<url>/api/v2/spans`` (Zipkin's
    path).

    Args:
        name: the node's name; it exports ``<name>.url``, ``.host``, ``.port`` and ``.smtp`` (a
            port).
        mail: whether mail is accepted, which requires aiosmtpd.
        port: a fixed port for the HTTP server.
        mail_auth: whether mail requires SMTP AUTH, with ``<name>.username`` and ``.password``.
        starttls: whether mail requires STARTTLS, with a certificate of the stack's own authority.
        bearer: whether requests require ``Authorization: Bearer <name>.token``; others get 401.
    """

    tools = ("app",)

    name: str = "receiver"
    mail: bool = True
    port: int | None = None
    mail_auth: bool = False
    starttls: bool = False
    bearer: bool = False

    def __post_init__(self) -> None:
        if (self.mail_auth or self.starttls) and not self.mail:
            raise ConfigError(
                f"receiver {self.name!r} has mail=False, with mail_auth or starttls",
                expected="mail that is accepted, if it requires them",
                hint="leave out mail=False",
            )

    @property
    def records(self) -> str:
        """Itself."""
        return self.name

    @property
    def fixed_ports(self) -> Mapping[str, int]:  # type: ignore[override]  # derived, not stored
        """The port of its HTTP server, if it is fixed."""
        return main_port(self.port)

    @property
    def packages(self) -> tuple[str, ...]:  # type: ignore[override]  # derived, not stored
        """What pip installs into the image that it runs in."""
        return ("h11", *(("aiosmtpd",) if self.mail else ()))

    def resolve(self, target: Target) -> Node:
        """Itself.

        Raises:
            ConfigError: it has a certificate, and the system must run without the harness.
        """
        if target.alone and self.starttls:
            raise ConfigError(
                f"receiver {self.name!r} with starttls needs the harness, which signs for it",
                expected="starttls=False in a rendered system",
                hint="render a topology without it; `dapr-harness up` starts one with it",
            )
        return super().resolve(target)

    def plan(self, scope: Scope) -> Launch:
        """A Python program of the harness; a container receives its files and their dependencies.

        Raises:
            Unavailable: mail is requested and aiosmtpd is not installed.
        """
        listen, home = scope.listen(), scope.home
        smtp = scope.listen("smtp") if self.mail else None
        return Launch(
            name=self.name,
            argv=(
                *command_of(PROGRAMS[0], scope),
                str(listen),
                str(smtp or "-"),
                str(home / RECORD),
            ),
            ports={"main": listen.port, **({"smtp": smtp.port} if smtp else {})},
            env=self._variables(scope),
            files=self._certificate(scope),
            grace=0.5,
            process=process_of(PROGRAMS[0]),
            container=InContainer(
                "app",
                files=texts_of(PROGRAMS),
                folders=self._imported(),
            ),
        )

    def checks(self, scope: Scope) -> Sequence[Check]:
        """It listens."""
        return (TcpCheck(scope.endpoint(), forwarded=scope.in_container),)

    def exports(self, scope: Scope) -> Mapping[str, str]:
        """``url``, ``host`` and ``port`` of its HTTP server; ``smtp``: the port for mail."""
        endpoint = scope.endpoint()
        values = {"url": endpoint.http, "host": endpoint.host, "port": str(endpoint.port)}
        if self.mail:
            values["smtp"] = str(scope.endpoint("smtp").port)
        if self.mail_auth:
            values |= {"username": USER, "password": scope.token(self.name)}
        if self.starttls:
            values["authority"] = scope.authority().anchors
        if self.bearer:
            values["token"] = scope.token(f"{self.name}-api")
        return values

    def _variables(self, scope: Scope) -> dict[str, str]:
        """Not arguments: every account on the machine can see command lines."""
        values: dict[str, str] = {}
        if self.mail_auth:
            values |= {"USERNAME": USER, "PASSWORD": scope.token(self.name)}
        if self.starttls:
            values["CERTIFICATE"] = str(scope.home / TLS_FILE)
        if self.bearer:
            values["TOKEN"] = scope.token(f"{self.name}-api")
        return {f"RECEIVER_{name}": value for name, value in values.items()}

    def _certificate(self, scope: Scope) -> dict[str, str]:
        if not self.starttls:
            return {}
        hosts = hosts_of(scope, ("smtp",))
        return {TLS_FILE: server_pem(scope.authority(), hosts)}

    def _imported(self) -> dict[str, Path]:
        found = {}
        for package in (*HTTP_PACKAGES, *(MAIL_PACKAGES if self.mail else ())):
            spec = find_spec(package)
            if spec is None or spec.origin is None:
                raise Unavailable(
                    f"node {self.name!r} accepts mail, but {package} is not installed",
                    expected="the aiosmtpd package",
                    hint="pip install 'dapr-harness[mail]', or Receiver(mail=False)",
                )
            found[package] = Path(spec.origin).parent
        return found
