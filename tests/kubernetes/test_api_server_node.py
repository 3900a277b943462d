"""The API server as a node: what it listens on, who may use it, and what is told if it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness import Topology
from harness.core.endpoint import Endpoint
from harness.core.launch import Launch
from harness.nodes.api_server import TOKENS, KubeApiServer, access_from
from harness.provision.kubernetes import control_plane_name
from harness.provision.versions import DAPR
from harness.stack.book import AddressBook
from tests.support import ROOT, environment, project


class Tools:
    """Where programs would be."""

    def path(self, tool: str) -> Path:
        return Path("/tools") / tool


@pytest.fixture
def book(tmp_path: Path) -> AddressBook:
    ports = iter(range(20000, 20100))
    return AddressBook(
        Topology(KubeApiServer()), Tools(), tmp_path, tmp_path / "run",  # type: ignore[arg-type]
        lambda wanted: Endpoint("127.0.0.1", wanted or next(ports)),
    )  # fmt: skip


def planned(book: AddressBook) -> dict[str, Launch]:
    return {node.name: node.plan(book.scope(node.name)) for node in book.topology.nodes}


def flags(launch: Launch) -> dict[str, str]:
    pairs = (word.removeprefix("--").partition("=") for word in launch.argv[1:])
    return {name: value for name, _, value in pairs}


def test_it_listens_on_loopback_and_so_does_its_storage(book: AddressBook) -> None:
    launches = planned(book)

    server, storage = flags(launches["kube-apiserver"]), flags(launches["etcd"])
    assert ("127.0.0.1", "127.0.0.1") == (server["bind-address"], server["advertise-address"])
    listening = [storage["listen-client-urls"], storage["listen-peer-urls"]]
    assert all(each.startswith("http://127.0.0.1:") for each in listening)
    assert storage["advertise-client-urls"] == server["etcd-servers"]


def test_its_token_is_in_a_file_and_in_no_argument(book: AddressBook) -> None:
    """Every account on the machine can see arguments; nobody gets in without the token."""
    launch = planned(book)["kube-apiserver"]
    access = access_from(book.exports("kube-apiserver"))

    assert access.token in launch.files[TOKENS]
    assert access.token not in " ".join(launch.argv)
    assert access.token not in repr(access)
    assert launch.files[TOKENS].endswith(',admin,admin,"system:masters"\n')
    assert "false" == flags(launch)["anonymous-auth"]


def test_its_clients_trust_the_certificate_that_it_signs(book: AddressBook) -> None:
    access = access_from(book.exports("kube-apiserver"))
    server = flags(planned(book)["kube-apiserver"])

    assert Path(server["cert-dir"]) / "apiserver.crt" == access.authority
    assert f"https://127.0.0.1:{server['secure-port']}" == access.url


@pytest.mark.real
def test_a_server_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    """At once, and its manifests are not judged."""
    says = "#!/bin/sh\necho 'mvcc: database space exceeded' >&2\nexit 7\n"
    programs = tmp_path / "cache" / control_plane_name()
    programs.mkdir(parents=True)
    for name in ("etcd", "kube-apiserver"):
        (programs / name).write_text(says)
        (programs / name).chmod(0o755)
    (tmp_path / "cache" / f"dapr-{DAPR}-crds").mkdir()
    project(tmp_path, a_yaml="apiVersion: v1\nkind: Service\nmetadata: {name: a}\n")
    environ = environment(tmp_path, DAPR_HARNESS_CACHE_DIR=str(tmp_path / "cache"))

    done = subprocess.run(
        [sys.executable, "-m", "harness.cli.main", "validate", "k8s", str(tmp_path / "a.yaml")],
        cwd=ROOT, env=environ, capture_output=True, text=True,
    )  # fmt: skip

    assert (4, "") == (done.returncode, done.stdout)
    assert "etcd exited with code 7" in done.stderr
    assert "mvcc: database space exceeded" in done.stderr
