"""What only containers promise: logs, ports, networks, and that nothing of a run is left."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from testcontainers.core.labels import LABEL_SESSION_ID, SESSION_ID

from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import LaunchError, PortTaken
from harness.core.launch import InContainer, Launch
from harness.ready.loopback import ask
from harness.runtime.base import State
from harness.runtime.containers import agent, ownership
from harness.runtime.containers.attached import PROJECT, SERVICE, WORKING_DIR, AttachedRuntime
from harness.runtime.containers.instance import ContainerInstance
from harness.runtime.containers.runtime import ContainerRuntime
from harness.stack.images import Images
from tests.engine import container_runtime, everything, left_of
from tests.support import cli, environment, leftovers

pytestmark = pytest.mark.real

OWNER = """
import os
from harness import Settings
from harness.stack.images import Images
from harness.core.launch import InContainer, Launch
from harness.runtime.containers.instance import ContainerInstance
from harness.runtime.containers.runtime import ContainerRuntime

images = Images(Settings.load())
runtime = ContainerRuntime({"PATH": os.environ["PATH"]}, images.reference, images.user)
print(runtime.run, runtime.owner, flush=True)
launches = [
    Launch(
        f"node-{n}", ("sleep", "300"),
        container=InContainer("app", "pod" if n < 2 else "", volumes={"shared": "/shared"}),
    ) for n in range(5)
]
runtime.prepare(launches)
for launch in launches:
    runtime.start(launch)
print("started", flush=True)
input()
"""


def owner_process(folder: Path) -> tuple[subprocess.Popen[str], str, int]:
    """A process that owns a run of six containers, a network and a volume; its run and owner."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env=environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    run, supervisor = process.stdout.readline().split()
    return process, run, int(supervisor)


def serving(port: int, pod: str = "", **more: object) -> Launch:
    """A web server in a container."""
    command = ("python3", "-u", "-m", "http.server", str(port))
    return Launch("web", command, container=InContainer("app", pod), ports={"main": port}, **more)  # type: ignore[arg-type]  # fields of Launch


def answers(port: int) -> bool:
    """Whether a web server answers on a port of this machine within ten seconds."""

    def look() -> Observation:
        try:
            return Observation(ask("GET", f"http://127.0.0.1:{port}/").is_success)
        except OSError:
            return Observation(False)
        except Exception as error:  # noqa: BLE001 - httpx's errors, which are many
            return Observation(False, str(error))

    return poll(look, Deadline(10)).ok


def test_an_exit_is_reported_after_the_log_is_complete(containers: ContainerRuntime) -> None:
    """From the first line to the last, both streams, and then the code; for its owner alone.

    The engine reads the streams by themselves: each keeps its order, one may overtake the other.
    """
    script = "echo first; seq 1 20000; echo last >&2; exit 7"
    instance = containers.start(Launch("brief", ("sh", "-c", script), container=InContainer("app")))

    assert poll(lambda: Observation(instance.state is State.EXITED), Deadline(20)).ok

    lines = instance.log.read_text().splitlines()
    assert 7 == instance.exit_code
    assert 1 == lines.count("last")
    lines.remove("last")
    assert ["first", *map(str, range(1, 20001))] == lines
    assert "-rw-------" == stat.filemode(instance.log.stat().st_mode)


def test_the_memory_of_a_container_is_what_its_processes_hold(containers: ContainerRuntime) -> None:
    """Without files that are only cached, as the engine counts them; none when it has ended."""
    holding = "import signal; held = b'x' * 30_000_000; print('held', flush=True); signal.pause()"
    script = f'head -c 60000000 /dev/zero > /tmp/file; python3 -c "{holding}"'
    instance = containers.start(Launch("held", ("sh", "-c", script), container=InContainer("app")))
    assert poll(lambda: Observation("held" in instance.log.read_text()), Deadline(20)).ok

    assert isinstance(instance, ContainerInstance)
    assert 30_000_000 < instance.memory() < 60_000_000
    instance.kill()
    assert 0 == instance.memory()


def test_a_restart_keeps_ports_and_data_and_repeats_no_log(containers: ContainerRuntime) -> None:
    """It is the same container, started again."""
    port = containers.reserve().port
    script = f"echo life >> /lives; wc -l < /lives; exec python3 -u -m http.server {port}"
    launch = Launch(
        "web", ("sh", "-c", script), container=InContainer("app"), ports={"main": port}, grace=0.5
    )
    instance = containers.start(launch)
    assert answers(port)

    instance.restart()

    assert answers(port)
    lives = [line for line in instance.log.read_text().splitlines() if line.isdigit()]
    assert ["1", "2"] == lives


def test_published_ports_are_on_loopback_only(containers: ContainerRuntime) -> None:
    """They cannot be reached from the network; internal ports are not published at all."""
    port, inner = (containers.reserve().port for _ in range(2))
    launch = Launch(
        "web", ("python3", "-m", "http.server", str(port)),
        ports={"main": port, "inner": inner}, container=InContainer("app", internal=("inner",)),
    )  # fmt: skip
    containers.start(launch)
    assert answers(port)

    name = f"dapr-harness-{containers.run}-web"
    shown = subprocess.run(["docker", "port", name], capture_output=True, text=True).stdout

    assert [f"{port}/tcp -> 127.0.0.1:{port}"] == shown.split("\n")[:-1]


def test_files_and_folders_are_in_the_container_before_it_starts(
    containers: ContainerRuntime, tmp_path: Path
) -> None:
    """Below /harness, the node's home."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "b.txt").write_text("B")
    launch = Launch(
        "reader", ("cat", "/harness/a.txt", "/harness/c/inner/b.txt"), container=InContainer("app"),
        files={"a.txt": "A"}, folders={"c": tmp_path},
    )  # fmt: skip

    instance = containers.start(launch)

    assert poll(lambda: Observation(instance.exit_code == 0), Deadline(10)).ok
    assert "AB" == instance.log.read_text()


def test_members_of_a_pod_share_loopback_and_survive_each_other(
    containers: ContainerRuntime,
) -> None:
    """The namespace belongs to neither, as in Kubernetes."""
    port = containers.reserve().port
    web = serving(port, pod="app", grace=0.5)
    script = (
        f"until python3 -c 'import urllib.request as r; r.urlopen(\"http://127.0.0.1:{port}\")'"
    )
    caller = Launch("caller", ("sh", "-c", f"{script} 2>/dev/null; do sleep 0.1; done; echo heard"),
                    container=InContainer("app", "app"))  # fmt: skip
    containers.prepare([web, caller])

    server = containers.start(web)
    instance = containers.start(caller)
    assert poll(lambda: Observation("heard" in instance.log.read_text()), Deadline(10)).ok
    server.restart()

    assert answers(port)


def test_a_paused_container_answers_again_when_resumed(containers: ContainerRuntime) -> None:
    """Frozen, not ended."""
    port = containers.reserve().port
    instance = containers.start(serving(port))
    assert answers(port)

    instance.pause()
    with pytest.raises(Exception, match="timed out"):
        ask("GET", f"http://127.0.0.1:{port}/", timeout=0.3)
    instance.resume()

    assert answers(port)
    assert State.EXITED is not instance.state


def test_a_paused_container_can_be_killed(containers: ContainerRuntime) -> None:
    """At once, and its code says how."""
    instance = containers.start(serving(containers.reserve().port))
    instance.pause()

    instance.kill()

    assert -9 == instance.exit_code


def test_a_port_taken_before_publishing_is_named(containers: ContainerRuntime) -> None:
    """A process without a lease takes it between release and publishing."""
    port = containers.reserve().port
    launch = serving(port)
    containers.open_ports(launch)
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", port))
        thief.listen()

        with pytest.raises(PortTaken, match=rf"port {port}(.|\n)*pid {os.getpid()}"):
            containers.start(launch)


def test_a_program_that_the_image_does_not_have(containers: ContainerRuntime) -> None:
    """The engine's own words, and which node it was."""
    with pytest.raises(LaunchError, match=r"container of web failed(.|\n)*no-such-program"):
        containers.start(Launch("web", ("no-such-program",), container=InContainer("app")))


def test_everything_of_a_run_is_marked_for_ryuk_too(containers: ContainerRuntime) -> None:
    """Containers, the network and volumes: all that carries the run's label."""
    launch = Launch(
        "one", ("sleep", "60"), container=InContainer("app", volumes={"shared": "/shared"})
    )
    containers.prepare([launch])
    containers.start(launch)

    of_run = everything({"label": f"{agent.RUN_LABEL}={containers.run}"})
    of_session = everything({"label": f"{LABEL_SESSION_ID}={SESSION_ID}"})

    assert 3 == len(of_run)
    assert set(of_run) <= set(of_session)


def test_a_leftover_network_does_not_block_a_new_run(images: Images) -> None:
    """Names contain the run's id, so a crashed run's network does not collide."""
    with container_runtime(images) as first, container_runtime(images) as second:
        assert first.run != second.run
        assert first.gateway != second.gateway


def test_kill_9_of_the_owner_leaves_nothing_and_spares_the_neighbour(
    images: Images, tmp_path: Path
) -> None:
    """At five moments of the start; containers, network, volume and folder go."""
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    with container_runtime(images) as neighbour:
        port = neighbour.reserve().port
        instance = neighbour.start(serving(port))
        assert answers(port)
        for trial in range(5):
            owner, run, _ = owner_process(tmp_path)
            pause = Deadline(moments.uniform(0.0, 1.5))
            poll(lambda: Observation(False), pause)

            owner.kill()
            owner.communicate()

            where = f"trial {trial} of seed {seed}"
            assert [] == left_of(run, within=10), where
            assert [] == leftovers(tmp_path), where
        assert answers(port)
        assert State.EXITED is not instance.state


def test_stale_runs_are_distinguished_from_live_ones(images: Images, tmp_path: Path) -> None:
    """Supervisor and owner killed: `down --stale` removes that run and not the neighbour's."""
    with container_runtime(images) as neighbour:
        neighbour.start(serving(neighbour.reserve().port))
        owner, run, supervisor = owner_process(tmp_path)
        assert owner.stdout is not None
        owner.stdout.readline()
        os.kill(supervisor, signal.SIGKILL)
        owner.kill()
        owner.communicate()
        assert len(everything({"label": f"dapr-harness.run={run}"})) >= 8
        assert run in ownership.stale_runs(images.engine)
        assert neighbour.run not in ownership.stale_runs(images.engine)

        done = cli(tmp_path, "down", "--stale")

        assert 0 == done.returncode, done.stderr
        assert re.search(r"removed: .* [1-9]\d* runs with containers", done.stdout)
        assert [] == left_of(run, within=0)
        assert len(everything({"label": f"dapr-harness.run={neighbour.run}"})) == 2


def test_a_run_of_another_machine_is_never_stale(images: Images) -> None:
    """This machine cannot know whether its owner is alive."""
    labels = {**ownership.labels_of("elsewhere", 1), ownership.BORN: "0"}
    labels[ownership.MACHINE] = "another/pid:[1]"
    network = images.engine.client.networks.create("dapr-harness-elsewhere", labels=labels)
    try:
        assert "elsewhere" not in ownership.stale_runs(images.engine)
    finally:
        network.remove()


def test_containers_of_a_project_that_another_folder_began_are_found(
    images: Images, tmp_path: Path
) -> None:
    """Compose takes them over as they are, with the label of the folder that made them."""
    project = f"shared-{os.getpid()}"
    folders = {"ours": tmp_path, "theirs": tmp_path / "elsewhere"}
    made = [
        subprocess.run(
            ["docker", "run", "-d", "--label", f"{PROJECT}={project}",
             "--label", f"{SERVICE}={service}", "--label", f"{WORKING_DIR}={folder}",
             images.reference("app"), "sleep", "300"],
            check=True, capture_output=True, text=True,
        ).stdout.strip()
        for service, folder in folders.items()
    ]  # fmt: skip
    try:
        with AttachedRuntime({"PATH": os.environ["PATH"]}, tmp_path) as runtime:
            found = [runtime.start(Launch(name, ("sleep", "300"))) for name in folders]
        assert made == [each.container_id for each in found]
    finally:
        subprocess.run(["docker", "rm", "-f", *made], check=True, capture_output=True)
