"""Debian packages and images without an engine: what a node is provided with."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from harness.core.errors import Unavailable
from harness.provision.image_archive import Image, pack
from harness.provision.packages import closure, described, fetch

SHOWN = """\
containerd
  Depends: runc
  Depends: libc6
 |Depends: one
  Depends: other
plugins
  Depends: iptables
  PreDepends: libc6
  Depends: <virtual>
runc
  Depends: libc6
  Depends: libseccomp2
libseccomp2
  Depends: libc6
  Suggests: games
iptables
  Depends: libip4
libip4
libc6
one
other
"""


def test_packages_come_with_those_that_they_need() -> None:
    """Not those that only a package which is left out needs; the first of alternatives."""
    found = closure(SHOWN, ["containerd", "plugins"], {"libc6", "iptables"})

    assert ["containerd", "libseccomp2", "one", "plugins", "runc"] == found


def test_packages_are_recorded_with_version_and_checksum(tmp_path: Path) -> None:
    archive = tmp_path / "busybox-static_1%3a1.35.0-4+deb12u1_amd64.deb"
    archive.write_bytes(b"x")

    found = described([archive])

    assert "1:1.35.0-4+deb12u1" == found["busybox-static"]["version"]
    assert found["busybox-static"]["sha256"].startswith("2d711642b726b04401627ca9fbac32f5")


def test_without_debian_it_is_said_what_is_possible(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as raised:
        fetch({"PATH": str(tmp_path)}, ["containerd", "runc"], tmp_path)

    assert "apt-get is missing" in raised.value.subject
    assert "validate k8s" in raised.value.hint


@pytest.mark.real
def test_a_package_that_cannot_be_fetched_is_said_in_the_words_of_apt(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name, does in (("apt-cache", "echo runc"), ("apt-get", "echo 'E: no runc' >&2; exit 100")):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "bin" / "dpkg-deb").symlink_to("apt-get")

    with pytest.raises(Unavailable) as raised:
        fetch({"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}, ["runc"], tmp_path)

    assert "E: no runc" == raised.value.last
    assert "apt-get update" in raised.value.hint


@pytest.fixture
def image(tmp_path: Path) -> Image:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return Image("local/app:1", {"/bin/app": program}, ["/bin/app"], links={"/bin/sh": "app"})


def test_an_image_has_the_names_that_an_import_reads(image: Image, tmp_path: Path) -> None:
    pack(image, tmp_path / "image.tar")

    with tarfile.open(tmp_path / "image.tar") as tar:
        (listed,) = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = json.load(tar.extractfile(listed["Config"]))  # type: ignore[arg-type]
        layer = tar.extractfile(listed["Layers"][0])
        with tarfile.open(fileobj=layer) as inside:
            found = {each.name: each for each in inside}
    assert ["local/app:1"] == listed["RepoTags"]
    assert ["/bin/app"] == config["config"]["Entrypoint"]
    assert "65532:65532" == config["config"]["User"]
    assert (0, 0o755) == (found["bin/app"].uid, found["bin/app"].mode)
    assert "app" == found["bin/sh"].linkname


def test_the_same_files_make_the_same_image(image: Image, tmp_path: Path) -> None:
    """It is imported again only if something has changed."""
    pack(image, tmp_path / "one.tar")
    image.files["/bin/app"].touch()
    pack(image, tmp_path / "other.tar")

    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "other.tar").read_bytes()


def test_files_of_one_inode_have_each_their_content(tmp_path: Path) -> None:
    """The second name of such a file was packed without it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "app").write_text("content")
    (tmp_path / "bin" / "sh").hardlink_to(tmp_path / "bin" / "app")
    pack(Image("local/app:1", {"/bin": tmp_path / "bin"}, ("/bin/app",)), tmp_path / "image.tar")

    with tarfile.open(tmp_path / "image.tar") as tar:
        (listed,) = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        with tarfile.open(fileobj=tar.extractfile(listed["Layers"][0])) as inside:
            found = [inside.extractfile(f"bin/{name}") for name in ("app", "sh")]
            assert [b"content"] * 2 == [each.read() for each in found if each]
