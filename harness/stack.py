"""A topology made real, in order, and unmade."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.book import StackBook
from harness.deadline import Check, Deadline, Observation, poll
from harness.errors import (
    AppFailed,
    ConfigError,
    HarnessError,
    InstanceDied,
    NotReady,
    PortTaken,
    SystemFailure,
)
from harness.journal import Entry, Journal
from harness.launch import Launch
from harness.runtime.base import Instance, Runtime, State
from harness.settings import Settings
from harness.topology import Node, Tools, Topology

ATTEMPTS = 3
_IN_USE = re.compile(r"address already in use|EADDRINUSE|Address in use", re.IGNORECASE)


class _Stopped(Exception):
    """Somebody else's failure ended this wait."""


class Stack:
    """A running system.

    Use it as a context manager: entering starts every node and returns when each has climbed its
    ladder; leaving ends everything. Closing twice is fine.

    Args:
        topology: what to run.
        settings: where the project is and how long a ladder may take.
        tools: where the programs are.
        runtime: makes the runtime; called again when a start is repeated with other ports.
        watch: called with each entry of the journal as it is noted, from several threads.
    """

    def __init__(
        self,
        topology: Topology,
        settings: Settings,
        tools: Tools,
        runtime: Callable[[], Runtime],
        *,
        watch: Callable[[Entry], None] = lambda _: None,
    ) -> None:
        self.topology = topology
        self.settings = settings
        self._tools = tools
        self._make_runtime = runtime
        self._watch = watch
        self._runtime: Runtime | None = None
        self._detached = False
        self._start = _Start(self)
        self.journal = Journal()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def book(self) -> StackBook:
        """Addresses, tokens and folders of this stack."""
        return self._start.book

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self._running.folder

    @property
    def instances(self) -> Mapping[str, Instance]:
        """What runs, by the node's name."""
        return self._start.instances

    @property
    def _running(self) -> Runtime:
        if self._runtime is None:
            raise ConfigError("the stack is not running", hint="use it inside `with`")
        return self._runtime

    def start(self) -> None:
        """Start every node; on failure everything is ended before the error is raised.

        Raises:
            HarnessError: the description is wrong, a tool is missing, or a node failed.
            AppFailed: an app of the system under test failed.
        """
        self._provision()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._attempt()
                return
            except PortTaken as error:
                # Somebody outside our leases took a port between release and bind.
                self.close()
                if attempt == ATTEMPTS or self._wanted_by_user(error):
                    raise
                self.note("start.repeated", reason=error.subject)
            except BaseException as error:
                # Evidence first: closing removes the run's folder, and the logs with it.
                error.logs = self._tails()  # type: ignore[attr-defined]  # read by the plugin
                self.close()
                raise

    def restart(self, name: str, grace: float | None = None) -> None:
        """Restart one node with the same ports and data, and wait until its ladder is climbed.

        Raises:
            NotReady: a rung was not reached in time.
        """
        self.note("restart.begun", name)
        self.instances[name].restart(grace)  # type: ignore[attr-defined]  # checked by the runtime
        self.await_ready(name)

    def await_ready(self, name: str) -> None:
        """Wait until a node has climbed its ladder again."""
        self._start.climb(self.topology[name], self.instances[name])

    def note(self, kind: str, node: str = "", **facts: object) -> None:
        """Record something in the journal and tell the watcher."""
        self._watch(self.journal.note(kind, node, **facts))

    @property
    def owner(self) -> int:
        """The process that ends the stack when it gets SIGTERM."""
        return self._running.owner

    def detach(self, leftovers: tuple[Path, ...] = ()) -> None:
        """Let the stack outlive this process."""
        self._running.detach(leftovers)
        self._detached = True

    def close(self) -> None:
        """End everything: the apps and their sidecars first, then what they depend on.

        Raises:
            TeardownError: something could not be ended or removed.
        """
        if self._runtime is None or self._detached:
            return
        self.note("stop.begun")
        try:
            self._start.stop_dependents()
        finally:
            self._runtime.close()
            self._runtime = None
            self.note("stop.ended")

    def _tails(self) -> dict[str, str]:
        return {name: tail_of(each.log, 60) for name, each in self._start.instances.items()}

    def _provision(self) -> None:
        """Have every tool before the clock of the start runs; quick ones first, so that a missing
        Java is not told after minutes of building Dapr."""
        self.note("provision.begun")
        for tool in sorted({t for n in self.topology.nodes for t in n.tools}, key=_slowness):
            self._tools.path(tool)
        self.note("provision.ended")

    def _attempt(self) -> None:
        self.note("start.begun")
        self._runtime = self._make_runtime()
        self._start = _Start(self)
        self._start.prepare(self._runtime, self._tools)
        self._start.run()
        self.note("start.ended")

    def _wanted_by_user(self, error: PortTaken) -> bool:
        ports = [getattr(node, "port", None) for node in self.topology.nodes]
        return any(port is not None and f"port {port} " in error.subject for port in ports)


class _Start:
    """One attempt to start all nodes in parallel."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.instances: dict[str, Instance] = {}
        self._launches: dict[str, Launch] = {}
        self._ready: dict[str, threading.Event] = {}
        self._needs: dict[str, set[str]] = {}
        self._failures: list[BaseException] = []
        self._abort = threading.Event()
        self._done = threading.Condition()
        self._left = 0

    def prepare(self, runtime: Runtime, tools: Tools) -> None:
        """Plan every node before anything runs, so that a wrong description starts nothing."""
        stack = self._stack
        self._runtime = runtime
        self.book = StackBook(
            stack.topology, tools, stack.settings.root, runtime.folder, runtime.reserve
        )
        for node in stack.topology.nodes:
            self.book.plan_for(node.name)
            self._launches[node.name] = node.plan(self.book)
            used = self.book.used[node.name] - {node.name}
            self._needs[node.name] = {*node.needs, *used}
            self._ready[node.name] = threading.Event()
        try:
            TopologicalSorter(self._needs).prepare()
        except CycleError as error:
            raise ConfigError(
                "the placeholders of the topology form a cycle: " + " -> ".join(error.args[1])
            ) from None

    def run(self) -> None:
        """Start all nodes, each in a thread; raise the most telling failure."""
        nodes = self._stack.topology.nodes
        self._left = len(nodes)
        threads = [
            threading.Thread(target=self._bring_up, args=[node], name=node.name, daemon=True)
            for node in nodes
        ]
        for thread in threads:
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
            raise min(self._failures, key=_rank)

    def climb(self, node: Node, instance: Instance) -> None:
        """Wait for each rung of a node, then let it provide what others expect of it."""
        deadline = Deadline(self._stack.settings.ready_timeout)
        launch = self._launches[node.name]
        rungs = iter(node.checks(self.book))
        try:
            for check in rungs:
                seen = poll(check.observe, deadline, guard=self._guard)
                if not seen.ok:
                    raise _not_ready(launch, check, seen, deadline, instance)
                self._stack.note("rung.reached", node.name, rung=check.rung, fact=seen.fact)
        finally:
            if isinstance(rungs, Generator):
                rungs.close()
        node.provide(self.book)
        instance.mark_running()
        self._stack.note("node.ready", node.name)

    def stop_dependents(self) -> None:
        """Stop whatever needs something else, all at once: daprd ends badly without its broker."""
        dependents = [
            instance for name, instance in self.instances.items() if self._needs.get(name)
        ]
        threads = [threading.Thread(target=each.stop) for each in dependents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _bring_up(self, node: Node) -> None:
        try:
            for need in self._needs[node.name]:
                while not self._ready[need].wait(0.05):
                    self._guard()
            self._guard()
            instance = self._runtime.start(self._launches[node.name])
            self.instances[node.name] = instance
            self._stack.note("node.started", node.name, pid=instance.pid)
            self.climb(node, instance)
            self._ready[node.name].set()
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits
            self._failures.append(error)
            self._abort.set()
        finally:
            with self._done:
                self._left -= 1
                self._done.notify_all()

    def _guard(self) -> None:
        if self._abort.is_set() and self._left:
            raise _Stopped
        for name, instance in list(self.instances.items()):
            if instance.state is State.EXITED:
                raise _death(self._launches[name], instance)


def _death(launch: Launch, instance: Instance) -> HarnessError | SystemFailure:
    code = instance.exit_code or 0
    how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
    tail = tail_of(instance.log)
    if _IN_USE.search(tail):
        return PortTaken(f"{launch.name} {how}: a port of it was taken", last=tail)
    kind = AppFailed if launch.of_system else InstanceDied
    return kind(
        f"{launch.name} {how} while the stack needed it",
        expected="a process that keeps running",
        last=tail or "it wrote nothing",
        hint=f"its command line: {' '.join(launch.argv[:4])} ...",
    )


def _not_ready(
    launch: Launch, check: Check, seen: Observation, deadline: Deadline, instance: Instance
) -> HarnessError | SystemFailure:
    kind = AppFailed if launch.of_system else NotReady
    return kind(
        f"{launch.name} did not reach the rung {check.rung!r}",
        expected=(type(check).__doc__ or "").partition("\n")[0],
        last=f"{seen.fact}\nthe last lines of its log:\n{tail_of(instance.log)}",
        budget=deadline.budget,
        hint="look at the log; DAPR_HARNESS_READY_TIMEOUT gives it more time",
    )


def tail_of(log: Path, lines: int = 25) -> str:
    """The last lines of a log file, "" when there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _slowness(tool: str) -> tuple[bool, str]:
    return tool in ("daprd", "placement", "scheduler", "sentry"), tool


def _rank(error: BaseException) -> int:
    """The most telling failure first: a taken port, a death, a refusal, then a mere time-out."""
    order = (PortTaken, AppFailed, InstanceDied, ConfigError, NotReady, HarnessError)
    return next((i for i, kind in enumerate(order) if isinstance(error, kind)), len(order))
