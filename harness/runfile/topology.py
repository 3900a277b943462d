"""A topology from a multi-app run file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.core.errors import ConfigError, did_you_mean
from harness.core.names import inbox_name, sidecar_name
from harness.core.node import Node
from harness.core.placeholders import placeholders
from harness.core.topology import Sign, Topology
from harness.dapr.resources import read_found, resource_files
from harness.nodes.app import App
from harness.nodes.sidecar import Sidecar
from harness.runfile.read import RunApp, RunFile, read_runfile


def multi_app(
    path: str | Path,
    *nodes: Node,
    inbox: bool = False,
    calls: bool = False,
    tokens: bool = False,
    order: Sequence[str] = (),
    sign: Sign | None = None,
) -> Topology:
    """The apps of a run file, each with its sidecar, as ``dapr run -f`` starts them.

    Apps without an ``appPort``, which only make calls, start when all those with one are ready.

    Args:
        path: the run file.
        nodes: what else the apps need: brokers, databases.
        inbox: put a recording proxy between each sidecar and its app.
        calls: put a recorder between each app and the HTTP port of its sidecar. An app that ignores
            ``DAPR_HTTP_PORT`` and ``DAPR_HTTP_ENDPOINT`` is not recorded.
        tokens: make sidecars and apps require tokens; the CLI uses none unless ``env`` sets them.
        order: app-ids that start one after the other instead, each when the one before it is
            ready.
        sign: signs the requests of clients from ``World.app``, see `Topology`.

    Raises:
        ConfigError: the file is invalid, with the line; two apps have the same app-id; or the
            order names an unknown app, or an app twice.
    """
    file = read_runfile(Path(path))
    return topology_of(
        file, *nodes, inbox=inbox, calls=calls, tokens=tokens, order=order, sign=sign
    )


def topology_of(
    file: RunFile,
    *nodes: Node,
    inbox: bool = False,
    calls: bool = False,
    tokens: bool = False,
    order: Sequence[str] = (),
    needed_only: bool = False,
    required: bool = True,
    beside: Sequence[Node] = (),
    sign: Sign | None = None,
) -> Topology:
    """The same, for a file that has already been read.

    Args:
        file: the run file.
        nodes: what else the apps need: brokers, databases.
        inbox: put a recording proxy between each sidecar and its app.
        calls: put a recorder between each app and the HTTP port of its sidecar.
        tokens: make sidecars and apps require tokens.
        order: app-ids that start one after the other.
        needed_only: leave out nodes that neither the file nor its resources refer to.
        required: whether the start fails if an app fails or is not ready in time.
        beside: nodes that are always added and that every sidecar waits for; they replace others
            of the same name.
        sign: signs the requests of clients from ``World.app``.

    Raises:
        ConfigError: two apps have the same app-id, or the order is impossible.
    """
    _require_unique(file)
    first = tuple(node.name for node in beside)
    others = [node for node in nodes if node.name not in first]
    kept = list(_referred(file, others)) if needed_only else others
    after = _after(file, order)
    made = (
        _nodes(
            app,
            after[app.app_id],
            first,
            inbox=inbox,
            calls=calls,
            tokens=tokens,
            required=required,
        )
        for app in file.apps
    )
    return Topology(*beside, *kept, *(node for each in made for node in each), sign=sign)


def _after(file: RunFile, order: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """The nodes that must be ready before each app starts, by app-id."""
    ids = [app.app_id for app in file.apps]
    for app_id in order:
        if app_id not in ids or list(order).count(app_id) > 1:
            raise ConfigError(
                f"the order of the apps names {app_id!r}",
                expected="app-ids of the run file, each once",
                last="it is there twice" if app_id in ids else f"the file has {', '.join(ids)}",
                hint=did_you_mean(app_id, ids),
            )
    listening = tuple(sidecar_name(app.app_id) for app in file.apps if app.port and app.command)
    before = dict(zip(order[1:], order, strict=False))
    found = {app.app_id: () if app.port else listening for app in file.apps}
    # The order is a chain: an app in it waits only for the previous one.
    chain = {app_id: _ready_nodes(file, before.get(app_id)) for app_id in order}
    return {**found, **chain}


def _ready_nodes(file: RunFile, app_id: str | None) -> tuple[str, ...]:
    """The nodes that are ready when an app is ready; none if there is no app."""
    found = (app for app in file.apps if app.app_id == app_id)
    return next(
        ((sidecar_name(app.app_id), *([app.app_id] if app.command else [])) for app in found), ()
    )


def _require_unique(file: RunFile) -> None:
    ids = [each.app_id for each in file.apps]
    for app_id in ids:
        if ids.count(app_id) > 1:
            raise ConfigError(
                f"{file.path}: two apps are named {app_id!r}",
                expected="one app per app-id; a second one would be a replica",
                hint="set appID; without it the folder's name is taken",
            )


def _nodes(
    app: RunApp,
    after: tuple[str, ...],
    first: tuple[str, ...],
    *,
    inbox: bool,
    calls: bool,
    tokens: bool,
    required: bool,
) -> Iterator[Node]:
    listens = app.port is not None
    watched = inbox and listens and bool(app.command)
    if app.command:
        yield App(
            app.app_id,
            command=[_program(app), *app.command[1:]],
            env={**_variables(app), **app.env},
            cwd=app.folder,
            needs=after,
            port=app.port,
            listens=listens,
            inbox=watched,
            calls=calls,
            after_sidecar=True,
            exit_ok=True,
            required=required,
        )
    heard_at = app.app_id if listens and app.command else ""
    yield Sidecar(
        app.app_id,
        inbox_name(app.app_id) if watched else heard_at,
        needs=(*Sidecar.needs, *first),
        env=app.env,
        flags=app.flags,
        token=tokens,
        ports=app.ports,
        pod=app.app_id if app.command else "",
        resources=app.resources,
        # As in `dapr run -f`; with `dapr run`, it is the shell's.
        cwd=app.folder,
        configurations=(app.configuration,) if app.configuration else (),
    )


def _variables(app: RunApp) -> Mapping[str, str]:
    """What the CLI tells an app in addition to what every app is told."""
    return {
        "APP_PROTOCOL": app.flags.get("app-protocol", "http"),
        "APP_CHANNEL_ADDRESS": app.flags.get("app-channel-address", ""),
    }


def _program(app: RunApp) -> str:
    """A program next to the app is resolved from the app's folder, as a shell there would do."""
    word = app.command[0]
    beside = app.folder / word
    return str(beside) if "/" in word and beside.is_file() else word


def _referred(file: RunFile, nodes: Sequence[Node]) -> Iterator[Node]:
    """Nodes to which placeholders in the file or its resources refer, and their dependencies."""
    by_name = {node.name: node for node in nodes}
    wanted = {name for text in _texts(file) for name, _ in placeholders(text)} & {*by_name}
    while more := {need for name in wanted for need in by_name[name].needs} - wanted:
        wanted |= more
    return (node for node in nodes if node.name in wanted)


def unread(file: RunFile) -> Iterator[str]:
    """One line for each Configuration in a folder of resources, where daprd does not read it."""
    named = {app.configuration for app in file.apps}
    folders = dict.fromkeys(folder for app in file.apps for folder in app.resources)
    for path in (path for folder in folders for path in resource_files(folder)):
        for each in read_found(path) if path not in named else ():
            if each.kind == "Configuration":
                yield (
                    f"{each.at()}: Configuration {each.name!r} is ignored: daprd does not read one "
                    "from a folder of resources; name its file with configFilePath"
                )


def _texts(file: RunFile) -> Iterable[str]:
    for app in file.apps:
        yield from app.env.values()
        paths = [each for folder in app.resources for each in sorted(folder.glob("*.y*ml"))]
        for path in (*paths, *((app.configuration,) if app.configuration else ())):
            yield path.read_text()
