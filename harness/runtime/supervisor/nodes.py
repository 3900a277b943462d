"""The processes of a run, and what can be done to each of them: one operation at a time."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import math
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator

from harness.core.private import open_private
from harness.runtime.supervisor.clients import Client
from harness.runtime.supervisor.sources import Forked, Source
from harness.runtime.tree import descendants, exited_child, quick_descendants, send, stop_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    Message = dict[str, Any]
    Steps = Iterator[float]

PR_SET_PDEATHSIG = 1
KILLING = 10.0
"""Seconds within which a process must be gone after SIGKILL."""

OPERATIONS = ("spawn", "stop", "kill", "pause", "resume", "restart", "hold")


def prctl(option: int, value: int) -> None:
    """Change a property of this process, where the system has it."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def die_with_parent() -> None:
    """For `preexec_fn`. The supervisor has one thread, so the signal is tied to its process."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Node:
    """One node of the run; its process, if it runs on this machine.

    Attributes:
        spawned: the request that started it, repeated by a restart.
        code: its exit code; None while it runs.
        why: the last operation on it that another one has not undone, and its client.
        acting: the operation that is being carried out.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.pid = 0
        self.code: int | None = 0
        self.paused = False
        self.why = ""
        self.spawned: Message = {}
        self.acting: Operation | None = None
        self.waiting: deque[Operation] = deque()

    @property
    def alive(self) -> bool:
        """Whether its process is running."""
        return self.code is None


class Operation:
    """A request about one node, and how far it has been carried out.

    Attributes:
        until: when it must be looked at again, in seconds of `time.monotonic`.
        freed: for ``hold``: whether its client is done.
        result: for ``hold``: what its client says of the result.
    """

    def __init__(self, client: Client, request: Message) -> None:
        self.client = client
        self.request = request
        self.steps: Steps = iter(())
        self.until = math.inf
        self.freed = False
        self.result: Message = {}

    @property
    def act(self) -> str:
        """What is done, in one word."""
        held = self.request.get("act", "hold")
        return str(held if self.request["op"] == "hold" else self.request["op"])


class Nodes:
    """The nodes of a run.

    Args:
        release: releases ports that a process is about to bind.
        note: records an event: kind, node, facts.
        answer: responds to a request: client, request, result or error.
    """

    def __init__(
        self,
        release: Callable[[list[int]], None],
        note: Callable[..., None],
        answer: Callable[..., None],
    ) -> None:
        self._release = release
        self._note = note
        self._answer = answer
        self._nodes: dict[str, Node] = {}
        self.children: dict[int, subprocess.Popen[bytes] | Forked] = {}
        self._sources: dict[str, Source] = {}
        self._left_uncollected = False
        self._by_pid: dict[int, Node] = {}

    def rows(self) -> Message:
        """The state of each node that runs on this machine."""
        return {
            each.name: {
                "pid": each.pid,
                "code": each.code,
                "paused": each.paused,
                "why": each.why,
            }
            for each in self._nodes.values()
            if each.pid
        }

    def spawned(self, pid: int) -> Message:
        """The request with which a process was started; empty if it is not a node's."""
        node = self._by_pid.get(pid)
        return node.spawned if node else {}

    def add_source(self, name: str, source: Source) -> None:
        """A process of which nodes are forked whose request names it."""
        self._sources[name] = source
        self.children[source.process.pid] = source.process

    def hear(self) -> None:
        """Read what the sources have said, and continue what waits for it."""
        for source in self._sources.values():
            source.hear()
        for node in list(self._nodes.values()):
            self._advance(node)
        if self._left_uncollected:
            self._left_uncollected = False
            self.reap()

    def submit(self, client: Client, request: Message) -> None:
        """Carry out a request when the node's earlier ones are done; it is answered then."""
        node = self._nodes.setdefault(str(request["name"]), Node(str(request["name"])))
        node.waiting.append(Operation(client, request))
        self._next(node)

    def free(self, client: Client, name: str, result: Message) -> None:
        """The end of a client's ``hold``."""
        node = self._nodes[name]
        if node.acting and node.acting.client is client and node.acting.request["op"] == "hold":
            node.acting.freed, node.acting.result = True, result
            self._advance(node)

    def gone(self, client: Client) -> None:
        """A client has been disconnected: what it holds is free, and what it asked for goes on."""
        for node in list(self._nodes.values()):
            kept = [each for each in node.waiting if each.client is not client]
            node.waiting = deque(kept)
            self.free(client, node.name, {})

    def due(self) -> float | None:
        """Seconds until an operation must be looked at; None if none waits for a time."""
        times = [each.acting.until for each in self._nodes.values() if each.acting]
        earliest = min(times, default=math.inf)
        return None if earliest == math.inf else max(0.0, earliest - time.monotonic())

    def tick(self) -> None:
        """Continue every operation whose time has come."""
        for node in list(self._nodes.values()):
            if node.acting and node.acting.until <= time.monotonic():
                self._advance(node)

    def reap(self) -> None:
        """Collect the processes that have exited, and adopted ones that nobody else collects."""
        self.hear()
        for pid, child in list(self.children.items()):
            if child.poll() is not None:
                del self.children[pid]
                if node := self._by_pid.pop(pid, None):
                    node.code, node.paused = child.returncode, False
                    self._note("process.exited", node.name, pid=pid, code=child.returncode)
                    self._advance(node)
        # One of them may be an app of which its source has not told yet.
        self._left_uncollected = any(source.forking for source in self._sources.values())
        if not self._left_uncollected:
            self._collect_others()

    def _collect_others(self) -> None:
        # Known ones must collect their codes themselves. If one has ended meanwhile, its signal is
        # still to come.
        while (pid := exited_child()) and pid not in self.children:
            os.waitpid(pid, os.WNOHANG)

    # ---- one operation after the other ----------------------------------------------------

    def _next(self, node: Node) -> None:
        if node.acting is None and node.waiting:
            node.acting = begun = node.waiting.popleft()
            if begun.act != "spawn":
                undone = begun.act in ("resume", "restart")
                node.why = "" if undone else f"{begun.act} was requested by {begun.client.who}"
                self._tell("operation.begun", node, begun)
            steps = getattr(self, "_" + begun.request["op"])
            begun.steps = steps(node, begun)
            self._advance(node)

    def _advance(self, node: Node) -> None:
        acting = node.acting
        if acting is None:
            return
        try:
            acting.until = next(acting.steps)
        except StopIteration:
            self._end(node, acting, None)
        except OSError as error:
            self._end(node, acting, error)

    def _end(self, node: Node, acting: Operation, error: OSError | None) -> None:
        node.acting = None
        if acting.act != "spawn":
            self._tell("operation.ended", node, acting)
        if acting.request["op"] != "hold":  # answered when it began
            self._answer(acting.client, acting.request, {"pid": node.pid}, error)
        self._next(node)

    def _tell(self, kind: str, node: Node, operation: Operation) -> None:
        client = operation.client
        facts = {"act": operation.act, "by": client.who, "client": client.number}
        self._note(kind, node.name, **operation.result, **facts)

    # ---- the operations: each yields the time at which it must be looked at again ---------

    def _spawn(self, node: Node, operation: Operation) -> Steps:
        if node.alive:
            raise FileExistsError(errno.EEXIST, f"it is running already, as pid {node.pid}")
        node.spawned = operation.request
        yield from self._start(node)

    def _stop(self, node: Node, operation: Operation) -> Steps:
        if node.alive:
            # A stopped process does not handle SIGTERM until it is continued.
            for pid in [node.pid, *quick_descendants(node.pid)]:
                send(pid, signal.SIGCONT)
            with contextlib.suppress(ProcessLookupError):
                os.kill(node.pid, node.spawned["stop_signal"])
            grace = operation.request.get("grace")
            yield from _gone(node, node.spawned["grace"] if grace is None else float(grace))
            yield from self._kill(node, operation)

    def _kill(self, node: Node, _operation: Operation) -> Steps:
        if node.alive:
            self._signal(node, signal.SIGKILL)
            yield from _gone(node, KILLING)
            if node.alive:
                raise OSError(errno.EBUSY, f"pid {node.pid} survived SIGKILL for {KILLING:.0f} s")

    def _restart(self, node: Node, operation: Operation) -> Steps:
        if not node.spawned:
            raise FileNotFoundError(errno.ENOENT, "it was never started")
        yield from self._stop(node, operation)
        yield from self._start(node)

    def _pause(self, node: Node, _operation: Operation) -> Steps:
        _require_life(node)
        ends = time.monotonic() + KILLING
        # On a busy machine, what was told to stop does so late.
        while stop_tree(node.pid) and time.monotonic() < ends:
            yield time.monotonic() + 0.005
        node.paused = node.alive

    def _resume(self, node: Node, _operation: Operation) -> Steps:
        _require_life(node)
        self._signal(node, signal.SIGCONT)
        node.paused = False
        yield from ()

    def _hold(self, _node: Node, operation: Operation) -> Steps:
        self._answer(operation.client, operation.request, {"held": True}, None)
        while not operation.freed:
            yield math.inf

    def _start(self, node: Node) -> Steps:
        source = self._sources.get(node.spawned.get("source", ""))
        if source is not None:
            yield from source.loaded()
        child: subprocess.Popen[bytes] | Forked | None = None
        with open_private(node.spawned["log"], "ab") as log:
            self._release(node.spawned["ports"])
            if source is not None:
                child = yield from self._fork(node, source)
            if child is None:
                child = _execute(node.spawned, log)
        self.children[child.pid] = child
        self._by_pid[child.pid] = node
        node.pid, node.code, node.paused = child.pid, None, False
        self._note("process.started", node.name, pid=child.pid)

    def _fork(self, node: Node, source: Source) -> Generator[float, None, Forked | None]:
        answer = yield from source.fork(node.spawned)
        if "pid" in answer:
            return Forked(answer["pid"])
        self._note("process.not_forked", node.name, reason=answer["refused"])
        return None

    def _signal(self, node: Node, number: int) -> None:
        for pid in [node.pid, *descendants(node.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _execute(request: Message, log: IO[bytes]) -> subprocess.Popen[bytes]:
    as_user: dict[str, Any] = {}
    if request["uid"] is not None:
        as_user = {"user": request["uid"], "group": request["gid"], "extra_groups": []}
    return subprocess.Popen(
        request["argv"],
        env=request["env"],
        cwd=request["cwd"],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent,
        **as_user,
    )


def _gone(node: Node, seconds: float) -> Steps:
    ends = time.monotonic() + seconds
    while node.alive and time.monotonic() < ends:
        yield ends


def _require_life(node: Node) -> None:
    if not node.alive:
        raise ProcessLookupError(errno.ESRCH, f"it has exited with code {node.code}")
