"""`dapr-harness cluster` and `kubectl`: which cluster, what is told, what kubectl is given."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from harness.cli.commands import app
from harness.core.errors import ConfigError, HarnessError, InstanceDied
from harness.provision.toolbox import Provisioner
from harness.runtime.proc import born
from harness.stack.registry import UpNode, UpStack


class Executed(Exception):
    """What the command has become."""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the state files; kubectl is not executed."""
    folder = tmp_path / "state"
    folder.mkdir()
    monkeypatch.setenv("DAPR_HARNESS_STATE_DIR", str(folder))
    monkeypatch.setattr(Provisioner, "path", lambda _, tool: Path("/tools") / tool)

    def execute(*given: Any) -> None:
        raise Executed(*given)

    monkeypatch.setattr(os, "execve", execute)
    return folder


def is_up(state: Path, name: str, *, pid: int = 0, node: str = "cluster") -> Path:
    """A state file as of a running cluster; the folder of its node."""
    me = os.getpid()
    run = state.parent / name
    home = run / "nodes" / node
    home.mkdir(parents=True)
    if node == "cluster":
        (home / "admin.kubeconfig").write_text("{}")
    log = home / "log"
    log.write_text("flag provided but not defined\nkubelet ended with code 1\n")
    rows = [UpNode(node, pid or me, {"main": "127.0.0.1:7"}, str(log))]
    up = UpStack(name, me, born(me), 0.0, str(run), "", rows)
    (state / f"{name}.json").write_text(json.dumps(asdict(up)))
    return home


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def raised(*words: str, kind: type[HarnessError] = ConfigError) -> HarnessError:
    error = run(*words).exception
    assert isinstance(error, kind)
    return error


def test_kubectl_is_given_every_argument_as_it_is(state: Path) -> None:
    """Also those that the harness has itself, such as --help and -n."""
    home = is_up(state, "one")
    words = ["get", "pods", "-n", "x", "--help", "--name=y", "--", "-v"]

    error = run("kubectl", *words).exception

    assert isinstance(error, Executed)
    program, argv, environment = error.args
    assert Path("/tools/kubectl") == program
    assert ["kubectl", *words] == argv
    assert str(home / "admin.kubeconfig") == environment["KUBECONFIG"]


def test_a_cluster_is_chosen_by_its_name(state: Path) -> None:
    is_up(state, "one")
    home = is_up(state, "other")

    error = run("kubectl", "--cluster", "other", "version").exception

    assert isinstance(error, Executed)
    assert str(home / "admin.kubeconfig") == error.args[2]["KUBECONFIG"]


def test_of_several_clusters_one_must_be_named(state: Path) -> None:
    is_up(state, "one")
    is_up(state, "other")

    error = raised("kubectl", "version")

    assert ("several clusters are up", "one, other") == (error.subject, error.last)
    assert "--cluster" in error.hint


def test_an_unknown_name_is_answered_with_those_that_are_known(state: Path) -> None:
    is_up(state, "staging")

    for words in (("kubectl", "--cluster", "stagin", "version"), ("cluster", "down", "stagin")):
        assert "did you mean 'staging'?" in raised(*words).hint


def test_without_a_cluster_it_is_said_how_to_start_one(state: Path) -> None:
    """A stack that is up is not one."""
    is_up(state, "shop", node="shop")

    assert "dapr-harness cluster up" in raised("kubectl", "version").hint
    assert "no cluster is up" in run("cluster", "status").stdout
    assert "no cluster named 'shop' is up" == raised("cluster", "down", "shop").subject


def test_a_cluster_whose_node_has_ended_is_told_with_its_last_words(state: Path) -> None:
    """And not that a connection was refused."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    is_up(state, "one", pid=ended.pid)

    error = raised("kubectl", "version", kind=InstanceDied)

    assert "the node of cluster 'one' has ended" == error.subject
    assert error.last.endswith("kubelet ended with code 1")
    assert "dapr-harness cluster down one" in error.hint
    (row,) = json.loads(run("cluster", "status", "--json").stdout)
    assert "exited" == row["state"]


def test_the_state_of_each_cluster_is_shown_with_its_address(state: Path) -> None:
    home = is_up(state, "one")

    (row,) = json.loads(run("cluster", "status", "--json").stdout)

    assert ("one", "running", "https://127.0.0.1:7") == (row["name"], row["state"], row["server"])
    assert str(home / "admin.kubeconfig") == row["kubeconfig"]
