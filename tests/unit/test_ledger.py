"""The ledger as a pure function of what was observed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.core.observation import Occurrence
from harness.ledger.explain import conclusion, explain
from harness.ledger.joining import ledger_of
from harness.ledger.model import EventPath, Names
from tests.unit.ledgers import Place, at, called, cloud_event, handled, publishes, stored

ORDER, SECOND = Place("orders"), Place("orders", 0, 1)
DEAD = Place("dead")
NAMES = Names({("mail", "/made"): frozenset({"orders"}), ("mail", "/dead"): frozenset({"dead"})})


def only(*found: Occurrence, names: Names = NAMES) -> EventPath:
    """The one event that these are about."""
    (path,) = ledger_of(found, names).events
    return path


def test_request_record_and_delivery_are_one_event() -> None:
    """The request knows no id: its topic, data and time tell which event it became."""
    event = cloud_event("e1", {"n": 1, "m": [1.5, None]})

    path = only(
        publishes("shop", "orders", {"m": [1.5, None], "n": 1}),
        stored(ORDER, event),
        handled("mail", event, place=ORDER),
    )

    assert (path.id, path.type, path.source, path.data) == ("e1", "made", "shop", event["data"])
    assert [("shop", "bus", "orders", 204)] == [
        (each.app, each.pubsub, each.topic, each.status) for each in path.publications
    ]
    assert ["orders[0] offset 0"] == [str(each.position) for each in path.records]
    assert [("mail", "orders", "success")] == [
        (each.app, each.topic, each.outcome) for each in path.attempts
    ]


def test_events_of_one_moment_are_in_the_order_of_their_offsets() -> None:
    """Brokers have milliseconds; offset 10 comes after 9."""
    places = [Place("orders", 0, 10), Place("orders", 0, 9)]

    ledger = ledger_of([stored(each, cloud_event(f"e{each.offset}")) for each in places], NAMES)

    assert ["e9", "e10"] == [each.id for each in ledger.events]


@pytest.mark.parametrize(
    ("record", "header", "body", "traces"),
    [
        ("a", "a", "a", ("a" * 32,)),
        ("a", "a", "b", ("a" * 32, "b" * 32)),
        ("a", "b", "a", ("a" * 32, "b" * 32)),
        ("b", "a", "a", ("a" * 32, "b" * 32)),
        ("a", "a", "", ("", "a" * 32)),
    ],
)
def test_a_path_has_the_traces_of_its_record_its_delivery_and_the_event_in_it(
    record: str, header: str, body: str, traces: tuple[str, ...]
) -> None:
    """All of them, so that a trace that was interrupted is seen."""
    place = stored(ORDER, cloud_event("e1", traceparent=parent(record)))
    event = cloud_event("e1", traceparent=parent(body))

    path = only(place, handled("mail", event, place=ORDER, trace=parent(header)))

    assert traces == path.traces


def parent(letter: str) -> str:
    """A ``traceparent`` in the trace of this letter; "" for none."""
    return f"00-{letter * 32}-{'1' * 16}-01" if letter else ""


def test_an_event_from_outside_has_a_path_without_a_request() -> None:
    """Of a raw client, whose record may be anything."""
    ledger = ledger_of([stored(ORDER, b"\xff\xfe\x00"), stored(SECOND, b"[" * 100_000)], NAMES)

    assert [("", 0), ("", 1)] == [
        (each.id, each.records[0].position.offset) for each in ledger.events
    ]
    assert all("not a CloudEvent" in explain(each) for each in ledger.events)


def test_events_of_two_sources_with_one_id_are_two_events() -> None:
    """An id is unique only together with its source."""
    other = cloud_event("e1", 2, source="other")

    ledger = ledger_of(
        [
            stored(ORDER, cloud_event("e1", 1)),
            stored(SECOND, other),
            handled("mail", other, place=SECOND),
        ]
    )

    assert [("shop", 0), ("other", 1)] == [
        (each.source, len(each.attempts)) for each in ledger.events
    ]


def test_an_event_that_is_stored_twice_is_one_event_with_two_records() -> None:
    """Both are originals."""
    event = cloud_event("e1")

    path = only(stored(ORDER, event), stored(SECOND, event, 1.1))

    assert 2 == len(path.originals)


def test_a_dead_letter_belongs_to_its_event_even_if_it_seems_older() -> None:
    """Clocks have milliseconds, and may jump; the record says what it is a copy of."""
    path = only(
        stored(DEAD, b"raw", 0.5, of=ORDER),
        stored(ORDER, b"raw", 1.0),
        handled("mail", cloud_event("x", b"raw"), 2.0, place=ORDER, status=500),
        handled("mail", cloud_event("y", b"raw"), 3.0, place=ORDER, path="/dead"),
    )

    assert ["dead[0] offset 0"] == [str(each.position) for each in path.dead_letters]
    assert ("orders",) == path.topics
    assert [("orders", False), ("dead", True)] == [
        (each.topic, each.dead_letter) for each in path.attempts
    ]
    assert ("retry", 0, 1) == (
        path.outcome_of("mail"),
        path.accepted_in("mail"),
        path.accepted_in("mail", dead_letter=True),
    )


@pytest.mark.parametrize("raw", [False, True], ids=["as an event", "as raw data"])
def test_a_dead_letter_of_another_broker_is_known_by_its_delivery(raw: bool) -> None:
    """Nothing says where it is stored: its topic is not that of the route."""
    event = cloud_event("e1", {"n": 1}, topic="orders")
    made_up = cloud_event("x", json.dumps(event).encode(), source="Dapr", topic="dead")

    path = only(
        handled("mail", event, 2.0, answer='{"status": "DROP"}'),
        handled("mail", made_up if raw else event, 3.0, path="/dead"),
        names=NAMES,
    )

    assert "e1" == path.id
    assert [("orders", False), ("dead", True)] == [
        (each.topic, each.dead_letter) for each in path.attempts
    ]
    assert "its dead letter on dead was delivered to mail" in conclusion(path)


def test_an_event_with_an_event_in_its_binary_data_is_itself() -> None:
    """Only what daprd makes up for raw data is looked into."""
    inner = json.dumps(cloud_event("inner")).encode()

    assert "outer" == only(handled("mail", cloud_event("outer", inner))).id


def test_one_route_for_an_event_and_its_dead_letter_is_told_apart_by_time() -> None:
    """A sidecar delivers the event before it gives it up."""
    names = Names({("mail", "/made"): frozenset({"orders", "dead"})})
    event = cloud_event("e1")

    path = only(
        stored(ORDER, event),
        handled("mail", event, 2.0, place=ORDER, status=500),
        stored(DEAD, event, 3.0, of=ORDER),
        handled("mail", event, 4.0, place=ORDER),
        names=names,
    )

    assert [False, True] == [each.dead_letter for each in path.attempts]


def test_attempts_are_in_their_order_although_the_clock_was_set_back() -> None:
    """What happened first is counted first."""
    event = cloud_event("e1")

    path = only(
        stored(ORDER, event),
        handled("mail", event, 2.0, place=ORDER, status=500),
        handled("mail", event, 3.0, place=ORDER, status=404, clock=-3600.0),
    )

    assert ["retry", "drop"] == [each.outcome for each in path.attempts]
    assert "drop" == path.outcome_of("mail")


def test_an_event_too_long_to_be_recorded_is_joined_by_its_position() -> None:
    """The record of a delivery has the beginning of its body only."""
    data = {"text": "ü" * 600_000}
    event = cloud_event("long", data)
    body = json.dumps(event, ensure_ascii=False).encode()

    path = only(
        publishes("shop", "orders", data),
        stored(ORDER, event),
        handled("mail", body, place=ORDER, status=500),
        handled("mail", body, 3.0, place=ORDER),
    )

    assert (2, 1) == (path.accepted_in("mail"), len(path.publications))


def test_deliveries_of_one_unknown_record_are_one_event() -> None:
    """It was published before the world began, and is not a CloudEvent."""
    path = only(
        handled("mail", cloud_event("x", b"raw", type="com.dapr.event.sent"), place=ORDER,
                status=500),
        handled("mail", cloud_event("y", b"raw", type="com.dapr.event.sent"), 3.0, place=ORDER),
    )  # fmt: skip

    assert 2 == len(path.attempts)
    assert b"raw" == path.data


def test_another_broker_with_the_same_positions_does_not_mix_up_events() -> None:
    """The ids differ, so the position is one of a broker whose records are not read."""
    ledger = ledger_of(
        [stored(ORDER, cloud_event("here")), handled("mail", cloud_event("there"), place=ORDER)]
    )

    assert [("here", 1, 0), ("there", 0, 1)] == [
        (each.id, len(each.records), len(each.attempts)) for each in ledger.events
    ]


def test_a_tap_that_counts_does_not_claim_a_position() -> None:
    """On a broker without positions, events are joined by id alone."""
    tapped = stored(ORDER, cloud_event("there"))
    counted = Occurrence(**{**vars(tapped), "facts": {**tapped.facts, "counted": True}})

    ledger = ledger_of(
        [
            stored(ORDER, b"raw"),
            counted,
            handled("mail", cloud_event("x", b"raw", type="com.dapr.event.sent"), place=ORDER),
        ]
    )

    assert [("", 1), ("there", 0)] == sorted(
        (each.id, len(each.attempts)) for each in ledger.events
    )


def test_binary_data_is_compared_as_bytes() -> None:
    """Which is neither text nor JSON, and base64 in the event."""
    raw = b"\x00\xff\xfe{"

    path = only(
        publishes("shop", "orders", raw, kind="application/octet-stream"),
        stored(ORDER, cloud_event("e1", raw)),
    )

    assert raw == path.data
    assert 1 == len(path.publications)


def test_a_cloud_event_keeps_its_own_id_only_with_its_content_type() -> None:
    """As plain JSON, daprd wraps it again."""
    own = cloud_event("own", {"n": 1})
    wrapped = cloud_event("made-by-daprd", own)

    ledger = ledger_of(
        [
            publishes("shop", "orders", own, kind="application/cloudevents+json"),
            stored(ORDER, own),
            publishes("shop", "orders", own, 1.9),
            stored(SECOND, wrapped, 2.0),
        ]
    )

    assert [("own", 1), ("made-by-daprd", 1)] == [
        (each.id, len(each.publications)) for each in ledger.events
    ]


def test_an_id_in_the_parameters_of_a_request_names_the_event() -> None:
    """Although another one has the same data and time."""
    ledger = ledger_of(
        [
            publishes("shop", "orders", 1, query="?metadata.cloudevent.id=b"),
            stored(ORDER, cloud_event("a", 1)),
            stored(SECOND, cloud_event("b", 1)),
        ]
    )

    assert {"a": 0, "b": 1} == {each.id: len(each.publications) for each in ledger.events}


def test_a_request_that_was_rejected_does_not_claim_the_event_of_its_repetition() -> None:
    """They have the same data, and the same time within the accuracy of the broker."""
    ledger = ledger_of(
        [
            publishes("shop", "orders", 1, 0.9990, took=0.0005, status=500),
            publishes("shop", "orders", 1, 0.9996, took=0.0005),
            stored(ORDER, cloud_event("e1", 1), 0.9998),
        ]
    )

    told = sorted((each.id, each.publications[0].status) for each in ledger.events)
    assert [("", 500), ("e1", 204)] == told


def test_a_request_without_an_event_is_told_as_such() -> None:
    """Acknowledged or rejected, and perhaps to another broker."""
    lost = only(publishes("shop", "orders", 1))
    refused = only(publishes("shop", "orders", 1, status=None))

    assert "acknowledged, and not found on the topology's own Kafka" in explain(lost)
    assert "no response" in explain(refused)


def test_each_event_of_a_bulk_request_has_its_own_path() -> None:
    """In a body that is a list of them."""
    rows = [
        {"entryId": str(n), "event": {"n": n}, "contentType": "application/json"} for n in range(3)
    ]

    ledger = ledger_of(
        [
            called("shop", "/v1.0/publish/bulk/bus/orders", rows),
            *(stored(Place("orders", 0, n), cloud_event(f"e{n}", {"n": n})) for n in range(3)),
        ]
    )

    assert [("e0", 1), ("e1", 1), ("e2", 1)] == [
        (each.id, len(each.publications)) for each in ledger.events
    ]


def test_each_event_of_a_bulk_delivery_has_its_own_outcome() -> None:
    """And its own position, in a namespace too; the envelope is no CloudEvent."""
    entries = [
        {"entryId": str(n), "event": cloud_event(f"e{n}"), "contentType": "x",
         "metadata": Place("nsorders", 0, n).headers}
        for n in range(2)
    ]  # fmt: skip
    body = {"id": "bulk", "type": "com.dapr.event.sent.bulk", "topic": "orders", "entries": entries}
    answer = {"statuses": [{"entryId": "0", "status": "SUCCESS"}]}

    ledger = ledger_of(
        [
            *(stored(Place("orders", 0, n), cloud_event(f"e{n}")) for n in range(2)),
            handled("mail", body, kind="application/json", answer=json.dumps(answer)),
        ],
        Names(prefix="ns"),
    )

    assert [("e0", 1, "success"), ("e1", 1, "retry")] == [
        (each.id, len(each.records), each.outcome_of("mail")) for each in ledger.events
    ]


def test_the_row_of_an_outbox_is_not_a_second_publication() -> None:
    """daprd keeps it on a topic of its own until the state is committed."""
    event = cloud_event("outbox-1", {"n": 1})

    path = only(stored(Place("shopordersoutbox"), event), stored(ORDER, event, 2.0))

    assert ["orders"] == [each.position.topic for each in path.originals]
    assert "as a row of an outbox" in explain(path)


def test_replicas_are_one_app() -> None:
    """Its attempts are counted together, and each has the replica's name."""
    event = cloud_event("e1")

    path = only(
        stored(ORDER, event),
        handled("mail", event, 2.0, place=ORDER, status=500),
        handled("mail-2", event, 3.0, place=ORDER),
        names=Names(apps={"mail": "mail", "mail-2": "mail"}),
    )

    assert (2, 1) == (path.accepted_in("mail"), path.accepted_in("mail-2"))
    assert "delivered to mail (mail-2), attempt 2" in explain(path)


def test_an_app_whose_name_ends_in_a_number_is_no_replica() -> None:
    """Unless the topology says so."""
    event = cloud_event("e1")

    path = only(stored(ORDER, event), handled("mail-2", event, place=ORDER))

    assert () == path.attempts_of("mail")


def test_calls_of_an_app_while_it_handles_an_event_are_its_effects() -> None:
    """Not those before and after, of other apps, or in another trace."""
    event = cloud_event("e1", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")

    def saves(app: str, key: str, seconds: float) -> Occurrence:
        return called(app, "/v1.0/state/store", [{"key": key, "value": 1}], seconds)

    other = saves("mail", "other-trace", 2.05)
    path = only(
        stored(ORDER, event),
        handled("mail", event, 2.0, place=ORDER),
        saves("mail", "before", 1.9),
        saves("mail", "during", 2.05),
        saves("mail", "after", 2.2),
        saves("shop", "other-app", 2.05),
        Occurrence(**{**vars(other), "correlation": {"trace": "c" * 32}}),
    )

    assert [["during"]] == [each.facts["keys"] for each in path.attempts[0].effects]


def test_the_keys_of_a_transaction_are_known() -> None:
    """It names them one level deeper than a plain write."""
    rows = [{"operation": "upsert", "request": {"key": "a"}}, {"operation": "delete"}]

    found = called("mail", "/v1.0/state/store/transaction", {"operations": rows})

    assert ["a"] == found.facts["keys"]


@pytest.mark.parametrize(
    ("expires", "expected"),
    [
        ("2030-01-01T00:00:05Z", True),
        ("2030-01-01T01:00:06+01:00", False),
        ("2030-01-01T00:00:05", False),
        ("", False),
        ("soon", False),
    ],
)
def test_an_event_expires_at_its_time(expires: str, expected: bool) -> None:
    """Which needs a zone to be one."""
    path = only(stored(ORDER, cloud_event("e1", expiration=expires)))

    assert expected == path.has_expired(at(5))


@pytest.mark.parametrize(
    "body", [None, [], {}, 5, "text", {"type": "com.dapr.event.sent.bulk", "entries": 5}]
)
def test_other_requests_to_an_app_are_no_deliveries(body: Any) -> None:
    """Invocations, for example, whatever their body is."""
    assert () == ledger_of([handled("mail", body, kind="application/json")]).events


def test_an_event_that_is_delivered_and_cannot_be_read_is_not_left_out() -> None:
    """It has no position on other brokers; its content type says that it is an event."""
    assert 1 == len(only(handled("mail", b"\xff")).attempts)


def test_jobs_are_joined_by_app_and_name() -> None:
    """Whatever its name is, and whoever scheduled it."""
    ledger = ledger_of(
        [
            called("shop", "/v1.0/jobs/a%2Fb", {"dueTime": "1s"}),
            handled("shop", {}, path="/job/a%2Fb", kind="application/json", status=500),
            handled("shop-2", {}, 3.0, path="/job/a%2Fb", kind="application/json", status=404),
            handled("mail", {}, 3.0, path="/job/a%2Fb", kind="application/json"),
        ],
        Names(apps={"shop-2": "shop"}),
    )

    assert [("mail", "a/b", 0, ["success"]), ("shop", "a/b", 1, ["retry", "drop"])] == [
        (each.app, each.name, len(each.calls), [it.outcome for it in each.attempts])
        for each in ledger.jobs
    ]
