"""Install a lock file and this checkout: `python3 tools/install.py .venv requirements.lock`.

It uses uv if available, otherwise pip. Standard library only, because nothing is installed yet.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

PYTHON_FLOOR = (3, 11)
PIP_FLOOR = (22, 3)
"""The first version of pip that can install into another environment (`--python`)."""

LINES = 20
"""The number of packages between two progress lines, where a line cannot be updated."""

NO_INSTALLER = """\
error: this Python can make no environment: it has neither ensurepip nor a pip >= 22.3, and there \
is no uv
  fix: `apt install python3-venv` (Debian, Ubuntu), or install uv; then again\
"""


def say(text: str, end: str = "\n") -> None:
    """Write a message to the user."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def find_uv() -> list[str] | None:
    """The command for uv: on PATH, or in this Python."""
    if on_path := shutil.which("uv"):
        return [on_path]
    return [sys.executable, "-m", "uv"] if find_spec("uv") else None


def packages(lock: Path) -> int:
    """The number of packages in a lock file; markers for other platforms are not evaluated."""
    return len(re.findall(r"^[A-Za-z0-9]\S*==", lock.read_text(), re.MULTILINE))


def run(command: Sequence[str]) -> Iterator[str]:
    """Yield the output lines of a command.

    Raises:
        CalledProcessError: it failed; its last lines are in `output`.
    """
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        for line in running.stdout or ():
            lines.append(line)
            yield line
    if running.returncode:
        raise subprocess.CalledProcessError(
            running.returncode, command, "".join(lines[-15:]).rstrip()
        )


def with_uv(uv: Sequence[str], folder: Path, lock: Path) -> None:
    """Install everything with uv, which shows no progress without a terminal, and needs none."""
    python = str(folder / "bin" / "python")
    if not Path(python).exists():
        list(run([*uv, "venv", "--quiet", "--seed", "--python", sys.executable, str(folder)]))
    install = [*uv, "pip", "install", "--quiet", "--python", python]
    list(run([*install, "--require-hashes", "-r", str(lock)]))
    list(run([*install, "--no-deps", "--no-build-isolation", "-e", "."]))


def with_pip(folder: Path, lock: Path) -> None:
    """Everything by pip: the environment's own, or this Python's where that has no ensurepip."""
    python = str(folder / "bin" / "python")
    own = find_spec("ensurepip") is not None
    if not Path(python).exists():
        list(run([sys.executable, "-m", "venv", *([] if own else ["--without-pip"]), str(folder)]))
    pip = [python, "-m", "pip"] if own else [sys.executable, "-m", "pip", "--python", python]
    pip += ["--disable-pip-version-check"]
    # The lock file names everything, so nothing is resolved; bytecode is compiled on first use.
    install = [*pip, "install", "--no-compile", "--no-deps", "--progress-bar", "off"]
    show(packages(lock), run([*install, "--require-hashes", "-r", str(lock)]))
    list(run([*install, "--no-build-isolation", "-e", "."]))


def show(total: int, lines: Iterator[str]) -> None:
    """Show pip's progress."""
    count, terminal = 0, sys.stdout.isatty()
    for line in lines:
        if line.startswith(("Collecting ", "Requirement already satisfied")):
            count += 1
            if terminal:
                say(f"\r  {count} of {total} packages", end="")
            elif count % LINES == 0:
                say(f"  {count} of {total} packages")
        elif line.startswith("Installing collected packages"):
            say(f"{chr(13) if terminal else ''}  {count} of {total} packages are here; unpacking")


def compile_all(folder: Path) -> None:
    """Compile every module, where Python is told to write no bytecode (PYTHONDONTWRITEBYTECODE).

    Otherwise, each of the processes that are started later would compile all that it imports.
    """
    if not sys.dont_write_bytecode:
        return
    own = [str(each.parent) for each in Path().glob("*/__init__.py")]
    installed = [str(each) for each in folder.glob("lib/python*/site-packages")]
    # Some packages contain files that are no modules of this Python: they remain as they are.
    command = [str(folder / "bin" / "python"), "-m", "compileall", "-qq", "-j", "0"]
    subprocess.run([*command, *own, *installed], stdout=subprocess.DEVNULL)


def can_pip() -> bool:
    """Whether this Python can create an environment with pip."""
    if find_spec("ensurepip"):
        return True
    if not find_spec("pip"):
        return False
    from importlib.metadata import version

    seen = tuple(int(part) for part in version("pip").split(".")[:2])
    return seen >= PIP_FLOOR


def ways(folder: Path, lock: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """The ways to install here, the fastest first."""
    if (uv := find_uv()) is not None:
        yield "uv", lambda: with_uv(uv, folder, lock)
    if can_pip():
        yield "pip", lambda: with_pip(folder, lock)


def main(folder: Path, lock: Path, expected: str) -> int:
    """Install; return the exit code.

    Args:
        expected: the size and time to announce, such as "260 MB, about half a minute".
    """
    if sys.version_info < PYTHON_FLOOR:
        seen = f"{sys.version_info[0]}.{sys.version_info[1]}"
        say(f"error: Python >= 3.11 is needed, this is {seen}\n  fix: make PYTHON=python3.12 ...")
        return 3
    failed = NO_INSTALLER
    for name, install in ways(folder, lock):
        say(f"{folder}: installing {packages(lock)} packages of {lock} with {name} ({expected})")
        began = time.monotonic()
        try:
            install()
        except subprocess.CalledProcessError as error:
            failed = f"error: {name} failed\n{error.output}"
            say(failed)
            continue
        compile_all(folder)
        say(f"{folder}: ready after {time.monotonic() - began:.0f} s")
        return 0
    if failed == NO_INSTALLER:
        say(failed)
    return 3


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
