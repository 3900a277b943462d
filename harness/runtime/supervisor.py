"""The supervisor: a separate process that owns everything a stack starts.

A bare interpreter runs it as a file, so it imports only the standard library and the few harness
modules that need nothing else. It exchanges JSON lines with its parent over one socket. When that
socket reaches end-of-file, for whatever reason (a clean close, ``kill -9`` of pytest), it ends the
whole tree, including grandchildren, and removes the run's folder. With `atexit` in the parent,
everything would keep running after ``kill -9``.

Requests:  {"id", "op": reserve | release | spawn | signal | listen | at_end | detach | finish, ...}
Answers:   {"id", "ok", ...} or {"id", "error", "kind"}
Events:    {"event": "exited", "name", "pid", "code"}, {"event": "told", "line"}
"""

import contextlib
import ctypes
import errno
import json
import os
import select
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

# Last, so that no file in the package hides a module of the standard library.
sys.path.append(str(Path(__file__).parents[2]))
from harness.ports import Ports
from harness.private import open_private
from harness.runtime.segments import release_segments
from harness.runtime.tree import descendants

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
GRACE = 1.0
LEFT_BEHIND = 3
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""It has its own session, so these signals were meant for it, and none came from a terminal."""


def _prctl(option, value):
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


class Supervisor:
    def __init__(self, control, folder):
        self.control = control
        self.folder = folder
        self.ports = Ports()
        self.children = {}
        self.names = {}
        self.end_signals = {}
        self.detached = False
        self.finishing = False
        self.leftovers = []
        self.last_commands = []
        self.selector = selectors.DefaultSelector()
        self.wakeup = -1
        self.buffer = b""

    # ---- the loop -------------------------------------------------------------------------

    def run(self):
        self.wakeup, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        for number in (signal.SIGCHLD, *ENDING):
            signal.signal(number, self._on_signal)
        self.selector.register(self.wakeup, selectors.EVENT_READ, self._on_wakeup)
        self.selector.register(self.control, selectors.EVENT_READ, self._on_control)
        while not self.finishing:
            for key, _ in self.selector.select():
                key.data(key.fileobj)
        return self.end_all()

    def _on_signal(self, number, _frame):
        self.finishing = self.finishing or number in ENDING

    def _on_wakeup(self, wakeup):
        os.read(wakeup, 512)
        self.reap()

    def _on_control(self, control):
        if not self._read_control():
            self.selector.unregister(control)
            self.finishing = self.finishing or not self.detached

    def _on_line(self, pipe):
        line = pipe.readline()
        if line:
            self.send({"event": "told", "line": line.decode("utf-8", "replace").rstrip()})
        else:
            self.send({"event": "told", "line": ""})  # it has ended
            self.selector.unregister(pipe)
            pipe.close()

    def _read_control(self):
        try:
            data = self.control.recv(1 << 20)
        except OSError:
            return False
        if not data:
            return False
        self.buffer += data
        *lines, self.buffer = self.buffer.split(b"\n")
        for line in lines:
            self.answer(json.loads(line))
        return True

    def send(self, message):
        with contextlib.suppress(OSError):
            self.control.sendall(json.dumps(message).encode() + b"\n")

    def answer(self, request):
        try:
            result = getattr(self, "op_" + request["op"])(request)
        except OSError as error:
            kind = "port" if error.errno == errno.EADDRINUSE else "os"
            self.send({"id": request["id"], "error": error.strerror or str(error), "kind": kind})
        else:
            self.send({"id": request["id"], "ok": True, **(result or {})})

    # ---- requests -------------------------------------------------------------------------

    def op_reserve(self, request):
        return {"port": self.ports.reserve(request.get("wanted"))}

    def op_spawn(self, request):
        as_user = {}
        if request["uid"] is not None:
            uid = request["uid"]
            as_user = {"user": uid, "group": request["gid"], "extra_groups": []}
        with open_private(request["log"], "ab") as log:
            self.ports.release(request["ports"])
            child = subprocess.Popen(
                request["argv"],
                env=request["env"],
                cwd=request["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # This process has one thread, so the death signal is tied to the process.
                preexec_fn=lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
                **as_user,
            )
        self.children[child.pid] = child
        self.names[child.pid] = request["name"]
        self.end_signals[child.pid] = request["end_signal"]
        return {"pid": child.pid}

    def op_release(self, request):
        self.ports.release(request["ports"])

    def op_listen(self, request):
        """Start a helper and forward each line that it prints."""
        helper = self._help(request["argv"], stdout=subprocess.PIPE)
        self.children[helper.pid], self.names[helper.pid] = helper, "helper"
        # Unbuffered, and the helper writes whole lines: a readable pipe contains one.
        self.selector.register(helper.stdout, selectors.EVENT_READ, self._on_line)

    def op_at_end(self, request):
        """Run a command after everything else has exited."""
        self.last_commands.append(request["argv"])

    def _help(self, argv, **streams):
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
            bufsize=0,
            **streams,
        )

    def op_signal_one(self, request):
        with contextlib.suppress(ProcessLookupError):
            os.kill(request["pid"], request["signal"])

    def op_signal(self, request):
        for pid in [request["pid"], *descendants(request["pid"])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, request["signal"])

    def op_detach(self, request):
        self.detached = True
        self.leftovers = request["leftovers"]

    def op_finish(self, _request):
        self.finishing = True

    # ---- children -------------------------------------------------------------------------

    def reap(self):
        for pid, child in list(self.children.items()):
            if child.poll() is not None:
                del self.children[pid]
                # As a subreaper, we adopt what the child left behind, and end it too.
                name = self.names.pop(pid)
                code = child.returncode
                self.send({"event": "exited", "name": name, "pid": pid, "code": code})
        # Adopted grandchildren. Known children are skipped: Popen must collect their codes itself.
        for pid in descendants(os.getpid()):
            if pid not in self.children:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    def end_all(self):
        self._sweep(GRACE, lambda pid: self.end_signals.get(pid, signal.SIGTERM), once=True)
        self._sweep(5.0, lambda _pid: signal.SIGKILL, once=False)
        codes = [helper.wait() for helper in [self._help(argv) for argv in self.last_commands]]
        if any(codes):
            return LEFT_BEHIND
        release_segments(Path(self.folder))
        shutil.rmtree(self.folder, ignore_errors=True)
        for path in self.leftovers:
            with contextlib.suppress(OSError):
                os.unlink(path)
        return 0

    def _sweep(self, grace, choose, once):
        ends = time.monotonic() + grace
        told = set()
        while time.monotonic() < ends:
            living = [pid for pid in descendants(os.getpid()) if not self._ended(pid)]
            if not living:
                return
            for pid in living:
                if not once or pid not in told:
                    told.add(pid)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, choose(pid))
                        # A stopped process handles a signal only after it is continued.
                        os.kill(pid, signal.SIGCONT)
            # Woken by SIGCHLD; the limit is for grandchildren, whose exit sends no signal here.
            if select.select([self.wakeup], [], [], 0.02)[0]:
                os.read(self.wakeup, 512)

    def _ended(self, pid):
        try:
            child = self.children.get(pid)
            if child is not None:
                return child.poll() is not None
            return os.waitpid(pid, os.WNOHANG)[0] == pid
        except ChildProcessError:
            return False


def main():
    """``supervisor.py FD FOLDER``"""
    # Its own session: Ctrl-C at the terminal reaches only the harness, which then closes.
    with contextlib.suppress(PermissionError):
        os.setsid()
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    control = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(control.fileno(), False)
    sys.exit(Supervisor(control, sys.argv[2]).run())


if __name__ == "__main__":
    main()
