"""Packs files into an archive of an image, without an engine or a registry."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What images call this machine's processor."""

TEMPORARY = "tmp"


@dataclass(frozen=True)
class Image:
    """What an image is made of.

    Attributes:
        name: with a tag, such as ``dapr-harness.local/shop:1``.
        files: what it contains, by absolute paths; folders are packed with all below them.
        entrypoint: the program and its first arguments.
        user: ``uid:gid``.
        links: symbolic links, by absolute paths.
        folder: the working folder.
    """

    name: str
    files: Mapping[str, Path]
    entrypoint: Sequence[str]
    user: str = "65532:65532"
    links: Mapping[str, str] | None = None
    folder: str = "/"


def pack(image: Image, archive: Path) -> None:
    """Write an archive that containerd and Docker import; the same files make the same archive."""
    layer = _layer(image)
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps(_config(image, digest), sort_keys=True).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    parts = {f"{digest}/layer.tar": layer, name: config}
    listed = {"Config": name, "RepoTags": [image.name], "Layers": [f"{digest}/layer.tar"]}
    parts["manifest.json"] = json.dumps([listed]).encode()
    with tarfile.open(archive, "w") as tar:
        for path, data in parts.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def with_content(info: tarfile.TarInfo, file: Path) -> tarfile.TarInfo:
    """An entry with its content, also if packages have the same file under two names."""
    if info.islnk():
        info.type, info.size = tarfile.REGTYPE, file.stat().st_size
    return info


def _layer(image: Image) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        temporary = tarfile.TarInfo(TEMPORARY)
        temporary.type, temporary.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(temporary)
        for path, source in sorted(image.files.items()):
            _add(tar, source, path.strip("/"))
        for path, to in sorted((image.links or {}).items()):
            link = tarfile.TarInfo(path.strip("/"))
            link.type, link.linkname = tarfile.SYMTYPE, to
            tar.addfile(link)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, source: Path, path: str) -> None:
    found = [source]
    if source.is_dir():
        found += sorted(source.rglob("*"))
    for each in found:
        inside = f"{path}/{each.relative_to(source)}" if each != source else path
        info = _owned_by_root(with_content(tar.gettarinfo(each, inside), each))
        if info.isreg():
            with each.open("rb") as file:
                tar.addfile(info, file)
        else:
            tar.addfile(info)


def _owned_by_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


def _config(image: Image, digest: str) -> dict[str, object]:
    machine = platform.machine()
    return {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {
            "User": image.user,
            "Entrypoint": [*image.entrypoint],
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin:/"],
            "WorkingDir": image.folder,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
