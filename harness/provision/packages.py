"""Debian packages, fetched and unpacked into a folder; nothing is installed."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from harness.core.errors import Unavailable

RECORD = "packages.json"
"""The file in the folder with the version and the sha256 of each package."""

OFFERED = "`dapr-harness validate k8s` needs neither these packages nor root"

ON_EVERY_MACHINE = frozenset({"libc6"})
"""What is not fetched: the machine's own C library must be the one of its programs."""

_DEPENDENCIES = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")


def fetch(
    environment: Mapping[str, str],
    wanted: Sequence[str],
    target: Path,
    left_out: Collection[str] = (),
    here: Collection[str] = ON_EVERY_MACHINE,
) -> None:
    """Unpack packages, and those that they depend on, into a folder.

    apt checks each one against the signed index of its archive.

    Args:
        environment: where PATH is set.
        wanted: their names.
        target: an existing folder; `RECORD` is written there, too.
        left_out: dependencies that are not needed.
        here: packages of this machine that are used as they are installed.

    Raises:
        Unavailable: this is not Debian, or a package cannot be fetched.
    """
    for program in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(program, path=environment.get("PATH")) is None:
            raise Unavailable(
                f"{' and '.join(wanted[:2])} come from Debian packages, and {program} is missing",
                expected="Debian, or a system derived from it",
                hint=OFFERED,
            )
    flags = [f"--no-{each}" for each in _DEPENDENCIES]
    shown = _run(["apt-cache", "depends", "--recurse", *flags, *wanted], environment, target)
    names = closure(shown, wanted, {*left_out, *here})
    folder = target / "archives"
    folder.mkdir()
    _run(["apt-get", "-qq", "download", *names], environment, folder)
    found = sorted(folder.glob("*.deb"))
    for archive in found:
        _run(["dpkg-deb", "-x", str(archive), str(target)], environment, target)
    (target / RECORD).write_text(json.dumps(described(found), indent=1) + "\n")
    shutil.rmtree(folder)


def closure(shown: str, wanted: Iterable[str], left_out: Collection[str]) -> list[str]:
    """The packages that some packages need, themselves included, sorted.

    Args:
        shown: what ``apt-cache depends --recurse`` prints.
        wanted: their names.
        left_out: packages that are not needed, nor what only they need.
    """
    needs = _needs(shown)
    found: set[str] = set()
    waiting = [*wanted]
    while waiting:
        name = waiting.pop()
        if name not in found and name not in left_out:
            found.add(name)
            waiting += needs.get(name, [])
    return sorted(found)


def described(archives: Iterable[Path]) -> dict[str, dict[str, str]]:
    """Version and sha256 by the name of each package, from files as apt names them."""
    found = {}
    for archive in archives:
        name, version, _ = archive.name.split("_", 2)
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found[name] = {"version": version.replace("%3a", ":"), "sha256": digest}
    return found


def _needs(shown: str) -> dict[str, list[str]]:
    """The dependencies of each package. Of alternatives, the first; virtual packages have none."""
    needs: dict[str, list[str]] = {}
    name, alternative = "", False
    for line in shown.splitlines():
        if not line.startswith(" "):
            name, alternative = line.strip(), False
            needs.setdefault(name, [])
            continue
        kind, _, other = line.strip().partition(": ")
        if kind.lstrip("|") in ("Depends", "PreDepends") and not alternative and "<" not in other:
            needs[name].append(other)
        if kind.lstrip("|") in ("Depends", "PreDepends"):
            alternative = kind.startswith("|")
    return needs


def _run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**environment, "LC_ALL": "C"}, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise Unavailable(
            f"`{' '.join(command[:2])}` has failed",
            expected="the packages of this system's archive",
            last="; ".join(done.stderr.strip().splitlines()[-3:]),
            hint=f"run `apt-get update` first; {OFFERED}",
        )
    return done.stdout
