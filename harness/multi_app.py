"""A topology from a multi-app run file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from harness.errors import ConfigError
from harness.nodes.app import App
from harness.nodes.sidecar import Sidecar
from harness.placeholders import placeholders
from harness.runfile import RunApp, RunFile, read_runfile
from harness.topology import Node, Topology


def multi_app(
    path: str | Path,
    *nodes: Node,
    inbox: bool = False,
    tokens: bool = False,
) -> Topology:
    """The apps of a run file, each with its sidecar, as ``dapr run -f`` starts them.

    Args:
        path: the run file.
        nodes: what the apps need besides: brokers, databases.
        inbox: put a recording proxy between each sidecar and its app.
        tokens: have sidecars and apps ask for tokens; the CLI has none unless ``env`` says some.

    Raises:
        ConfigError: the file is wrong, with the line; or two apps have one app-id.
    """
    return topology_of(read_runfile(Path(path)), *nodes, inbox=inbox, tokens=tokens)


def topology_of(
    file: RunFile,
    *nodes: Node,
    inbox: bool = False,
    tokens: bool = False,
    needed_only: bool = False,
    beside: Sequence[Node] = (),
) -> Topology:
    """The apps of a run file that has been read.

    Placeholders such as ``${postgres.dsn}`` are filled in ``env`` and in resources, from the nodes
    that come along.

    Args:
        file: the run file.
        nodes: what the apps need besides: brokers, databases.
        inbox: put a recording proxy between each sidecar and its app.
        tokens: have sidecars and apps ask for tokens.
        needed_only: leave out those of the nodes that the file and its resources do not refer to.
        beside: nodes that come along in any case, and that every sidecar waits for; they take the
            place of others of the same name.

    Raises:
        ConfigError: two apps have one app-id.
    """
    _require_unique(file)
    first = tuple(node.name for node in beside)
    others = [node for node in nodes if node.name not in first]
    kept = list(_referred(file, others)) if needed_only else others
    apps = (node for app in file.apps for node in _nodes(app, first, inbox=inbox, tokens=tokens))
    return Topology(*beside, *kept, *apps)


def _require_unique(file: RunFile) -> None:
    ids = [each.app_id for each in file.apps]
    for app_id in ids:
        if ids.count(app_id) > 1:
            raise ConfigError(
                f"{file.path}: two apps are named {app_id!r}",
                expected="one app per app-id; a second one would be a replica",
                hint="set appID; without it the folder's name is taken",
            )


def _nodes(app: RunApp, first: tuple[str, ...], *, inbox: bool, tokens: bool) -> Iterator[Node]:
    listens = app.port is not None
    watched = inbox and listens and bool(app.command)
    if app.command:
        yield App(
            app.app_id,
            command=[_program(app), *app.command[1:]],
            env=app.env,
            cwd=app.folder,
            port=app.port,
            listens=listens,
            inbox=watched,
            after_sidecar=True,
            may_end=True,
        )
    heard_at = app.app_id if listens and app.command else ""
    yield Sidecar(
        app.app_id,
        f"{app.app_id}-inbox" if watched else heard_at,
        needs=(*Sidecar.needs, *first),
        env=app.env,
        flags=app.flags,
        token=tokens,
        ports=app.ports,
        pod=app.app_id if app.command else "",
        resources=app.resources,
        configurations=(app.configuration,) if app.configuration else (),
    )


def _program(app: RunApp) -> str:
    """A program beside the app is meant from its folder, as a shell there would."""
    word = app.command[0]
    beside = app.folder / word
    return str(beside) if "/" in word and beside.is_file() else word


def _referred(file: RunFile, nodes: Sequence[Node]) -> Iterator[Node]:
    """Nodes that the file or its resources name in placeholders, and what those need."""
    by_name = {node.name: node for node in nodes}
    wanted = {name for text in _texts(file) for name, _ in placeholders(text)} & {*by_name}
    while more := {need for name in wanted for need in by_name[name].needs} - wanted:
        wanted |= more
    return (node for node in nodes if node.name in wanted)


def _texts(file: RunFile) -> Iterable[str]:
    for app in file.apps:
        yield from app.env.values()
        paths = [each for folder in app.resources for each in sorted(folder.glob("*.y*ml"))]
        for path in (*paths, *((app.configuration,) if app.configuration else ())):
            yield path.read_text()
