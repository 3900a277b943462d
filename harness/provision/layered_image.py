"""Packs images in layers, without an engine or a registry; what lies below is another archive's."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from harness.provision.image_archive import ARCHITECTURES, with_content

ARCHIVE, ABOUT = "image.tar", "image.json"
"""The files of a packed image: what is imported, and what is known of its layers."""

_INDEX, _MANIFEST = (f"application/vnd.oci.image.{each}.v1+json" for each in ("index", "manifest"))
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_NAME = "io.containerd.image.name"
"""The annotation from which containerd takes the name of an image."""


@dataclass(frozen=True)
class Layer:
    """The content of one layer.

    Attributes:
        files: what it contains, by absolute paths; folders are packed with all below them.
        texts: executable files with these texts, by absolute paths.
        links: symbolic links, by absolute paths.
        owners: user and group of files, by the beginning of their paths; root owns the others.
        folders: empty folders with their modes, by absolute paths.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, int] = field(default_factory=dict)
    folders: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """How a container of an image runs, as OCI has it."""

    Env: Sequence[str] = ("PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",)
    Entrypoint: Sequence[str] = ()
    Cmd: Sequence[str] = ()
    WorkingDir: str = "/"
    User: str = ""
    StopSignal: str = "SIGTERM"


@dataclass(frozen=True)
class Blob:
    """A layer as its image refers to it."""

    digest: str
    size: int


def pack_layer(
    name: str, layer: Layer, config: Config, target: Path, below: Sequence[Blob] = ()
) -> None:
    """Write an archive with one layer, and what is known of all of them.

    Args:
        name: of the image, with a tag.
        layer: what it adds.
        config: how it runs.
        target: the folder that receives `ARCHIVE` and `ABOUT`.
        below: the layers of an image that is imported first.
    """
    file = target / "layer"
    with tarfile.open(file, "w") as tar:
        _fill(tar, layer)
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    blobs = [*below, Blob(digest, file.stat().st_size)]
    with tarfile.open(target / ARCHIVE, "w") as tar, file.open("rb") as stream:
        _write_index(tar, name, config, blobs)
        info = tarfile.TarInfo(f"blobs/sha256/{digest}")
        info.size = blobs[-1].size
        tar.addfile(info, stream)
    file.unlink()
    about = {"name": name, "blobs": [asdict(each) for each in blobs]}
    (target / ABOUT).write_text(json.dumps(about))


def blobs_of(folder: Path) -> list[Blob]:
    """The layers of a packed image."""
    return [Blob(**each) for each in json.loads((folder / ABOUT).read_text())["blobs"]]


def name_of(folder: Path) -> str:
    """The name of a packed image."""
    return str(json.loads((folder / ABOUT).read_text())["name"])


def _write_index(tar: tarfile.TarFile, name: str, config: Config, blobs: Sequence[Blob]) -> None:
    machine = platform.machine()
    about = _json(
        {
            "architecture": ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "config": asdict(config),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each.digest}" for each in blobs]},
        }
    )
    layers = [
        {"mediaType": _LAYER, "digest": f"sha256:{each.digest}", "size": each.size}
        for each in blobs
    ]
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _described(_CONFIG, about),
            "layers": layers,
        }
    )
    top = {**_described(_MANIFEST, manifest), "annotations": {_NAME: name}}
    index = _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [top]})
    _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
    _add(tar, "index.json", index)
    for data in (about, manifest):
        _add(tar, f"blobs/sha256/{hashlib.sha256(data).hexdigest()}", data)


def _described(kind: str, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _add(tar: tarfile.TarFile, path: str, data: bytes) -> None:
    info = tarfile.TarInfo(path)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _fill(tar: tarfile.TarFile, layer: Layer) -> None:
    for path, mode in sorted(layer.folders.items()):
        info = tarfile.TarInfo(path.strip("/"))
        info.type, info.mode = tarfile.DIRTYPE, mode
        tar.addfile(_owned(info, layer.owners))
    for path, source in sorted(layer.files.items()):
        _add_files(tar, source, path.strip("/"), layer.owners)
    for path, text in sorted(layer.texts.items()):
        info = tarfile.TarInfo(path.strip("/"))
        info.size, info.mode = len(text.encode()), 0o755
        tar.addfile(_owned(info, layer.owners), io.BytesIO(text.encode()))
    for path, to in sorted(layer.links.items()):
        info = tarfile.TarInfo(path.strip("/"))
        info.type, info.linkname = tarfile.SYMTYPE, to
        tar.addfile(info)


def _add_files(tar: tarfile.TarFile, source: Path, path: str, owners: Mapping[str, int]) -> None:
    found = [source]
    if source.is_dir():
        found += sorted(each for each in source.rglob("*") if "__pycache__" not in each.parts)
    for each in found:
        inside = f"{path}/{each.relative_to(source)}" if each != source else path
        entry = tar.gettarinfo(each.resolve() if each == source else each, inside)
        info = _owned(with_content(entry, each), owners)
        with each.open("rb") if info.isreg() else _nothing() as file:
            tar.addfile(info, file)


def _nothing() -> IO[bytes]:
    return io.BytesIO()


def _owned(info: tarfile.TarInfo, owners: Mapping[str, int]) -> tarfile.TarInfo:
    account = next((uid for start, uid in owners.items() if f"/{info.name}".startswith(start)), 0)
    info.uid = info.gid = account
    info.uname = info.gname = ""
    # The same files make the same layer.
    info.mtime = 0
    return info
