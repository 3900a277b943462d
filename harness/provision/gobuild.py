"""Builds Dapr's binaries from its Go module if no release can be downloaded."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.core.errors import Unavailable
from harness.provision.golang import Counted, Workplace, go_version, workplace
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
IF_REFUSED = (
    "choose a version whose modules are served, as those of Dapr "
    f"{' and '.join(DAPR_SERVED)} are; or bring your own: DAPR_HARNESS_DAPR_DIR names a folder of "
    "Dapr's binaries"
)
"""The next step if the module proxy refuses a dependency of Dapr."""


def all_binaries(_dapr: Path, _work: Path) -> Sequence[str]:
    """The packages of the four binaries, with every component."""
    return [f"{MODULE}/cmd/{name}" for name in DAPR_BINARIES]


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
    what, instead = f"Dapr {version}", "Dapr's binaries"
    with workplace(
        environment, target, caches, what, instead, disk=NEEDED_DISK, if_refused=IF_REFUSED
    ) as place:
        named, dapr = _write_module(place, version)
        place.env["GOTOOLCHAIN"] = _toolchain(go_version(place.go), named)
        wanted = packages(dapr, place.folder)
        _compile(place, version, target, packages=wanted, counted=counted)


@contextlib.contextmanager
def sources(
    environment: Mapping[str, str], version: str, target: Path, caches: Path | None = None
) -> Iterator[Path]:
    """The sources of Dapr, as a read-only folder.

    Raises:
        Unavailable: no Go, or the network is missing.
    """
    with _sources(environment, version, target, caches) as (_, dapr):
        yield dapr


@contextlib.contextmanager
def modules(
    environment: Mapping[str, str], version: str, target: Path, caches: Path | None = None
) -> Iterator[tuple[Path, Path]]:
    """The sources of Dapr and of its components, as read-only folders.

    Raises:
        Unavailable: no Go, or the network is missing.
    """
    with _sources(environment, version, target, caches) as (place, dapr):
        line = re.search(rf"{CONTRIB} (v\S+)", (dapr / "go.mod").read_text())
        if line is None:
            raise Unavailable(
                f"the module of Dapr {version} names no components",
                expected=f"a line with {CONTRIB} in its go.mod",
                hint="choose another version",
            )
        yield dapr, _download(place, f"{CONTRIB}@{line[1]}")


@contextlib.contextmanager
def _sources(
    environment: Mapping[str, str], version: str, target: Path, caches: Path | None
) -> Iterator[tuple[Workplace, Path]]:
    what = f"what Dapr {version} knows"
    with workplace(environment, target, caches, what, "Go", if_refused=IF_REFUSED) as place:
        yield place, _pinned(place, version)


def _download(place: Workplace, module: str) -> Path:
    what = module.replace(f"{MODULE}@v", "Dapr ")
    return Path(json.loads(place.run("mod", "download", "-json", module, what=what))["Dir"])


def _write_module(place: Workplace, version: str) -> tuple[str, Path]:
    """A module that requires Dapr's; the version of Go that Dapr's module names, and its folder."""
    dapr, work = _pinned(place, version), place.folder
    named = re.search(r"^go (\S+)", (dapr / "go.mod").read_text(), re.MULTILINE)
    found = named[1] if named else GO_FLOOR
    (work / "go.mod").write_text(_requiring(version, found))
    (work / "go.sum").write_text(_own_hashes(version) + (dapr / "go.sum").read_text())
    return found, dapr


def _pinned(place: Workplace, version: str) -> Path:
    """The folder of Dapr's module, of which our table has the hash."""
    (place.folder / "go.mod").write_text(_requiring(version, GO_FLOOR))
    (place.folder / "go.sum").write_text(_own_hashes(version))
    return _download(place, f"{MODULE}@v{version}")


def _own_hashes(version: str) -> str:
    zip_hash, mod_hash = DAPR_MODULE_HASHES.get(version, ("", ""))
    own = f"{MODULE} v{version} {zip_hash}\n{MODULE} v{version}/go.mod {mod_hash}\n"
    return own if zip_hash else ""


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
    place: Workplace, version: str, target: Path, *, packages: Sequence[str], counted: Counted
) -> None:
    stamp = f"-s -w -X {MODULE}/pkg/buildinfo.version={version}"
    # Without a flavour tag, daprd panics at start; without the stamp, its version is "edge".
    # -mod=mod: `go mod tidy` needs all test dependencies, and not all of them are served.
    flags = ["-v", "-mod=mod", "-trimpath", "-tags", "allcomponents", "-ldflags", stamp]
    place.run("build", *flags, "-o", f"{target}/", *packages, counted=counted)
