"""Changes what one running sidecar loads: while it runs, or by starting it again."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import ConfigError, DaprError, InstanceDied, NotReady
from harness.core.roles import SidecarRole
from harness.dapr.client import DaprClient
from harness.dapr.model import Metadata
from harness.nodes.sidecar import declared_topics
from harness.runtime.base import Changeable, State
from harness.stack.reload.difference import Difference, is_resource, lenient
from harness.stack.reload.groups import KafkaGroups
from harness.stack.reload.refusals import Refusals
from harness.stack.stack import Stack


def require_changeable(stack: Stack, name: str) -> Changeable:
    """The instance of a sidecar whose files can be changed from here.

    Raises:
        ConfigError: the stack has not started it.
    """
    instance = stack.instances[name]
    if not isinstance(instance, Changeable):
        raise ConfigError(
            f"the resources of {name} cannot be changed while it runs",
            expected="a sidecar that the harness has started",
            last=f"the runtime is {stack.runtime}",
            hint="run this test without --dapr-attach",
        )
    return instance


class Reload:
    """One change of what a sidecar loads.

    Args:
        stack: its stack.
        sidecar: its node.
        difference: what changes.

    Attributes:
        reason: why it was restarted; "" if it was not.
    """

    def __init__(self, stack: Stack, sidecar: SidecarRole, difference: Difference) -> None:
        self.sidecar = sidecar
        self.reason = ""
        self._stack = stack
        self._name = sidecar.name
        self._difference = difference
        self._instance = require_changeable(stack, sidecar.name)
        self._deadline = Deadline(stack.settings.ready_timeout)

    def run(self) -> None:
        """Carry it out, and wait until it is in effect.

        Raises:
            ConfigError: daprd refuses a resource; its own words are in the message.
            NotReady: a resource was not in effect in time.
        """
        if not self._difference:
            return
        if self._instance.state is State.EXITED and self._instance.exit_expected:
            # The test has stopped it: its next start reads the files.
            self._write_exactly()
            if self._difference.relaunches:
                # A restart repeats the last launch, so it must be this one.
                self._instance.relaunch(self._difference.new.launch)
                self._instance.stop(0)
            return
        book = self._stack.book
        token = book.exports(self._name).get("token", "")
        with DaprClient(book.endpoint(self._name, "http"), token) as client:
            self.reason = self._why_restart(client)
            how = "restart" if self.reason else "hot reload"
            self._stack.note("resources.begun", self._name, how=how, reason=self.reason)
            self._carry_out(client)
        self._stack.note("resources.ended", self._name, how=how)

    def _why_restart(self, client: DaprClient) -> str:
        if self._instance.state is State.EXITED:
            return "it has exited"
        try:
            features = client.metadata().raw.get("enabledFeatures") or ()
        except (DaprError, httpx.HTTPError) as error:
            return f"it does not answer ({type(error).__name__})"
        return self._difference.restarts(features)

    def _carry_out(self, client: DaprClient) -> None:
        refusals = Refusals(self._instance.log, self._difference)
        try:
            if self.reason:
                self._restart()
            else:
                self._reload(client, refusals)
        except InstanceDied as error:
            if self._instance.state is not State.EXITED:
                raise
            raise self._refused(refusals.seen() or error.last) from error

    def _restart(self) -> None:
        self._instance.stop()
        self._write_exactly()
        if self._difference.relaunches:
            self._instance.relaunch(self._difference.new.launch)
        else:
            self._instance.restart()
        self._await_ladder()

    def _reload(self, client: DaprClient, refusals: Refusals) -> None:
        """Remove first, so that what replaces it appears in the metadata only when it is loaded."""
        groups = KafkaGroups(self._stack, self.sidecar, self._difference)
        gone = [*self._difference.obsolete, *self._difference.replaced]
        self._instance.change_files(gone, {})
        self._wait(client, self._is_gone, refusals)
        come = self._difference.written.items()
        # Written so that daprd survives a component's failure.
        written = {name: lenient(text) if is_resource(name) else text for name, text in come}
        self._instance.change_files([], written)
        seen = self._wait(client, self._has_come, refusals)
        groups.release(seen)
        groups.await_left(self._deadline, self._stack.check_alive)
        self._await_ladder()

    def _await_ladder(self) -> None:
        app = self._stack.instances.get(self.sidecar.app)
        if app is None or app.state is not State.EXITED:
            self._stack.await_ready(self._name)

    def _is_gone(self, seen: Metadata) -> list[str]:
        gone = {each.name for each in self._difference.gone if each.kind == "Component"}
        kept = {*declared_topics(self._difference.new.resources)} - {
            *declared_topics(self._difference.come)
        }
        topics = {*declared_topics(self._difference.gone)} - kept
        declared = {(e.pubsub, e.topic) for e in seen.subscriptions if e.kind == "DECLARATIVE"}
        left = [f"Component {each.name}" for each in seen.components if each.name in gone]
        return [*left, *(f"Subscription to {topic}" for _, topic in sorted(topics & declared))]

    def _has_come(self, seen: Metadata) -> list[str]:
        loaded = {(each.name, each.type) for each in seen.components}
        topics = {(each.pubsub, each.topic) for each in seen.subscriptions}
        components = [each for each in self._difference.come if each.kind == "Component"]
        wanted = {*declared_topics(self._difference.come)}
        missing = [
            f"Component {each.name}" for each in components if (each.name, each.type) not in loaded
        ]
        return [*missing, *(f"Subscription to {topic}" for _, topic in sorted(wanted - topics))]

    def _wait(
        self, client: DaprClient, missing: Callable[[Metadata], list[str]], refusals: Refusals
    ) -> Metadata:
        """Poll the metadata until nothing is missing."""
        found: list[Metadata] = []

        def look() -> Observation:
            if said := refusals.seen():
                if refusals.is_fatal(said):
                    # It still answers, but what is taken back must find it gone.
                    return Observation(False, said)
                raise self._refused(said)
            try:
                found.append(client.metadata())
            except (DaprError, httpx.HTTPError) as error:
                return Observation(False, f"{type(error).__name__}: {error}")
            left = missing(found[-1])
            return Observation(not left, f"daprd has not changed: {', '.join(left)}")

        seen = poll(look, self._deadline, guard=self._stack.check_alive)
        if not seen.ok:
            raise NotReady(
                f"{self._name} has not loaded the changed resources",
                last=seen.fact,
                budget=self._deadline.budget,
                hint=f"see its log, {self._instance.log}",
            )
        return found[-1]

    def _refused(self, said: str) -> ConfigError:
        changed = self._difference.come or self._difference.gone
        names = ", ".join(dict.fromkeys(f"{each.kind} {each.name!r}" for each in changed))
        return ConfigError(
            f"{self._name} does not load {names}",
            expected="resources that daprd loads",
            last=said,
            hint="fix the resource; the sidecar has its former ones again",
        )

    def _write_exactly(self) -> None:
        self._instance.change_files(self._difference.obsolete, self._difference.written)
