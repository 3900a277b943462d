"""The agent of a run: writes containers' logs, reports their exits, and removes them.

    python agent.py watch ADDRESS LABEL FOLDER NODE_LABEL    until it is stopped
    python agent.py sweep ADDRESS LABEL                      until nothing with the label is left

Like the supervisor, which starts it, a bare interpreter runs it as a file: it must start within
milliseconds, outlive the harness, and not depend on a docker command. It therefore uses the
engine's API (https://docs.docker.com/reference/api/engine/) over plain HTTP, with the standard
library.

``watch`` writes each container's output to ``FOLDER/<node>.log`` from its first line on, and prints
JSON lines: {"watching"}, {"id", "node", "code", "reason"} once a log is complete, {"lost"}.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import re
import socket
import ssl
import sys
import threading
import urllib.parse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RUN_LABEL = "dapr-harness.run"
NODE_LABEL = "dapr-harness.node"
PASSES = 100
PAUSE = 0.1
ENDED = ("created", "exited", "dead")
LINES = 20_000  # of a container that was there before, the last ones are copied


class Connection(http.client.HTTPConnection):
    """One connection to the engine, over a unix socket or TCP."""

    def __init__(self, address: str, timeout: float | None = None) -> None:
        self.url = urllib.parse.urlsplit(address)
        super().__init__(self.url.hostname or "engine", self.url.port or 2375, timeout=timeout)

    def connect(self) -> None:
        """Connect, with TLS if Docker's own variables ask for it."""
        if self.url.scheme == "unix":
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self.url.path)
            return
        super().connect()
        if os.environ.get("DOCKER_TLS_VERIFY"):
            folder = os.environ.get("DOCKER_CERT_PATH", os.path.expanduser("~/.docker"))
            context = ssl.create_default_context(cafile=os.path.join(folder, "ca.pem"))
            context.load_cert_chain(
                os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
            )
            self.sock = context.wrap_socket(self.sock, server_hostname=self.url.hostname)


class Engine:
    """The engine's API; each request has a connection of its own."""

    def __init__(self, address: str) -> None:
        self.address = address

    def stream(self, path: str, **query: object) -> http.client.HTTPResponse:
        """The response to a GET request, to be read as it arrives."""
        connection = Connection(self.address)
        connection.request("GET", f"{path}?{encoded(query)}")
        answer = connection.getresponse()
        if answer.status >= 400:
            raise OSError(f"GET {path} -> {answer.status} {answer.read(500)!r}")
        return answer

    def get(self, path: str, **query: object) -> Any:
        """The body of the response to a GET request."""
        with contextlib.closing(Connection(self.address, timeout=60)) as connection:
            connection.request("GET", f"{path}?{encoded(query)}")
            return json.loads(connection.getresponse().read())

    def post(self, path: str, body: object) -> int:
        """The status of the response to a POST request."""
        headers = {"Content-Type": "application/json"}
        with contextlib.closing(Connection(self.address, timeout=60)) as connection:
            connection.request("POST", path, json.dumps(body), headers)
            return connection.getresponse().status

    def delete(self, path: str, **query: object) -> tuple[int, str]:
        """The status; 404 and 409 mean that somebody else was faster."""
        with contextlib.closing(Connection(self.address, timeout=60)) as connection:
            connection.request("DELETE", f"{path}?{encoded(query)}")
            answer = connection.getresponse()
            return answer.status, answer.read(500).decode("utf-8", "replace")


def encoded(query: Mapping[str, object]) -> str:
    """The query part of a URL; the engine expects filters as JSON."""
    return urllib.parse.urlencode(
        {
            key: json.dumps(value) if isinstance(value, dict) else value
            for key, value in query.items()
        }
    )


class Written:
    """Which messages of one stream have been written, by the times that the engine gave them.

    Bytes cannot be counted instead: the engine rotates its logs. A log that is read again then
    begins with what is left, and one that is followed can repeat what was sent (Docker 29).
    Streams are read side by side, so a message of stderr can come after 1,500 later ones of stdout
    (Docker 20.10, busy machine): each stream has a record of its own. A clock that is set back puts
    times of one stream out of order, too: the latest ones are all remembered, and whatever is older
    was written. Parts of a long line have the same time, so they are numbered.
    """

    REMEMBERED = 1000

    def __init__(self) -> None:
        self.parts: dict[Time, int] = {}
        self.older = Time("", "")

    def add(self, at: Time, part: int) -> bool:
        """Note a message as written; whether it was not before."""
        if at <= self.older or part <= self.parts.get(at, 0):
            return False
        self.parts[at] = part
        if len(self.parts) > 2 * self.REMEMBERED:
            times = sorted(self.parts)
            self.older = times[-self.REMEMBERED - 1]
            self.parts = {each: self.parts[each] for each in times[-self.REMEMBERED :]}
        return True


class Follower:
    """One container's log, across all its restarts."""

    def __init__(self, engine: Engine, container: str, path: str) -> None:
        self.engine = engine
        self.container = container
        self.path = path
        self.lines: int | str = "all"
        self.writing = threading.Lock()
        self.written: dict[int, Written] = defaultdict(Written)
        self.ends: queue.Queue[tuple[int, int, str]] = queue.Queue()

    def run(self) -> None:
        """Copy the output of this run of the container, then report its exit."""
        try:
            self.copy()
        except (OSError, http.client.HTTPException) as error:
            with open(self.path, "ab") as log:
                log.write(f"[the engine stopped sending this log: {error}]\n".encode())
        at, code, reason = self.ends.get()
        # By now the engine has the complete log, while following may have ended just before an
        # unterminated last line was written (observed under load with Docker 20.10).
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.copy(follow=0)
        node = os.path.basename(self.path).removesuffix(".log")
        tell(id=self.container, node=node, at=at, code=code, reason=reason)

    def copy(self, follow: int = 1) -> None:
        """Append what was not written yet: a restarted container's log begins with earlier runs."""
        query = {"follow": follow, "stdout": 1, "stderr": 1, "timestamps": 1, "tail": self.lines}
        answer = self.engine.stream(f"/containers/{self.container}/logs", **query)
        with open(self.path, "ab", buffering=0) as log:
            for each in messages(answer):
                with self.writing:
                    if self.written[each.stream].add(each.at, each.part):
                        log.write(each.text)

    def begin(self, there: str = "") -> None:
        """Follow it in a thread. If it was there before, in this state, copy its last lines now."""
        if there:
            self.lines = LINES
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.copy(follow=0)
        if there not in ENDED:
            threading.Thread(target=self.run, daemon=True).start()


class Time(NamedTuple):
    """When the engine received a message; a later one compares greater."""

    second: str
    fraction: str


class Message(NamedTuple):
    """One message of a log.

    Attributes:
        stream: 1 for stdout, 2 for stderr.
        part: its number among those of its stream that have its time.
    """

    stream: int
    at: Time
    part: int
    text: bytes


def messages(log: BinaryIO | http.client.HTTPResponse) -> Iterator[Message]:
    """The messages of a log, as the engine sends them.

    Source: https://docs.docker.com/reference/api/engine/version/v1.43/#operation/ContainerAttach
    """
    last: dict[int, tuple[Time, int]] = {}
    while header := log.read(8):
        stamp, _, text = log.read(int.from_bytes(header[4:8], "big")).partition(b" ")
        found = re.match(r"(.{19})(?:\.(\d+))?", stamp.decode("ascii", "replace"))
        second, fraction = found.groups("") if found else ("", "")
        # Podman leaves out zeros at the end.
        at = Time(second, fraction.ljust(9, "0"))
        before, part = last.get(header[0], (at, 0))
        last[header[0]] = (at, part + 1 if at == before else 1)
        yield Message(header[0], at, last[header[0]][1], text)


def watch(engine: Engine, label: str, folder: str, node_label: str) -> None:
    """Follow every container with a label, now and later, until the engine hangs up."""
    filters = {"type": ["container"], "event": ["start", "die", "oom"], "label": [label]}
    events = engine.stream("/events", filters=filters)
    followers: dict[str, Follower] = {}
    reasons: dict[str, str] = {}

    def follow(container: str, labels: Mapping[str, str], there: str = "") -> None:
        path = os.path.join(folder, labels[node_label] + ".log")
        followers.setdefault(container, Follower(engine, container, path)).begin(there)

    for each in engine.get("/containers/json", all=1, filters={"label": [label]}):
        if node_label in each["Labels"]:
            follow(each["Id"], each["Labels"], each["State"])
    tell(watching=True)
    while line := events.readline():
        event = json.loads(line)
        actor, action = event["Actor"], event["Action"]
        container, attributes = actor["ID"], actor["Attributes"]
        if node_label not in attributes:
            continue
        if action == "start":
            follow(container, attributes)
        elif action == "oom":
            reasons[container] = "it ran out of memory"
        elif container in followers:
            code = int(attributes.get("exitCode", -1))
            followers[container].ends.put((event["timeNano"], code, reasons.pop(container, "")))
    tell(lost="the engine closed the connection")


def tell(**facts: object) -> None:
    """Print one JSON line for the supervisor."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


def sweep(engine: Engine, label: str) -> list[str]:
    """Remove every container, network and volume with a label; return what could not be removed."""
    filters = {"label": [label]}
    empty, pause = 0, threading.Event()
    problems: list[str] | None = []
    for _ in range(PASSES):
        problems = remove_all(engine, filters)
        # Twice: a request whose sender died before the response may still create something.
        empty = empty + 1 if problems is None else 0
        if empty == 2:
            return []
        if problems is None or problems:
            pause.wait(PAUSE)
    return problems or []


def remove_all(engine: Engine, filters: Mapping[str, object]) -> list[str] | None:
    """One pass. Returns None if there was nothing, otherwise what went wrong."""
    containers = engine.get("/containers/json", all=1, filters=filters)
    networks = engine.get("/networks", filters=filters)
    volumes = engine.get("/volumes", filters=filters)["Volumes"] or []
    if not (containers or networks or volumes):
        return None
    problems = side_by_side(
        engine, [(f"/containers/{each['Id']}", {"force": 1, "v": 1}) for each in containers]
    )
    paths: list[tuple[str, Mapping[str, object]]]
    for each in networks:
        disconnect_all(engine, each["Id"])
    paths = [(f"/networks/{each['Id']}", {}) for each in networks]
    paths += [(f"/volumes/{urllib.parse.quote(each['Name'])}", {"force": 1}) for each in volumes]
    return problems + side_by_side(engine, paths)


def disconnect_all(engine: Engine, network: str) -> None:
    """Disconnect the containers of other runs, without which a network cannot be removed."""
    for container in engine.get(f"/networks/{network}").get("Containers") or {}:
        path = f"/networks/{network}/disconnect"
        engine.post(path, {"Container": container, "Force": True})


def side_by_side(engine: Engine, paths: Sequence[tuple[str, Mapping[str, object]]]) -> list[str]:
    """Delete several things at once; return what could not be deleted."""
    problems: list[str] = []

    def one(path: str, query: Mapping[str, object]) -> None:
        try:
            status, text = engine.delete(path, **query)
        except (OSError, http.client.HTTPException) as error:
            status, text = 599, str(error)
        if status >= 400 and status not in (404, 409):
            problems.append(f"{path}: {status} {text}")

    threads = [threading.Thread(target=one, args=each) for each in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return problems


def main() -> int:
    """See the module's docstring."""
    verb, address, subject, *rest = sys.argv[1:]
    engine = Engine(address)
    try:
        if verb == "watch":
            watch(engine, subject, *rest)
            return 1
        problems = sweep(engine, subject)
    except (OSError, http.client.HTTPException) as error:
        problems = [f"{type(error).__name__}: {error}"]
        tell(lost=str(error))
    for problem in problems:
        sys.stderr.write(f"{verb} {subject}: {problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
