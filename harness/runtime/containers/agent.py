"""The agent of a run: writes containers' logs, reports their exits, and removes them.

    python agent.py watch ADDRESS LABEL FOLDER NODE_LABEL    until it is stopped
    python agent.py sweep ADDRESS LABEL                      until nothing with the label is left

Like the supervisor, which starts it, a bare interpreter runs it as a file: it must start within
milliseconds, outlive the harness, and not depend on a docker command. It therefore uses the
engine's API (https://docs.docker.com/reference/api/engine/) over plain HTTP, with the standard
library.

``watch`` writes each container's output to ``FOLDER/<node>.log`` from its first line on, and prints
JSON lines: {"watching"}, {"id", "code", "reason"} once a log is complete, {"lost"}.
"""

import contextlib
import http.client
import json
import os
import queue
import socket
import ssl
import sys
import threading
import urllib.parse

RUN_LABEL = "dapr-harness.run"
NODE_LABEL = "dapr-harness.node"
PASSES = 100
PAUSE = 0.1


class Connection(http.client.HTTPConnection):
    """One connection to the engine, over a unix socket or TCP."""

    def __init__(self, address, timeout=None):
        self.url = urllib.parse.urlsplit(address)
        super().__init__(self.url.hostname or "engine", self.url.port or 2375, timeout=timeout)

    def connect(self):
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
    def __init__(self, address):
        self.address = address

    def stream(self, path, **query):
        """The response to a GET request, to be read as it arrives."""
        connection = Connection(self.address)
        connection.request("GET", f"{path}?{encoded(query)}")
        answer = connection.getresponse()
        if answer.status >= 400:
            raise OSError(f"GET {path} -> {answer.status} {answer.read(500)!r}")
        return answer

    def get(self, path, **query):
        with contextlib.closing(Connection(self.address, timeout=60)) as connection:
            connection.request("GET", f"{path}?{encoded(query)}")
            return json.loads(connection.getresponse().read())

    def delete(self, path, **query):
        """The status; 404 and 409 mean that somebody else was faster."""
        with contextlib.closing(Connection(self.address, timeout=60)) as connection:
            connection.request("DELETE", f"{path}?{encoded(query)}")
            answer = connection.getresponse()
            return answer.status, answer.read(500).decode("utf-8", "replace")


def encoded(query):
    return urllib.parse.urlencode(
        {
            key: json.dumps(value) if isinstance(value, dict) else value
            for key, value in query.items()
        }
    )


# ---- watching ---------------------------------------------------------------------------------


class Follower:
    """One container's log, across all its restarts."""

    def __init__(self, engine, container, path):
        self.engine = engine
        self.container = container
        self.path = path
        self.written = 0
        self.ends = queue.Queue()

    def run(self):
        """Copy the output of this run of the container, then report its exit."""
        try:
            self.copy()
        except (OSError, http.client.HTTPException) as error:
            with open(self.path, "ab") as log:
                log.write(f"[the engine stopped sending this log: {error}]\n".encode())
        code, reason = self.ends.get()
        # By now the engine has the complete log, while following may have ended just before an
        # unterminated last line was written (observed under load with Docker 20.10).
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.copy(follow=0)
        tell(id=self.container, code=code, reason=reason)

    def copy(self, follow=1):
        # A restarted container's log begins with its earlier runs: those bytes are already written.
        skip = self.written
        query = {"follow": follow, "stdout": 1, "stderr": 1}
        answer = self.engine.stream(f"/containers/{self.container}/logs", **query)
        with open(self.path, "ab", buffering=0) as log:
            while header := answer.read(8):
                data = answer.read(int.from_bytes(header[4:8], "big"))
                log.write(data[skip:])
                self.written += len(data[skip:])
                skip = max(0, skip - len(data))


def watch(engine, label, folder, node_label):
    filters = {"type": ["container"], "event": ["start", "die", "oom"], "label": [label]}
    events = engine.stream("/events", filters=filters)
    followers, reasons = {}, {}

    def follow(container, labels):
        path = os.path.join(folder, labels[node_label] + ".log")
        follower = followers.setdefault(container, Follower(engine, container, path))
        threading.Thread(target=follower.run, daemon=True).start()

    for each in engine.get("/containers/json", filters={"label": [label]}):
        if node_label in each["Labels"]:
            follow(each["Id"], each["Labels"])
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
            followers[container].ends.put((code, reasons.pop(container, "")))
    tell(lost="the engine closed the connection")


def tell(**facts):
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


# ---- sweeping ---------------------------------------------------------------------------------


def sweep(engine, label):
    """Remove every container, network and volume with a label; return what could not be removed."""
    filters = {"label": [label]}
    empty, problems, pause = 0, [], threading.Event()
    for _ in range(PASSES):
        problems = remove_all(engine, filters)
        # Twice: a request whose sender died before the response may still create something.
        empty = empty + 1 if problems is None else 0
        if empty == 2:
            return []
        if problems is None or problems:
            pause.wait(PAUSE)
    return problems or []


def remove_all(engine, filters):
    """One pass. Returns None if there was nothing, otherwise what went wrong."""
    containers = engine.get("/containers/json", all=1, filters=filters)
    networks = engine.get("/networks", filters=filters)
    volumes = engine.get("/volumes", filters=filters)["Volumes"] or []
    if not (containers or networks or volumes):
        return None
    problems = side_by_side(
        engine, [(f"/containers/{each['Id']}", {"force": 1, "v": 1}) for each in containers]
    )
    paths = [(f"/networks/{each['Id']}", {}) for each in networks]
    paths += [(f"/volumes/{urllib.parse.quote(each['Name'])}", {"force": 1}) for each in volumes]
    return problems + side_by_side(engine, paths)


def side_by_side(engine, paths):
    problems = []

    def one(path, query):
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


def main():
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
