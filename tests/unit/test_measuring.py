"""Rates and samples, and what is masked of commands and variables, without a stack."""

from __future__ import annotations

import pytest

from harness.core.errors import ConfigError
from harness.core.masking import MASK, is_secret, mask, masked_value
from harness.core.observation import Occurrence
from harness.inspection.describing import arguments, variables
from harness.inspection.measuring import SAMPLES, Samples, _intervals, rates_of
from harness.inspection.model import NodeRow
from harness.ledger.joining import ledger_of
from harness.ledger.model import Names
from tests.unit.ledgers import Place, at, cloud_event, handled, publishes, stored

ORDERS = Place("orders")
NAMES = Names({("shop", "/made"): frozenset({"orders"})})
EVENT = cloud_event("e1", {"n": 1})


def rates(
    *seen: Occurrence, begin: int = 0, step: float = 1.0, count: int = 10
) -> dict[tuple[str, str], list[int]]:
    """What happened, by interval."""
    calls = [each for each in seen if each.source == "call"]
    found = rates_of(ledger_of(seen, NAMES), calls, at(begin) / 1e9, step, count)
    return {(each.what, each.of): [*each.counts] for each in found}


def test_an_event_is_published_once_and_delivered_as_often_as_it_was() -> None:
    """Though a sidecar's request and a record of the broker both tell of its publication."""
    found = rates(
        publishes("shop", "orders", {"n": 1}),
        stored(ORDERS, EVENT),
        handled("shop", EVENT, 2, place=ORDERS, status=500),
        handled("shop", EVENT, 3, place=ORDERS),
    )

    assert {("published", "orders"), ("failed", "shop"), ("delivered", "shop")} == {*found}
    assert all(1 == sum(each) for each in found.values())


def test_what_was_before_the_first_interval_or_after_the_last_is_left_out() -> None:
    seen = stored(ORDERS, EVENT)
    moment = seen.time / 1e9

    for begin, counts in ((moment - 0.5, [1, 0]), (moment + 0.5, None), (moment - 2.0, None)):
        found = [*rates_of(ledger_of([seen], NAMES), [], begin, 1.0, 2)]
        assert ([counts] if counts else []) == [[*each.counts] for each in found], begin


def test_an_invocation_is_a_call_of_the_app_that_invokes() -> None:
    calls = [
        Occurrence(at(1), "call", "web", "", facts={"api": api}) for api in ("invoke", "bindings")
    ]

    assert {("invoked", "web"): [1]} == rates(*calls, begin=0, step=10.0, count=1)


@pytest.mark.parametrize(
    ("seconds", "step"), [(0, 1), (60, 0), (60, -1), (1e9, 1e7), (2000, 1), (1, 10), (1e400, 1)]
)
def test_intervals_that_cannot_be_shown_are_refused(seconds: float, step: float) -> None:
    with pytest.raises(ConfigError, match="cannot be shown"):
        _intervals(seconds, step)


def node(memory: int, cpu: float) -> NodeRow:
    return NodeRow("shop", "app", "shop", "running", None, memory, cpu, {})


def test_processor_time_is_told_in_percent_of_a_core_since_the_sample_before() -> None:
    """Of the first sample, and after a restart, nothing is known; too early, none is taken."""
    samples = Samples()
    for moment, memory, cpu in (
        (10.0, 5, 1.0), (12.0, 6, 2.0), (12.1, 7, 2.1), (14.0, 8, 0.5), (16.0, 0, 0.0),
    ):  # fmt: skip
        samples.add([node(memory, cpu)], moment, 1000 + moment)
    (found,) = samples.since(1011)

    assert [(1012.0, 6, 50.0), (1014.0, 8, None)] == [
        (each.at, each.memory, each.cpu) for each in found.samples
    ]


def test_a_clock_that_is_set_back_changes_no_percentage() -> None:
    """The distance of two samples is that of a clock that nobody sets."""
    samples = Samples()
    samples.add([node(5, 1.0)], 10.0, 5000.0)
    samples.add([node(5, 2.0)], 12.0, 1000.0)

    assert [None, 50.0] == [each.cpu for each in samples.since(0)[0].samples]


def test_no_more_samples_than_said_are_kept() -> None:
    samples = Samples()
    for number in range(SAMPLES + 100):
        samples.add([node(5, 1.0)], float(number), float(number))

    assert SAMPLES == len(samples.since(0)[0].samples)


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD", "DB_PASSWORD", "PGPASSWORD", "API_KEY", "STRIPE_SECRET_KEY", "accessKey",
        "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AZURE_SECRET", "CREDENTIALS", "PRIVATE_PEM",
        "SENTRY_DSN", "CONNECTION_STRING", "OTEL_EXPORTER_OTLP_HEADERS", "APP_AUTH", "apikey",
    ],
)  # fmt: skip
def test_a_variable_whose_name_tells_of_a_secret_is_masked(name: str) -> None:
    assert is_secret(name)
    assert MASK == masked_value(name, "canary-42")


@pytest.mark.parametrize(
    "name", ["PATH", "APP_PORT", "AUTHOR", "KEYBOARD", "PYTHONPATH", "DAPR_HTTP_PORT", "COMPASS"]
)
def test_another_variable_is_shown(name: str) -> None:
    assert "canary-42" == masked_value(name, "canary-42")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("postgres://me:canary@host:1/db?a=b", "postgres://me:***@host:1/db?a=b"),
        ("redis://:canary@host", "redis://:***@host"),
        ("host=h password=canary dbname=d", "host=h password=*** dbname=d"),
        ("Endpoint=sb://x;SharedAccessKey=canary;Other=1", "Endpoint=sb://x;SharedAccessKey=***;Other=1"),
        ("https://host/a?token=canary&b=1", "https://host/a?token=***&b=1"),
        ("http://host:80/me@home", "http://host:80/me@home"),
    ],
)  # fmt: skip
def test_a_password_within_a_value_is_masked(value: str, shown: str) -> None:
    assert shown == masked_value("ADDRESS", value)


def test_the_secrets_of_a_stack_are_masked_under_any_name() -> None:
    found = variables({"B": "is canary", "A": "plain"}, lambda text: mask(text, ["canary"]))

    assert [("A", "plain", False), ("B", "is ***", True)] == [
        (each.name, each.value, each.masked) for each in found
    ]


def test_an_option_whose_name_tells_of_a_secret_is_masked() -> None:
    secret = ["--password", "canary", "--api-token=canary", "--x=a://u:canary@h"]

    assert ["serve", "--port", "80", "--password", "***", "--api-token=***", "--x=a://u:***@h"] == (
        arguments(["serve", "--port", "80", *secret], lambda text: text)
    )
