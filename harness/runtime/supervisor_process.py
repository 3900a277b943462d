"""The process of a supervisor, as the client that starts it sees it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import weakref
from pathlib import Path

from harness.core.errors import TeardownError
from harness.runtime import tree
from harness.runtime.folder import clear_run_folder, door_of
from harness.runtime.supervisor import program

STOPPING = 60.0
"""Seconds that a supervisor may take to stop everything; it kills after one."""

SHOWN = 100_000
"""Bytes of an error during a supervisor's start within which its last line is looked for."""


class SupervisorProcess:
    """A supervisor that this process has started.

    Args:
        folder: the run's folder, which does not exist yet.
        line: the descriptor of the connection to its first client.
    """

    def __init__(self, folder: Path, line: int) -> None:
        self._folder = folder
        # Not our own output: readers of it would wait for the end of a detached supervisor. The log
        # in the run's folder follows as soon as there is one.
        self._said = os.memfd_create("supervisor")
        weakref.finalize(self, os.close, self._said)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", program.__file__, str(line), str(folder), door_of(folder)],
            pass_fds=[line],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            start_new_session=True,
            cwd="/",
        )
        tree.supervisors.add(self.pid)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    @property
    def end(self) -> str:
        """Its exit code, and the last line that it wrote before it had a log."""
        said = os.pread(self._said, SHOWN, 0).decode(errors="replace").splitlines()
        return ": ".join([f"exit code {self.exit_code}", *said[-1:]])

    def wait(self) -> None:
        """Wait until it has ended; one that does not is killed with everything below it.

        Raises:
            TeardownError: it had to be killed.
        """
        try:
            self._process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            raise self._killed() from None

    def require_nothing_left(self) -> None:
        """Check that it has removed everything of its run.

        Raises:
            TeardownError: it has not.
        """
        code = self.exit_code
        if code == program.LEFT_BEHIND:
            raise TeardownError(
                "not everything that the run made could be removed",
                last=(self._folder / "logs" / "supervisor.log").read_text()[-1500:],
                hint="`dapr-harness down --stale` tries again",
            )
        if code != 0 and (problem := clear_run_folder(self._folder)):
            raise TeardownError(
                "the supervisor was killed, and not everything of its run could be removed",
                last=problem,
                hint="`dapr-harness down --stale` tries again",
            )

    def let_go(self) -> None:
        """Leave it running when this process ends."""
        tree.detached.add(self.pid)
        # No longer ours to wait for; without a code, Popen would complain when it is collected.
        self._process.returncode = 0

    def _killed(self) -> TeardownError:
        state = tree.state_of(self.pid)
        tree.kill_tree(self.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOPPING)
        return TeardownError(
            f"the supervisor (pid {self.pid}) did not end, and was killed with all below it",
            last=f"the state of its process: {state}",
            budget=STOPPING,
            hint=f"look at {self._folder}/logs; `dapr-harness down --stale` removes it",
        )
