"""Images for the pods of a stack, packed without an engine or a registry."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.settings import Settings
from harness.core.wheels import Python
from harness.provision import packages
from harness.provision.dapr_images import REGISTRY
from harness.provision.kubernetes import require_network
from harness.provision.layered_image import (
    Config,
    Layer,
    blobs_of,
    pack_layer,
)
from harness.provision.progress import Progress, size_of, step

if TYPE_CHECKING:
    from harness.provision.toolbox import Provisioner

PACKAGES = ("python3", "dash", "coreutils", "sed", "util-linux", "libstdc++6", "zlib1g", "tzdata")
LEFT_OUT = ("debconf", "dpkg", "perl-base", "sensible-utils", "install-info", "login", "tar")
"""What only the installation of a package needs, which does not take place."""

COST = "20 MB, packed 90 MB"
POSTGRES_ACCOUNT = 999
ACCOUNTS = f"""\
root:x:0:0:root:/root:/bin/sh
postgres:x:{POSTGRES_ACCOUNT}:{POSTGRES_ACCOUNT}::/var/lib/postgresql:/bin/sh
nobody:x:65534:65534::/:/bin/sh
"""
GROUPS = f"root:x:0:\npostgres:x:{POSTGRES_ACCOUNT}:\nnogroup:x:65534:\n"
PASSWORDS = "host all all all scram-sha-256\n"
OPTION = "--kubernetes-node"

SITE, APP = "/site", "/app"
_PYTHON = ("PYTHONUNBUFFERED=1", f"PYTHONPATH={SITE}")


@dataclass(frozen=True)
class Recipe:
    """How an image is made of the base.

    Attributes:
        layer: what it adds.
        config: how it runs.
    """

    layer: Layer
    config: Config


class PodImages:
    """Makes the images, each once, in the cache.

    Args:
        settings: whether the network may be used.
        toolbox: what provides the programs that they contain.
        progress: informed about everything slow.
    """

    def __init__(self, settings: Settings, toolbox: Provisioner, progress: Progress) -> None:
        self._settings = settings
        self._toolbox = toolbox
        self._progress = progress

    def base(self) -> Path:
        """Debian with Python, on which all others are made.

        Raises:
            Unavailable: its packages cannot be fetched.
        """
        text = " ".join([*PACKAGES, *LEFT_OUT, ACCOUNTS, GROUPS, platform.machine(), "2"])
        name = f"pod-base-{_digest(text)}"
        store = self._toolbox.store
        if found := store.find(name):
            return found
        require_network(self._settings, store, name, "the base image of pods", OPTION)

        def make(target: Path) -> None:
            said = f"fetch Debian's Python for the base image of pods ({COST})"
            with step(self._progress, said, lambda: size_of(target)):
                _fetch_base(self._settings.environment, target)

        return store.make(name, make)

    def python(self) -> Python:
        """The Python of the base."""
        found = json.loads((self.base() / "python.json").read_text())
        return Python(found["version"], found["libc"], found["machine"])

    def program(self, name: str) -> Path:
        """The image of ``kafka``, ``postgres`` or ``redis``.

        Raises:
            Unavailable: the program is not available.
        """
        recipe, facts = _RECIPES[name](self._toolbox.path)
        return self._on(self.base(), name, _digest(repr(recipe) + facts), recipe)

    def site(self, folder: Path) -> Path:
        """The base with the packages in a folder, whose name changes with its content."""
        recipe = Recipe(Layer({SITE: folder}), Config())
        return self._on(self.base(), "site", _digest(folder.name), recipe)

    def app(self, name: str, site: Path, folder: Path, files: Iterable[Path], key: str) -> Path:
        """The files of an app on its packages.

        Args:
            name: of its folder.
            site: the image with its packages.
            folder: the app's.
            files: its files, in that folder.
            key: changes with each of them.
        """
        packed = {f"{APP}/{each.relative_to(folder)}": each for each in files}
        config = Config(Env=(*Config.Env, *_PYTHON), WorkingDir=APP)
        recipe = Recipe(Layer(packed), config)
        return self._on(site, f"app-{name}", _digest(key + site.name), recipe)

    def _on(self, below: Path, name: str, key: str, recipe: Recipe) -> Path:
        """An image that is made of another one."""
        key = _digest(f"{key} {below.name}")

        def make(target: Path) -> None:
            with step(self._progress, f"pack the image {name} of pods", lambda: size_of(target)):
                tag = f"{REGISTRY}/{name}:{key}"
                pack_layer(tag, recipe.layer, recipe.config, target, blobs_of(below))

        return self._toolbox.store.make(f"pod-{name}-{key}", make)


def _fetch_base(environment: Mapping[str, str], target: Path) -> None:
    from harness.provision.recipes import CERTIFICATES

    root = target / "root"
    root.mkdir()
    packages.fetch(environment, PACKAGES, root, LEFT_OUT, here=())
    said = json.loads((root / packages.RECORD).read_text())
    (root / packages.RECORD).rename(target / packages.RECORD)
    for needless in (
        "usr/share/doc",
        "usr/share/man",
        "usr/share/locale",
        "usr/share/bash-completion",
    ):
        _remove(root / needless)
    (python,) = (root / "usr/bin").glob("python3.[0-9]*")
    facts = {
        "version": python.name.removeprefix("python"),
        "libc": said["libc6"]["version"].split("-")[0],
        "machine": platform.machine(),
    }
    (target / "python.json").write_text(json.dumps(facts))
    files = {f"/{each.name}": each for each in sorted(root.iterdir())}
    if CERTIFICATES.is_file():
        files[str(CERTIFICATES)] = CERTIFICATES
    layer = Layer(
        files,
        {"/etc/passwd": ACCOUNTS, "/etc/group": GROUPS, "/etc/nsswitch.conf": "hosts: files dns\n"},
        folders={"/tmp": 0o1777, "/proc": 0o755, "/sys": 0o755, "/dev": 0o755},  # noqa: S108 - of an image
    )
    pack_layer(f"{REGISTRY}/base:1", layer, Config(), target)
    _remove(root)


def _kafka(path: Callable[[str], Path]) -> tuple[Recipe, str]:
    from harness.provision.kafka import JVM, LOGGING
    from harness.provision.recipes import KAFKA_ENTRY

    kafka, java = path("kafka"), path("java")
    jars = sorted((kafka / "jars").resolve().glob("*.jar"))
    libs = "/opt/kafka/libs"
    options = [*JVM, "-cp", ":".join(f"{libs}/{each.name}" for each in jars)]
    options.append("-Dlog4j2.configurationFile=/opt/kafka/log4j2.yaml")
    layer = Layer(
        {
            "/opt/java": java.resolve().parent.parent,
            "/opt/kafka/formatted": kafka / "data",
            **{f"{libs}/{each.name}": each for each in jars},
        },
        {
            "/opt/kafka/log4j2.yaml": LOGGING,
            "/opt/kafka/jvm": "\n".join(options) + "\n",
            "/opt/kafka/entry": KAFKA_ENTRY,
        },
    )
    return Recipe(layer, Config(Entrypoint=("/opt/kafka/entry",))), kafka.name


def _postgres(path: Callable[[str], Path]) -> tuple[Recipe, str]:
    from harness.provision.recipes import POSTGRES_ENTRY

    install, data = path("postgres-wheel"), path("postgres-data")
    libraries = install.parent.with_name(f"{install.parent.name}.libs")
    wheel, home = f"/opt/wheel/{install.parent.name}/{install.name}", "/var/lib/postgresql"
    prepared = {
        f"{home}/prepared/{each.name}": each
        for each in data.iterdir()
        if each.name != "pg_hba.conf"
    }
    rules = (data / "pg_hba.conf").read_text() + PASSWORDS
    layer = Layer(
        {wheel: install, f"/opt/wheel/{libraries.name}": libraries, **prepared},
        {"/entry": POSTGRES_ENTRY, f"{home}/prepared/pg_hba.conf": rules},
        owners={home: POSTGRES_ACCOUNT},
        folders={home: 0o755, f"{home}/prepared": 0o700},
    )
    places = (f"PATH={wheel}/bin:{Config.Env[0].removeprefix('PATH=')}",)
    config = Config(Env=places, Entrypoint=("/entry",), Cmd=("postgres",), StopSignal="SIGINT")
    return Recipe(layer, config), data.parent.name


def _redis(path: Callable[[str], Path]) -> tuple[Recipe, str]:
    program = path("redis")
    layer = Layer({"/usr/local/bin/redis-server": program}, folders={"/data": 0o777})
    fact = program.stat()
    config = Config(Cmd=("redis-server",), WorkingDir="/data")
    return Recipe(layer, config), f"{fact.st_size} {fact.st_mtime_ns}"


_RECIPES: Mapping[str, Callable[[Callable[[str], Path]], tuple[Recipe, str]]] = {
    "kafka": _kafka,
    "postgres": _postgres,
    "redis": _redis,
}


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
