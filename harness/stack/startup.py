"""One start of a topology: each node has a thread and passes its readiness checks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.core.blame import blamed
from harness.core.closing import do_all
from harness.core.deadline import Check, Deadline, Observation, poll, waits_for, wake_of
from harness.core.errors import ConfigError, HarnessError, NotReady
from harness.core.launch import Launch
from harness.core.node import Node, Scope, Tools
from harness.core.roles import ExplainsExit
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.runtime.base import Instance, Runtime, State
from harness.runtime.instance import used_by
from harness.stack.book import AddressBook
from harness.stack.extras import Checks, Extras, closing_checks
from harness.stack.failures import death, not_ready, rank
from harness.stack.planning.addresses import HOST
from harness.stack.planning.order import Order

Note = Callable[..., None]
MakeBook = Callable[[Topology, Tools, Path, Runtime], AddressBook]


class _Stopped(Exception):
    """Another node's failure ended this wait."""


class _Ended(Exception):
    """The node that this wait is for has exited, and was allowed to."""


class Startup:
    """One start of all nodes in parallel.

    Args:
        topology: what to start.
        settings: the project's root, and the time within which a node must become ready.
        note: records an entry: kind, node, facts.
        make_book: creates the book that the nodes are planned with.

    Attributes:
        instances: the started instances, by node name.
        extras: nodes that are started beside those of the topology; None until it is prepared.
    """

    def __init__(
        self, topology: Topology, settings: Settings, note: Note, make_book: MakeBook
    ) -> None:
        self._topology = topology
        self._make_book = make_book
        self._book: AddressBook | None = None
        self._settings = settings
        self._note = note
        self.extras: Extras | None = None
        self.instances: dict[str, Instance] = {}
        self._launches: dict[str, Launch] = {}
        self._ready: dict[str, threading.Event] = {}
        self._looks: dict[str, tuple[Check, Observation]] = {}
        self._order = Order()
        self._failures: list[BaseException] = []
        self._awaited: dict[str, set[str]] = {}
        # Optional nodes that were not started, or were not ready in time.
        self._abandoned: set[str] = set()
        self._abort = threading.Event()
        self._done = threading.Condition()
        self._left = 0

    def prepare(self, runtime: Runtime, tools: Tools) -> None:
        """Plan every node before anything runs, so that an invalid description starts nothing."""
        self._runtime = runtime
        self._book = self._make_book(self._topology, tools, self._settings.root, runtime)
        self.book.strict = self._settings.strict
        for node in self._topology.nodes:
            scope = self.book.scope(node.name)
            with blamed(node, "plan"):
                self._launches[node.name] = self.book.launch(node, scope)
            self._order.needs[node.name] = {*node.needs, *scope.needs}
            self._ready[node.name] = threading.Event()
        self._order.require_possible()
        runtime.prepare(list(self._launches.values()))
        self.extras = Extras(self.book, runtime, self._settings, self._launches)

    @property
    def book(self) -> AddressBook:
        """What the nodes are planned with; raises `ConfigError` until the start is prepared."""
        if self._book is None:
            raise ConfigError("the stack is not running", hint="use it inside `with`")
        return self._book

    @property
    def launches(self) -> list[Launch]:
        """What was planned."""
        return list(self._launches.values())

    def adopt(self) -> None:
        """Use the instances of a run that is up, in whatever state they are."""
        for name, launch in self._launches.items():
            begin = self._runtime.external if launch.external else self._runtime.start
            self.instances[name] = begin(launch)
            self._ready[name].set()

    def run(self) -> None:
        """Start all nodes, each in its own thread; raise the most informative error."""
        with self._runtime.turn(self._require_wanted, lambda: self._note("start.waits")):
            self._for_all(self._bring_up)

    def _require_wanted(self) -> None:
        if self._failures:
            raise self._failures[0]

    def cancel(self) -> None:
        """End a start that another thread is waiting for; it raises `HarnessError`."""
        self._failures.append(HarnessError("the start was cancelled"))
        self._abort.set()

    def rejoin(self) -> None:
        """Use the instances of a run that is up, and check all of them at the same time.

        Raises:
            HarnessError: one of them is not running, or not ready.
        """
        self.adopt()
        self._for_all(self._look_again)

    def _for_all(self, carry_out: Callable[[Node], None]) -> None:
        nodes = self._topology.nodes
        self._left = len(nodes)
        threads = [
            threading.Thread(target=self._watched, args=[carry_out, node], name=node.name)
            for node in nodes
        ]
        for thread in threads:
            thread.daemon = True
            thread.start()
        try:
            with self._done:
                while self._left:
                    self._done.wait(1)
        finally:
            self._abort.set()
            for thread in threads:
                thread.join()
        if self._failures:
            raise min(self._failures, key=rank)

    def wait_ready(self, node: Node, instance: Instance) -> None:
        """Wait for each readiness check of a node, then provide what other nodes expect of it."""
        deadline = Deadline(self._settings.ready_timeout)
        try:
            self._pass_checks(node, instance, node.checks, deadline)
            with blamed(node, "initialize"):
                node.initialize(self._seen_from_here(node))
            self._pass_checks(node, instance, node.post_checks, deadline)
        except _Ended:
            return
        instance.mark_running()
        self._note("node.ready", node.name, **used_by(instance))

    def _pass_checks(
        self, node: Node, instance: Instance, checks: Checks, deadline: Deadline
    ) -> None:
        awaited = self._awaited[node.name] = {node.name}

        def guard() -> None:
            self._guard()
            if instance.exit_expected and instance.state is State.EXITED:
                raise self._death(node.name)
            if any(map(self._is_over, awaited)):
                raise _Ended

        with closing_checks(node, checks, self._seen_from_here(node)) as upcoming:
            for check in upcoming:
                # A sidecar's checks that follow its app's cannot pass without the app either.
                awaited |= {waits_for(check) or node.name}
                if self._await_start(waits_for(check), node.name, guard):
                    deadline.restart()

                def look(check: Check = check) -> Observation:
                    with blamed(node, checks.__name__):
                        seen = check.observe()
                    self._looks[node.name] = check, seen
                    return seen

                if not (seen := poll(look, deadline, guard=guard, wake=wake_of(check))).ok:
                    self._require(node.name, self._not_ready(node.name, deadline))
                    raise _Ended
                self._note("check.passed", node.name, check=check.name, fact=seen.fact)
                if seen.warning:
                    self._note("node.warned", node.name, warning=seen.warning)

    def _not_ready(self, name: str, deadline: Deadline) -> Exception:
        """If a check waits for another node that is not ready, the failure is that node's."""
        check, _ = self._looks[name]
        other = waits_for(check)
        if other in self._looks and not self._ready[other].is_set():
            name = other
        launch, instance = self._launches[name], self.instances[name]
        return not_ready(launch, self._looks[name], deadline, instance, self.book.secrets())

    def _seen_from_here(self, node: Node) -> Scope:
        """What a node's checks see: the node from outside."""
        return self.book.scope(node.name, HOST)

    def stop_dependents(self) -> None:
        """Stop all nodes that depend on others, in parallel: daprd stops badly without its broker.

        Raises:
            TeardownError: one of them did not stop; all of them have been asked to.
        """
        dependents = [
            instance for name, instance in self.instances.items() if self._order.needs.get(name)
        ]
        with ThreadPoolExecutor(max(1, len(dependents))) as pool:
            stopping = [pool.submit(each.stop) for each in dependents]
        do_all(future.result for future in stopping)

    def check_alive(self) -> None:
        """Check every node once.

        Raises:
            InstanceDied: a node has exited that the harness did not stop.
            AppFailed: an app has exited.
        """
        for name, instance in list(self.instances.items()):
            ended = instance.state is State.EXITED and not instance.exit_expected
            if ended and not self._exit_was_ok(name):
                raise self._death(name)

    def _death(self, name: str) -> Exception:
        node = self.book.topology[name]

        def explain(log: str) -> str:
            if not isinstance(node, ExplainsExit):
                return ""
            with blamed(node, "explain"):
                return node.explain(self._seen_from_here(node), log)

        launch, instance = self._launches[name], self.instances[name]
        return death(launch, instance, self.book.secrets(), explain)

    def _exit_was_ok(self, name: str) -> bool:
        launch, code = self._launches[name], self.instances[name].exit_code
        return not launch.required or (launch.exit_ok and code == 0)

    def _is_over(self, name: str) -> bool:
        """Whether a node that may exit has exited, or an optional one could not be started."""
        if name in self._abandoned:
            return True
        instance = self.instances.get(name)
        ended = instance is not None and instance.state is State.EXITED
        return ended and self._exit_was_ok(name)

    def _watched(self, carry_out: Callable[[Node], None], node: Node) -> None:
        """What a node's thread does; its failure ends the others."""
        try:
            carry_out(node)
            self._ready[node.name].set()
        except _Stopped:
            pass
        except _Ended:
            self._ready[node.name].set()
        except BaseException as error:  # noqa: BLE001 - passed on to the thread that waits
            self._failures.append(error)
            self._abort.set()
        finally:
            with self._done:
                self._left -= 1
                self._done.notify_all()

    def _bring_up(self, node: Node) -> None:
        for need in self._order.needs[node.name]:
            while not self._ready[need].wait(0.05):
                self._guard()
        self._guard()
        self._await_others(node)
        instance = self._execute(node)
        self.instances[node.name] = instance
        external = self._launches[node.name].external
        self._note("node.awaited" if external else "node.started", node.name, pid=instance.pid)
        self.wait_ready(node, instance)

    def _look_again(self, node: Node) -> None:
        instance, deadline = self.instances[node.name], Deadline(self._settings.ready_timeout)
        self._pass_checks(node, instance, node.checks, deadline)
        self._pass_checks(node, instance, node.post_checks, deadline)
        instance.mark_running()
        self._note("node.ready", node.name)

    def _execute(self, node: Node) -> Instance:
        try:
            launch = self._launches[node.name]
            begin = self._runtime.external if launch.external else self._runtime.start
            return begin(launch)
        except HarnessError as error:
            self._require(node.name, error)
            raise _Ended from None

    def _require(self, name: str, error: Exception) -> None:
        """Raise the error, or continue if the node, or one that it waits for, may fail."""
        others = self._awaited.get(name, set()) - {name}
        if all(self._launches[each].required for each in {name, *others}):
            raise error
        self._abandoned.add(name)
        # Reported once, for the node that is the cause.
        if all(self._ready[each].is_set() and each not in self._abandoned for each in others):
            self._note("node.warned", name, warning=str(error))

    def _await_others(self, node: Node) -> None:
        deadline = Deadline(self._settings.ready_timeout)
        with closing_checks(node, node.start_after, self._seen_from_here(node)) as upcoming:
            for check in upcoming:
                if self._await_start(waits_for(check), node.name, self._guard):
                    deadline.restart()
                seen = poll(check.observe, deadline, guard=self._guard, wake=wake_of(check))
                if not seen.ok:
                    raise NotReady(
                        f"{node.name} was not started: the check {check.name!r} did not pass",
                        last=seen.fact,
                        budget=deadline.budget,
                        hint="see the log of the other node and its own readiness checks",
                    )

    def _await_start(self, other: str, name: str, guard: Callable[[], None]) -> bool:
        """Wait for the start of a node that a check needs; whether there was anything to wait for.

        Until then, what that node needs uses budgets of its own. A node that in turn waits for this
        one is not waited for: the budget of this one has to end both.
        """
        if other not in self._ready or other in self.instances:
            return False
        with self._order.awaiting(name, other) as possible:
            while possible and other not in self.instances and not self._ready[other].wait(0.05):
                guard()
        return possible

    def _guard(self) -> None:
        if self._abort.is_set() and self._left:
            raise _Stopped
        self.check_alive()
