"""The daprd with fewer components: what it is built of, and which sidecars run it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import App, ConfigError, Settings, Sidecar, Topology
from harness.core.endpoint import Endpoint
from harness.core.errors import Unavailable
from harness.dapr.known import pinned
from harness.provision import gobuild, golang, local_daprd
from harness.provision.local_daprd import LOCAL, TYPES, provide_local_daprd, write_packages
from harness.provision.progress import Quiet
from harness.provision.store import Store
from harness.provision.toolbox import Provisioner
from harness.provision.versions import DAPR
from harness.stack.book import AddressBook
from tests.projects import IN_MEMORY
from tests.support import project

MAIN = f'package main\nimport "{gobuild.MODULE}/cmd/daprd/app"\nfunc main() {{ app.Run() }}\n'
RUN = f'package app\nimport _ "{gobuild.MODULE}/cmd/daprd/components"\nfunc Run() {{}}\n'
REDIS = 'package components\nfunc init() {\n\tstates.RegisterComponent(redis.New, "redis")\n}\n'
COSMOS = REDIS.replace("redis", "azure.cosmosdb")
SQLITE = REDIS.replace("states", "names").replace('"redis"', '"sqlite"')
STORE = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store}
spec: {type: state.redis, version: v1, metadata: [{name: redisHost, value: "127.0.0.1:6379"}]}
"""
CONSUL = """\
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: names}
spec: {nameResolution: {component: consul}}
"""


class Told(Quiet):
    """What a person would be told."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, str]] = []

    def end(self, what: str, fact: str) -> None:
        self.ended.append((what, fact))


def dapr_sources(folder: Path) -> Path:
    """Dapr's module, with three components."""
    return project(
        folder,
        cmd__daprd__main_go=MAIN,
        cmd__daprd__app__app_go=RUN,
        cmd__daprd__components__state_redis_go=REDIS,
        cmd__daprd__components__state_azure_cosmosdb_go=COSMOS,
        cmd__daprd__components__nameresolution_sqlite_go=SQLITE,
    )


def installed(folder: Path, types: list[str]) -> Provisioner:
    """Both builds of daprd in a cache."""
    settings = Settings.load(
        folder, {}, cache_dir=folder / "cache", daprd_components="local", offline=True
    )
    small = folder / "cache" / f"dapr-{DAPR}-local-{local_daprd._digest()}"
    small.mkdir(parents=True)
    (small / TYPES).write_text(json.dumps(types))
    (folder / "cache" / f"dapr-{DAPR}").mkdir()
    return Provisioner(settings)


def program(folder: Path, sidecar: str, topology: Topology, *types: str) -> str:
    """Which daprd a sidecar runs, where another one has only these types: whole or local."""
    tools = installed(folder, [*types])
    ports = iter(range(20000, 20100))
    book = AddressBook(
        topology, tools, folder, folder / "run",
        lambda wanted: Endpoint("127.0.0.1", wanted or next(ports)),
    )  # fmt: skip
    chosen = Path(topology[sidecar].plan(book.scope(sidecar)).argv[0])
    assert "daprd" == chosen.name
    return {f"dapr-{DAPR}": "whole"}.get(chosen.parent.name, "local")


NAMES = "nameresolution.sqlite"


def shop(**given: object) -> Topology:
    return Topology(App("shop", command="true", **given), resources="r")  # type: ignore[arg-type]


def test_a_sidecar_runs_the_local_daprd_if_it_has_every_component(tmp_path: Path) -> None:
    project(tmp_path, r__a_yaml=STORE, r__b_yaml=IN_MEMORY)

    found = program(tmp_path, "shop-daprd", shop(), NAMES, "state.redis", "pubsub.in-memory")

    assert "local" == found


@pytest.mark.parametrize("lacking", [NAMES, "state.redis", "pubsub.in-memory"])
def test_a_sidecar_with_one_component_that_it_lacks_runs_the_whole_daprd(
    tmp_path: Path, lacking: str
) -> None:
    project(tmp_path, r__a_yaml=STORE, r__b_yaml=IN_MEMORY)
    types = {NAMES, "state.redis", "pubsub.in-memory"} - {lacking}

    assert "whole" == program(tmp_path, "shop-daprd", shop(), *types)


@pytest.mark.parametrize(
    ("types", "expected"), [((), "whole"), (("nameresolution.consul",), "local")]
)
def test_the_name_resolution_of_a_configuration_counts_as_a_component(
    tmp_path: Path, types: tuple[str, ...], expected: str
) -> None:
    project(tmp_path, r__a_yaml=CONSUL)

    assert expected == program(tmp_path, "shop-daprd", shop(), NAMES, *types)


@pytest.mark.parametrize("flag", ["resources-path", "components-path", "config", "mode"])
def test_a_sidecar_whose_flags_load_other_resources_runs_the_whole_daprd(
    tmp_path: Path, flag: str
) -> None:
    """They are not known here."""
    topology = Topology(Sidecar("shop", flags={flag: "somewhere"}), resources="r")
    project(tmp_path, r__a_yaml=STORE)

    assert "whole" == program(tmp_path, "shop-daprd", topology, NAMES, "state.redis")


def test_each_sidecar_has_its_own_choice(tmp_path: Path) -> None:
    """By the scopes of the components."""
    scoped = STORE + "scopes: [cart]\n"
    project(tmp_path, r__a_yaml=scoped)
    topology = Topology(App("shop", command="true"), App("cart", command="true"), resources="r")

    assert "local" == program(tmp_path, "shop-daprd", topology, NAMES)
    shutil.rmtree(tmp_path / "cache")
    assert "whole" == program(tmp_path, "cart-daprd", topology, NAMES)


def test_without_the_setting_every_sidecar_runs_the_whole_daprd(tmp_path: Path) -> None:
    tools = installed(tmp_path, [NAMES])
    usual = Settings.load(tmp_path, {}, cache_dir=tmp_path / "cache", offline=True)

    assert f"dapr-{DAPR}" == Provisioner(usual).daprd([NAMES]).parent.name
    assert f"dapr-{DAPR}" != tools.daprd([NAMES]).parent.name


def test_another_value_of_the_setting_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="daprd_components 'few' is not known") as raised:
        Settings.load(tmp_path, {"DAPR_HARNESS_DAPRD_COMPONENTS": "few"})

    assert "all, local" == raised.value.expected


def test_the_package_that_is_built_registers_the_local_components_only(tmp_path: Path) -> None:
    dapr, work, types = dapr_sources(tmp_path / "dapr"), tmp_path / "work", tmp_path / TYPES

    packages = write_packages(dapr, work, types)

    assert [f"{gobuild.OWN}/daprd"] == packages
    assert f'import "{gobuild.OWN}/daprd/app"' in (work / "daprd" / "main.go").read_text()
    app = (work / "daprd" / "app" / "app.go").read_text()
    assert f'import _ "{gobuild.OWN}/daprd/components"' in app
    copied = sorted(path.name for path in (work / "daprd" / "components").iterdir())
    assert ["nameresolution_sqlite.go", "state_redis.go"] == copied
    assert ["nameresolution.sqlite", "state.redis"] == json.loads(types.read_text())


@pytest.mark.parametrize("file", ["main.go", "app/app.go"])
def test_a_dapr_with_other_packages_is_not_built_with_every_component(
    tmp_path: Path, file: str
) -> None:
    """An import that is not found would leave all of them in."""
    dapr = dapr_sources(tmp_path / "dapr")
    (dapr / "cmd" / "daprd" / file).write_text("package other\n")

    with pytest.raises(Unavailable, match=f"{file} does not import the components"):
        write_packages(dapr, tmp_path / "work", tmp_path / TYPES)


def cached(folder: Path, told: Told, **given: object) -> tuple[Settings, Store, Path]:
    settings = Settings.load(
        folder, {"PATH": "/nowhere", "HOME": str(folder)}, cache_dir=folder / "cache", **given
    )
    store = Store(settings.cache_dir, told)
    return settings, store, store.root / f"dapr-{DAPR}" / "daprd"


def test_a_daprd_of_the_users_own_is_used_unchanged(tmp_path: Path) -> None:
    told = Told()
    settings, store, _ = cached(tmp_path, told)

    assert provide_local_daprd(settings, store, told, tmp_path / "bin" / "daprd") is None
    assert [] == told.ended


@pytest.mark.parametrize(
    ("given", "reason"),
    [({"offline": True}, "network access is disabled"), ({}, "no Go toolchain was found")],
)
def test_where_it_cannot_be_built_the_reason_is_told_and_the_whole_one_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, bool], reason: str
) -> None:
    monkeypatch.setattr(golang, "_wheel_go", lambda: None)
    told = Told()
    settings, store, whole = cached(tmp_path, told, **given)

    assert provide_local_daprd(settings, store, told, whole) is None

    ((what, fact),) = told.ended
    assert f"no daprd {DAPR} with fewer components" == what
    assert reason in fact
    assert fact.endswith("every sidecar has all components")


GO = """\
#!/bin/sh
case "$1" in
env) echo go1.99.0 ;;
mod) echo "{\\"Dir\\": \\"$HOME/dapr\\"}" ;;
build) for word; do last=$word; [ "$before" = -o ] && target=$word; before=$word; done
       echo "$last" >> "$HOME/built"; echo > "$target/daprd" ;;
esac
"""
"""A toolchain that builds in no time and records which package it was told to build."""


def test_it_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(dapr_sources(tmp_path / "dapr"), go_mod="go 1.99.0\n", go_sum="")
    go = tmp_path / "go"
    go.write_text(GO)
    go.chmod(0o755)
    monkeypatch.setattr(golang, "_wheel_go", lambda: go)
    monkeypatch.setattr(gobuild, "NEEDED_DISK", 0)
    told = Told()

    settings, store, whole = cached(tmp_path, told)
    first = provide_local_daprd(settings, store, told, whole)
    second = provide_local_daprd(settings, Store(store.root), told, whole)

    assert first is not None
    assert first == second
    assert first.program.is_file()
    assert {"nameresolution.sqlite", "state.redis"} == first.types
    assert f"{gobuild.OWN}/daprd\n" == (tmp_path / "built").read_text()
    assert ["build daprd 1.18.2 with fewer components from its Go module"] == [
        what for what, _ in told.ended
    ]


def test_the_local_components_are_those_of_the_pinned_dapr(tmp_path: Path) -> None:
    go = shutil.which("go")
    asked = [go, "env", "GOMODCACHE"] if go else ["true"]
    cache = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    dapr = Path(cache) / "github.com" / "dapr" / f"dapr@v{DAPR}"
    if not dapr.exists():
        pytest.skip("Dapr's sources are not in the Go module cache")

    write_packages(dapr, tmp_path / "work", tmp_path / TYPES)

    copied = {path.stem for path in (tmp_path / "work" / "daprd" / "components").iterdir()}
    named = {f"{category}_{name}" for category, names in LOCAL.items() for name in names.split()}
    assert named == copied
    types = set(json.loads((tmp_path / TYPES).read_text()))
    components = {each for each in types if not each.startswith("nameresolution.")}
    assert components <= pinned().types.keys()
    assert {NAMES, "nameresolution.mdns", "pubsub.kafka", "state.postgresql"} <= types
