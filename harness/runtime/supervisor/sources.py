"""A process of which apps are forked, as the supervisor sees it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Message = dict[str, Any]

PATIENCE = 30.0
"""Seconds after which an app no longer waits for the imports or for its fork, and is executed."""


class Forked:
    """A process that was forked by another one, and that the supervisor adopts.

    Attributes:
        returncode: as that of `subprocess.Popen`.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        if self.returncode is None:
            with contextlib.suppress(ChildProcessError):  # not yet adopted
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class Source:
    """One such process.

    Args:
        request: its command line, its variables, the apps, and where it writes.
        start: starts a process: command line, then arguments of `subprocess.Popen`.

    Attributes:
        line: the connection to it.
        process: the process itself.
        gone: whether it can no longer be used.
    """

    def __init__(self, request: Message, start: Callable[..., subprocess.Popen[bytes]]) -> None:
        self.line, theirs = socket.socketpair()
        self._loaded = self.gone = False
        self._text = b""
        self._serial = 0
        self._unanswered: set[int] = set()
        self._answers: dict[int, Message] = {}
        with theirs, open(request["output"], "ab") as output:
            number = theirs.fileno()
            argv = [each.replace("{line}", str(number)) for each in request["argv"]]
            streams = {"stdout": output, "stderr": subprocess.STDOUT}
            options = {"env": request["env"], "cwd": request["cwd"], "pass_fds": [number]}
            self.process = start(argv, **streams, **options)
        first = {key: request[key] for key in ("apps", "output")}
        self._say({**first, "parent": os.getpid()})
        self.line.setblocking(False)

    @property
    def forking(self) -> bool:
        """Whether there may be an app that it has not yet told of."""
        return bool(self._unanswered) and not self.gone

    def hear(self) -> None:
        """Read what it has said."""
        try:
            while said := self.line.recv(65536):
                self._text += said
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True
        else:
            self.gone = True
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "id" in message:
                self._answers[message["id"]] = message
                self._unanswered.discard(message["id"])
            else:
                self._loaded = True

    def loaded(self) -> Iterator[float]:
        """Wait until its imports are done; one that does not end them is given up."""
        ends = time.monotonic() + PATIENCE
        while not (self._loaded or self.gone):
            if time.monotonic() >= ends:
                return self._give_up()
            yield ends

    def fork(self, request: Message) -> Generator[float, None, Message]:
        """Wait for an app. Returns its pid, or why it was not forked."""
        self._serial += 1
        asked, ends = self._serial, time.monotonic() + PATIENCE
        keys = ("argv", "env", "cwd", "log", "module")
        if not self.gone:
            self._unanswered.add(asked)
            self._say({"id": asked, **{key: request[key] for key in keys}})
        while asked not in self._answers:
            if time.monotonic() >= ends:
                self._give_up()
            if self.gone:
                return {"refused": "the process with the imports has ended"}
            yield ends
        return self._answers.pop(asked)

    def _say(self, message: Message) -> None:
        # A request is smaller than the buffer of a socket, and is read at once.
        self.line.settimeout(PATIENCE)
        try:
            self.line.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self._give_up()
        self.line.setblocking(False)

    def _give_up(self) -> None:
        """End it; an app that it is about to tell of is ended by the failure to do so."""
        self.gone = True
        with contextlib.suppress(OSError):
            self.line.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
