"""A worker with a workflow that waits for two timers or an approval."""

from __future__ import annotations

import threading
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import dapr.ext.workflow as wf

runtime = wf.WorkflowRuntime()


@runtime.workflow(name="trial")
def trial(context: wf.DaprWorkflowContext, days: int) -> Generator[Any, Any, str]:
    """A trial that ends after so many days, unless it is approved; then a day to look at it."""
    approval = context.wait_for_external_event("approval")
    end = context.create_timer(timedelta(days=days))
    first = yield wf.when_any([approval, end])
    yield context.create_timer(timedelta(days=1))
    words: str = yield context.call_activity(told, input="over" if first == end else "approved")
    return words


@runtime.activity(name="told")
def told(context: wf.WorkflowActivityContext, word: str) -> str:
    """Words for the customer."""
    return f"the trial is {word}"


runtime.start()
threading.Event().wait()
