"""The supervisor's program: a separate process that owns everything a run starts.

A bare interpreter runs it as a file. It exchanges JSON lines with any number of clients: the one
that started it, over a socket pair, and others over a unix socket. When the last client with a
lease disconnects, for whatever reason (a clean close, ``kill -9`` of pytest), it ends the whole
tree, including grandchildren, and removes the run's folder. It also writes the run's journal.

Requests:  {"id", "op": one of the methods ``op_*`` or of `OPERATIONS`, ...}
Answers:   {"id", "ok", ...} or {"id", "error", "kind"}
Events:    {"event": "entry", "seq", "at", "kind", "node", ...}, {"event": "line", "line"},
           {"event": "refused", "reason"}
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

# Last, so that no file in the package hides a module of the standard library.
sys.path.append(str(Path(__file__).parents[3]))
from harness.core.ports import Ports
from harness.core.private import open_private
from harness.runtime.segments import release_segments
from harness.runtime.supervisor.clients import PROTOCOL, Client, Clients
from harness.runtime.supervisor.ending import Ending
from harness.runtime.supervisor.meetings import clear_meetings
from harness.runtime.supervisor.nodes import OPERATIONS, Nodes, die_with_parent, prctl
from harness.runtime.supervisor.sources import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    Message = dict[str, Any]

PR_SET_CHILD_SUBREAPER = 36
LEFT_BEHIND = 3
"""The exit code if something could not be removed; the run's folder is then kept."""

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""It has its own session, so these signals were meant for it, and none came from a terminal."""

REMEMBERED = 10_000
"""Entries of the journal that a client which subscribes later can still receive as events."""


class Supervisor:
    """One run: its clients, its nodes, its ports and its journal.

    Args:
        starter: the connection to the client that started it.
        folder: the run's folder, which that client makes; removed at the end.
        door: where other clients connect.
    """

    def __init__(self, starter: socket.socket, folder: str, door: str) -> None:
        self.folder = folder
        self.door = door
        self.ports = Ports()
        self.selector = selectors.DefaultSelector()
        self.clients = Clients(self.selector, self.answer, self.gone)
        self.nodes = Nodes(self.ports.release, self.note, self.reply)
        self.detached = False
        self.ending = ""
        self.helpers_lost = False
        self.leftovers: list[str] = []
        self.last_commands: list[list[str]] = []
        self.entries: deque[Message] = deque(maxlen=REMEMBERED)
        self.count = 0
        self.journal: IO[str] | None = None
        self.wakeup = -1
        first = self.clients.add(starter)
        first.lease = True

    # ---- the loop -------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until the run ends; return the exit code."""
        self.wakeup, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        for number in (signal.SIGCHLD, *ENDING):
            signal.signal(number, self._on_signal)
        self.selector.register(self.wakeup, selectors.EVENT_READ, self._on_wakeup)
        self.clients.listen(self.door)
        while not self.ending:
            for key, mask in self.selector.select(self.nodes.due()):
                if key.fileobj in self.selector.get_map():  # else unregistered by an earlier one
                    key.data(key.fileobj, mask)
            self.nodes.tick()
        self.note("run.ending", by=self.ending)
        return self.end_all()

    def _on_signal(self, number: int, _frame: object) -> None:
        if number in ENDING:
            self.ending = self.ending or f"the signal {signal.Signals(number).name}"

    def _on_wakeup(self, wakeup: int, _mask: int) -> None:
        os.read(wakeup, 512)
        self.nodes.reap()

    def _on_line(self, pipe: IO[bytes], _mask: int) -> None:
        line = pipe.readline().decode("utf-8", "replace").rstrip()
        if not line:  # it has ended
            self.helpers_lost = True
            self.selector.unregister(pipe)
            pipe.close()
        self._note_exit(line)
        self.clients.broadcast({"event": "line", "line": line})

    def _note_exit(self, line: str) -> None:
        """Note the exit of a container, if that is what a helper has printed."""
        with contextlib.suppress(ValueError, TypeError, KeyError):
            facts = json.loads(line)
            node, code = str(facts["node"]), int(facts["code"])
            # As in a shell: 128 plus the number of the signal.
            self.note("process.exited", node, code=128 - code if 128 < code < 160 else code)

    # ---- clients --------------------------------------------------------------------------

    def note(self, kind: str, node: str = "", at: float | None = None, **facts: object) -> None:
        """Add an entry to the journal, and send it to everyone who has subscribed."""
        self.count += 1
        when = time.monotonic() if at is None else at
        entry: Message = {**facts, "seq": self.count, "at": when, "kind": kind, "node": node}
        self.entries.append(entry)
        self._write([entry])
        self.clients.broadcast({"event": "entry", **entry})

    def _write(self, entries: Iterable[Message]) -> None:
        if self.journal is not None:
            with contextlib.suppress(OSError):  # a full disk
                self.journal.writelines(json.dumps(entry) + "\n" for entry in entries)
                self.journal.flush()

    def gone(self, client: Client) -> None:
        """A client has been disconnected."""
        self.nodes.gone(client)
        if client.who:
            self.note("client.left", client=client.number, who=client.who)
        if client.lease and not self.clients.leases and not self.detached:
            self.ending = self.ending or "the disconnection of its last client"

    def answer(self, client: Client, request: Message) -> None:
        """Carry out one request."""
        op = request["op"]
        found: Callable[[Client, Message], Message | None] | None
        found = getattr(self, f"op_{op}", None)
        try:
            if op != "hello" and not client.who:
                raise PermissionError(errno.EPERM, "the first request must be hello")
            if op in OPERATIONS:
                self.nodes.submit(client, request)
                return
            if found is None:
                raise OSError(errno.ENOSYS, f"unknown request {op!r}")
            self.reply(client, request, found(client, request) or {}, None)
        except OSError as error:
            self.reply(client, request, {}, error)
        except (KeyError, TypeError, ValueError) as error:
            wrong = f"{op}: {type(error).__name__}: {error}"
            self.reply(client, request, {}, OSError(errno.EINVAL, wrong))

    def reply(
        self, client: Client, request: Message, result: Message, error: OSError | None
    ) -> None:
        """Respond to a request, with a result or with an error."""
        serial = request["id"]
        if client.closed:
            return
        if error is None:
            self.clients.send(client, {"id": serial, "ok": True, **result})
            return
        kind = errno.errorcode.get(error.errno or 0, "")
        text = error.strerror or str(error)
        self.clients.send(client, {"id": serial, "error": text, "kind": kind})

    # ---- requests -------------------------------------------------------------------------

    def op_hello(self, client: Client, request: Message) -> Message:
        """Introduce a client; both sides must speak the same protocol."""
        if request["protocol"] != PROTOCOL:
            theirs = request["protocol"]
            raise OSError(errno.EPROTO, f"it speaks protocol {PROTOCOL}, and the client {theirs}")
        client.who = str(request["who"])
        self.note("client.joined", client=client.number, who=client.who, pid=client.pid())
        return {"number": client.number, "folder": self.folder, "protocol": PROTOCOL}

    def op_begin(self, _client: Client, _request: Message) -> None:
        """Open the run's journal and log; the client has made its folder."""
        self.journal = open_private(Path(self.folder) / "journal.jsonl", "a")
        self._write(self.entries)
        with open_private(Path(self.folder) / "logs" / "supervisor.log", "ab") as log:
            for output in (1, 2):
                os.dup2(log.fileno(), output)

    def op_lease(self, client: Client, _request: Message) -> None:
        """Keep the run alive as long as this client."""
        client.lease = True

    def op_leave(self, client: Client, _request: Message) -> Message:
        """Give the lease back; the run goes on at least until the client disconnects."""
        if self.clients.leases > client.lease or self.detached:
            client.lease = False
        return {"others": self.clients.leases - client.lease, "detached": self.detached}

    def op_subscribe(self, client: Client, request: Message) -> None:
        """Send all entries after one, and every event from now on."""
        client.subscribed = True
        for entry in list(self.entries):
            if entry["seq"] > request["after"]:
                self.clients.send(client, {"event": "entry", **entry})

    def op_note(self, client: Client, request: Message) -> None:
        """An entry of the journal that a client writes."""
        facts = {**request["facts"], "client": client.number}
        self.note(request["kind"], request["node"], request["at"], **facts)

    def op_state(self, _client: Client, _request: Message) -> Message:
        """Everything that is known now."""
        # This request may have been read before the signal that tells of an exit.
        self.nodes.reap()
        return {
            "nodes": self.nodes.rows(),
            "clients": self.clients.rows(),
            "helpers_lost": self.helpers_lost,
            "seq": self.count,
        }

    def op_reserve(self, _client: Client, request: Message) -> Message:
        """Hold a port until the process that lists it is started."""
        return {"port": self.ports.reserve(request.get("wanted"))}

    def op_release(self, _client: Client, request: Message) -> None:
        """Release ports that another process is about to bind."""
        self.ports.release(request["ports"])

    def op_free(self, client: Client, request: Message) -> None:
        """The end of a client's ``hold``."""
        self.nodes.free(client, request["name"], request.get("result", {}))

    def op_listen(self, _client: Client, request: Message) -> None:
        """Start a helper and forward each line that it prints."""
        helper = self._help(request["argv"], stdout=subprocess.PIPE)
        self.nodes.children[helper.pid] = helper
        # Unbuffered, and the helper writes whole lines: a readable pipe contains one.
        if helper.stdout is not None:
            self.selector.register(helper.stdout, selectors.EVENT_READ, self._on_line)

    def op_source(self, _client: Client, request: Message) -> None:
        """Start a process of which apps are forked."""
        source = Source(request, self._help)
        self.nodes.add_source(request["name"], source)

        def on_message(line: socket.socket, _mask: int) -> None:
            self.nodes.hear()
            if source.gone:
                self.selector.unregister(line)
                line.close()

        self.selector.register(source.line, selectors.EVENT_READ, on_message)

    def op_at_end(self, _client: Client, request: Message) -> None:
        """Run a command after everything else has exited."""
        self.last_commands.append(request["argv"])

    def op_detach(self, _client: Client, request: Message) -> None:
        """Keep the run alive without any client."""
        self.detached = True
        self.leftovers += request["leftovers"]

    def op_finish(self, client: Client, _request: Message) -> None:
        """End the run, whoever else is connected."""
        self.ending = self.ending or client.who

    def _help(self, argv: Sequence[str], **streams: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,
            bufsize=0,
            **streams,
        )

    # ---- the end --------------------------------------------------------------------------

    def end_all(self) -> int:
        """End every process, remove what the run has made, and return the exit code."""
        with contextlib.suppress(OSError):
            Path(self.door).unlink()
        Ending(self.nodes, self.wakeup).end_all()
        clear_meetings(Path(self.folder))
        codes = [helper.wait() for helper in [self._help(argv) for argv in self.last_commands]]
        if any(codes):
            return LEFT_BEHIND
        release_segments(Path(self.folder))
        shutil.rmtree(self.folder, ignore_errors=True)
        for path in self.leftovers:
            with contextlib.suppress(OSError):
                Path(path).unlink()
        return 0


def main() -> None:
    """``program.py FD FOLDER DOOR``"""
    # Its own session: Ctrl-C at the terminal reaches only the harness, which then closes.
    with contextlib.suppress(PermissionError):
        os.setsid()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    starter = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(starter.fileno(), False)
    sys.exit(Supervisor(starter, sys.argv[2], sys.argv[3]).run())


if __name__ == "__main__":
    main()
