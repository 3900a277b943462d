"""Where the state stores of a stack keep their keys, if one of its own nodes does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from harness.core.endpoint import Endpoint
from harness.core.errors import ConfigError, HarnessError
from harness.core.reading import read_text
from harness.core.roles import SidecarRole
from harness.dapr.kafka_component import TRUE, readable_fields
from harness.dapr.resources import DaprResource, mapping, secrets_file
from harness.dapr.state_keys import KeyPrefix, prefix_of
from harness.ready.resp import RedisAccess
from harness.stack.planning.addresses import HOST
from harness.stack.stack import Stack

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


@dataclass(frozen=True)
class Tables:
    """A table of a PostgreSQL server that has keys.

    Attributes:
        connection: libpq's parameters.
        table: its name as in SQL, perhaps with a schema.
        version: of the component: v1 or v2, which have different columns.
    """

    connection: Mapping[str, str] = field(repr=False, hash=False)
    table: str
    version: str

    @property
    def address(self) -> tuple[str, str]:
        """Host and port."""
        given = self.connection
        return given.get("hostaddr") or given.get("host", "localhost"), given.get("port", "5432")


@dataclass(frozen=True)
class Hashes:
    """A database of a Redis server that has keys."""

    access: RedisAccess

    @property
    def address(self) -> tuple[str, str]:
        """Host and port."""
        return self.access.endpoint.host, str(self.access.endpoint.port)


@dataclass(frozen=True)
class File:
    """A table of a SQLite file that has keys."""

    path: Path
    table: str


@dataclass(frozen=True)
class Place:
    """A state store of some apps.

    Attributes:
        name: the component's.
        prefix: of its keys.
        apps: the app-ids whose sidecars load it, in alphabetical order.
        actors: whether it has the state of actors and workflows.
        keeper: where the keys are; None if they cannot be listed.
        node: the node that has them; "" of a file.
        reason: why they cannot be listed.
    """

    name: str
    prefix: KeyPrefix
    apps: tuple[str, ...]
    actors: bool
    keeper: Tables | Hashes | File | None
    node: str = ""
    reason: str = ""


def places_of(stack: Stack) -> list[Place]:
    """The state stores of a stack, by name; one that is different for some apps is there twice."""
    nodes = nodes_at(stack)
    found: dict[Place, set[str]] = {}
    for sidecar in stack.topology.sidecars():
        for place in _places(stack, sidecar, nodes):
            found.setdefault(place, set()).add(sidecar.app_id)
    made = [replace(place, apps=tuple(sorted(apps))) for place, apps in found.items()]
    return sorted(made, key=lambda each: (each.name, each.apps))


def nodes_at(stack: Stack) -> dict[tuple[str, str], str]:
    """The node of each address of a stack."""
    found = {}
    for node, ports in stack.addresses().items():
        for address in ports.values():
            host, _, port = address.rpartition(":")
            found[_host(host), port] = node
    return found


def _host(name: str) -> str:
    return LOOPBACK[0] if name in LOOPBACK else name


def _places(
    stack: Stack, sidecar: SidecarRole, nodes: Mapping[tuple[str, str], str]
) -> Iterator[Place]:
    resources = stack.book.resources(sidecar.name, HOST)
    env = stack.book.variables()
    for each in resources:
        if each.type.startswith("state."):
            fields = {
                **readable_fields(each, resources, env),
                **_of_files(stack, sidecar, each, resources),
            }
            namespace = stack.book.namespace or sidecar.env.get("NAMESPACE", "")
            prefix = prefix_of(each.name, fields.get("keyprefix", ""), namespace)
            keeper, node, reason = _located(stack, sidecar, each, fields, nodes)
            actors = fields.get("actorstatestore", "").lower() in TRUE
            yield Place(each.name, prefix, (), actors, keeper, node, reason)


def _located(
    stack: Stack,
    sidecar: SidecarRole,
    component: DaprResource,
    fields: Mapping[str, str],
    nodes: Mapping[tuple[str, str], str],
) -> tuple[Tables | Hashes | File | None, str, str]:
    """Where a store keeps its keys, the node that has them, and why they cannot be listed."""
    if component.type in ("state.sqlite", "state.sqlite3"):
        return _in_file(stack, sidecar, fields)
    keeper, reason = keeper_of(component, fields)
    if keeper is None:
        return None, "", reason
    node = nodes.get((_host(keeper.address[0]), keeper.address[1]), "")
    if not node:
        place = ":".join(keeper.address)
        return None, "", f"{place} is not an address of a node of the stack"
    return keeper, node, ""


def _in_file(
    stack: Stack, sidecar: SidecarRole, fields: Mapping[str, str]
) -> tuple[File | None, str, str]:
    if stack.book.in_container(sidecar.name):
        return None, "", f"its file is within the container of {sidecar.name}"
    try:
        return file_of(fields, stack.book.root / sidecar.cwd), "", ""
    except ConfigError as error:
        return None, "", str(error)


def keeper_of(
    component: DaprResource, fields: Mapping[str, str]
) -> tuple[Tables | Hashes | None, str]:
    """The server that has the keys of a store, and why there is none; "" if there is one.

    Args:
        component: the store.
        fields: its values, by name in lower case.
    """
    try:
        if component.type in ("state.postgresql", "state.postgres"):
            return tables_of(fields, str(component.spec.get("version", "v1"))), ""
        if component.type == "state.redis":
            return hashes_of(fields), ""
    except ConfigError as error:
        return None, str(error)
    if component.type == "state.in-memory":
        return None, "a store of the type state.in-memory keeps them within each sidecar"
    return None, f"keys of stores of the type {component.type} are not listed"


def tables_of(fields: Mapping[str, str], version: str) -> Tables:
    """The table of a ``state.postgresql``.

    Args:
        fields: the component's values, by name in lower case.
        version: the component's.

    Raises:
        ConfigError: it cannot be connected to from here.
    """
    if any(fields.get(name, "").lower() in TRUE for name in ("useazuread", "useawsiam")):
        raise ConfigError("only its sidecar can sign in there")
    text = fields.get("connectionstring") or fields.get("url", "")
    names = {"host": "host", "hostaddr": "hostaddr", "port": "port", "database": "dbname",
             "user": "user", "password": "password", "sslrootcert": "sslrootcert"}  # fmt: skip
    given = {libpq: fields[name] for name, libpq in names.items() if fields.get(name)}
    connection = {**connection_of(text), **given}
    if not connection:
        raise ConfigError("only its sidecar knows the connection string")
    if version == "v2":
        return Tables(connection, f"{fields.get('tableprefix', '')}state", "v2")
    return Tables(connection, fields.get("tablename") or "state", "v1")


def connection_of(text: str) -> dict[str, str]:
    """libpq's parameters in a connection string, without those that only daprd's driver knows."""
    from psycopg import pq

    known = {each.keyword.decode() for each in pq.Conninfo.get_defaults()}
    return {name: each for name, each in _parameters(text) if name in known}


def _parameters(text: str) -> Iterator[tuple[str, str]]:
    if not text.startswith(("postgres://", "postgresql://")):
        # daprd splits it at each space.
        for part in text.split():
            name, equals, value = part.partition("=")
            if equals:
                yield {"database": "dbname"}.get(name, name), value.strip("'")
        return
    try:
        parts = urlsplit(text)
        found = {"host": parts.hostname, "port": parts.port and str(parts.port),
                 "user": parts.username, "password": parts.password,
                 "dbname": parts.path.lstrip("/")}  # fmt: skip
    except ValueError:
        return
    yield from ((name, unquote(each)) for name, each in found.items() if each)
    for part in parts.query.split("&"):
        name, _, value = part.partition("=")
        yield unquote(name), unquote(value)


def file_of(fields: Mapping[str, str], folder: Path) -> File:
    """The table of a ``state.sqlite``.

    Args:
        fields: the component's values, by name in lower case.
        folder: its sidecar's working folder.

    Raises:
        ConfigError: there is no file, or only its sidecar knows which one it is.
    """
    text = fields.get("connectionstring") or fields.get("url", "")
    address, _, options = text.partition("?")
    path = address[5:] if address.lower().startswith("file:") else address
    in_memory = path.lower().startswith(":memory:") or "mode=memory" in options.split("&")
    if in_memory:
        raise ConfigError("its database is in the memory of each sidecar")
    if not path:
        raise ConfigError("only its sidecar knows the file")
    # Of a file on this machine, an address may also say that there is no host.
    plain = unquote(path) if path != address else path
    plain = "/" + plain.lstrip("/") if plain.startswith("///") else plain
    return File(folder / plain, fields.get("tablename") or "state")


def hashes_of(fields: Mapping[str, str]) -> Hashes:
    """The database of a ``state.redis``.

    Args:
        fields: the component's values, by name in lower case.

    Raises:
        ConfigError: it cannot be connected to from here.
    """
    if fields.get("redistype", "").lower() == "cluster":
        raise ConfigError("keys of a Redis cluster are not listed")
    for name in ("enabletls", "failover", "useentraid", "useazuread"):
        if fields.get(name, "").lower() in TRUE:
            raise ConfigError(f"keys are not listed where the store has {name}")
    host, colon, port = fields.get("redishost", "").rpartition(":")
    if not colon:
        host, port = port, fields.get("redisport") or "6379"
    database = fields.get("redisdb") or "0"
    if not (host and port.isdecimal() and database.isdecimal()):
        raise ConfigError("only its sidecar knows the address")
    password, user = fields.get("redispassword", ""), fields.get("redisusername", "")
    endpoint = Endpoint(host, int(port))
    return Hashes(RedisAccess(endpoint, password, user, database, errors="surrogateescape"))


def _of_files(
    stack: Stack, sidecar: SidecarRole, component: DaprResource, resources: Sequence[DaprResource]
) -> dict[str, str]:
    """The values of a component that are in a secrets file."""
    store = next((each for each in resources if each.name == component.secret_store), None)
    if store is None or store.type != "secretstores.local.file":
        return {}
    scope = stack.book.scope(sidecar.name, HOST)
    file = secrets_file(store, stack.book.root / sidecar.cwd)
    try:
        secrets = json.loads(scope.fill(read_text(file), str(file)))
    except (ValueError, HarnessError):
        return {}
    items = {name.lower(): mapping(item.get("secretKeyRef")) for name, item in
             component.fields().items()}  # fmt: skip
    return {name: found for name, item in items.items() if (found := secret_in(secrets, item))}


def secret_in(secrets: Any, reference: Mapping[str, Any]) -> str:
    """The value in a secrets file that a ``secretKeyRef`` means; "" if there is none.

    Args:
        secrets: the file's content.
        reference: the name of a secret, with colons between the levels, and perhaps a key in it.
    """
    found = secrets
    names: Sequence[str] = [*str(reference.get("name", "")).split(":"), ""]
    for name in names:
        if not isinstance(found, dict):
            break
        found = found.get(name or str(reference.get("key", "")))
    return found if isinstance(found, str) else ""
