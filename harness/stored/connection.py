"""Connections to PostgreSQL that can only read, and whose statements end in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from harness.core.errors import ProbeError

if TYPE_CHECKING:
    from psycopg import Connection

CONNECTING = 3
"""Seconds within which a server must accept a connection."""

STATEMENT = 5
"""Seconds that a statement may take."""

QUICK = "-c statement_timeout=250ms -c lock_timeout=50ms"
"""Limits for whoever reads many tables and would rather do without one than wait for it."""

OPTIONS = (
    f"-c default_transaction_read_only=on -c statement_timeout={STATEMENT}s "
    f"-c lock_timeout={STATEMENT}s"
)


UNCHECKED = "SQL_ASCII"
"""The encoding of a database whose texts can consist of any bytes."""


@contextmanager
def reading(parameters: Mapping[str, str], what: str, limits: str = "") -> Iterator[Connection]:
    """A connection each of whose statements is a read-only transaction of its own.

    Bytes of a text that are not UTF-8 become escapes such as ``\\xff``.

    Args:
        parameters: libpq's.
        what: is read; the subject of errors, without the verb.
        limits: options of the server that are stricter than the usual ones, such as `QUICK`.

    Raises:
        ProbeError: it cannot be read; with PostgreSQL's reason.
    """
    import psycopg

    options = f"{parameters.get('options', '')} {OPTIONS} {limits}".strip()
    given: dict[str, Any] = {"application_name": "dapr-harness", **parameters, "options": options,
                             "client_encoding": "UTF8", "connect_timeout": CONNECTING}  # fmt: skip
    try:
        with psycopg.connect(**given, autocommit=True) as connection:
            _accept_any_text(connection)
            if connection.info.parameter_status("server_encoding") == UNCHECKED:
                # As UTF-8, the server would refuse to send what is none.
                connection.execute(f"SET client_encoding TO {UNCHECKED}")
            yield connection
    except (psycopg.Error, UnicodeError) as error:
        raise ProbeError(f"{what} cannot be read", last=reason(error)) from None


def reason(error: Exception) -> str:
    """PostgreSQL's message as one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _accept_any_text(connection: Connection) -> None:
    from psycopg.adapt import Loader

    class Lenient(Loader):
        def load(self, data: Any) -> str:
            return bytes(data).decode("utf-8", "backslashreplace")

    for name in ("text", "name", "varchar"):
        connection.adapters.register_loader(name, Lenient)
