"""Claims about publishing."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from harness import World
from harness.probe.events import Event
from harness.probe.tap import EventTap

pytestmark = pytest.mark.real

TOPIC = "task-updates"
PATH = f"/v1.0/publish/pubsub/{TOPIC}"
CLOUD_EVENT = {"content-type": "application/cloudevents+json"}


def published(dapr: World, daprd: httpx.Client, body: Any, **request: Any) -> Event:
    """Publish something with this world's mark in it, and read it from the broker."""
    topic = dapr.topic(TOPIC)
    answer = daprd.post(PATH, json=body, **request)
    assert 204 == answer.status_code, answer.text
    return topic.next(where=lambda each: dapr.id in str(each.data))


def event(dapr: World, **more: Any) -> dict[str, Any]:
    """A CloudEvent of this world."""
    return {"specversion": "1.0", "type": "t", "source": "s", "data": {"m": dapr.id}, **more}


def test_success_is_204(daprd: httpx.Client, dapr_sync: World) -> None:
    """Never 200; PUT does as well as POST."""
    body = {"m": dapr_sync.id}

    assert [204, 204] == [
        daprd.post(PATH, json=body).status_code, daprd.put(PATH, json=body).status_code,
    ]  # fmt: skip


def test_a_tap_named_by_its_component_reads_the_partitions_from_the_call_on(
    daprd: httpx.Client, dapr_sync: World
) -> None:
    """The component is Kafka's, so no sidecar of the harness subscribes."""
    body = {"m": dapr_sync.id}
    assert 204 == daprd.post(PATH, json={**body, "n": "before"}).status_code
    topic = dapr_sync.topic(TOPIC, pubsub="pubsub")
    assert 204 == daprd.post(PATH, json={**body, "n": "after"}).status_code

    assert isinstance(topic, EventTap)
    assert "after" == topic.next(where=lambda each: dapr_sync.id in str(each.data)).data["n"]


def test_plain_data_are_wrapped_with_daprs_own_type(daprd: httpx.Client, dapr_sync: World) -> None:
    """A rule on a type of one's own never matches what was published as application/json."""
    found = published(dapr_sync, daprd, {"m": dapr_sync.id, "type": "mine"})

    assert ("com.dapr.event.sent", "mine") == (found.type, found.data["type"])


def test_a_cloud_event_as_plain_json_is_wrapped_again(
    daprd: httpx.Client, dapr_sync: World
) -> None:
    """The receiver finds its data one level deeper."""
    found = published(dapr_sync, daprd, event(dapr_sync, id="1"))

    assert "com.dapr.event.sent" == found.type
    assert {"m": dapr_sync.id} == found.data["data"]


def test_a_cloud_event_keeps_its_attributes_and_gets_no_id(
    daprd: httpx.Client, dapr_sync: World
) -> None:
    """With its content type it is passed through; time is filled in, id is not."""
    found = published(dapr_sync, daprd, event(dapr_sync), headers=CLOUD_EVENT)

    assert "t" == found.type
    assert found.envelope.get("time")
    assert not found.envelope.get("id")
    assert "datacontenttype" not in found.envelope


def test_metadata_are_query_parameters(daprd: httpx.Client, dapr_sync: World) -> None:
    """As headers they are ignored: the partition key shows it."""
    by_query = published(
        dapr_sync, daprd, event(dapr_sync, id=dapr_sync.name("q")),
        headers=CLOUD_EVENT, params={"metadata.partitionKey": "by-query"},
    )  # fmt: skip
    topic = dapr_sync.topic(TOPIC)
    daprd.post(
        PATH, json=event(dapr_sync, id=dapr_sync.name("h")),
        headers={**CLOUD_EVENT, "metadata.partitionKey": "by-header"},
    )  # fmt: skip
    by_header = topic.next(id=dapr_sync.name("h"))

    assert ("by-query", True) == (by_query.key, "by-header" != by_header.key)


def test_a_type_can_be_set_without_an_envelope(daprd: httpx.Client, dapr_sync: World) -> None:
    """By the query parameter ``metadata.cloudevent.type``."""
    found = published(
        dapr_sync, daprd, {"m": dapr_sync.id}, params={"metadata.cloudevent.type": "mine"}
    )

    assert ("mine", {"m": dapr_sync.id}) == (found.type, found.data)


def test_without_a_content_type_data_are_a_text(daprd: httpx.Client, dapr_sync: World) -> None:
    """text/plain is meant then: the receiver finds no object."""
    topic, text = dapr_sync.topic(TOPIC), f'{{"m": "{dapr_sync.id}"}}'

    assert 204 == daprd.post(PATH, content=text.encode()).status_code
    found = topic.next(where=lambda each: dapr_sync.id in str(each.data))

    assert (text, "text/plain") == (found.data, found.envelope["datacontenttype"])


@pytest.mark.parametrize("version", ["v1.0", "v1.0-alpha1"])
def test_bulk_publish_answers_with_nothing(
    daprd: httpx.Client, dapr_sync: World, version: str
) -> None:
    """204 and no body, by both paths; an entry without its number is refused."""
    entry = {"entryId": "1", "event": {"m": dapr_sync.id}, "contentType": "application/json"}
    path = f"/{version}/publish/bulk/pubsub/{TOPIC}"

    taken = daprd.post(path, json=[entry])
    refused = daprd.post(path, json=[{**entry, "entryId": ""}])

    assert (204, b"") == (taken.status_code, taken.content)
    assert 400 == refused.status_code


def test_an_unknown_pubsub_is_404(daprd: httpx.Client) -> None:
    """And tells its code."""
    answer = daprd.post("/v1.0/publish/nowhere/t", json={})

    assert (404, "ERR_PUBSUB_NOT_FOUND") == (answer.status_code, answer.json()["errorCode"])
