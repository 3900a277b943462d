"""What stands for a container here: when it ends, and when its ports open. No cluster is asked."""

from __future__ import annotations

import io
import socket
from pathlib import Path
from typing import Any

import pytest

from harness.core.ports import free_port
from harness.kubernetes.pod_agent import Agent
from harness.provision.authority import make_authority


@pytest.fixture
def about(tmp_path: Path) -> dict[str, Any]:
    """What the agent of the container ``app`` knows."""
    authority = tmp_path / "ca.crt"
    authority.write_text(make_authority().anchors)
    server = {"url": "https://127.0.0.1:1", "token": "t", "authority": str(authority)}
    return {
        "server": server, "namespace": "shop", "selector": {"app": "shop"}, "container": "app",
        "ports": {str(free_port()): 8000}, "group": "none", "workload": "", "grace": 1,
        "early": False,
    }  # fmt: skip


def pod(uid: str = "1", *, leaving: bool = False, **status: Any) -> dict[str, Any]:
    metadata = {"uid": uid, "name": f"shop-{uid}", "namespace": "shop"}
    if leaving:
        metadata["deletionTimestamp"] = "now"
    return {
        "metadata": metadata,
        "status": {"containerStatuses": [{"name": "app", "state": {}, **status}]},
    }


ENDED: dict[str, Any] = {"state": {"terminated": {"exitCode": 3, "reason": "Error"}}}
RESTARTED: dict[str, Any] = {
    "restartCount": 1,
    "lastState": ENDED["state"],
    "state": {"running": {}},
}


def seen(agent: Agent, *pods: dict[str, Any]) -> list[int | None]:
    return [agent._seen("MODIFIED", each) for each in pods]


def test_a_container_that_was_ready_and_ends_has_its_exit_code(about: dict[str, Any]) -> None:
    assert [None, 3] == seen(Agent(about), pod(ready=True), pod(**ENDED))


def test_a_container_that_was_restarted_after_it_was_ready_has_ended(about: dict[str, Any]) -> None:
    """The restart may be all that is seen."""
    assert [None, 3] == seen(Agent(about), pod(ready=True), pod(**RESTARTED, ready=True))


def test_a_container_may_be_restarted_before_it_is_ready(about: dict[str, Any]) -> None:
    """As anywhere in Kubernetes, where nothing starts in order."""
    assert [None, None] == seen(Agent(about), pod(**ENDED), pod(**RESTARTED))


def test_a_pod_that_is_replaced_has_not_ended(about: dict[str, Any]) -> None:
    old = pod("1", leaving=True, **ENDED)

    assert [None] * 4 == seen(Agent(about), pod("1", ready=True), old, pod("2"), old)


def test_a_new_pod_may_be_restarted_until_it_is_ready(about: dict[str, Any]) -> None:
    assert [None] * 2 == seen(Agent(about), pod("1", ready=True), pod("2", **RESTARTED))


@pytest.mark.parametrize("early", [False, True])
def test_ports_are_open_when_the_container_is_ready_and_those_of_a_sidecar_when_it_runs(
    about: dict[str, Any], early: bool
) -> None:
    (port,) = map(int, about["ports"])
    agent = Agent({**about, "early": early})

    opened = []
    for each in (pod(started=False), pod(started=True), pod(started=True, ready=True)):
        seen(agent, each)
        with socket.socket() as client:
            opened.append(client.connect_ex(("127.0.0.1", port)) == 0)

    assert [False, early, True] == opened


def test_a_container_without_its_image_ends_with_the_cause(
    about: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    agent = Agent(about)
    monkeypatch.setattr(agent._server, "ask", lambda *_: io.BytesIO(b'{"items": []}'))
    waiting = {"waiting": {"reason": "ErrImageNeverPull", "message": "it is not present"}}

    assert [1] == seen(agent, pod(state=waiting, image="shop:1"))

    said = b"container app of pod shop/shop-1 has no image shop:1 (ErrImageNeverPull)"
    assert said in capsysbinary.readouterr().out


def test_an_api_server_that_does_not_answer_ends_it_with_one_sentence(
    about: dict[str, Any], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Nothing listens there."""
    agent = Agent(about)

    code = agent.run()
    agent._copy_log("/log")

    said = capsysbinary.readouterr().out
    assert 1 == code
    assert 1 == said.count(b"\n")
    assert b"dapr-harness: the API server at https://127.0.0.1:1 does not answer" in said
