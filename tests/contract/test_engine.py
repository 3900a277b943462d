"""The engine and its images: every failure is one sentence."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from docker.types import LogConfig

from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import ConfigError, HarnessError, LaunchError, TeardownError, Unavailable
from harness.core.launch import Build, InContainer, Launch
from harness.core.settings import Settings
from harness.provision.images import Context
from harness.runtime.base import State
from harness.runtime.containers import agent, engine_events, ownership
from harness.runtime.containers.engine import Engine
from harness.runtime.folder import dead_run_folders
from harness.stack.images import Images, packed
from tests.engine import container_runtime, left_of
from tests.support import CLI, open_to_others

pytestmark = pytest.mark.real


class Forwarder:
    """A socket in front of the engine that can be closed, as when the engine dies."""

    def __init__(self, path: Path, target: str) -> None:
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._pairs: list[socket.socket] = []
        self._gone = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def die(self) -> None:
        """Close everything at once."""
        self._gone.set()
        for each in [self._listener, *self._pairs]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while not self._gone.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            self._pairs += [client, server]
            server.connect(self._target)
            if self._gone.is_set():
                client.close()
                server.close()
                return
            threading.Thread(target=self._copy, args=[client, server], daemon=True).start()

    @staticmethod
    def _copy(one: socket.socket, other: socket.socket) -> None:
        with selectors.DefaultSelector() as selector, contextlib.suppress(OSError, ValueError):
            selector.register(one, selectors.EVENT_READ, other)
            selector.register(other, selectors.EVENT_READ, one)
            while True:
                for key, _ in selector.select():
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]  # both are sockets
                    if not data:
                        # Half-closed, as the engine's own streams are.
                        key.data.shutdown(socket.SHUT_WR)
                        selector.unregister(key.fileobj)
                        if not selector.get_map():
                            return
                    else:
                        key.data.sendall(data)


@pytest.fixture
def forwarder(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Forwarder]:
    """The engine behind a socket of the test's own."""
    path = tmp_path / "engine.sock"
    made = Forwarder(path, images.engine.address.removeprefix("unix://"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    yield made
    made.die()
    with warnings.catch_warnings():
        # docker-py 7.2 does not close a unix socket that nobody answers.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_a_missing_engine_names_the_alternatives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What to start, or to use instead."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'nowhere.sock'}")

    with pytest.raises(Unavailable, match=r"no container engine(.|\n)*--dapr-runtime=processes"):
        Engine()


def test_an_engine_that_this_user_may_not_use(tmp_path: Path) -> None:
    """Distinguished from a missing engine."""
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        code = "from harness.runtime.containers.engine import Engine; import os;"
        # Root may use every socket; the interpreter itself may be out of an ordinary user's reach.
        code += "os.geteuid() or os.setuid(65534); Engine()"
        open_to_others(tmp_path)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True,
            env={**os.environ, "DOCKER_HOST": f"unix://{path}"},
        )  # fmt: skip

    assert "a container engine is there, but this user may not use it" in done.stderr


def test_an_engine_behind_ssh_is_refused_with_the_way_round(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent of a run speaks HTTP over a socket only."""
    monkeypatch.setattr(images.engine.client.api, "base_url", "http+docker://ssh")

    with pytest.raises(Unavailable, match=r"behind ssh(.|\n)*DOCKER_HOST=unix://"):
        _ = images.engine.address


def test_the_loss_of_the_engine_ends_every_wait(
    images: Images, forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instances have ended, with the reason; what it still has is removed when it is back."""
    runtime = container_runtime(images)
    instance = runtime.start(Launch("sleeper", ("sleep", "60"), container=InContainer("app")))

    forwarder.die()

    assert poll(lambda: Observation(instance.state is State.EXITED), Deadline(5)).ok
    assert "the container engine has gone" in instance.exit_reason
    with pytest.raises(TeardownError, match=r"could be removed(.|\n)*down --stale"):
        runtime.close()
    monkeypatch.undo()
    assert len(left_of(runtime.run, within=0)) == 2
    assert runtime.run in ownership.stale_runs(images.engine)
    assert [] == ownership.sweep(images.engine, runtime.run)
    assert [] == left_of(runtime.run, within=0)
    # Its log is kept for whoever looks, until `down --stale`.
    assert runtime.folder in dead_run_folders()
    shutil.rmtree(runtime.folder)


def test_an_agent_that_cannot_be_read_ends_every_wait(images: Images) -> None:
    """Its line is named; what is asked afterwards is answered, and the end removes all."""
    with container_runtime(images) as runtime:
        instance = runtime.start(Launch("sleeper", ("sleep", "60"), container=InContainer("app")))

        helper = [sys.executable, "-c", "print('no json')"]
        runtime._engine_events.processes.request("listen", argv=helper)

        assert poll(lambda: Observation(instance.state is State.EXITED), Deadline(30)).ok
        assert "the agent that watches the container engine cannot be read" in instance.exit_reason
        assert "'no json'" in instance.exit_reason
        assert runtime.reserve().port
    assert [] == left_of(runtime.run, within=10)


def test_a_supervisor_that_dies_ends_every_wait_for_a_container(images: Images) -> None:
    """Its agent dies with it, so nobody watches the containers."""
    runtime = container_runtime(images)
    instance = runtime.start(Launch("sleeper", ("sleep", "60"), container=InContainer("app")))

    os.kill(runtime.owner, signal.SIGKILL)

    assert poll(lambda: Observation(instance.state is State.EXITED), Deadline(30)).ok
    assert engine_events.AGENT_ENDED == instance.exit_reason
    with contextlib.suppress(HarnessError):
        runtime.close()
    assert [] == ownership.sweep(images.engine, runtime.run)
    shutil.rmtree(runtime.folder, ignore_errors=True)


@pytest.mark.parametrize(
    ("program", "problem"), [("print(5)", "cannot be read: '5'"), ("", "has ended")]
)
def test_an_agent_that_does_not_start_is_reported_at_once(
    images: Images, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, problem: str
) -> None:
    """Its output, or that it has exited."""
    (tmp_path / "agent.py").write_text(program)
    monkeypatch.setattr(agent, "__file__", str(tmp_path / "agent.py"))
    monkeypatch.setattr(engine_events, "STARTING", 60.0)
    with engine_events.EngineEvents.of_own({"PATH": os.environ["PATH"]}) as watching:
        watching.begin("any=label", "node")

        with pytest.raises(LaunchError, match=problem):
            watching.require()


def test_a_log_that_the_engine_rotates_is_written_as_a_whole(
    images: Images, tmp_path: Path
) -> None:
    """A restarted container's log begins with what rotation has left of its earlier runs."""
    engine, label = images.engine, f"test-rotation-{tmp_path.name}"
    # 57 KB in the engine's format; every second run is rotated, and in the last two, what was
    # written is more than what is left.
    script = "for n in $(seq 300); do printf 'line %0100d\\n' $n; done"
    container = engine.client.containers.create(
        images.reference("app"), ["sh", "-c", script], labels={label: "", "node": "talker"},
        log_config=LogConfig(type="json-file", config={"max-size": "90k", "max-file": "2"}),
    )  # fmt: skip
    follow = [sys.executable, agent.__file__, "watch", engine.address, label, str(tmp_path), "node"]
    try:
        with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout
            assert {"watching": True} == json.loads(running.stdout.readline())
            for _ in range(6):
                container.start()
                assert 0 == json.loads(running.stdout.readline())["code"]
            running.terminate()
    finally:
        container.remove(force=True)

    lines = (tmp_path / "talker.log").read_text().splitlines()
    assert [*range(1, 301)] * 6 == [int(line.split()[1]) for line in lines]


def test_a_request_to_a_dead_engine_is_one_sentence(images: Images, forwarder: Forwarder) -> None:
    """And not as a traceback of an HTTP library."""
    with Engine() as engine:
        forwarder.die()

        with pytest.raises(Unavailable, match="the container engine does not answer any more"):
            engine.image_id("anything")


def test_the_docker_command_is_not_needed(images: Images, tmp_path: Path) -> None:
    """The socket is enough."""
    code = """
import os
from harness import Settings
from harness.stack.images import Images
from harness.core.launch import InContainer, Launch
from harness.runtime.containers.runtime import ContainerRuntime
images = Images(Settings.load())
with ContainerRuntime({}, images.reference, images.user) as runtime:
    runtime.start(Launch("brief", ("true",), container=InContainer("app")))
    print(runtime.run)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        env={**os.environ, "PATH": str(tmp_path)},
    )  # fmt: skip

    assert 0 == done.returncode, done.stderr
    assert [] == left_of(done.stdout.strip(), within=0)


# ---- images -----------------------------------------------------------------------------------


def test_an_image_that_cannot_be_had(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name, its override, and the way without a registry."""
    monkeypatch.setenv("DAPR_HARNESS_IMAGE_KAFKA", "127.0.0.1:9/no/kafka:1")
    own = Images(Settings.load(), engine=images.engine)

    with pytest.raises(Unavailable) as caught:
        own.reference("kafka")

    for part in ("127.0.0.1:9/no/kafka:1", "DAPR_HARNESS_IMAGE_KAFKA", "images build"):
        assert part in str(caught.value)


def test_an_image_that_is_missing_offline(images: Images) -> None:
    """No registry is asked."""
    own = Images(Settings.load(offline=True, images={"kafka": "no/kafka:1"}), engine=images.engine)

    with pytest.raises(Unavailable, match=r"no/kafka:1(.|\n)*network access is disabled"):
        own.reference("kafka")


class BrokenRegistry(BaseHTTPRequestHandler):
    """Knows an image and hangs up while it sends it."""

    def do_GET(self) -> None:
        if self.path == "/v2/":
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("content-type", "application/vnd.docker.distribution.manifest.v2+json")
        self.send_header("content-length", "5000")
        self.end_headers()
        self.wfile.write(b'{"schemaVersion": 2, ')

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Quiet."""


def test_a_pull_that_is_interrupted(images: Images) -> None:
    """Half an image is none."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BrokenRegistry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        reference = f"127.0.0.1:{server.server_address[1]}/half/kafka:1"
        own = Images(Settings.load(images={"kafka": reference}), engine=images.engine)

        with pytest.raises(Unavailable, match=rf"{reference} cannot be pulled"):
            own.reference("kafka")

        server.shutdown()
    assert images.engine.image_id(reference) is None


def test_an_image_for_another_processor(images: Images) -> None:
    """Named before it fails with `exec format error`."""
    wrong = "arm64" if images.engine.platform.endswith("amd64") else "amd64"
    tag = f"dapr-harness/test-platform:{wrong}"
    with packed(Context("FROM scratch\nCOPY nothing /\n", {}, {"nothing": ""})) as archive:
        list(
            images.engine.client.api.build(
                fileobj=archive, custom_context=True, tag=tag, platform=f"linux/{wrong}", rm=True
            )
        )
    try:
        own = Images(Settings.load(images={"daprd": tag}), engine=images.engine)

        with pytest.raises(LaunchError, match=rf"is for linux/{wrong}(.|\n)*docker pull --plat"):
            own.reference("daprd")
    finally:
        subprocess.run(["docker", "rmi", tag], capture_output=True)


def build(images: Images, *lines: str) -> None:
    """Build a throwaway image."""
    context = Context("\n".join([f"FROM {images.reference('app')}", *lines]) + "\n", {}, {})
    with packed(context) as archive:
        images.engine.build("dapr-harness/test-build:1", archive, {}, {}, lambda _: None)


def test_a_build_that_fails_shows_its_last_lines(images: Images) -> None:
    """And which image it was."""
    with pytest.raises(LaunchError, match=r"test-build:1 could not be built(.|\n)*out of luck"):
        build(images, "RUN echo out of luck >&2; exit 3")


def test_a_full_disk_while_building(images: Images) -> None:
    """A real `No space left on device`."""
    with pytest.raises(LaunchError, match=r"disk is full: `docker system df`"):
        build(images, "RUN cat /dev/zero > /dev/full")


def test_a_build_carries_no_setting_of_the_index(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip runs outside; neither its address nor a password is in a layer, a label, the history."""
    secret = "canary-31415"
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"http://user:{secret}@127.0.0.1:9/simple")
    (tmp_path / "main.py").write_text("print('hello')\n")
    own = Images(Settings.load(), engine=images.engine)

    tag = own.reference(Build(tmp_path))

    shown = subprocess.run(
        ["docker", "history", "--no-trunc", tag], capture_output=True, text=True
    ).stdout
    shown += subprocess.run(["docker", "inspect", tag], capture_output=True, text=True).stdout
    found = images.engine.run_once(tag, ["sh", "-c", f"grep -rl {secret} /app /site; echo done"])
    subprocess.run(["docker", "rmi", tag], capture_output=True)
    assert secret not in shown
    assert "done" == found.strip()


def test_an_app_is_built_once_and_again_when_it_changes(images: Images, tmp_path: Path) -> None:
    """By the content of its folder; hidden files and virtual environments stay out."""
    (tmp_path / "main.py").write_text("print('one')\n")
    (tmp_path / ".secret").write_text("x")
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    first = Images(Settings.load(), engine=images.engine).reference(Build(tmp_path))
    again = Images(Settings.load(), engine=images.engine).reference(Build(tmp_path))
    (tmp_path / "main.py").write_text("print('two')\n")
    second = Images(Settings.load(), engine=images.engine).reference(Build(tmp_path))

    said = images.engine.run_once(second, ["sh", "-c", "ls -A /app; python3 /app/main.py"])

    subprocess.run(["docker", "rmi", first, second], capture_output=True)
    assert first == again != second
    assert ["main.py", "two"] == said.split()


def containers_of(image: str) -> int:
    """How many containers of an image have been created, as the engine remembers it."""
    words = ["--since=10m", f"--until={time.time():.9f}", "--filter=event=create"]
    done = subprocess.run(
        ["docker", "events", *words, f"--filter=image={image}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return len(done.stdout.splitlines())


def test_an_image_is_asked_for_its_python_once(images: Images, tmp_path: Path) -> None:
    """By the first process that builds on it, in a container of its own."""
    base = f"dapr-harness/test-python:{tmp_path.name.lower()}"
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "main.py").write_text("print('one')\n")
    context = Context(f"FROM {images.reference('app')}\nCOPY mark /\n", {}, {"mark": base})
    with packed(context) as archive:
        images.engine.build(base, archive, {}, {}, lambda _: None)
    settings = Settings.load(cache_dir=tmp_path / "cache")
    try:
        builders = [Images(settings, engine=images.engine) for _ in range(3)]
        tags = {each.reference(Build(folder, base=base)) for each in builders}
        subprocess.run(["docker", "rmi", *tags], capture_output=True)

        assert 1 == len(tags)
        assert 1 == containers_of(base)
    finally:
        subprocess.run(["docker", "rmi", base], capture_output=True)


def test_images_of_apps_that_no_container_uses_are_removed(images: Images, tmp_path: Path) -> None:
    """Those of this project only, and not one that a container uses, if it has ended, too."""
    apps = {}
    for name in ("mine", "used", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.py").write_text(f"print({name!r})\n")
        root = tmp_path / ("their-project" if name == "theirs" else "project")
        own = Images(replace(Settings.load(), root=root), engine=images.engine)
        apps[name] = own.reference(Build(tmp_path / name))
    containers = images.engine.client.containers
    user = containers.create(apps["used"], ["true"])
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "pyproject.toml").touch()
    try:
        done = subprocess.run(
            [*CLI, "images", "prune", "--json"],
            cwd=tmp_path / "project", env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        left = [name for name, tag in apps.items() if images.engine.image_id(tag)]
    finally:
        user.remove()
        subprocess.run(["docker", "rmi", *apps.values()], capture_output=True)

    assert 1 == json.loads(done.stdout)["images"]
    assert ["used", "theirs"] == left


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (None, ConfigError, "requirements file .* cannot be read"),
        ("no-such-package-of-dapr-harness==9\n", Unavailable, "no-such-package-of-dapr-harness"),
    ],
    ids=["no-file", "no-package"],
)
def test_requirements_that_cannot_be_installed(
    images: Images, tmp_path: Path, text: str | None, kind: type[Exception], words: str
) -> None:
    """The file, or pip's message."""
    file = tmp_path / "requirements.txt"
    if text is not None:
        file.write_text(text)

    with pytest.raises(kind, match=words):
        Images(Settings.load(), engine=images.engine).reference(Build(tmp_path, file))
