"""Dapr's official release archives, checked against their published sha256."""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import Unavailable
from harness.provision.versions import DAPR_BINARIES

if TYPE_CHECKING:
    import httpx

_TIMEOUT, _CONNECTING = 30.0, 2.0
"""A machine without network access should notice within seconds, and build instead."""


def fetch_release(base: str, version: str, target: Path) -> None:
    """Download and unpack the four binaries of one release.

    Args:
        base: the URL that contains ``v<version>/<binary>_<os>_<arch>.tar.gz`` and its
            ``.sha256`` (the asset names of Dapr's release page).
        version: without the leading v.
        target: the folder to fill.

    Raises:
        Unavailable: the release is unreachable, or an archive's sha256 differs; the latter is a
            `Corrupted`.
    """
    import httpx

    timeout = httpx.Timeout(_TIMEOUT, connect=_CONNECTING)
    with httpx.Client(timeout=timeout, follow_redirects=True) as client:
        for binary in DAPR_BINARIES:
            name = f"{binary}_{_platform()}.tar.gz"
            url = f"{base.rstrip('/')}/v{version}/{name}"
            archive = target / name
            _download(client, url, archive)
            _verify(archive, _text(client, f"{url}.sha256"), url)
            _unpack(archive, binary, target)


class Corrupted(Unavailable):
    """An archive's sha256 differs from the published one; nothing of it is used."""


def _platform() -> str:
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{sys.platform}_{arch}"


def _download(client: httpx.Client, url: str, path: Path) -> None:
    import httpx

    try:
        with client.stream("GET", url) as response, path.open("wb") as file:
            response.raise_for_status()
            for chunk in response.iter_bytes():
                file.write(chunk)
    except httpx.HTTPError as error:
        raise _unreachable(url, error) from None


def _text(client: httpx.Client, url: str) -> str:
    import httpx

    try:
        return client.get(url).raise_for_status().text
    except httpx.HTTPError as error:
        raise _unreachable(url, error) from None


def _unreachable(url: str, error: Exception) -> Unavailable:
    return Unavailable(
        f"{url} cannot be downloaded",
        last=f"{type(error).__name__}: {error}",
        hint="check the network, or install Dapr's binaries and set DAPR_HARNESS_DAPR_DIR",
    )


def _verify(archive: Path, published: str, url: str) -> None:
    expected = published.split(maxsplit=1)[0].lower() if published.split() else ""
    seen = hashlib.sha256(archive.read_bytes()).hexdigest()
    if seen != expected:
        archive.unlink()
        raise Corrupted(
            f"{url} is corrupted",
            expected=f"sha256 {expected}",
            last=f"sha256 {seen}",
            hint="try again; if it fails again, do not use that archive",
        )


def _unpack(archive: Path, binary: str, target: Path) -> None:
    # Not with tar.extract: before Python 3.11.4 it has no filter, so a link could point outside.
    with tarfile.open(archive) as tar, (target / binary).open("wb") as output:
        content = tar.extractfile(binary) if binary in tar.getnames() else None
        if content is None:
            raise Corrupted(f"{archive.name} is corrupted", expected=f"a file {binary!r} in it")
        shutil.copyfileobj(content, output)
    (target / binary).chmod(0o755)
    archive.unlink()
