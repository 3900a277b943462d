"""Dapr resources that a test changes on running sidecars, and has back afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from harness.core.blocking import ablocking
from harness.dapr.given import Given
from harness.stack.inputs import Inputs
from harness.stack.reload.change import ResourceChange
from harness.stack.stack import Stack


class AsyncResources:
    """What a test's view of a stack can change in its resources.

    Args:
        stack: a started stack.

    Attributes:
        inputs: what the test has done to the stack through this view.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.inputs = Inputs()
        self._changes: list[ResourceChange] = []

    @asynccontextmanager
    async def resources(
        self, *given: Given, apps: Sequence[str] = ()
    ) -> AsyncIterator[Mapping[str, str]]:
        """Add Dapr resources to running sidecars, or replace theirs, within ``async with``.

        They are in effect when the block begins: components are loaded, and consumer groups read
        the topics of new subscriptions. When it is left, for whatever reason, the sidecars have
        their former resources again. What daprd cannot load while it runs restarts the sidecar.

        Args:
            given: paths of YAML files or folders, YAML documents as text, or mappings.
                Placeholders are filled as in the resources of the topology. A resource replaces
                the one of the same kind and name.
            apps: names or app-ids of the apps whose sidecars are changed; all if empty. Scopes
                apply as well.

        Yields:
            For each sidecar that was restarted, the reason.

        Raises:
            ConfigError: a resource is invalid, a sidecar refuses it, an app is unknown, or the
                sidecar's files cannot be changed from here.
            NotReady: a resource was not in effect in time.
        """
        change = ResourceChange(self.stack, given, apps)
        number = len(self._changes)
        self._changes.append(change)
        doing = partial(self.inputs.doing, "resources", str(number))
        try:
            with doing("change", documents=change.documents, apps=list(apps)):
                applied = await ablocking(change.apply)
            yield applied
        except BaseException as error:
            with doing("take_back"):
                await ablocking(change.take_back_after, error)
            raise
        with doing("take_back"):
            await ablocking(change.take_back)
