"""What to start, as a value that every runtime can execute."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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
class InProcess:
    """What matters only to a process of this machine.

    Attributes:
        cwd: the working folder; the node's own folder by default.
        inherits: whether it inherits the whole environment of the harness; if not, a few variables
            (PATH, HOME, locale).
        unprivileged: start as an ordinary user when the harness runs as root (PostgreSQL refuses to
            run as root).
        imports: the module whose imports it may share with other launches: it is then a fork of a
            process that has imported what several of them import. Its command must be
            ``python -m server ...``. If empty, it is executed.
    """

    cwd: Path | None = None
    inherits: bool = False
    unprivileged: bool = False
    imports: str = ""


@dataclass(frozen=True)
class InContainer:
    """What matters only to a container. It inherits no environment.

    Attributes:
        image: an entry of the table of images, a reference from the user, or a build.
        pod: launches in one pod share a network namespace; "" for a separate one.
        internal: names of ports that nobody on the host connects to; they are not published.
        volumes: folders that several containers share, by name, and where each one mounts them.
        files: further text files in the node's folder, by relative name.
        folders: further prepared folders in the node's folder, by relative name.
        mounts: folders of this machine that it can read, and where it mounts each one.
    """

    image: str | Build = ""
    pod: str = ""
    internal: tuple[str, ...] = ()
    volumes: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class InPod:
    """What matters only to a container in a pod of Kubernetes.

    Attributes:
        name: the container's name; by default, the node's.
        workload: the name of what creates the pod, if it is not this launch.
        namespace: of the pod, if it is not that of the run.
        labels: of the pod.
        ports: the numbers of its ports in the pod, by name, if they differ from those of this
            machine.
        objects: what is applied, with the Deployment of the pod among them; by default, they are
            made of the launch.
    """

    name: str = ""
    workload: str = ""
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    objects: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Launch:
    """One process to start, on the machine itself or in a container.

    Attributes:
        name: the node's name, unique in its stack.
        argv: program and arguments; the program is a path or found on PATH. In a container it
            is the command given to the image's entry point; if empty, the image's own.
        env: variables added to the inherited ones.
        prepended: paths that come before what a variable contains otherwise, by the variable.
        ports: the reserved ports this process will bind, by name; released just before exec.
        folders: prepared folders to copy into the node's folder first, by relative name.
        files: text files to write into the node's folder first, by relative name.
        process: what matters only if it is a process of this machine.
        container: what matters only if it is a container.
        in_pod: what matters only if it is a container in a pod of Kubernetes.
        stop_signal: asks the process for an orderly shutdown.
        end_signal: ends it when the whole run ends and its data are removed; the stop signal if
            None. SIGKILL for a process whose orderly shutdown would only take time.
        ends_last: whether it ends after all others when the whole run ends, and then has its grace.
        grace: seconds between that signal and SIGKILL when stopped.
        under_test: whether the process belongs to the system under test, so that its death is a
            failure of the system and not of the harness.
        on_host: whether it runs on the machine itself even if others run in containers.
        external: whether somebody else starts and stops it, and the stack only waits for it.
        exit_ok: whether an exit with code 0 is success: the process has finished its work.
        at_end: a command that is executed when everything of the run has ended, however it has: it
            removes what does not end with a process.
        required: whether its failure fails the start of the stack, and its death ends all waits.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    prepended: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    process: InProcess = InProcess()
    container: InContainer = InContainer()
    in_pod: InPod = InPod()
    stop_signal: signal.Signals = signal.SIGTERM
    end_signal: signal.Signals | None = None
    ends_last: bool = False
    grace: float = 5.0
    under_test: bool = False
    on_host: bool = False
    external: bool = False
    exit_ok: bool = False
    at_end: tuple[str, ...] = ()
    required: bool = True

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """All of its variables, with what it inherits."""
        found = {**inherited, **self.env}
        for name, path in self.prepended.items():
            found[name] = f"{path}:{found[name]}" if found.get(name) else path
        return found

    @property
    def published(self) -> Mapping[str, int]:
        """The ports of a container that can be connected to from the host, by name."""
        internal = self.container.internal
        return {name: port for name, port in self.ports.items() if name not in internal}

    @property
    def container_files(self) -> Mapping[str, str]:
        """Every text file that it needs in a container."""
        return {**self.files, **self.container.files}
