"""Starts and stops a topology in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from harness.core.closing import Closing, do_all
from harness.core.errors import ConfigError, HarnessError, PortTaken
from harness.core.journal import Entry, Journal
from harness.core.launch import Launch
from harness.core.node import Node, Tools
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.runtime.base import Instance, Restartable, Runtime
from harness.stack import open_stacks
from harness.stack.book import AddressBook
from harness.stack.ending import concluding
from harness.stack.failures import external, tails_of
from harness.stack.loading import load_topology
from harness.stack.origins import of_run
from harness.stack.registry import Registry, UpStack
from harness.stack.run_record import record_of
from harness.stack.startup import MakeBook, Startup

ATTEMPTS = 3
Enter = Literal["start", "rejoin", "adopt"]


class Stack(Closing):
    """A running system.

    Use it as a context manager: entering starts every node and returns when all of them are ready;
    leaving stops everything. Closing twice is allowed.

    Args:
        topology: what to run.
        settings: where the project is, and how long a node may take to become ready.
        tools: locates the programs.
        runtime: creates the runtime; called again if a start is repeated with other ports.
        watch: called with each journal entry as it is recorded, from several threads.
        book: creates the book; replaced if the ports are given from outside.
        enter: whether entering starts the nodes, checks those that run, or takes them as they are.

    Attributes:
        journal: the record of what happened.
        shared: clients that the worlds of this stack share; removed when it stops.
        users: what uses this stack, and is closed before it stops.
        spare: whether no test uses it yet, or any more.
    """

    def __init__(
        self,
        topology: Topology,
        settings: Settings,
        tools: Tools,
        runtime: Callable[[], Runtime],
        *,
        watch: Callable[[Entry], None] = lambda _: None,
        book: MakeBook = AddressBook.of_runtime,
        enter: Enter = "start",
    ) -> None:
        self.topology = topology
        self.settings = settings
        self._tools = tools
        self._make_runtime = runtime
        self._watch = watch
        self._make_book = book
        self._runtime: Runtime | None = None
        self._detached, self._enter = False, enter
        self._start = self._new_startup()
        self.journal = Journal()
        self.shared: dict[str, Any] = {}
        self.users: list[Closing] = []
        self.spare = False

    def __enter__(self) -> Self:
        self.start()
        return self

    @classmethod
    def attach(
        cls,
        name: str = "default",
        topology: Topology | None = None,
        settings: Settings | None = None,
        *,
        force: bool = False,
        all_running: bool = True,
        watch: Callable[[Entry], None] = lambda _: None,
    ) -> Stack:
        """A stack that `dapr-harness up` has started; use it in a ``with`` statement.

        Entering checks that every node is ready. Leaving leaves the stack up, unless it was started
        with `up --attach` and its other clients have gone.

        Args:
            name: the stack's name.
            topology: what the project says it is; from the settings if None.
            settings: loaded from the environment and pyproject.toml if None.
            force: accept a stack that was started with another topology.
            all_running: whether a node that is not running is an error. If not, entering neither
                waits for any node nor checks it.
            watch: called with each journal entry as it is recorded.

        Raises:
            ConfigError: no stack of this name is up, or it is not this topology.
        """
        settings = settings or Settings.load()
        up = Registry(settings.state_dir).require(name)
        found = topology or load_topology(settings)
        return cls.join(up, found, settings, force=force, all_running=all_running, watch=watch)

    @classmethod
    def join(
        cls,
        up: UpStack,
        topology: Topology,
        settings: Settings,
        *,
        force: bool = False,
        all_running: bool = True,
        watch: Callable[[Entry], None] = lambda _: None,
    ) -> Stack:
        """The same for a stack whose record is known.

        Raises:
            ConfigError: the run is not of this version.
        """
        origin = of_run(up, topology, settings, force=force, all_running=all_running)
        how: Enter = "rejoin" if all_running else "adopt"
        made = origin.topology, settings, origin.tools, origin.runtime
        return cls(*made, watch=watch, book=origin.book, enter=how)

    @property
    def book(self) -> AddressBook:
        """Addresses, tokens and folders of this stack."""
        return self._start.book

    @property
    def tools(self) -> Tools:
        """What locates the programs."""
        return self._tools

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self._running.folder

    @property
    def runtime(self) -> str:
        """``processes``, ``containers`` or ``kubernetes``."""
        return self._running.name

    @property
    def instances(self) -> Mapping[str, Instance]:
        """The running instances, by node name."""
        return self._start.instances

    @property
    def took(self) -> float:
        """Seconds that the last start took, without provisioning."""
        at = {entry.kind: entry.at for entry in self.journal}
        return at.get("start.ended", 0.0) - at.get("start.begun", 0.0)

    @property
    def _running(self) -> Runtime:
        if self._runtime is None:
            raise ConfigError("the stack is not running", hint="use it inside `with`")
        return self._runtime

    def start(self) -> None:
        """Start every node; on failure, everything is stopped before the error is raised.

        Raises:
            HarnessError: the description is invalid, a tool is missing, or a node failed.
            AppFailed: an app of the system under test failed.
        """
        self.provision()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._attempt()
                return
            except PortTaken as error:
                # A process outside our leases took a port between release and bind.
                self.close()
                if attempt == ATTEMPTS or error.port in self.book.chosen_ports():
                    raise
                self.note("start.repeated", reason=error.subject)
            except BaseException as error:
                # Collect evidence first: closing removes the run's folder, and the logs with it.
                error.logs = self._tails()  # type: ignore[attr-defined]  # read by the plugin
                self._close_after(error)
                raise

    def restart(self, name: str, grace: float | None = None) -> None:
        """Restart one node with the same ports and data, and wait until it is ready.

        Raises:
            NotReady: a check did not pass in time.
            ConfigError: somebody else has started it.
        """
        self.note("restart.begun", name)
        instance = self.instances[name]
        if not isinstance(instance, Restartable):
            raise external(name)
        instance.restart(grace)
        self.await_ready(name)

    def add(self, node: Node) -> Instance:
        """Start an extra node, on which the topology's nodes do not depend; it ends with the stack.

        Raises:
            ConfigError: the stack is attached; this process does not own it.
            HarnessError: it did not become ready; it was stopped, and the stack keeps running.
        """
        if self._running.borrowed or self._start.extras is None:
            raise ConfigError(
                f"{node.name} cannot be added to an attached stack",
                hint="run the test on a stack of its own, without --dapr-attach",
            )
        return self._start.extras.add(node)

    def await_ready(self, name: str) -> None:
        """Wait until a node is ready again."""
        self._start.wait_ready(self.topology[name], self.instances[name])

    def check_alive(self) -> None:
        """Raise the death of a node that was not stopped or killed here; every probe calls this.

        Raises:
            InstanceDied: a node has exited.
            AppFailed: an app has exited.
        """
        self._start.check_alive()

    def catch_up(self) -> None:
        """Wait until what other clients have done so far is known here."""
        self._running.catch_up()

    def note(self, kind: str, node: str = "", **facts: object) -> None:
        """Record an entry in the journal and inform the watcher."""
        self._watch(self.journal.note(kind, node, **facts))

    def addresses(self) -> dict[str, dict[str, str]]:
        """The addresses that this machine can connect to, by node and port."""
        found: dict[str, dict[str, str]] = {}
        hidden = self.book.unpublished(self._start.launches)
        for (node, port), endpoint in self.book.endpoints().items():
            if endpoint.port not in hidden.get(node, ()):
                found.setdefault(node, {})[port] = str(endpoint)
        return found

    def token(self) -> str:
        """The token of the sidecars' APIs."""
        return self.book.token("dapr-api")

    def share(self) -> None:
        """Let other clients use the stack: `attach`, in this process or in another one."""
        if self._enter != "start":
            return  # its starter has done so
        self._running.share()
        # Without extras: a client that attaches does not have them.
        own = [each for each in self._start.launches if each.name in self.topology]
        record_of(self.book, self.runtime, own, self.settings.broker).write(self.folder)

    @property
    def owner(self) -> int:
        """The process that ends the stack on SIGTERM."""
        return self._running.owner

    def detach(self, leftovers: tuple[Path, ...] = ()) -> None:
        """Let the stack outlive this process."""
        self._running.detach(leftovers)
        self._detached = True

    def close(self) -> None:
        """Stop everything: the apps and their sidecars first, then what they depend on.

        If other clients keep the run alive, only what was added here is stopped.

        Raises:
            TeardownError: something could not be stopped or removed.
        """
        open_stacks.discard(self)
        do_all([*(each.close for each in self.users), self._stop])

    def _stop(self) -> None:
        if self._runtime is None or self._detached:
            return
        others = self._runtime.leave()
        self.note("stop.begun" if not others else "client.closed")
        self.shared.clear()
        try:
            if not others and self.instances:  # otherwise there may be no book yet
                concluding(self.book, self.note, self._start.stop_dependents)
            elif self._start.extras:
                self._start.extras.stop()
        finally:
            self.journal.pass_on(None)
            self._runtime.close()
            self._runtime = None
            self.note("stop.ended")

    def _tails(self) -> dict[str, str]:
        return tails_of(self.instances, self.book.secrets()) if self.instances else {}

    def _close_after(self, error: BaseException) -> None:
        """Close, and add any errors as notes to the error that caused it."""
        try:
            self.close()
        except HarnessError as more:
            error.add_note(f"and then: {more}")

    def _new_startup(self) -> Startup:
        return Startup(self.topology, self.settings, self.note, self._make_book)

    def launch(self, name: str) -> Launch:
        """What was planned for a node."""
        return next(each for each in self._start.launches if each.name == name)

    def provision(self) -> None:
        """Provision every tool before the start is timed; `start` calls this if nobody else did.

        Raises:
            Unavailable: a tool is not available.
        """
        self.note("provision.begun")
        self._tools.provide(self.topology.nodes, self.settings.root)
        self.note("provision.ended")

    def _attempt(self) -> None:
        self.note("start.begun")
        self._runtime = self._make_runtime()
        # What a client that attaches waits for is no part of the run's journal.
        self.journal.pass_on(self._runtime.note if self._enter == "start" else None)
        self._start = self._new_startup()
        self._start.prepare(self._runtime, self._tools)
        if self._enter == "start":
            self._start.run()
        elif self._enter == "rejoin":
            self._start.rejoin()
        else:
            self._start.adopt()
        self.note("start.ended")
        open_stacks.add(self)
        if self._enter != "start":
            self.journal.pass_on(self._runtime.note)
