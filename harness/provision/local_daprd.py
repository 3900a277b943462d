"""A daprd of the same version with fewer components: for services that people run themselves.

Half of what a sidecar costs while it starts is the initialization of packages that components
import, and nearly all of these belong to the services of cloud providers.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.core.errors import Unavailable
from harness.core.settings import Settings
from harness.provision.dapr import go_caches
from harness.provision.metadata import registered_in
from harness.provision.progress import Progress, step
from harness.provision.store import Store

LOCAL = {
    "bindings": "cron graphql http kafka localstorage mqtt3 mysql postgres rabbitmq redis smtp",
    "configuration": "postgres redis",
    "conversation": "echo ollama openai",
    "crypto": "jwks localstorage",
    "lock": "redis",
    "middleware_http": "bearer oauth2 oauth2clientcredentials ratelimit routeralias routerchecker "
    "sentinel uppercase",
    "nameresolution": "hashicorp_consul mdns nameformat sqlite",
    "pubsub": "in-memory jetstream kafka mqtt3 rabbitmq redis",
    "secretstores": "hashicorp_vault local_env local_file",
    "state": "cockroachdb etcd in-memory jetstream memcached mongodb mysql postgres redis sqlite",
}
"""The files of Dapr's module that register the components, by the first part of their names."""

TYPES = "types.json"
_FOLDERS = ("app", "components")


@dataclass(frozen=True)
class LocalDaprd:
    """A daprd with fewer components.

    Attributes:
        program: its path.
        types: the types of components that it has, ``nameresolution.sqlite`` among them.
    """

    program: Path
    types: frozenset[str]

    def suffices(self, types: Collection[str]) -> bool:
        """Whether it has all of these."""
        return self.types.issuperset(types)


def provide_local_daprd(
    settings: Settings, store: Store, progress: Progress, whole: Path
) -> LocalDaprd | None:
    """The daprd with fewer components, built if it is missing; None where only the whole one is
    available, of which the reason is reported.

    Args:
        settings: whether the network may be used.
        store: where it is kept.
        progress: informed about the build, and about its failure.
        whole: the daprd with every component. A user's own is used unchanged: None.
    """
    version = whole.parent.name.removeprefix("dapr-")
    if whole.parent != store.root / f"dapr-{version}":
        return None
    name = f"dapr-{version}-local-{_digest()}"
    try:
        folder = store.find(name) or _make(settings, store, progress, version, name)
    except Unavailable as error:
        reason = f"{error.subject}; every sidecar has all components"
        progress.end(f"no daprd {version} with fewer components", reason)
        return None
    return LocalDaprd(folder / "daprd", frozenset(json.loads((folder / TYPES).read_text())))


def _digest() -> str:
    return hashlib.sha256(json.dumps(LOCAL).encode()).hexdigest()[:8]


def _make(settings: Settings, store: Store, progress: Progress, version: str, name: str) -> Path:
    if settings.offline:
        raise Unavailable("it is not installed and network access is disabled")

    def build(target: Path) -> None:
        from harness.provision import gobuild
        from harness.provision.golang import Counted

        counted = Counted()
        what = f"build daprd {version} with fewer components from its Go module"
        with step(progress, what, lambda: str(counted)):
            gobuild.build(
                settings.environment,
                version,
                target,
                go_caches(settings, store),
                counted,
                packages=partial(write_packages, types=target / TYPES),
            )

    return store.make(name, build)


def write_packages(dapr: Path, work: Path, types: Path) -> Sequence[str]:
    """Write daprd's own main package, which registers fewer components.

    Args:
        dapr: the folder of Dapr's module.
        work: the folder of the module to build; packages are added.
        types: the file to which the registered types are written.

    Returns:
        The package to build.

    Raises:
        Unavailable: daprd's packages are not where they are expected.
    """
    from harness.provision import gobuild

    source, target = dapr / "cmd" / "daprd", work / "daprd"
    for folder in _FOLDERS:
        (target / folder).mkdir(parents=True)
    for file in ("main.go", "app/app.go"):
        (target / file).write_text(_with_own_packages(source / file))
    chosen = list(_chosen(source / "components"))
    for path in chosen:
        shutil.copyfile(path, target / "components" / path.name)
    found = {name for path in chosen for names in registered_in(path) for name in names}
    types.write_text(json.dumps(sorted(found)) + "\n")
    return [f"{gobuild.OWN}/daprd"]


def _with_own_packages(file: Path) -> str:
    """A file of daprd's command which imports the packages next to it instead of Dapr's."""
    from harness.provision import gobuild

    text = file.read_text() if file.is_file() else ""
    changed = text
    for folder in _FOLDERS:
        there = f'"{gobuild.MODULE}/cmd/daprd/{folder}"'
        changed = changed.replace(there, f'"{gobuild.OWN}/daprd/{folder}"')
    if changed == text:
        raise Unavailable(
            f"{file} does not import the components", expected="daprd's packages as in Dapr 1.18"
        )
    return changed


def _chosen(components: Path) -> Iterator[Path]:
    """Those that this version of Dapr has."""
    for category, names in LOCAL.items():
        for name in names.split():
            file = components / f"{category}_{name}.go"
            if file.is_file():
                yield file
