"""The control plane of Kubernetes is built once, of modules whose checksums are committed."""

from __future__ import annotations

import re
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from harness import Settings, Unavailable
from harness.provision import golang, kubernetes
from harness.provision.kubernetes import NAMES, SOURCES, provide_control_plane, provide_crds
from harness.provision.progress import Quiet
from harness.provision.store import Store
from harness.provision.versions import DAPR, KUBERNETES
from tests.support import project

GO = """\
#!/bin/sh
case "$1" in
env) echo go1.99.0 ;;
mod) echo "{\\"Dir\\": \\"$HOME/dapr\\"}" ;;
build) for word; do [ "$before" = -o ] && target=$word; before=$word; done
       cp go.mod go.sum main.go "$HOME/"; echo "$*" >> "$HOME/built"
       printf '#!/bin/sh\\necho $0 $*\\n' > "$target"; chmod +x "$target" ;;
esac
"""
"""A toolchain that builds in no time, and keeps what it was told to build."""

MODULE = files("harness.provision").joinpath("control-plane")


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only Go toolchain, with the sources of Dapr."""
    file = tmp_path / "go"
    file.write_text(GO)
    file.chmod(0o755)
    monkeypatch.setattr(golang, "_wheel_go", lambda: file)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    project(tmp_path / "dapr", go_mod="go 1.99.0\n", charts__dapr__crds__a_yaml="kind: A\n")
    return file


def settings(folder: Path, **given: object) -> Settings:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return Settings.load(folder, environ, cache_dir=folder / "cache", **given)


def provide(found: Settings, make=provide_control_plane) -> Path:  # type: ignore[no-untyped-def]
    return Path(make(found, Store(found.cache_dir), Quiet()))


@pytest.mark.usefixtures("go")
def test_it_is_built_once_and_is_called_by_the_names_of_its_programs(tmp_path: Path) -> None:
    first, second = provide(settings(tmp_path)), provide(settings(tmp_path, offline=True))

    assert first == second
    (command,) = (tmp_path / "built").read_text().splitlines()
    assert f"-X k8s.io/component-base/version.gitVersion=v{KUBERNETES}" in command
    assert "-mod=readonly" in command
    for name in NAMES:
        said = subprocess.run([first / name, "x"], capture_output=True, text=True)
        assert f"{first / name} x\n" == said.stdout


@pytest.mark.usefixtures("go")
def test_what_is_built_is_the_committed_module(tmp_path: Path) -> None:
    """With its checksums."""
    provide(settings(tmp_path))

    for name in SOURCES:
        assert MODULE.joinpath(name).read_text() == (tmp_path / name).read_text()


@pytest.mark.parametrize("make", [provide_control_plane, provide_crds])
def test_without_network_access_the_command_that_installs_it_is_told(
    tmp_path: Path, make: object
) -> None:
    with pytest.raises(Unavailable, match="network access is disabled") as caught:
        provide(settings(tmp_path, offline=True), make)

    assert "dapr-harness provision --kubernetes" in caught.value.hint


@pytest.mark.parametrize("make", [provide_control_plane, provide_crds])
def test_without_go_nothing_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: object
) -> None:
    monkeypatch.setattr(golang, "_wheel_go", lambda: None)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)

    with pytest.raises(Unavailable, match="no Go toolchain was found"):
        provide(settings(tmp_path), make)


@pytest.mark.usefixtures("go")
def test_too_little_disk_space_is_told_before_it_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "NEEDED_DISK", 1e18)

    with pytest.raises(Unavailable, match="not enough disk space"):
        provide(settings(tmp_path))

    assert not (tmp_path / "built").exists()


@pytest.mark.usefixtures("go")
def test_the_kinds_of_dapr_come_from_its_chart(tmp_path: Path) -> None:
    folder = provide(settings(tmp_path), provide_crds)

    assert f"dapr-{DAPR}-crds" == folder.name
    assert "kind: A\n" == (folder / "a.yaml").read_text()


@pytest.mark.usefixtures("go")
def test_a_module_of_dapr_without_kinds_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dapr" / "charts" / "dapr" / "crds" / "a.yaml").unlink()

    with pytest.raises(Unavailable, match="has no CRDs"):
        provide(settings(tmp_path), provide_crds)


@pytest.mark.usefixtures("go")
def test_other_modules_are_another_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose version of Kubernetes may be the same."""
    first = provide(settings(tmp_path))
    changed = {**kubernetes._sources(), "go.sum": "changed"}
    monkeypatch.setattr(kubernetes, "_sources", lambda: changed)

    second = provide(settings(tmp_path))

    assert first != second
    assert 2 == len((tmp_path / "built").read_text().splitlines())


def test_every_module_of_kubernetes_has_the_version_of_the_table() -> None:
    """Those of its own repository are numbered 0.x instead of 1.x."""
    text = MODULE.joinpath("go.mod").read_text()

    assert f"k8s.io/kubernetes v{KUBERNETES}\n" in text
    staged = re.findall(r"^\t(k8s\.io/\S+) => \1 v(\S+)$", text, re.MULTILINE)
    assert {KUBERNETES.replace("1.", "0.", 1)} == {version for _, version in staged}


def test_every_required_module_has_a_checksum() -> None:
    """Go refuses to build what has none."""
    text, sums = (MODULE.joinpath(name).read_text() for name in ("go.mod", "go.sum"))
    replaced = dict(re.findall(r"^\t(\S+) => \S+ (v\S+)$", text, re.MULTILINE))
    required = dict(re.findall(r"^\t([\w.-]+/\S+) (v\S+)", text, re.MULTILINE))

    for module, version in (required | replaced).items():
        if module in required:
            assert re.search(rf"^{re.escape(f'{module} {version}')}(/go.mod)? h1:", sums, re.M)
