"""Archives of images in layers: what they contain, and what they leave to the image below."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

from harness.provision.layered_image import (
    ARCHIVE,
    Config,
    Layer,
    blobs_of,
    name_of,
    pack_layer,
)


def packed(folder: Path, layer: Layer, name: str = "shop:1", below: Path | None = None) -> Path:
    folder.mkdir()
    under = blobs_of(below) if below else []
    pack_layer(name, layer, Config(Cmd=("serve",)), folder, under)
    return folder


def read(folder: Path, digest: str) -> dict[str, Any]:
    with tarfile.open(folder / ARCHIVE) as tar:
        file = tar.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}")
        assert file is not None
        found: dict[str, Any] = json.load(file)
        return found


def manifest(folder: Path) -> dict[str, Any]:
    with tarfile.open(folder / ARCHIVE) as tar:
        file = tar.extractfile("index.json")
        assert file is not None
        (top,) = json.load(file)["manifests"]
    assert name_of(folder) == top["annotations"]["io.containerd.image.name"]
    return read(folder, top["digest"])


def content(folder: Path, digest: str) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(folder / ARCHIVE) as tar:
        layer = tar.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}")
        assert layer is not None
        with tarfile.open(fileobj=layer) as inner:
            return {each.name: each for each in inner}


def test_an_image_refers_to_the_layers_below_and_contains_its_own_one_only(tmp_path: Path) -> None:
    base = packed(tmp_path / "base", Layer(texts={"/etc/passwd": "root"}), "base:1")
    shop = packed(tmp_path / "shop", Layer(texts={"/app/run": "x"}), below=base)

    layers = [each["digest"] for each in manifest(shop)["layers"]]

    (below,) = [each["digest"] for each in manifest(base)["layers"]]
    assert below == layers[0]
    with tarfile.open(shop / ARCHIVE) as tar:
        names = {*tar.getnames()}
    assert f"blobs/sha256/{layers[1].removeprefix('sha256:')}" in names
    assert f"blobs/sha256/{below.removeprefix('sha256:')}" not in names
    config = read(shop, manifest(shop)["config"]["digest"])
    assert layers == config["rootfs"]["diff_ids"]


def test_the_same_files_make_the_same_layer(tmp_path: Path) -> None:
    """Whoever owns them, and whenever they were written."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "app.py").write_text("pass")
    first = packed(tmp_path / "first", Layer({"/app": tmp_path / "a"}))
    (tmp_path / "a" / "app.py").touch()

    second = packed(tmp_path / "second", Layer({"/app": tmp_path / "a"}))

    assert blobs_of(first) == blobs_of(second)


def test_files_belong_to_root_or_to_the_account_of_their_folder(tmp_path: Path) -> None:
    layer = Layer(
        texts={"/data/x": "1", "/bin/run": "2"}, folders={"/data": 0o700}, owners={"/data": 999}
    )
    image = packed(tmp_path / "image", layer)

    found = content(image, manifest(image)["layers"][0]["digest"])

    assert {"data": 999, "data/x": 999, "bin/run": 0} == {k: each.uid for k, each in found.items()}
    assert 0o700 == found["data"].mode


def test_caches_of_python_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a" / "__pycache__").mkdir(parents=True)
    (tmp_path / "a" / "__pycache__" / "app.pyc").write_text("")
    (tmp_path / "a" / "app.py").write_text("")

    image = packed(tmp_path / "image", Layer({"/app": tmp_path / "a"}))

    found = content(image, manifest(image)["layers"][0]["digest"])
    assert {"app", "app/app.py"} == {*found}
