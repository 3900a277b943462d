"""What to start, as a value that every runtime can execute."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Build:
    """An image to build from an app's folder.

    Attributes:
        folder: what is copied into the image.
        requirements: a requirements file for pip, or "" for none.
        extra: requirements that the harness adds, such as the server it starts.
        base: the image to build on; the table's ``app`` when "".
    """

    folder: Path
    requirements: Path | None = None
    extra: tuple[str, ...] = ()
    base: str = ""


@dataclass(frozen=True)
class Launch:
    """One process to start, on the machine itself or in a container.

    Attributes:
        name: the node's name, unique in its stack.
        argv: program and arguments; the program is a path or found on PATH. In a container it
            is the command given to the image's entry point, the image's own when empty.
        env: variables added to what it inherits.
        inherits: whether a process inherits the whole environment of the harness; a small one
            (PATH, HOME, locale) if not. A container inherits neither.
        cwd: the working folder; the node's own folder when left out.
        ports: the reserved ports this process will bind, released just before exec.
        folders: prepared folders to copy into the node's folder first, by relative name.
        files: text files to write into the node's folder first, by relative name.
        unprivileged: start as an ordinary user when the harness runs as root
            (PostgreSQL refuses to run as root).
        stop_signal: asks the process to end in good order.
        end_signal: ends it when the whole run ends and its data go with it; the stop signal when
            None. SIGKILL for what would only spend time on closing its books.
        grace: seconds between that signal and SIGKILL when stopped.
        of_system: the process belongs to the system under test, so its death is a failure
            of the system and not of the harness.
        image: what it runs in when it runs in a container: an entry of the table of images, a
            reference of the user's, or a build.
        pod: launches of one pod share a network namespace; "" for one of its own.
        internal: those of the ports that nobody on the host asks for; they are not published.
        volumes: folders that several containers share, by name: where each sees them.
        on_host: runs on the machine itself although others run in containers.
        may_end: whether exiting with code 0 is success: the process has done its work.
        required: whether the start of the stack fails with it, and its death ends all waits.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    ports: tuple[int, ...] = ()
    folders: Mapping[str, Path] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    unprivileged: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    end_signal: signal.Signals | None = None
    grace: float = 5.0
    of_system: bool = False
    image: str | Build = ""
    pod: str = ""
    internal: tuple[int, ...] = ()
    volumes: Mapping[str, str] = field(default_factory=dict)
    on_host: bool = False
    may_end: bool = False
    required: bool = True
    inherits: bool = False
