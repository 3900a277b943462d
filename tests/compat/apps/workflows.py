"""A worker without a port: a workflow of two activities that waits for an approval."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

import dapr.ext.workflow as wf

runtime = wf.WorkflowRuntime()


@runtime.workflow(name="order")
def order(context: wf.DaprWorkflowContext, amounts: list[int]) -> Generator[Any, Any, str]:
    """Prices side by side, then a person's approval."""
    prices = yield wf.when_all([context.call_activity(price, input=each) for each in amounts])
    approved = yield context.wait_for_external_event("approval")
    words: str = yield context.call_activity(receipt, input=[sum(prices), approved])
    return words


@runtime.activity(name="price")
def price(context: wf.WorkflowActivityContext, amount: int) -> int:
    """What so many cost."""
    return amount * 3


@runtime.activity(name="receipt")
def receipt(context: wf.WorkflowActivityContext, facts: list[Any]) -> str:
    """Words for the customer."""
    total, by = facts
    return f"{total}, approved by {by}"


runtime.start()
threading.Event().wait()
