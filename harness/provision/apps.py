"""The build context of an app's image: its folder, with its dependencies in a separate layer."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

from harness.errors import ConfigError, LaunchError, Unavailable
from harness.launch import Build
from harness.provision.images import Context
from harness.provision.progress import Progress, size_of, step
from harness.provision.store import Store
from harness.settings import Settings

IGNORED = (".*", "__pycache__", "*.pyc", "node_modules", "*.egg-info", "dist", "build")
SITE = "/site"


def app_context(build: Build, base: str, site: Path) -> Context:
    """The context of an app's image.

    Args:
        build: what to build.
        base: the reference of the image to build on.
        site: the folder with the dependencies.
    """
    lines = [
        f"FROM {base}",
        # Dependencies first: this layer does not change while the app changes.
        f"COPY site {SITE}",
        f"ENV PYTHONPATH={SITE} PYTHONUNBUFFERED=1",
        f"RUN python3 -m compileall -q {SITE} || true",
        "WORKDIR /app",
        "COPY app /app",
    ]
    sources = {"site": site}
    sources |= {f"app/{path.relative_to(build.folder)}": path for path in app_files(build.folder)}
    return Context("\n".join(lines) + "\n", sources, {})


def app_files(folder: Path) -> Iterator[Path]:
    """The files of an app: those that ``.dockerignore`` allows, but no hidden files or caches.

    Raises:
        ConfigError: the folder does not exist.
    """
    if not folder.is_dir():
        raise ConfigError(f"the app's folder {folder} does not exist", hint="fix cwd=")
    patterns = [*IGNORED, *_dockerignore(folder)]
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            name for name in folders
            if not _ignored(here / name, folder, patterns)
            and not (here / name / "pyvenv.cfg").is_file()
        )  # fmt: skip
        for name in sorted(files):
            if not _ignored(here / name, folder, patterns):
                yield here / name


def fingerprint(context: Context) -> str:
    """A sixteen-character fingerprint of an image's inputs."""
    digest = hashlib.sha256(context.dockerfile.encode())
    for name, text in sorted(context.texts.items()):
        digest.update(f"{name}\n{text}\n".encode())
    for name, source in sorted(context.sources.items()):
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_file():
                state = path.stat()
                row = f"{name} {path.name} {state.st_size} {state.st_mtime_ns} {state.st_mode}\n"
                digest.update(row.encode())
    return digest.hexdigest()[:16]


def site_of(
    build: Build, python: str, settings: Settings, store: Store, progress: Progress
) -> Path:
    """A folder with the app's dependencies as wheels for the image's Python, created once.

    pip runs here and not in the build: a container may not trust the connection to the index, and
    this way neither an index address nor a password can end up in a layer.

    Args:
        python: the image's Python, such as ``3.11``.
        settings: their environment contains pip's own settings.

    Raises:
        ConfigError: the requirements file does not exist.
        Unavailable: a package has no wheel for that Python, or the index is unreachable.
    """
    text = _requirements(build)
    name = f"site-{python}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    if settings.offline and store.find(name) is None:
        raise Unavailable(
            "the app's dependencies are not installed and network access is disabled",
            last=store.lack(name),
            hint="start once without --offline",
        )

    def install(target: Path) -> None:
        with step(progress, f"install the app's dependencies for Python {python}",
                  lambda: size_of(target)):  # fmt: skip
            _pip(text, python, target, settings.environment)

    return store.make(name, install)


def _requirements(build: Build) -> str:
    rows = []
    if build.requirements is not None:
        try:
            rows.append(build.requirements.read_text())
        except OSError as error:
            raise ConfigError(
                f"the requirements file {build.requirements} cannot be read",
                last=str(error),
                hint="fix requirements=, a path relative to the project's root",
            ) from None
    known = re.findall(r"^[A-Za-z0-9._-]+", "\n".join(rows), re.MULTILINE)
    rows += [each for each in build.extra if each not in known]
    return "\n".join(rows) + "\n"


def _pip(text: str, python: str, target: Path, environment: Mapping[str, str]) -> None:
    file = target.with_suffix(".txt")
    file.write_text(text)
    platforms = [f"--platform=manylinux_2_{minor}_{_machine()}" for minor in (36, 28, 17)]
    platforms.append(f"--platform=manylinux2014_{_machine()}")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
    command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    try:
        done = subprocess.run(
            [*command, *platforms, f"--target={target}", "-r", str(file)],
            capture_output=True, text=True, env=dict(environment),
        )  # fmt: skip
    except OSError as error:
        raise LaunchError("pip cannot be started", last=str(error)) from None
    finally:
        file.unlink()
    if done.returncode != 0:
        raise Unavailable(
            f"the app's dependencies cannot be installed for Python {python}",
            last=done.stderr.strip()[-1500:],
            hint="check the requirements file and the network; a package without a wheel needs a "
            'ready image: App(..., image="...")',
        )


def _machine() -> str:
    return os.uname().machine


def _dockerignore(folder: Path) -> list[str]:
    file = folder / ".dockerignore"
    rows = file.read_text().splitlines() if file.is_file() else []
    return [
        row.strip().strip("/") for row in rows if row.strip() and not row.startswith(("#", "!"))
    ]


def _ignored(path: Path, folder: Path, patterns: list[str]) -> bool:
    relative = str(path.relative_to(folder))
    return any(fnmatch(path.name, each) or fnmatch(relative, each) for each in patterns)
