"""Traces of a stack: the tree of one, the table of all, and why there are none."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as some

from harness import App, Receiver
from harness.cli.tracing import WIDTH, bar_of
from harness.core.errors import ConfigError
from harness.core.node import Node
from harness.dapr.resources import DaprResource
from harness.inspection.traces import table as table_module
from harness.inspection.traces.model import SpanRow
from harness.inspection.traces.sources import SpanSources, sends_spans
from harness.inspection.traces.table import TraceTable
from harness.inspection.traces.tree import ATTRIBUTES, NAME, TEXT, status_of, tree_of
from harness.probe.spans import Span
from harness.stack.stack import Stack
from tests.contract.test_timeline import TRACING
from tests.support import ROOT, project
from tests.unit.test_environment import book_of


def span(number: int, parent: str = "", trace: str = "t", **more: Any) -> Span:
    """A span that begins at a second and takes one."""
    fields = {"name": f"n{number}", "service": "shop", "kind": "CLIENT", "tags": {}}
    made = {**fields, "began": 100.0 + number, "took": 1.0, "id": str(number), **more}
    return Span(trace=trace, parent=parent, **made)


def unchanged(text: str) -> str:
    """Nothing is secret."""
    return text


def shape(spans: list[Span]) -> list[tuple[str, int]]:
    """Id and depth of each span of the tree."""
    return [(each.id, each.depth) for each in tree_of(spans, unchanged, {})]


def test_each_span_is_below_its_parent_in_the_order_of_time() -> None:
    """Whatever the order in which they came."""
    spans = [span(4, "1"), span(3, "2"), span(1), span(2, "1")]

    assert [("1", 0), ("2", 1), ("3", 2), ("4", 1)] == shape(spans)


def test_a_span_whose_parent_was_not_received_is_a_root() -> None:
    """It keeps the id of its parent."""
    first, second = tree_of([span(1, "gone"), span(2, "1")], unchanged, {})

    assert ("gone", 0, "1", 1) == (first.parent, first.depth, second.parent, second.depth)


@given(some.lists(some.tuples(some.integers(0, 6), some.integers(0, 6)), max_size=12))
def test_every_span_is_in_the_tree_once(pairs: list[tuple[int, int]]) -> None:
    """Also if spans are their own ancestors, and if ids repeat."""
    spans = [
        span(number, str(parent), kind=str(place)) for place, (number, parent) in enumerate(pairs)
    ]

    rows = tree_of(spans, unchanged, {})
    assert sorted(each.kind for each in spans) == sorted(each.kind for each in rows)


def test_a_chain_of_two_thousand_spans_is_a_tree() -> None:
    """Deeper than Python recurses."""
    spans = [span(number, str(number - 1)) for number in range(1, 2001)]

    assert ("2000", 1999) == shape(spans)[-1]


def test_a_span_says_when_it_began_and_what_its_sidecar_is() -> None:
    found = tree_of([span(1), span(3, "1", service="web")], unchanged, {"web": "web-daprd"})

    assert [(0.0, "", "shop"), (2.0, "web-daprd", "web")] == [
        (each.start, each.node, each.service) for each in found
    ]


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ({}, "unset"),
        ({"error": ""}, "error"),
        ({"error": "Code(500)"}, "error"),
        ({"otel.status_code": "ERROR"}, "error"),
        ({"otel.status_code": "OK"}, "ok"),
        ({"dapr.status_code": "500"}, "unset"),
    ],
)
def test_the_status_of_a_span_is_what_was_reported(tags: dict[str, str], status: str) -> None:
    assert status == status_of(span(1, tags=tags))


def test_texts_and_attributes_of_a_span_are_limited() -> None:
    tags = {f"{number}{'k' * 1000}": "v" * 10_000 for number in range(ATTRIBUTES + 10)}
    (row,) = tree_of([span(1, name="n" * 5000, tags=tags)], unchanged, {})

    assert ATTRIBUTES == len(row.attributes)
    assert NAME + 3 == len(row.name)
    assert {TEXT + 3} == {len(each) for each in row.attributes.values()}


def test_no_text_of_a_trace_has_a_secret() -> None:
    """Neither ids nor names of attributes."""
    secret = "s3cret"
    tags = {secret: secret, "error": secret}
    bad = span(1, secret, trace=secret, id=secret, name=secret, service=secret, kind=secret)
    bad = Span(**{**vars(bad), "tags": tags})

    def clean(text: str) -> str:
        return text.replace(secret, "***")

    table = TraceTable(clean)
    table.add(bad)
    rows: list[Any] = [*table.page().rows, *tree_of([bad], clean, {})]

    assert 2 == len(rows)
    assert not any(secret in json.dumps(each.as_json()) for each in rows)
    assert 1 == len(table.page(text="***").rows)
    assert 0 == len(table.page(text=secret).rows)


def table_of(*spans: Span) -> TraceTable:
    made = TraceTable(unchanged)
    for each in spans:
        made.add(each)
    return made


def test_a_row_tells_of_all_spans_of_a_trace() -> None:
    """Its name is that of the first one without a known parent."""
    bad = span(2, "1", service="web", tags={"error": "no"})
    (row,) = table_of(span(3, "2"), bad, span(1, "test", name="publish")).page().rows

    assert ("t", "publish", 101.0, 3.0) == (row.id, row.name, row.at, row.took)
    assert (3, ["shop", "web"], 1) == (row.spans, row.services, row.errors)


def test_after_the_cursor_come_new_and_changed_traces_only() -> None:
    table = table_of(span(1, trace="a"), span(2, trace="b"))
    first = table.page()
    again = table.page(after=first.next)
    table.add(span(3, trace="a"))
    table.add(span(4, trace="c"))
    changed = table.page(after=first.next)

    assert ["a", "b"] == [each.id for each in first.rows]
    assert [] == list(again.rows)
    assert [("a", 2), ("c", 1)] == [(each.id, each.spans) for each in changed.rows]
    assert [] == list(table.page(after=changed.next).rows)


def test_a_span_that_is_reported_again_is_counted_once() -> None:
    """The caller's and the called side of one span share its id and differ in kind."""
    table = table_of(span(1), span(1, took=2.0), span(1, kind="SERVER"))
    (row,) = table.page().rows

    assert (2, 2.0) == (row.spans, row.took)


@pytest.mark.parametrize(
    ("text", "errors", "found"),
    [
        ("", False, ["a", "b"]),
        ("N2", False, ["b"]),
        ("WEB", False, ["b"]),
        ("a", False, ["a"]),
        ("", True, ["b"]),
        ("shop", True, []),
        ("nothing", False, []),
    ],
)
def test_traces_are_chosen_by_text_and_failure(text: str, errors: bool, found: list[str]) -> None:
    """The text is looked for in the names of all spans, in any case."""
    bad = span(2, trace="b", service="web", tags={"error": ""})
    page = table_of(span(1, trace="a"), bad).page(text=text, errors=errors)

    assert found == [each.id for each in page.rows]


def test_the_last_traces_are_shown_and_that_there_are_more_is_said() -> None:
    table = table_of(*(span(number, trace=f"t{number}") for number in range(10)))
    page = table.page(limit=3)

    assert (["t7", "t8", "t9"], 10, True) == (
        [each.id for each in page.rows], page.total, page.truncated,
    )  # fmt: skip
    assert not table.page(limit=10).truncated


@pytest.mark.parametrize(
    ("bound", "most"), [("TRACES", 5), ("ALL", 10), ("LARGEST", 10 * table_module.OVERHEAD + 80)]
)
def test_the_traces_that_have_not_changed_for_the_longest_time_are_forgotten(
    monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    """At any limit: of traces, of spans and of characters."""
    monkeypatch.setattr(table_module, bound, most)
    table = TraceTable(unchanged)
    table.add(span(0, trace="kept"))
    for number in range(1, 20):
        table.add(span(number, trace=f"t{number}"))
        table.add(span(100 + number, trace=f"t{number}"))
        table.add(span(0, trace="kept"))
    page = table.page()

    assert 2 <= len(page.rows) <= 5
    assert page.truncated
    assert {"kept", "t19"} <= {each.id for each in page.rows}


@pytest.mark.parametrize(("bound", "most"), [("SPANS", 4), ("LARGEST_OF_ONE", 750)])
def test_the_spans_of_one_trace_are_limited_and_all_are_counted(
    monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(table_module, bound, most)
    table = table_of(*(span(number) for number in range(10)))
    row, trace = table.require("t")

    assert (10, 4, 6) == (row.spans, len(trace.spans), trace.lost)


def test_an_unknown_trace_is_an_error_with_the_next_step() -> None:
    with pytest.raises(ConfigError, match=r"(?s)no trace has the id 'x'.*1 traces are known.*list"):
        table_of(span(1)).require("x")


def test_the_id_of_a_trace_is_found_in_upper_case() -> None:
    assert "abc" == table_of(span(1, trace="abc")).require("ABC")[0].id


def configuration(tracing: Any) -> DaprResource:
    return DaprResource(ROOT, 1, {"kind": "Configuration", "spec": {"tracing": tracing}})


ADDRESS = {"endpointAddress": "http://127.0.0.1:1/api/v2/spans"}


@pytest.mark.parametrize(
    ("tracing", "sends"),
    [
        ({"samplingRate": "1", "zipkin": ADDRESS}, True),
        ({"samplingRate": 0.5, "zipkin": ADDRESS}, True),
        ({"samplingRate": "0", "zipkin": ADDRESS}, False),
        ({"samplingRate": "1", "zipkin": {"endpointAddress": ""}}, False),
        ({"samplingRate": "1", "otel": {"endpointAddress": "127.0.0.1:1"}}, False),
        ({"samplingRate": "1"}, False),
        ({"zipkin": ADDRESS}, False),
        (None, False),
        ("odd", False),
    ],
)
def test_a_sidecar_sends_spans_if_its_configuration_says_where(tracing: Any, sends: bool) -> None:
    assert sends == sends_spans([configuration(tracing)])


def untold(folder: Path, *nodes: Node, resources: str = "") -> list[str]:
    """What is missing of the spans of a topology."""
    found = project(folder, r__all_yaml=resources) / "r" if resources else ""
    book = book_of(folder, *nodes, resources=str(found))
    stack = SimpleNamespace(topology=book.topology, book=book)
    return SpanSources(cast("Stack", stack)).untold()


def test_a_topology_without_a_receiver_is_told_what_to_add(tmp_path: Path) -> None:
    (told,) = untold(tmp_path, App("shop", command="serve"))

    assert "spans: the topology has no Receiver(): add one" in told
    assert "${receiver.url}/api/v2/spans" in told


def test_the_sidecars_that_send_no_spans_are_named(tmp_path: Path) -> None:
    """Those of which the Configuration sends them to a receiver are not."""
    apps = [App("shop", command="serve"), App("web", command="serve")]
    (told,) = untold(tmp_path, Receiver("zipkin", mail=False), *apps)
    both = untold(tmp_path, Receiver(mail=False), *apps, resources=TRACING)

    assert told.startswith("spans of the sidecars of shop and web, which send none to a receiver")
    assert "${zipkin.url}/api/v2/spans" in told
    assert [] == both


@pytest.mark.parametrize(
    ("start", "took", "whole", "bar"),
    [
        (0.0, 1.0, 1.0, "=" * WIDTH),
        (0.0, 0.0, 0.0, "=" + " " * (WIDTH - 1)),
        (1.0, 0.0, 1.0, " " * (WIDTH - 1) + "="),
        (0.5, 0.25, 1.0, " " * (WIDTH // 2) + "=" * (WIDTH // 4) + " " * (WIDTH // 4)),
        (-3.0, 99.0, 1.0, "=" * WIDTH),
    ],
)
def test_a_bar_is_inside_of_its_trace(start: float, took: float, whole: float, bar: str) -> None:
    assert bar == bar_of(start, took, whole)


def test_a_span_row_is_json() -> None:
    (row,) = tree_of([span(1, tags={"a": "b"})], unchanged, {})

    assert SpanRow(**json.loads(json.dumps(row.as_json()))) == row
