"""``validate``: what a real API server says of manifests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from harness.cli.console import StartProgress, Steps, err, out, print_json
from harness.core.errors import ConfigError, ProbeError
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.kubernetes.api import ApiServer
from harness.kubernetes.existing import ExistingCluster
from harness.kubernetes.kubeconfig import reached_by
from harness.kubernetes.manifests import Manifest, manifests_in, read
from harness.kubernetes.validation import DEFAULT, Validation, Verdict
from harness.manifests.project import MANIFESTS, KubernetesProject
from harness.nodes.api_server import KubeApiServer, access_from
from harness.provision.versions import DAPR, KUBERNETES
from harness.stack.loading import load_topology
from harness.stack.run import running

STANDARD_INPUT = Path("-")

app = typer.Typer(
    name="validate",
    help="Validate what is written for another system by a part of that system.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Without this, a group of one command would be that command."""


@app.command()
def k8s(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files and folders with manifests; - reads standard input. By default, what "
            "`dapr-harness render k8s` would write."
        ),
    ] = None,
    topology: Annotated[str | None, typer.Option(help="module:attribute.")] = None,
    name: Annotated[
        str, typer.Option(help="The system's name, if its manifests are rendered.")
    ] = "todo",
    namespace: Annotated[
        str, typer.Option("--namespace", help="The namespace of objects that name none.")
    ] = DEFAULT,
    context: Annotated[
        str | None,
        typer.Option(
            metavar="CONTEXT",
            help="Of your kubeconfig: have its cluster check them, and Dapr's injector there. "
            "Nothing is stored.",
        ),
    ] = None,
    offline: Annotated[
        bool | None, typer.Option("--offline", help="Never use the network.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Have a real API server of Kubernetes, with Dapr's CRDs, check each object.

    It is started for this on loopback, without root, and nothing of it is left; or it is that of a
    cluster, with --context. Exit code 2 if it refuses an object.
    """
    settings = Settings.load(topology=topology, offline=offline, runtime="processes")
    # Files that cannot be read are reported before anything starts.
    manifests = list(_given(paths) if paths else _rendered(settings, name))
    if not manifests:
        raise ConfigError("there is nothing to validate", expected="at least one object")
    with _by_cluster(settings, context) if context else _by_own(settings) as judge:
        verdicts = list(_shown(judge.verdicts(manifests, namespace), quiet=as_json))
    refused = sum(bool(each.problem) for each in verdicts)
    if as_json:
        print_json([asdict(each) for each in verdicts])
    told = f"{len(verdicts)} objects: {refused} refused by {judge.name}"
    err.print(told, highlight=False)
    if refused:
        raise typer.Exit(ConfigError.exit_code)


def _given(paths: Iterable[Path]) -> Iterator[Manifest]:
    for path in paths:
        if path == STANDARD_INPUT:
            yield from read(sys.stdin.read(), Path("standard input"))
        else:
            yield from manifests_in([path])


def _rendered(settings: Settings, name: str) -> Iterator[Manifest]:
    folder = settings.root / "kubernetes"
    project = KubernetesProject(load_topology(settings), settings, folder, name)
    for file, text in project.rendered().items():
        if file.startswith(f"{MANIFESTS}/"):
            yield from read(text, _shorter(folder / file))


def _shorter(file: Path) -> Path:
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


@dataclass(frozen=True)
class Judge:
    """What gives the verdicts.

    Attributes:
        name: what it is called.
        verdicts: gives them, for manifests and the namespace of those that name none.
    """

    name: str
    verdicts: Callable[[Sequence[Manifest], str], Iterator[Verdict]]


@contextmanager
def _by_own(settings: Settings) -> Iterator[Judge]:
    """By an API server that is started for it."""
    with _api_server(settings) as server:

        def verdicts(manifests: Sequence[Manifest], namespace: str) -> Iterator[Verdict]:
            return Validation(server, namespace).judge(manifests)

        yield Judge(f"Kubernetes {KUBERNETES}", verdicts)


@contextmanager
def _by_cluster(settings: Settings, context: str) -> Iterator[Judge]:
    """By a cluster with Dapr: its API server, and its injector."""
    reached = reached_by(context, settings.environment)
    with ApiServer(reached.access) as server:
        cluster = ExistingCluster(server, reached.context)
        name = f"Kubernetes {cluster.version()} of context {context!r}"
        cluster.require_dapr()

        def verdicts(manifests: Sequence[Manifest], namespace: str) -> Iterator[Verdict]:
            cluster.require_namespaces({each.namespace for each in manifests} - {""})
            own = Validation(server, namespace, own=False, require=cluster.require)
            yield from own.judge(manifests)
            wanted = settings.dapr_version or DAPR
            yield from cluster.sidecars(manifests, namespace, wanted)

        yield Judge(name, verdicts)


@contextmanager
def _api_server(settings: Settings) -> Iterator[ApiServer]:
    """A server of its own, which ends with this command, even if that is killed."""
    node, shown = KubeApiServer(), StartProgress()
    stack = running(Topology(node), replace(settings, topology=""), progress=Steps(), watch=shown)
    stack.provision()  # it shows its own progress, and a terminal can have only one live display
    with shown.shown():
        stack.start()
    with closing(stack), ApiServer(access_from(stack.book.exports(node.name))) as server:
        try:
            yield server
        except ProbeError:
            stack.check_alive()  # if it has ended, its last words tell more
            raise


def _shown(verdicts: Iterable[Verdict], *, quiet: bool) -> Iterator[Verdict]:
    """Each verdict, printed as soon as it is known."""
    for each in verdicts:
        if not quiet:
            mark = "[red]refused[/]" if each.problem else "[green]ok[/]"
            said = f": {' '.join(each.problem.split())}" if each.problem else ""
            line = escape(f"{each.kind} {each.name}{said}")
            out.print(f"{each.place}: {mark} {line}", soft_wrap=True, highlight=False)
            for warning in each.warnings:
                told = f"{each.place}: [yellow]warning[/] {escape(warning)}"
                out.print(told, soft_wrap=True, highlight=False)
        yield each
