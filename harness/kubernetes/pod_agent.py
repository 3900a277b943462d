"""Stands for a container of a pod on this machine; a program of its own.

It follows one container: its log is the output of this process, its end is the end of this process,
and its ports are ports of this machine. What it has to know is in a file, the only argument. On
SIGTERM, it removes the pod if the file says that the pod is its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote

# The package that this file is part of, instead of its folder, which has modules of any name.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])
from harness.kubernetes.bare_api import MERGE, Server

CLONE_NEWNET = 0x40000000
GROUPS = "/sys/fs/cgroup"
CHUNK = 1 << 16
LAST_LINES = 5.0
"""Seconds in which the rest of the log of a container that has ended must have arrived."""

PROGRESS = ("ContainerCreating", "PodInitializing")


class Stopped(Exception):
    """This process was asked to end."""


class Agent:
    """Follows one container.

    Args:
        about: ``server`` (see `Server`), ``namespace``, ``selector`` (labels of the pod),
            ``container``, ``ports`` (of this machine, to those in the pod), ``group`` (the cgroup
            of the pods; "" if they are elsewhere, and reached by the API server), ``workload`` (the
            path of what creates the pod; "" if that is not its own), ``grace`` (seconds for the pod
            to end), ``early`` (whether its ports are open before it is ready).
    """

    def __init__(self, about: dict[str, Any]) -> None:
        self._about = about
        self._server = Server(about["server"])
        selector = ",".join(f"{key}={value}" for key, value in about["selector"].items())
        self._pods = f"/api/v1/namespaces/{about['namespace']}/pods?labelSelector={quote(selector)}"
        self._pod: dict[str, Any] = {}
        self._was_ready = self._listens = False
        self._network: tuple[str, int] = ("", -1)
        self._logged: dict[str, threading.Thread] = {}
        self._said: set[str] = set()
        self._lock = threading.Lock()

    def run(self) -> int:
        """Follow the container until it ends; returns its exit code."""
        try:
            self._scale(1)
            for event in self._server.watch(self._pods):
                code = self._seen(event["type"], event["object"])
                if code is not None:
                    return code
        except Stopped:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            self._stop()
        except (OSError, http.client.HTTPException) as error:
            self._tell(f"the API server at {self._server.url} does not answer: {error!r}")
            return 1
        return 0

    def _seen(self, kind: str, pod: dict[str, Any]) -> int | None:
        """The exit code if the container has ended by itself, or will never run."""
        uid, leaving = pod["metadata"]["uid"], "deletionTimestamp" in pod["metadata"]
        known = self._pod.get("metadata", {}).get("uid")
        if kind == "DELETED" or (leaving and known not in (None, uid)):
            return None
        if not leaving:
            self._was_ready = self._was_ready and known == uid
            self._pod = pod
        statuses = pod.get("status", {}).get("containerStatuses", [])
        status: dict[str, Any] = next(
            (each for each in statuses if each["name"] == self._about["container"]), {}
        )
        if status.get("containerID"):
            self._follow(pod, status["containerID"])
        if leaving:
            return None
        if self._was_ready and (ended := _ended(status)):
            return self._end(ended)
        # Until then, Kubernetes starts it again, as it would anywhere.
        self._was_ready = self._was_ready or bool(status.get("ready"))
        if self._was_ready or (self._about["early"] and status.get("started")):
            self._listen()
        return self._hopeless(pod)

    def _listen(self) -> None:
        """Accept connections; before, they are refused, as by a program that does not listen."""
        if self._listens:
            return
        self._listens = True
        for number, inside in self._about["ports"].items():
            listener = socket.create_server(("127.0.0.1", int(number)), backlog=128)
            threading.Thread(target=self._accept, args=(listener, inside), daemon=True).start()

    def _end(self, ended: dict[str, Any]) -> int:
        for thread in [*self._logged.values()]:
            thread.join(LAST_LINES)
        reason = ended.get("reason", "")
        if reason not in ("Completed", "Error"):
            self._tell(f"{reason} {ended.get('message', '')}".strip())
        return int(ended["exitCode"])

    def _hopeless(self, pod: dict[str, Any]) -> int | None:
        """Whether it can never run: the cause is told, and 1 is returned."""
        status = pod.get("status", {})
        everything = status.get("containerStatuses", []) + status.get("initContainerStatuses", [])
        waits = {each.get("state", {}).get("waiting", {}).get("reason", "") for each in everything}
        scheduled = any(
            each.get("reason") == "Unschedulable" for each in status.get("conditions", [])
        )
        if not scheduled and waits <= {"", *PROGRESS}:
            return None
        # Only then: these modules need longer to be imported than everything else here.
        from harness.kubernetes.pods import problem_of

        namespace = self._about["namespace"]
        events = json.load(self._server.ask("GET", f"/api/v1/namespaces/{namespace}/events"))
        problem = problem_of(pod, events.get("items", []))
        if problem is None:
            return None
        self._tell(problem.cause)
        return 1

    def _follow(self, pod: dict[str, Any], container: str) -> None:
        if container in self._logged:
            return
        name = pod["metadata"]["name"]
        path = self._pods.partition("?")[0]
        where = f"{path}/{name}/log?container={self._about['container']}&follow=true"
        thread = threading.Thread(target=self._copy_log, args=(where,), daemon=True)
        self._logged[container] = thread
        thread.start()

    def _copy_log(self, path: str) -> None:
        # Whoever follows the pod reports an API server that is gone.
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer = self._server.ask("GET", path)
            if answer.status != http.client.OK:
                return
            while data := answer.read1(CHUNK):
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()

    def _tell_once(self, text: str) -> None:
        """Clients try again and again."""
        if text not in self._said:
            self._said.add(text)
            self._tell(text)

    def _tell(self, text: str) -> None:
        with self._lock:
            sys.stdout.buffer.write(f"dapr-harness: {text}\n".encode())
            sys.stdout.buffer.flush()

    def _scale(self, replicas: int) -> None:
        if path := self._about["workload"]:
            self._server.ask("PATCH", path, {"spec": {"replicas": replicas}}, MERGE).read()

    def _stop(self) -> None:
        """Remove the pod, and wait until it is gone."""
        if not self._about["workload"]:
            return
        self._scale(0)
        path = self._pods.partition("?")[0]
        listed = json.load(self._server.ask("GET", self._pods))
        left = {each["metadata"]["name"] for each in listed["items"]}
        for name in left:
            grace = {"gracePeriodSeconds": self._about["grace"]}
            self._server.ask("DELETE", f"{path}/{name}", grace).read()
        since = f"{self._pods}&resourceVersion={listed['metadata']['resourceVersion']}"
        for event in self._server.watch(since) if left else ():
            if event["type"] == "DELETED":
                left.discard(event["object"]["metadata"]["name"])
            if not left:
                return

    def _accept(self, listener: socket.socket, inside: int) -> None:
        while True:
            outside, _ = listener.accept()
            threading.Thread(target=self._forward, args=(outside, inside), daemon=True).start()

    def _forward(self, outside: socket.socket, inside: int) -> None:
        """Connect to the port in the pod, as one of its own containers would."""
        with outside:
            if not self._about["group"]:
                self._forward_by_server(outside, inside)
                return
            try:
                _enter(self._network_of_pod())
                other = socket.create_connection(("127.0.0.1", inside))
            except OSError:
                return
            with other:
                for each in (outside, other):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                back = threading.Thread(target=_copy, args=(other, outside), daemon=True)
                back.start()
                _copy(outside, other)
                back.join()

    def _forward_by_server(self, outside: socket.socket, inside: int) -> None:
        # Only then: most programs of a run have no connections.
        from harness.kubernetes.pod_forward import forward

        name = self._pod.get("metadata", {}).get("name", "")
        try:
            forward(self._server, f"{self._pods.partition('?')[0]}/{name}", inside, outside)
        except OSError as error:
            self._tell_once(f"port {inside} of pod {name} is not forwarded: {error}")

    def _network_of_pod(self) -> int:
        """An open file of the network namespace of the pod.

        Raises:
            OSError: it has none now.
        """
        with self._lock:
            uid = self._pod.get("metadata", {}).get("uid", "")
            if not self._pod.get("status", {}).get("podIP"):
                raise OSError("the pod has no network yet")
            if uid != self._network[0]:
                file = os.open(
                    f"/proc/{_process_of(uid, self._about['group'])}/ns/net", os.O_RDONLY
                )
                self._network = (uid, file)
            return self._network[1]


def _ended(status: dict[str, Any]) -> dict[str, Any]:
    """How a container has ended; empty if it has not, or not yet for the first time."""
    now = status.get("state", {}).get("terminated")
    before = status.get("lastState", {}).get("terminated")
    return now or (before if status.get("restartCount") else None) or {}


def _process_of(uid: str, group: str) -> int:
    """A process of a pod, which is in its network namespace."""
    for hierarchy in (GROUPS, *(each.path for each in os.scandir(GROUPS) if each.is_dir())):
        for folder, _, files in os.walk(f"{hierarchy}/{group}"):
            if f"/pod{uid}/" in f"{folder}/" and "cgroup.procs" in files:
                for number in Path(folder, "cgroup.procs").read_text().split():
                    if not _begins(number):
                        return int(number)
    raise OSError(f"no process of pod {uid} runs")


def _begins(process: str) -> bool:
    """Whether a process is still runc's, which joins the namespaces of its pod only later."""
    try:
        return Path(f"/proc/{process}/comm").read_text().startswith("runc")
    except OSError:
        return True


def _enter(network: int) -> None:
    """Have this thread make its sockets in a network namespace."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(network, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def main(arguments: list[str]) -> int:
    """Follow what a file describes."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, stop)
    agent = Agent(json.loads(Path(arguments[0]).read_text()))
    return agent.run()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    # Threads that wait for clients must not keep it.
    os._exit(code)
