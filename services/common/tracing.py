"""Propagates the trace of a request to the calls that a service makes.

Sidecars create the spans. A service must propagate the W3C headers, otherwise each of its calls
would start a new trace: https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Scope = MutableMapping[str, Any]
Message = Callable[..., Awaitable[Any]]
_PROPAGATOR = TraceContextTextMapPropagator()


class Tracing:
    """ASGI middleware: everything in a request belongs to its trace."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Message, send: Message) -> None:
        """Handle one request."""
        headers = {
            name.decode(): value.decode("latin-1") for name, value in scope.get("headers", ())
        }
        token = context.attach(_PROPAGATOR.extract(headers))
        try:
            await self._app(scope, receive, send)
        finally:
            context.detach(token)


def trace_headers() -> dict[str, str]:
    """``traceparent`` and ``tracestate`` of the current request, if it has them."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers)
    return headers


@contextmanager
def untraced() -> Iterator[None]:
    """Requests in the ``with`` block are the service's own, and not part of the request's trace."""
    token = context.attach(context.Context())
    try:
        yield
    finally:
        context.detach(token)
