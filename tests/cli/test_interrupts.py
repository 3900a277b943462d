"""Where in a program a signal may come: it is never lost, and leaves no lock taken."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support import CLI, environment

HEAD = """
import os, signal, sys, threading
from harness.cli import interrupts

def interrupt():
    os.kill(os.getpid(), signal.SIGTERM)

interrupts.catch()
"""

IN_AN_IMPORT = """
def within(frame, event, _):
    # The first line after the lock of all imports was taken.
    if event == "line" and frame.f_lineno > frame.f_code.co_firstlineno + 6:
        sys.settrace(None)
        interrupt()
    return within

def found(frame, event, _):
    return within if frame.f_code.co_name == "_get_module_lock" else None

sys.settrace(found)
try:
    import colorsys
    signal.pause()
except interrupts.Interrupted:
    other = threading.Thread(target=__import__, args=["stringprep"], daemon=True)
    other.start()
    other.join(10)
    print("stuck" if other.is_alive() else "interrupted")
"""

IN_A_FINALIZER = """
class Late:
    def __del__(self):
        interrupt()

try:
    late = Late()
    del late
    signal.pause()
except interrupts.Interrupted:
    print("interrupted")
"""

IN_A_MODULE = """
try:
    exec(compile("interrupt()", "m.py", "exec"), {"interrupt": interrupt})
    print("lost")
except interrupts.Interrupted:
    print("interrupted")
"""

IN_A_CLASS_OF_A_MODULE = """
import tempfile, pathlib

held = tempfile.TemporaryDirectory()
folder = pathlib.Path(held.name)
(folder / "made.py").write_text(
    "import signal\\n"
    "class Field:\\n"
    "    def __set_name__(self, owner, name): signal.raise_signal(signal.SIGTERM)\\n"
    "class Model:\\n"
    "    field = Field()\\n"
)
sys.path.insert(0, str(folder))
try:
    import made
    signal.pause()
except interrupts.Interrupted:
    print("interrupted")
"""

AT_THE_END = """
interrupts._came.append(0.0)
signal.setitimer(signal.ITIMER_REAL, 0.01)
interrupts.forget()
print("interrupted" if signal.sigtimedwait([signal.SIGALRM], 0.1) is None else "alarmed")
"""

WHEN_PYTHON_ENDS = """
class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.{name}):
        kill(pid, number)

interrupts.settle()
last = Last()
print("done", flush=True)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM"])
def test_a_signal_after_the_outcome_does_not_change_it(tmp_path: Path, name: str) -> None:
    """Python has given up its handlers when the last objects of a program are removed."""
    done = subprocess.run(
        [CLI[0], "-c", HEAD + WHEN_PYTHON_ENDS.format(name=name)],
        env=environment(tmp_path), capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert (0, "done\n", "") == (done.returncode, done.stdout, done.stderr)


AFTER_THE_COMMAND = """
import os, signal, sys
from harness.cli import main, streams

def finish(code, finish=streams.finish):
    os.kill(os.getpid(), signal.SIGINT)
    return finish(code)

streams.finish = finish
sys.argv = ["dapr-harness", "status"]
main.main()
"""


def test_a_command_that_has_ended_is_not_interrupted(tmp_path: Path) -> None:
    """The signal comes while its last lines are written."""
    done = subprocess.run(
        [CLI[0], "-c", AFTER_THE_COMMAND],
        env=environment(tmp_path), capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("nothing is up")


@pytest.mark.parametrize(
    "program",
    [IN_AN_IMPORT, IN_A_FINALIZER, IN_A_MODULE, IN_A_CLASS_OF_A_MODULE, AT_THE_END],
    ids=["in an import", "in a finalizer", "in a module", "in a class of a module", "at the end"],
)
def test_a_signal_interrupts_wherever_it_comes(tmp_path: Path, program: str) -> None:
    """Once, and other threads go on."""
    done = subprocess.run(
        [CLI[0], "-c", HEAD + program],
        env=environment(tmp_path), capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert "interrupted\n" == done.stdout, done.stderr


def test_an_import_that_hangs_is_interrupted(tmp_path: Path) -> None:
    """After two seconds, and with its own exit code whatever Python makes of the exception."""
    (tmp_path / "pyproject.toml").write_text('[tool.dapr-harness]\ntopology = "hangs:topology"\n')
    (tmp_path / "hangs.py").write_text(
        "import signal\n"
        "class Field:\n"
        "    def __set_name__(self, owner, name):\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "        while True: pass\n"
        "class Model:\n"
        "    field = Field()\n"
    )

    done = subprocess.run(
        [*CLI, "up"],
        cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert (130, "") == (done.returncode, done.stdout), done.stderr
    assert done.stderr.endswith("interrupted; everything that was started has been stopped\n")
    assert "Traceback" not in done.stderr
