"""The program of a process that imports modules, and of which apps are forked.

The supervisor starts it as a file, with the variables that the apps have in common. They exchange
JSON lines: first ``{"apps", "parent", "output"}``, then for each app ``{"id", "argv", "env",
"cwd", "log", "module"}``, which is answered by ``{"id", "pid"}`` or ``{"id", "refused"}``. When the
imports are done, it says ``{"loaded"}``.

A forked app becomes a child of the supervisor, as one that it starts itself.
"""

from __future__ import annotations

import ast  # noqa: F401 - for our other modules, see _PROJECT
import contextlib  # noqa: F401 - likewise
import ctypes
import gc
import importlib  # noqa: F401 - likewise
import json
import os
import runpy
import signal
import socket
import sys
import typing  # noqa: F401 - likewise
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

_PROJECT = str(Path(__file__).parents[3])
# First, because an app's environment may have another version of us. What our modules import of the
# standard library is imported above, so that nothing here can hide it.
sys.path.insert(0, _PROJECT)
from harness.runtime.preload.scan import imports_of
from harness.runtime.preload.state import ALWAYS, Loaded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Message = dict[str, Any]

PR_SET_PDEATHSIG = 1
ROOM = 2000
"""The length of the last argument, in whose place a forked app has its command line."""


class Source:
    """What apps are forked of.

    Args:
        line: the connection to the supervisor.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._stream = line.makefile("rb")
        first = json.loads(self._stream.readline())
        self._parent = int(first["parent"])
        self._output = first["output"]
        _leave_no_trace()
        self._added = _added_by_the_interpreter()
        self._loaded = Loaded(_shared(first["apps"]))
        sys.stdout.flush()
        sys.stderr.flush()
        # What is there now is never looked at again, so its pages remain shared.
        gc.collect()
        gc.freeze()
        self._say({"loaded": len(sys.modules)})

    def serve(self) -> Message | None:
        """Fork apps until the supervisor hangs up; in an app, returns its request."""
        while text := self._stream.readline():
            request = json.loads(text)
            request["env"] = self._added | request["env"]
            folder = Path(request["cwd"])
            imports = imports_of(request["module"], folder)
            if reason := self._loaded.refusal(request["env"], folder, imports):
                self._say({"id": request["id"], "refused": reason})
            elif self._fork(request):
                return {**request, "output": self._output}
        return None

    def _fork(self, request: Message) -> bool:
        """Fork twice, so that the app's parent ends and the supervisor adopts it."""
        if middle := os.fork():
            if os.waitpid(middle, 0)[1]:
                self._say({"id": request["id"], "refused": "it could not be forked"})
            return False
        app = 0
        try:
            reader, writer = os.pipe()
            if not (app := os.fork()):
                os.close(reader)
                self._await_adoption(writer)
                self._stream.close()
                self._line.close()
                return True
            os.close(writer)
            os.read(reader, 1)
            self._say({"id": request["id"], "pid": app})
        except BaseException:  # noqa: BLE001 - must not return as a second source
            if app:  # the supervisor would not know it
                os.kill(app, signal.SIGKILL)
            os._exit(1)
        os._exit(0)

    def _await_adoption(self, writer: int) -> None:
        """Wait until the supervisor is the parent, and ask to be killed if it ends.

        The signal for a parent's end is sent after the child has been given another one.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        _die_with_parent(signal.SIGUSR1)
        os.write(writer, b"1")
        os.close(writer)
        signal.sigwait({signal.SIGUSR1})
        _die_with_parent(signal.SIGKILL)
        if os.getppid() != self._parent:
            os.kill(os.getpid(), signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})

    def _say(self, message: Message) -> None:
        self._line.sendall(json.dumps(message).encode() + b"\n")


def become(app: Message) -> None:
    """Be what ``python -m module`` with this environment would be, up to its first line."""
    os.setsid()
    _redirect(app["log"], app["output"])
    os.chdir(app["cwd"])
    os.environ.clear()
    os.environ.update(app["env"])
    argv: list[str] = app["argv"]
    _show_as(argv)
    sys.orig_argv[:] = argv
    sys.argv[:] = argv[2:]
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, os.getcwd())
    sys.excepthook = _told


def _shared(apps: list[Mapping[str, str]]) -> set[tuple[str, str]]:
    """What at least two apps import, and what uvicorn needs to serve one."""
    found = [imports_of(app["module"], Path(app["folder"])) for app in apps]
    every = set().union(*found)
    shared = {each for each in every if sum(each in imports for imports in found) > 1}
    served = any(app["server"] == "uvicorn" for app in apps)
    return shared | {(each, "") for each in ALWAYS if served}


def _leave_no_trace() -> None:
    """Forget our own modules, so that an app may have some of the same name."""
    sys.path.remove(_PROJECT)
    if sys.path[:1] == [str(Path(__file__).parent)]:
        del sys.path[0]
    for name in [each for each in sys.modules if each.partition(".")[0] == "harness"]:
        del sys.modules[name]


def _added_by_the_interpreter() -> dict[str, str]:
    """The variables that it has set when it started, such as LC_CTYPE (PEP 538)."""
    rows = Path("/proc/self/environ").read_bytes().split(b"\0")
    given = {os.fsdecode(row.partition(b"=")[0]) for row in rows}
    return {name: value for name, value in os.environ.items() if name not in given}


def _redirect(log: str, output: str) -> None:
    """Write to the app's log, beginning with what the imports have written."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW
    for opened, numbers in (
        (os.open(log, flags), (1, 2)),
        (os.open(os.devnull, os.O_RDONLY), (0,)),
    ):
        for number in numbers:
            os.dup2(opened, number)
        os.close(opened)
    if said := Path(output).read_bytes():
        os.write(1, said)


def _show_as(argv: list[str]) -> None:
    """Have the process listed with an app's command line, in the place of our own."""
    words = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begin, end = int(words[45]), int(words[46])  # arg_start and arg_end of proc(5)
    line = b"\0".join(os.fsencode(word) for word in argv)[: end - begin - 1]
    ctypes.memmove(begin, line.ljust(end - begin, b"\0"), end - begin)


def _told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show an uncaught error without our own frames."""
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


def _die_with_parent(number: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def main() -> str:
    """``program.py FD ROOM``. Returns, in an app, the module that it runs."""
    app = Source(socket.socket(fileno=int(sys.argv[1]))).serve()
    if app is None:
        sys.exit(0)
    become(app)
    return str(sys.argv[0])


if __name__ == "__main__":
    runpy.run_module(main(), run_name="__main__", alter_sys=True)
