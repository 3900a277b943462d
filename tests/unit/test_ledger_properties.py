"""What is true of every ledger: nothing is lost or in two places, and order does not matter."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator

from hypothesis import given
from hypothesis import strategies as st

from harness.core.observation import Occurrence
from harness.ledger.joining import ledger_of
from harness.ledger.model import Ledger, Names
from tests.unit.ledgers import Place, called, cloud_event, handled, publishes, stored

NAMES = Names(
    {
        ("mail", "/made"): frozenset({"orders"}),
        ("mail", "/dead"): frozenset({"dead"}),
        ("log", "/made"): frozenset({"orders", "dead"}),
    }
)


def system(rng: random.Random, events: int) -> Iterator[Occurrence]:
    """What a system may leave: events of all kinds, with few ids, data and moments."""
    ends = Counter[tuple[str, int]]()
    for number in range(events):
        place, seconds = _next(rng, "orders", ends), round(rng.uniform(1, 3), 3)
        data = rng.choice([1, "text", {"n": 1}, b"\xff"])
        raw = rng.random() < 0.2
        event = cloud_event(f"e{rng.randrange(events)}", data, source=rng.choice("ab"))
        if rng.random() < 0.5:
            yield publishes(
                rng.choice(["shop", "mail"]), "orders", b"raw" if raw else data,
                seconds - 0.01, status=rng.choice([204, 500, None]),
            )  # fmt: skip
        if rng.random() < 0.9:
            yield stored(place, b"raw" if raw else event, seconds)
        if rng.random() < 0.4:
            dead = _next(rng, "dead", ends)
            yield stored(dead, b"raw" if raw else event, seconds + rng.uniform(-1, 1), of=place)
        wrapped = cloud_event(f"w{number}", b"raw", type="com.dapr.event.sent")
        for attempt in range(rng.randrange(3)):
            yield handled(
                rng.choice(["mail", "log"]), wrapped if raw else event,
                # daprd has sent no two at the same moment.
                seconds + attempt / 7 + number / 1e6,
                place=place, path=rng.choice(["/made", "/dead", "/other"]),
                status=rng.choice([200, 404, 500]),
            )  # fmt: skip
        if rng.random() < 0.3:
            yield called(
                "mail", "/v1.0/state/store", [{"key": f"k{number}"}], seconds + number / 1e6
            )


def _next(rng: random.Random, topic: str, ends: Counter[tuple[str, int]]) -> Place:
    partition = rng.randrange(2)
    ends[topic, partition] += 1
    return Place(topic, partition, ends[topic, partition] - 1)


def of_kind(found: Iterable[Occurrence], source: str) -> list[Occurrence]:
    return [each for each in found if each.source == source]


def told(ledger: Ledger) -> dict[str, Counter[object]]:
    """What a ledger has, by kind."""
    return {
        "records": Counter(each.position for path in ledger.events for each in path.records),
        "attempts": Counter(
            (each.node, each.time) for path in ledger.events for each in path.attempts
        ),
        "requests": Counter(
            (each.app, each.time) for path in ledger.events for each in path.publications
        ),
    }


SYSTEMS = st.builds(
    lambda seed, events: [*system(random.Random(seed), events)], st.integers(0), st.integers(1, 12)
)


@given(SYSTEMS, st.randoms(use_true_random=False))
def test_the_order_of_observations_does_not_matter(
    found: list[Occurrence], rng: random.Random
) -> None:
    """They are read from several places at several times."""
    shuffled = rng.sample(found, len(found))

    assert ledger_of(found, NAMES) == ledger_of(shuffled, NAMES)


@given(SYSTEMS)
def test_everything_that_was_observed_is_in_exactly_one_path(found: list[Occurrence]) -> None:
    """Each record, each delivery of an event, and each request to publish."""
    ledger = ledger_of(found, NAMES)
    expected = {
        "records": len(of_kind(found, "event")),
        "attempts": len(of_kind(found, "delivery")),
        "requests": len([each for each in found if each.facts.get("api") == "publish"]),
    }

    assert expected == {kind: sum(each.values()) for kind, each in told(ledger).items()}
    assert 1 == max(told(ledger)["records"].values(), default=1)
    assert expected["records"] == ledger.records


@given(SYSTEMS)
def test_a_delivery_is_in_the_path_of_its_record(found: list[Occurrence]) -> None:
    """Whenever the record is known."""
    ledger = ledger_of(found, NAMES)
    paths = {each.position: path for path in ledger.events for each in path.records}

    for each in of_kind(found, "delivery"):
        path = next(
            (paths[place] for place in paths
             if (place.topic, place.partition, place.offset) == each.facts["origin"]),
            None,
        )  # fmt: skip
        if path is not None:
            assert (each.node, each.time) in {(it.node, it.time) for it in path.attempts}


@given(SYSTEMS)
def test_a_request_is_joined_only_with_what_it_may_have_published(found: list[Occurrence]) -> None:
    """At most one request per event here, since none of them sets an id."""
    for path in ledger_of(found, NAMES).events:
        assert len(path.publications) <= 1
        for made in path.publications if path.records else ():
            first = [each for each in path.originals if each.position.topic == made.topic]
            assert any(made.time - 10**6 <= each.time for each in first)
