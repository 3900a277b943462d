"""Spans of tests: each test is a trace, with a span for each of its phases."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import (
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, Span, SpanContext, Status, StatusCode, set_span_in_context

from harness.core.tracing import enter

if TYPE_CHECKING:
    from harness.otlp.sender import Sender

LONGEST = 16 * 1024
"""Characters of an attribute, such as a traceback."""

OUTCOMES = {"passed": "pass", "failed": "fail", "skipped": "skip"}
"""pytest's words, as OpenTelemetry's conventions for tests have them, which lack the last one."""


class Ids(IdGenerator):
    """Random ids that neither use nor change what `random` gives to tests, which may seed it."""

    def generate_span_id(self) -> int:
        """Never 0."""
        return secrets.randbits(64) or 1

    def generate_trace_id(self) -> int:
        """Never 0."""
        return secrets.randbits(128) or 1


class ToSender(SpanExporter):
    """Puts spans into a queue, and never waits.

    Args:
        sender: has the queue.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep them until the test, or the session, has ended."""
        self._spans += spans
        return SpanExportResult.SUCCESS

    def pass_on(self) -> None:
        """Send them as one request."""
        spans, self._spans = self._spans, []
        if spans:
            self._sender.put("traces", encode_spans(spans).SerializeToString())


class Phases:
    """The spans of one process that runs tests.

    Args:
        sender: sends them.
        service: ``service.name``, unless ``OTEL_SERVICE_NAME`` says another one.
    """

    def __init__(self, sender: Sender, service: str = "") -> None:
        given = {"service.name": service} if service else {}
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create(given),
            shutdown_on_exit=False,
            id_generator=Ids(),
            span_limits=SpanLimits(max_attribute_length=LONGEST),
        )
        self._exporter = ToSender(sender)
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("dapr-harness")
        self._began = time.time_ns()
        self._session: Span | None = None
        self._test: Span | None = None
        self._failed = False

    @contextmanager
    def test(self, name: str, attributes: Mapping[str, str]) -> Iterator[None]:
        """The root of a trace, which is linked to the session.

        Args:
            name: of the test.
            attributes: which describe it further.
        """
        if self._session is None:
            self._session = self._tracer.start_span(
                "test session", context=_NOTHING, start_time=self._began
            )
        links = [Link(self._session.get_span_context())]
        made = {"test.case.name": name, **attributes}
        self._test = self._tracer.start_span(name, context=_NOTHING, attributes=made, links=links)
        before = enter(_traceparent(self._test.get_span_context()))
        try:
            yield
        finally:
            enter(before)
            self._test.end()
            self._test, self._failed = None, False
            self._exporter.pass_on()

    @contextmanager
    def phase(self, name: str, harmless: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
        """A part of a test, in which calls carry its span; an exception becomes an event of it.

        Args:
            name: ``setup``, ``call`` or ``teardown``.
            harmless: exceptions that are no errors, such as a skip.
        """
        if self._test is None:
            yield
            return
        span = self._tracer.start_span(name, context=set_span_in_context(self._test))
        before = enter(_traceparent(span.get_span_context()))
        try:
            yield
        except harmless:
            raise
        except BaseException as error:
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, _first_line(error)))
            raise
        finally:
            enter(before)
            span.end()

    def outcome(self, outcome: str) -> None:
        """Say how the current test ended, so far; a failure remains one.

        Args:
            outcome: ``passed``, ``failed`` or ``skipped``.
        """
        if self._test is None or self._failed:
            return
        self._failed = outcome == "failed"
        self._test.set_attribute("test.case.result.status", OUTCOMES[outcome])
        if self._failed:
            self._test.set_status(Status(StatusCode.ERROR))

    def end(self, *, failed: bool) -> None:
        """End the session's span.

        Args:
            failed: whether a test did.
        """
        session, self._session = self._session, None
        if session is not None:
            session.set_attribute("test.suite.run.status", "failure" if failed else "success")
            session.end()
        self._exporter.pass_on()
        self._provider.shutdown()


_NOTHING: Any = {}
"""A context without a span, whatever the process is in."""


def _traceparent(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
