"""What works on every version that escapes are shown on: without it a red one would say nothing."""

from __future__ import annotations

from harness import Settings, World
from harness.provision.dapr import version_in_use
from harness.ready.loopback import client


def test_state_events_jobs_and_reminders_work(clock: World, dapr_settings: Settings) -> None:
    """On the version that was asked for, which the sidecar tells."""
    daprd, inbox = clock.sidecar("clock"), clock.inbox("clock")
    assert version_in_use(dapr_settings) == daprd.metadata().runtime_version

    daprd.save_state("statestore", "key", {"a": 1})
    assert {"a": 1} == daprd.get_state("statestore", "key").value

    daprd.publish("pubsub", "events", {"b": 2})
    assert {"b": 2} == inbox.next(path="/events", timeout=60).data

    daprd.schedule_job("once", due="0s", data={"c": 3})
    assert {"c": 3} == inbox.next(path="/job/once", timeout=60).data

    endpoint, token = clock.sidecar_address("clock")
    with client(endpoint.http, token=token, timeout=30) as plain:
        path = "/v1.0/actors/clock/one/reminders/ring"
        plain.post(path, json={"dueTime": "0s", "data": {"d": 4}}).raise_for_status()
    assert 200 == inbox.next(path="/actors/clock/one/method/remind/ring", timeout=60).status
