"""The tools for numbers over time and for one node; the docstrings are what agents read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harness.inspection.measuring import WATCHED
from harness.mcp_server.browsing import Ask

Row = dict[str, Any]


class MeasuringTools:
    """The tools, by their names.

    Args:
        ask: asks the inspection.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def offered(self) -> Sequence[Callable[..., Any]]:
        """The tools, which only look."""
        return self.metrics, self.describe_node

    async def metrics(self, seconds: float = 60.0, step: float = 5.0) -> Row:
        """How often events were published, delivered or failed, and apps invoked each other.

        `counts` has one number for each interval of `step` seconds, from `begin` on. `nodes` has
        samples of memory in bytes and of processor time in percent of a core.
        """
        return await self._ask(
            lambda seen: seen.metrics(seconds=seconds, step=step, watching=WATCHED).as_json()
        )

    async def describe_node(self, node: str) -> Row:
        """A node's state, addresses, command and environment variables, with secrets masked."""
        return await self._ask(lambda seen: seen.node(node).as_json())
