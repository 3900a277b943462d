"""What is exported by OTLP: requests, their queue, logs, metrics, and the relay in between."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import App, ConfigError, Settings, Topology, Unavailable
from harness.core.journal import Entry
from harness.core.names import EXPORTER
from harness.core.ports import free_port
from harness.core.tracing import enter, trace_headers, traced
from harness.nodes.exporter import Exporter, with_export, with_export_of
from harness.otlp import log_files, packages
from harness.otlp.attributes import as_variable
from harness.otlp.description import Description
from harness.otlp.destination import Destination, destination_of, headers_of
from harness.otlp.log_files import LogFiles
from harness.otlp.logs import body_of, record_of
from harness.otlp.metrics import metrics_request
from harness.otlp.relay import Relay, server_of
from harness.otlp.sender import NO_RESPONSE, Sender
from harness.otlp.signals import PROTOBUF, count, request_of
from harness.ready.loopback import ask
from harness.runtime.fake import FakeRuntime
from harness.stack.book import AddressBook
from tests.collector import Collector, Seen, as_dict, collecting, read
from tests.unit.test_secrets_file import Tools

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


def spans(number: int) -> bytes:
    """A request with spans."""
    request = request_of("traces")
    scope = request.resource_spans.add().scope_spans.add()
    for _ in range(number):
        scope.spans.add(name="one")
    body: bytes = request.SerializeToString()
    return body


def logs(*lines: str) -> list[Seen]:
    """Lines of the node ``shop``, as they arrive."""
    bodies = body_of({"shop": lines}, {"shop": {"service.name": "shop"}})
    return [seen for body in bodies for seen in read("logs", body)]


# The queue.


def test_what_is_sent_arrives_with_the_headers_and_is_counted(collector: Collector) -> None:
    sender = Sender(f"{collector.url}/", {"api-key": "k"})

    sender.put("traces", spans(3))
    sender.close()

    assert ({"spans": 3}, {}, "") == (sender.sent, sender.lost, sender.complaint())
    assert 3 == len(collector.spans)
    assert ("k", PROTOBUF) == (
        collector.headers[0]["api-key"],
        collector.headers[0]["content-type"],
    )


def test_a_collector_that_is_away_is_asked_once_more_at_the_end() -> None:
    """What waited for it is counted."""
    sender = Sender(f"http://127.0.0.1:{free_port()}")

    sender.put("traces", spans(2))
    sender.put("logs", next(body_of({"a": ["x"]}, {"a": {}})))
    sender.close(60)

    assert {"spans": 2, "log records": 1} == sender.lost
    assert sender.complaint().startswith(
        f"1 log records, 2 spans could not be sent to {sender.url}: ConnectError"
    )


def test_a_collector_that_comes_back_gets_what_has_waited(collector: Collector) -> None:
    collector.status = 503
    sender = Sender(collector.url)
    sender.put("traces", spans(1))
    collector.wait("the first attempt", lambda: collector.headers)

    collector.status = 200
    sender.put("traces", spans(1))
    sender.close(60)

    assert ({"spans": 2}, {}) == (sender.sent, sender.lost)


def test_what_a_collector_refuses_is_lost_at_once_and_the_rest_is_sent(
    collector: Collector,
) -> None:
    collector.status = 400
    sender = Sender(collector.url)
    sender.put("traces", spans(2))
    collector.wait("the refusal", lambda: sender.lost)

    collector.status = 200
    sender.put("traces", spans(1))
    sender.close()

    assert ({"spans": 1}, {"spans": 2}) == (sender.sent, sender.lost)
    assert "2 spans could not be sent" in sender.complaint()
    assert "it responded 400" in sender.complaint()


def test_what_a_collector_accepts_in_part_is_counted_in_part(collector: Collector) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans, answer.partial_success.error_message = 2, "too old"
    collector.answer = answer.SerializeToString()
    sender = Sender(collector.url)

    sender.put("traces", spans(5))
    sender.close()

    assert ({"spans": 3}, {"spans": 2}, "too old") == (sender.sent, sender.lost, sender.reason)


@pytest.mark.parametrize("answer", [b"", b"ok", b"{}", b"\xff\xff"])
def test_a_response_that_is_not_in_protobuf_accepts_everything(
    collector: Collector, answer: bytes
) -> None:
    collector.answer = answer
    sender = Sender(collector.url)

    sender.put("traces", spans(5))
    sender.close()

    assert ({"spans": 5}, {}) == (sender.sent, sender.lost)


def test_no_more_waits_than_is_allowed_and_putting_never_waits(collector: Collector) -> None:
    """The collector takes a request, and does not respond."""
    collector.held.clear()
    body = spans(1)
    sender = Sender(collector.url, most=2 * len(body))

    for _ in range(5):
        sender.put("traces", body)

    assert {"spans": 3} == sender.lost
    collector.held.set()
    sender.close(60)
    assert {"spans": 2} == sender.sent


def test_the_end_does_not_wait_longer_than_it_may_and_counts_what_is_left(
    collector: Collector,
) -> None:
    collector.held.clear()
    sender = Sender(collector.url)
    sender.put("traces", spans(4))

    sender.flush(0.01)

    assert "4 spans could not be sent" in sender.complaint()
    # It has had its time, and is not waited for until a request fails.
    sender.close(100_000)
    assert ({"spans": 4}, NO_RESPONSE) == (sender.lost, sender.reason)
    sender.put("traces", spans(1))
    assert {"spans": 5} == sender.lost


# Requests.


def test_requests_of_each_kind_and_encoding_are_counted() -> None:
    in_json: dict[str, Any] = {
        "resourceLogs": [{"scopeLogs": [{"logRecords": [{}, {}]}, {"logRecords": [{}]}]}, {}]
    }

    assert 3 == count("traces", spans(3), {})
    assert 3 == count("traces", gzip.compress(spans(3)), {"content-encoding": "gzip"})
    assert 3 == count("logs", json.dumps(in_json).encode(), {"content-type": "application/json"})


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\xff\xff\xff", {}),
        (b"[1]", {"content-type": "application/json"}),
        (b'{"resourceSpans": 1}', {"content-type": "application/json"}),
        (b"{", {"content-type": "application/json"}),
        (b"no gzip", {"content-encoding": "gzip"}),
        (gzip.compress(b"cut", mtime=0)[:-9], {"content-encoding": "gzip"}),
    ],
)
def test_a_request_that_cannot_be_read_counts_as_one(body: bytes, headers: dict[str, str]) -> None:
    assert 1 == count("traces", body, headers)


# Logs.


@pytest.mark.parametrize(
    ("line", "severity", "text"),
    [
        ('time="2026-01-02T03:04:05.5Z" level=warning msg="a \\"b\\"" ver=1', 13, 'a "b"'),
        ('time="2026-01-02T03:04:05.5Z" level=fatal msg="x" ver=1', 21, "x"),
        ("INFO:     Started server process [1]", 9, None),
        ("2026-01-02 03:04:05 ERROR shop: no stock", 17, None),
        ("2026-01-02 03:04:05.123 UTC [77] LOG:  checkpoint starting", 9, None),
        ("[2026-01-02 03:04:05,123] WARN [Broker id=1] slow (kafka.server)", 13, None),
        ('{"level":"error","ts":"2026-01-02T03:04:05Z","msg":"x"}', 17, None),
        ('{"severity": "Warning"}', 13, None),
        ("an ordinary line about errors and Information", 0, None),
        ("ERRORS: none", 0, None),
    ],
)
def test_a_line_has_the_severity_that_it_names(line: str, severity: int, text: str | None) -> None:
    (seen,) = logs(line)

    assert severity == seen.item.severity_number
    assert (line if text is None else text) == seen.item.body.string_value


@pytest.mark.parametrize(
    ("line", "trace", "span"),
    [
        (f"order of 00-{TRACE}-{SPAN}-01 came", TRACE, SPAN),
        (f'{{"trace_id": "{TRACE}", "span_id": "{SPAN}"}}', TRACE, SPAN),
        (f"traceId={TRACE} spanId={SPAN.upper()}", TRACE, SPAN),
        (f"trace.id: {TRACE}", TRACE, ""),
        (f"a checksum {TRACE}", "", ""),
        (f"trace_id={TRACE}0", "", ""),
        ("trace_id=", "", ""),
    ],
)
def test_a_line_belongs_to_the_trace_that_it_names(line: str, trace: str, span: str) -> None:
    (seen,) = logs(line)

    assert (trace, span) == (seen.trace, seen.id)


def test_a_line_of_daprd_has_its_own_time_and_others_that_of_reading() -> None:
    own, other = logs('time="2026-01-02T03:04:05.5Z" level=info msg="x"', "hello")

    assert 1767323045500000000 == own.item.time_unix_nano
    assert other.item.time_unix_nano == other.item.observed_time_unix_nano > 1767323045500000000


def test_a_time_without_a_zone_or_of_another_form_is_not_taken() -> None:
    assert 0 == record_of('time="2026-01-02T03:04:05.5" level=info').time
    assert 0 == record_of('time="yesterday" level=info').time


def test_secrets_are_masked_wherever_reading_has_been_interrupted(tmp_path: Path) -> None:
    """A line counts when its end is written."""
    file = tmp_path / "shop.log"
    found = LogFiles(tmp_path, ("canary", ""))
    file.write_text("first\nthe token is can")

    assert {"shop": ["first"]} == found.more()
    with file.open("a") as opened:
        opened.write("ary\n\nlast")
    assert {"shop": ["the token is ***"]} == found.more()
    assert {} == found.more()
    assert {"shop": ["last"]} == found.more(whole=True)


def test_an_endless_line_is_cut_and_the_next_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rest is left out: half of a secret would not be recognized."""
    monkeypatch.setattr(log_files, "MOST", 10)
    file = tmp_path / "shop.log"
    found = LogFiles(tmp_path, ("canary",))
    file.write_text("0123456can" + "ary789" + "x" * 20 + "\nnext\n")

    assert [["0123456can"], ["next"]] == [each["shop"] for _ in range(5) if (each := found.more())]


def test_bytes_that_are_not_utf8_and_nodes_that_come_later_are_read(tmp_path: Path) -> None:
    found = LogFiles(tmp_path)
    (tmp_path / "a.log").write_bytes(b"caf\xe9\r\n")
    assert {"a": ["caf\ufffd"]} == found.more()

    (tmp_path / "b.log").write_bytes(b"late\n")
    (tmp_path / "a.log").write_bytes(b"new\n")

    assert {"a": ["new"], "b": ["late"]} == found.more()


# Metrics.

PROMETHEUS = """\
# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{app="shop"} 3
# TYPE dapr_request_count counter
dapr_request_count 2
# TYPE memory gauge
memory 1.5
# TYPE took histogram
took_bucket{app="shop",le="1"} 2
took_bucket{app="shop",le="5"} 3
took_bucket{app="shop",le="+Inf"} 4
took_sum{app="shop"} 12.5
took_count{app="shop"} 4
# TYPE pause summary
pause{quantile="0.5"} 0.25
pause_sum 1
pause_count 2
"""


def test_each_type_of_metric_becomes_its_counterpart() -> None:
    found = {
        each.item.name: each
        for each in read("metrics", metrics_request(PROMETHEUS, {"service.name": "shop"}, 7))
    }

    assert {"calls_total", "dapr_request_count", "memory", "took", "pause"} == {*found}
    assert 2 == found["dapr_request_count"].item.sum.data_points[0].as_double
    calls = found["calls_total"].item
    (point,) = calls.sum.data_points
    assert (True, 2, "Calls.") == (
        calls.sum.is_monotonic, calls.sum.aggregation_temporality, calls.description,
    )  # fmt: skip
    assert (3, 7, {"app": "shop"}) == (
        point.as_double, point.start_time_unix_nano, as_dict(point.attributes),
    )  # fmt: skip
    assert 1.5 == found["memory"].item.gauge.data_points[0].as_double
    (took,) = found["took"].item.histogram.data_points
    assert ([1, 5], [2, 1, 1], 4, 12.5) == (
        [*took.explicit_bounds], [*took.bucket_counts], took.count, took.sum,
    )  # fmt: skip
    (pause,) = found["pause"].item.summary.data_points
    assert [(0.5, 0.25)] == [(each.quantile, each.value) for each in pause.quantile_values]
    assert (2, 1) == (pause.count, pause.sum)
    assert {"service.name": "shop"} == found["took"].resource


# The relay.


@pytest.fixture
def relay(collector: Collector, tmp_path: Path) -> Iterator[tuple[Relay, str]]:
    """A relay and its address."""
    import threading

    (tmp_path / "logs").mkdir()
    port = free_port()
    told = Description(
        listen=f"127.0.0.1:{port}", url=collector.url, headers={"api-key": "canary-1"}, seconds=60,
        logs=str(tmp_path / "logs"), services={"shop-daprd": "shop"}, metrics={},
        shared={"dapr_harness.run": "r"},
    )  # fmt: skip
    made = Relay(Description.read(told.text), tmp_path / "secrets.json", Sender(told.url))
    server = server_of(made, ("127.0.0.1", port))
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    yield made, f"http://127.0.0.1:{port}"
    server.shutdown()
    server.server_close()
    thread.join()
    made.sender.close()


def test_a_relay_passes_on_what_nodes_send_unchanged(
    relay: tuple[Relay, str], collector: Collector
) -> None:
    import httpx

    made, url = relay
    headers = {"content-encoding": "gzip", "content-type": PROTOBUF}

    answer = httpx.post(f"{url}/v1/traces", content=gzip.compress(spans(2)), headers=headers)
    made.sender.close()

    assert (200, b"", PROTOBUF) == (
        answer.status_code, answer.content, answer.headers["content-type"],
    )  # fmt: skip
    assert 2 == len(collector.spans)
    assert "gzip" == collector.headers[0]["content-encoding"]


def test_a_relay_refuses_what_it_does_not_know_and_what_is_too_large(
    relay: tuple[Relay, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    from harness.otlp import relay as module

    _, url = relay
    monkeypatch.setattr(module, "LARGEST", 3)

    assert 404 == httpx.post(f"{url}/v1/profiles", content=b"").status_code
    assert 404 == httpx.post(f"{url}/traces", content=b"").status_code
    assert 413 == httpx.post(f"{url}/v1/traces", content=b"1234").status_code
    assert 411 == httpx.post(f"{url}/v1/traces", content=iter([b"1"])).status_code


def test_no_log_is_sent_before_the_secrets_are_known(
    relay: tuple[Relay, str], collector: Collector, tmp_path: Path
) -> None:
    _, url = relay
    (tmp_path / "logs" / "shop-daprd.log").write_text("a canary-2 and canary-1\n")
    ask("POST", f"{url}/conclude")
    assert not collector.logs

    (tmp_path / "secrets.json").write_text(json.dumps(["canary-2"]))
    answer = ask("POST", f"{url}/conclude")

    assert {"complaint": ""} == answer.json()
    (seen,) = collector.logs
    assert "a *** and ***" == seen.item.body.string_value
    assert {
        "service.name": "shop", "service.instance.id": "shop-daprd",
        "dapr_harness.node": "shop-daprd", "dapr_harness.run": "r",
    } == seen.resource  # fmt: skip


def test_a_relay_tells_what_it_could_not_send(
    relay: tuple[Relay, str], collector: Collector
) -> None:
    made, url = relay
    collector.status = 401
    made.sender.put("traces", spans(2))

    complaint = ask("POST", f"{url}/conclude").json()["complaint"]

    assert f"2 spans could not be sent to {collector.url}: it responded 401" == complaint


# The node, and what is told to others.


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("", {}),
        ("Api-Key=a%20b", {"api-key": "a b"}),
        (" a = 1 , b=c=d ,nonsense", {"a": "1", "b": "c=d"}),
    ],
)
def test_headers_are_read_as_opentelemetry_writes_them(text: str, headers: dict[str, str]) -> None:
    assert headers == headers_of(text)


def test_attributes_survive_the_variable_that_they_are_written_to() -> None:
    from opentelemetry.sdk.resources import OTELResourceDetector

    given = {"a": "x,y=z", "b": "é %"}
    patch = pytest.MonkeyPatch()
    with patch.context() as changed:
        changed.setenv("OTEL_RESOURCE_ATTRIBUTES", as_variable(given))
        assert given == dict(OTELResourceDetector().detect().attributes)


def test_the_end_waits_as_long_as_opentelemetry_says(tmp_path: Path) -> None:
    def seconds(environ: dict[str, str]) -> float:
        return destination_of(Settings.load(tmp_path, environ)).seconds

    assert 2.0 == seconds({})
    assert 0.25 == seconds({"OTEL_EXPORTER_OTLP_TIMEOUT": "250"})
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_TIMEOUT is 'soon'"):
        seconds({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"})


def shop() -> Topology:
    return Topology(App("shop", command=["true"]))


def test_a_topology_exports_if_the_settings_name_a_collector(tmp_path: Path) -> None:
    none = Settings.load(tmp_path, {})
    one = Settings.load(tmp_path, {"OTEL_EXPORTER_OTLP_HEADERS": "k=v"}, otlp="http://c:1/")

    assert EXPORTER not in with_export(shop(), none)
    made = with_export(shop(), one)[EXPORTER]
    assert (
        Exporter(
            Destination("http://c:1", {"k": "v"}), tmp_path.name, {"shop-daprd": ("shop", "shop")}
        )
        == made
    )


def test_a_collector_of_the_environment_is_not_used_unasked(tmp_path: Path) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1"}

    assert EXPORTER not in with_export(shop(), Settings.load(tmp_path, environ))


def test_apps_and_sidecars_send_to_the_exporter_and_say_who_they_are(tmp_path: Path) -> None:
    """What a shell has for another collector is emptied; the app's own variables win."""
    app = App("shop", command=["true"], env={"OTEL_SERVICE_NAME": "mine"}, replicas=2)
    settings = Settings.load(tmp_path, {}, otlp="http://c:1")
    book = AddressBook.of_runtime(
        with_export(Topology(app), settings, "s"), Tools(), tmp_path, FakeRuntime(tmp_path / "run")
    )

    def variables(node: str) -> dict[str, str]:
        env = book.launch(book.topology[node], book.scope(node)).env
        return {key: value for key, value in env.items() if key.startswith("OTEL")}

    daprd = variables("shop-2-daprd")
    assert book.endpoint(EXPORTER).http == daprd["OTEL_EXPORTER_OTLP_ENDPOINT"]
    assert ("http/protobuf", "true", "shop") == (
        daprd["OTEL_EXPORTER_OTLP_PROTOCOL"], daprd["OTEL_EXPORTER_OTLP_INSECURE"],
        daprd["OTEL_SERVICE_NAME"],
    )  # fmt: skip
    assert "" == daprd["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] == daprd["OTEL_EXPORTER_OTLP_HEADERS"]
    assert {
        "service.name=shop", "service.instance.id=shop-2-daprd",
        "dapr_harness.node=shop-2-daprd", "dapr_harness.run=run", "dapr_harness.stack=s",
    } == {*daprd["OTEL_RESOURCE_ATTRIBUTES"].split(",")}  # fmt: skip
    assert "mine" == variables("shop")["OTEL_SERVICE_NAME"]
    (text,) = book.launch(book.topology[EXPORTER], book.scope(EXPORTER)).files.values()
    told = Description.read(text)
    assert {"shop", "shop-2", "shop-daprd", "shop-2-daprd"} == {*told.services}
    assert {"shop"} == {*told.services.values()}
    assert {"shop-daprd", "shop-2-daprd"} == {*told.metrics}


def test_without_an_exporter_there_are_no_variables_of_opentelemetry(tmp_path: Path) -> None:
    book = AddressBook.of_runtime(shop(), Tools(), tmp_path, FakeRuntime(tmp_path / "run"))

    for node in ("shop", "shop-daprd"):
        env = book.launch(book.topology[node], book.scope(node)).env
        assert [] == [key for key in env if key.startswith("OTEL")]


def test_who_attaches_has_the_exporter_that_was_started(tmp_path: Path) -> None:
    told = Description(
        listen="", url="http://c:1", headers={"k": "v"}, seconds=3, logs="", services={},
        metrics={}, shared={"dapr_harness.stack": "s"},
    )  # fmt: skip
    launches = {EXPORTER: {"files": {"export.json": told.text}}}

    assert EXPORTER not in with_export_of(shop(), {})
    made = with_export_of(shop(), launches)[EXPORTER]
    to = Destination("http://c:1", {"k": "v"}, 3)
    assert Exporter(to, "s", {"shop-daprd": ("shop", "shop")}) == made


def test_without_the_packages_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "PACKAGES", ("json", "opentelemetry_missing.sdk"))
    settings = Settings.load(tmp_path, {}, otlp="http://c:1")

    with pytest.raises(
        Unavailable, match=r"needs the package opentelemetry_missing.sdk.*\n.*\[otlp\]"
    ):
        with_export(shop(), settings)


def test_a_request_of_a_test_carries_its_span_unless_it_has_its_own() -> None:
    sign: Callable[[str], dict[str, str]] = lambda _: {"a": "b"}  # noqa: E731 - a value
    before = enter("one")
    try:
        assert "one" == enter("two")
        assert {"traceparent": "two"} == trace_headers()
        assert {"traceparent": "two", "a": "b"} == traced(sign)("/")
        assert {"traceparent": "own"} == traced(lambda _: {"traceparent": "own"})("/")
    finally:
        enter(before)


def test_a_test_that_fails_in_two_phases_has_failed(collector: Collector) -> None:
    """The outcome of a later phase does not hide it."""
    from harness.otlp.phases import Phases

    sender = Sender(collector.url)
    phases = Phases(sender, "tests")
    with phases.test("one", {}):
        phases.outcome("failed")
        phases.outcome("passed")
    with phases.test("two", {}):
        phases.outcome("passed")
    phases.end(failed=True)
    sender.close()

    found = {each.item.name: each.attributes for each in collector.spans}
    assert ("fail", "pass") == (
        found["one"]["test.case.result.status"], found["two"]["test.case.result.status"],
    )  # fmt: skip


def test_ids_do_not_depend_on_the_seed_of_a_test() -> None:
    """A plugin that shuffles tests seeds `random` for each; nor is the seed of a test used up."""
    import random

    from harness.otlp.phases import Ids

    found = set()
    for _ in range(2):
        random.seed(1)
        found |= {Ids().generate_trace_id(), Ids().generate_span_id()}
        assert 0.13436424411240122 == random.random()
    assert 4 == len(found)


def test_a_session_without_a_stack_is_exported_as_the_options_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, collector: Collector
) -> None:
    """A wrong setting is an error if the option has it; otherwise, tests with a stack tell."""
    from harness.pytest_otlp import export_tests

    registered: list[str] = []

    def configured(option: str | None) -> pytest.Config:
        manager = SimpleNamespace(
            register=lambda _, name: registered.append(name), get_plugin=lambda _: None
        )
        return SimpleNamespace(getoption=lambda _: option, pluginmanager=manager)  # type: ignore[return-value]

    def wrong() -> Settings:
        return Settings.load(tmp_path, {}, otlp="nonsense")

    def none() -> Settings:
        return Settings.load(tmp_path, {})

    def one() -> Settings:
        return Settings.load(tmp_path, {}, otlp=collector.url)

    export_tests(configured(None), none, print)
    export_tests(configured(None), wrong, print)
    assert [] == registered
    with pytest.raises(pytest.UsageError, match="otlp is 'nonsense'"):
        export_tests(configured("nonsense"), wrong, print)
    export_tests(configured(None), one, print)
    assert ["dapr-harness-otlp"] == registered


def test_a_worker_passes_on_what_its_stack_could_not_send() -> None:
    """It has no terminal. Other warnings are not repeated by each worker."""
    from harness.pytest_reports import KEPT, told_by_worker

    heard: list[Entry] = []
    worker: Any = SimpleNamespace(workeroutput={})
    entries = [
        Entry(1.0, "node.warned", EXPORTER, {"warning": "3 spans"}),
        Entry(1.0, "node.warned", "shop", {"warning": "slow"}),
        Entry(1.0, "node.ready", EXPORTER, {}),
    ]

    for each in entries:
        told_by_worker(worker, heard.append)(each)
        told_by_worker(SimpleNamespace(), heard.append)(each)  # type: ignore[arg-type]

    assert {KEPT: ["warning: 3 spans"]} == worker.workeroutput
    assert 6 == len(heard)
