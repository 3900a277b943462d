"""The build context of an app's image: its folder, with its dependencies in a separate layer."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.core.errors import ConfigError, LaunchError, Unavailable
from harness.core.launch import Build
from harness.core.settings import Settings
from harness.core.wheels import Python
from harness.provision.images import Context
from harness.provision.progress import Progress, size_of, step
from harness.provision.store import Store

SITE = "/site"


def app_context(build: Build, base: str, site: Path, files: Iterable[Path]) -> Context:
    """The context of an app's image.

    Args:
        build: what to build.
        base: the reference of the image to build on.
        site: the folder with the dependencies.
        files: the app's files, in the build's folder.
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
    sources |= {f"app/{path.relative_to(build.folder)}": path for path in files}
    return Context("\n".join(lines) + "\n", sources, {})


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
    build: Build, python: Python, settings: Settings, store: Store, progress: Progress
) -> Path:
    """A folder with the app's dependencies as wheels for the image's Python, created once.

    pip runs here and not in the build: a container may not trust the connection to the index, and
    this way neither an index address nor a password can end up in a layer.

    Args:
        python: the image's Python.
        settings: their environment contains pip's own settings.

    Raises:
        ConfigError: the requirements file does not exist.
        Unavailable: a package has no wheel for that Python, or the index is unreachable.
    """
    text = _requirements(build)
    inputs = "\n".join([text, *python.platforms()])
    name = f"site-{python.version}-{hashlib.sha256(inputs.encode()).hexdigest()[:16]}"

    if settings.offline and store.find(name) is None:
        raise Unavailable(
            "the app's dependencies are not installed and network access is disabled",
            last=store.lack(name),
            hint="start once without --offline",
        )

    def install(target: Path) -> None:
        with step(progress, f"install the app's dependencies for Python {python.version}",
                  lambda: size_of(target)):  # fmt: skip
            _pip(text, python, target, settings.environment)

    return store.make(name, install)


def _requirements(build: Build) -> str:
    from packaging.utils import canonicalize_name

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
    named = re.findall(r"^[A-Za-z0-9._-]+", "\n".join(rows), re.MULTILINE)
    known = set(map(canonicalize_name, named))
    rows += [each for each in build.extra if canonicalize_name(each) not in known]
    return "\n".join(rows) + "\n"


def _pip(text: str, python: Python, target: Path, environment: Mapping[str, str]) -> None:
    file = target.with_suffix(".txt")
    file.write_text(text)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
    command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={python.version}"]
    command += [f"--platform={each}" for each in python.platforms()]
    try:
        done = subprocess.run(
            [*command, f"--target={target}", "-r", str(file)],
            capture_output=True, text=True, env=dict(environment),
        )  # fmt: skip
    except OSError as error:
        raise LaunchError("pip cannot be started", last=str(error)) from None
    finally:
        file.unlink()
    if done.returncode != 0:
        raise Unavailable(
            f"the app's dependencies cannot be installed for Python {python.version}",
            last=done.stderr.strip()[-1500:],
            hint="check the requirements file and the network; a package without a wheel needs a "
            'ready image: App(..., image="...")',
        )
