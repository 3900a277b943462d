"""A Redis server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.deadline import Check
from harness.launch import Launch
from harness.nodes.base import Plain
from harness.ready.redis import RedisCheck
from harness.topology import HOST, Book

CONFIG = "redis.conf"
KEEPING = {"save": '""', "appendonly": "yes", "appendfsync": "no"}
"""Written data survives a kill of the server, but not a crash of the machine."""


@dataclass(frozen=True)
class Redis(Plain):
    """A server with or without a password.

    Args:
        name: the node's name; it exports ``<name>.address`` (``host:port``), ``.host``, ``.port``,
            ``.password`` and ``.url``.
        port: a fixed port.
        password: whether it requires one. Without it, as with the Redis of ``dapr init``, every
            account on the machine can use it.
    """

    tools = ("redis",)

    name: str = "redis"
    port: int | None = None
    password: bool = True

    def plan(self, book: Book) -> Launch:
        """The server, with its data in the node's folder; in a container, in the image's own."""
        listen = book.listen(self.name, wanted=self.port)
        options = {
            "bind": listen.host,
            "port": str(listen.port),
            **({"requirepass": self._secret(book)} if self.password else {}),
            **KEEPING,
        }
        plan = self._container if book.inside(self.name) else self._process
        return plan(book, listen.port, options)

    def _container(self, book: Book, port: int, options: Mapping[str, str]) -> Launch:
        words = [word for key, value in options.items() for word in (f"--{key}", value.strip('"'))]
        return Launch(name=self.name, argv=("redis-server", *words), image="redis", ports=(port,))

    def _process(self, book: Book, port: int, options: Mapping[str, str]) -> Launch:
        home = book.home(self.name)
        # A file, because every account on the machine can see command lines.
        rows = {**options, "dir": f'"{home}"', "daemonize": "no"}
        return Launch(
            name=self.name,
            argv=(str(book.tools.path("redis")), str(home / CONFIG)),
            files={CONFIG: "".join(f"{key} {value}\n" for key, value in rows.items())},
            ports=(port,),
        )

    def checks(self, book: Book) -> Sequence[Check]:
        """It answers."""
        return (RedisCheck(book.endpoint(self.name), self._secret(book)),)

    def exports(self, book: Book, viewer: str = HOST) -> Mapping[str, str]:
        """Connection values for apps and components."""
        endpoint, password = book.endpoint(self.name, viewer=viewer), self._secret(book)
        user = f":{password}@" if password else ""
        return {
            "address": str(endpoint),
            "host": endpoint.host,
            "port": str(endpoint.port),
            "password": password,
            "url": f"redis://{user}{endpoint}/0",
        }

    def _secret(self, book: Book) -> str:
        return book.token(self.name) if self.password else ""
