"""Finds or builds Dapr's four binaries."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from harness.core.errors import LaunchError, Unavailable
from harness.core.settings import Settings
from harness.provision.progress import Progress, size_of, step
from harness.provision.store import Store
from harness.provision.versions import (
    DAPR,
    DAPR_BINARIES,
    DAPR_FLOOR,
    DAPR_RELEASES,
    parse,
)


def provide_dapr(settings: Settings, store: Store, progress: Progress) -> Path:
    """The folder of the binaries: the user's, an installed one, the cache, a release, or a build.

    Raises:
        Unavailable: none of these is available; the message gives the reason for each.
        LaunchError: the user's own daprd cannot be executed.
    """
    if settings.dapr_dir is not None:
        return _users(settings.dapr_dir, settings.dapr_version)
    version = settings.dapr_version or DAPR
    cached = store.find(f"dapr-{version}")
    return _installed(settings) or cached or _make(settings, store, progress, version)


def version_in_use(settings: Settings) -> str:
    """The version that a stack of these settings runs, without installing anything.

    Raises:
        LaunchError: the user's own daprd cannot be executed.
    """
    if settings.dapr_version or settings.runtime == "containers":
        return settings.dapr_version or DAPR
    own = settings.dapr_dir or _installed(settings)
    return version_of(own / "daprd") if own else DAPR


def version_of(daprd: Path) -> str:
    """The output of ``daprd --version``.

    Raises:
        LaunchError: it cannot be executed or prints no version.
    """
    try:
        done = subprocess.run([str(daprd), "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LaunchError(
            f"{daprd} cannot be executed", last=str(error), hint=f"chmod +x {daprd}, or remove it"
        ) from None
    match = re.search(r"\d+\.\d+\.\d+\S*", done.stdout)
    if match is None:
        raise LaunchError(
            f"{daprd} did not print a version",
            expected="a version such as 1.18.2 from --version",
            last=(done.stdout + done.stderr).strip()[:300] or f"exit code {done.returncode}",
            hint="check that it is daprd, built for this machine",
        )
    return match.group()


def _users(folder: Path, wanted: str) -> Path:
    missing = [name for name in DAPR_BINARIES if not (folder / name).is_file()]
    if missing:
        raise Unavailable(
            f"DAPR_HARNESS_DAPR_DIR is {folder}, which lacks {', '.join(missing)}",
            expected=f"a folder with {', '.join(DAPR_BINARIES)}",
            hint="`dapr init --slim` makes one at ~/.dapr/bin; or unset the variable",
        )
    for name in DAPR_BINARIES:
        if not os.access(folder / name, os.X_OK):
            raise LaunchError(
                f"{folder / name} is not executable",
                hint=f"chmod +x {folder / name}, or unset DAPR_HARNESS_DAPR_DIR",
            )
    seen = version_of(folder / "daprd")
    if not _fits(seen, wanted):
        raise Unavailable(
            f"{folder / 'daprd'} is of the wrong version",
            expected=wanted or f">= {DAPR_FLOOR}",
            last=seen,
            hint="unset DAPR_HARNESS_DAPR_DIR, or run `dapr init --slim --runtime-version "
            f"{wanted or DAPR}`",
        )
    return folder


def _fits(seen: str, wanted: str) -> bool:
    return seen == wanted if wanted else parse(seen) >= parse(DAPR_FLOOR)


def _installed(settings: Settings) -> Path | None:
    """Dapr's own install folder or a folder on PATH, if complete and of a matching version."""
    places = [Path(settings.environment.get("HOME", "/")) / ".dapr" / "bin"]
    on_path = shutil.which("daprd", path=settings.environment.get("PATH"))
    if on_path:
        places.append(Path(on_path).parent)
    for place in places:
        if all(os.access(place / name, os.X_OK) for name in DAPR_BINARIES):
            try:
                if _fits(version_of(place / "daprd"), settings.dapr_version):
                    return place
            except LaunchError:
                continue
    return None


def _make(settings: Settings, store: Store, progress: Progress, version: str) -> Path:
    if settings.offline:
        raise Unavailable(
            f"Dapr {version} is not installed and network access is disabled",
            last=store.lack(f"dapr-{version}"),
            hint="run `dapr-harness provision` once without --offline",
        )

    def build(target: Path) -> None:
        # What only a build or a download needs would be imported by every session.
        from harness.provision import gobuild
        from harness.provision.golang import Counted

        reason = _from_release(settings, progress, version, target)
        if reason is None:
            return
        try:
            counted = Counted()
            caches = go_caches(settings, store)
            with step(progress, f"build Dapr {version} from its Go module", lambda: str(counted)):
                gobuild.build(settings.environment, version, target, caches, counted)
        except Unavailable as error:
            error.add_note(f"before that, the release archive was tried: {reason}")
            raise

    return store.make(f"dapr-{version}", build)


def go_caches(settings: Settings, store: Store) -> Path | None:
    """Keeps build caches (7 GB) only for users who name a version and may build others."""
    return store.root / "go" if settings.dapr_version else None


def _from_release(settings: Settings, progress: Progress, version: str, target: Path) -> str | None:
    """None if the release was downloaded, otherwise the reason why not.

    Raises:
        archive.Corrupted: an archive differs from the published one; no other source is tried.
    """
    from harness.provision import archive

    base = DAPR_RELEASES if settings.release_url is None else settings.release_url
    if not base:
        return "no release URL is set"
    try:
        with step(progress, f"download Dapr {version}", lambda: size_of(target)):
            archive.fetch_release(base, version, target)
    except archive.Corrupted:
        raise
    except Unavailable as error:
        for path in target.iterdir():
            path.unlink()
        return str(error)
    return None
