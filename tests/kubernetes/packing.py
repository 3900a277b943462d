"""Images for pods, packed from what is installed on this machine: no engine, no registry."""

from __future__ import annotations

import compileall
import hashlib
import platform
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from harness import Settings
from harness.core.launch import Build
from harness.core.wheels import Python
from harness.provision.apps import site_of
from harness.provision.image_archive import Image, pack
from harness.provision.progress import Progress
from harness.provision.toolbox import Provisioner
from tests.support import ROOT

APPS = "docker.io/library/todo:latest"
"""The image that the manifests of the reference system name, as a container runtime spells it."""

INFRASTRUCTURE = "dapr-harness.local/infrastructure:1"
"""Kafka and PostgreSQL, each with what it runs on."""

ARCHIVE = "images.tar"
KAFKA, POSTGRES = "/opt/kafka", "/opt/postgres"
EXTRA = ("aiosmtpd", "h11", "uvicorn")
"""What `render compose` adds to the requirements of the apps."""

UNUSED = ("test", "site-packages", "idlelib", "tkinter", "ensurepip", "lib2to3", "__pycache__")
"""Parts of Python that no app needs; archives of libraries for linkers are not needed either."""

_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


def libraries(files: Iterable[Path]) -> dict[str, Path]:
    """The shared libraries that programs and modules need, by where these look for them."""
    done = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True)
    paths = sorted(set(_LIBRARY.findall(done.stdout)))
    return {path: Path(path).resolve() for path in paths}


def python_with(settings: Settings, progress: Progress) -> Path:
    """A folder with this machine's Python and what the apps of the reference system require, made
    once.

    The compiled files are valid whatever the times of their sources are: in an image, they are 0.
    """
    store = Provisioner(settings, progress).store
    version, libc = platform.python_version_tuple(), platform.libc_ver()[1]
    python = Python(f"{version[0]}.{version[1]}", libc, platform.machine())
    build = Build(ROOT, ROOT / "services" / "requirements.txt", EXTRA)
    site = site_of(build, python, settings, store, progress)
    name = hashlib.sha256(f"{site.name} {sys.version} {UNUSED}".encode()).hexdigest()[:8]

    def make(target: Path) -> None:
        standard = Path(sysconfig.get_path("stdlib"))
        copied = target / "python"
        shutil.copytree(standard, copied, ignore=_ignored)
        shutil.copytree(
            site, copied / "site-packages", ignore=shutil.ignore_patterns("__pycache__")
        )
        _compile(copied)

    return store.make(f"test-python-{name}", make) / "python"


def _ignored(folder: str, names: list[str]) -> list[str]:
    return [each for each in names if each in UNUSED or each.startswith("config-")]


def _compile(folder: Path) -> None:
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    # Packages may contain examples for other versions of Python.
    compileall.compile_dir(folder, quiet=2, invalidation_mode=mode)


def apps(python: Path, folder: Path) -> Path:
    """An archive with an image of the apps, as `compose/app.Dockerfile` describes one.

    Args:
        python: what `python_with` has made.
        folder: where it is written.
    """
    services = folder / "services"
    shutil.copytree(ROOT / "services", services, ignore=shutil.ignore_patterns("__pycache__"))
    _compile(services)
    program = Path(sys.base_prefix, "bin", "python3").resolve()
    modules = [*python.rglob("*.so"), program]
    files = {
        **libraries(modules),
        str(program): program,
        sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}): python,
        "/app/services": services,
    }
    links = {"/usr/local/bin/python3": str(program)}
    pack(Image(APPS, files, (), "10001:10001", links, "/app"), folder / ARCHIVE)
    return folder / ARCHIVE


def infrastructure(settings: Settings, progress: Progress) -> Path:
    """An archive with an image of broker and database, which is packed once."""
    toolbox = Provisioner(settings, progress)
    parts = [toolbox.path(tool) for tool in ("kafka", "postgres-data", "container-runtime")]
    text = f"{[each.parent.name for each in parts]} {Path(__file__).read_text()}"
    name = f"test-infrastructure-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    made = toolbox.store.make(name, lambda target: _pack_infrastructure(toolbox, target))
    return made / ARCHIVE


def _pack_infrastructure(toolbox: Provisioner, target: Path) -> None:
    """Their programs, and their prepared data."""
    kafka, java = toolbox.path("kafka"), toolbox.path("java").resolve().parent.parent
    install, data = toolbox.path("postgres-wheel").resolve(), toolbox.path("postgres-data")
    own = install.parent.with_name(f"{install.parent.name}.libs")
    shell = next(toolbox.path("container-runtime").glob("bin/busybox"))
    programs = [install / "bin/postgres", shell, java / "bin/java"]
    files = {
        **libraries([*programs, *java.rglob("*.so"), *install.rglob("*.so")]),
        str(java): java,
        str(install / "bin/postgres"): install / "bin/postgres",
        str(install / "lib"): install / "lib",
        str(install / "share"): install / "share",
        str(own): own,
        "/bin/busybox": shell,
        f"{KAFKA}/jars": (kafka / "jars").resolve(),
        f"{KAFKA}/log4j2.yaml": kafka / "log4j2.yaml",
        f"{KAFKA}/data": _readable(kafka / "data", target / "kafka"),
        f"{POSTGRES}/data": _readable(data, target / "postgres"),
    }
    links = {
        "/bin/sh": "busybox",
        "/usr/local/bin/java": str(java / "bin/java"),
        "/usr/local/bin/postgres": str(install / "bin/postgres"),
    }
    pack(Image(INFRASTRUCTURE, files, (), "10002:10002", links), target / ARCHIVE)
    for copy in ("kafka", "postgres"):
        shutil.rmtree(target / copy)


def _readable(source: Path, copy: Path) -> Path:
    """A copy that every account can read: in an image, everything belongs to root."""
    shutil.copytree(source, copy)
    for each in [copy, *copy.rglob("*")]:
        each.chmod(0o755 if each.is_dir() else 0o644)
    return copy
