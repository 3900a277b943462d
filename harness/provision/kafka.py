"""Kafka from its jars, with a formatted data folder and a start-up cache prepared in advance."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from harness.core.deadline import Deadline, Observation, poll
from harness.core.endpoint import LOOPBACK
from harness.core.errors import LaunchError, Unavailable
from harness.core.ports import free_port
from harness.core.settings import Settings
from harness.provision.child import with_death_signal
from harness.provision.java import java_major
from harness.provision.progress import Progress, size_of, step
from harness.provision.store import Store
from harness.provision.versions import KAFKA, kafka_jars

AOT_FLOOR = 25
"""From JDK 25 on, ``-XX:AOTCacheOutput`` writes the cache in one run (JEP 514)."""

ENDING = 600.0
"""Seconds for Kafka to exit after its preparation, during which Java writes that cache."""

JVM = ("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Flags for a quick start on few cores; the training run and the real one must use the same."""


def provide_kafka(settings: Settings, store: Store, java: Path, progress: Progress) -> Path:
    """A folder with ``jars/``, ``log4j2.yaml``, a formatted ``data/`` and perhaps ``kafka.aot``.

    Raises:
        Unavailable: the jars cannot be downloaded, or one is corrupted.
    """
    major = java_major(java)
    name = f"kafka-{KAFKA}-java{major}"
    archive = f"kafka-{KAFKA}-jars"
    if lacking := [each for each in (archive, name) if store.find(each) is None]:
        if settings.offline:
            raise Unavailable(
                f"Kafka {KAFKA} is not installed and network access is disabled",
                last=store.lack(lacking[0]),
                hint="run `dapr-harness provision` once without --offline",
            )
        if archive in lacking:
            store.remove(name)  # its start-up cache is valid only for those jars
    jars = store.make(archive, lambda target: _download(target, progress))

    def prepare(target: Path) -> None:
        with step(progress, f"prepare Kafka {KAFKA} for quick starts", lambda: size_of(target)):
            _prepare(target, jars, java, major)

    return store.make(name, prepare)


def class_path(kafka: Path) -> str:
    """The jars in a fixed order; an AOT cache is valid for exactly this list."""
    return ":".join(str(path) for path in sorted((kafka / "jars").resolve().glob("*.jar")))


def broker_command(java: Path, kafka: Path, properties: PurePath) -> list[str]:
    """The command line of a broker, with the start-up cache if there is one."""
    cache = kafka / "kafka.aot"
    # The JVM ignores a cache that does not match (another JRE, moved jars); it is not an error.
    quick = [f"-XX:AOTCache={cache}", "-Xlog:aot=off"] if cache.is_file() else []
    return _command(java, kafka, [*quick, "kafka.Kafka", str(properties)])


@dataclass(frozen=True)
class Listeners:
    """Where a one-node broker listens.

    Attributes:
        bind: the address to bind.
        host: the address for clients on the machine, as ``host:port``.
        controller: the port of the quorum, used only by the broker itself.
        network: the address for clients in the broker's network; "" if there is none.
        admin: the address for the broker's own connections; "" if they need none of their own.
    """

    bind: str
    host: str
    controller: int
    network: str = ""
    admin: str = ""


def settings_of(listeners: Listeners, data: PurePath) -> dict[str, str]:
    """The properties of a one-node KRaft broker, tuned for tests.

    Args:
        listeners: where it listens.
        data: the formatted data folder.
    """
    named = {"HOST": listeners.host}
    if listeners.network:
        named["NETWORK"] = listeners.network
    if listeners.admin:
        named["ADMIN"] = listeners.admin
    bound = [f"{name}://{listeners.bind}:{told.rpartition(':')[2]}" for name, told in named.items()]
    own = f"{LOOPBACK}:{listeners.controller}"
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{own}",
        "listeners": ",".join([*bound, f"CONTROLLER://{own}"]),
        "advertised.listeners": ",".join(f"{name}://{told}" for name, told in named.items()),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": list(named)[-1],
        "listener.security.protocol.map": ",".join(
            f"{name}:PLAINTEXT" for name in [*named, "CONTROLLER"]
        ),
        "log.dirs": str(data),
        "offsets.topic.num.partitions": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.min.isr": "1",
        # The default of 3000 ms would be the longest part of a first delivery (KIP-134).
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "500",
        "auto.create.topics.enable": "false",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.cleaner.enable": "false",
        # Small segments: otherwise Kafka preallocates 10 MB of index per partition.
        "log.index.size.max.bytes": "65536",
    }


def properties(rows: Mapping[str, str]) -> str:
    """Properties as the text of ``server.properties``."""
    return "".join(f"{key}={value}\n" for key, value in rows.items())


LOGGING = """\
Configuration:
  status: error
  Appenders:
    Console:
      name: out
      target: SYSTEM_OUT
      PatternLayout: {pattern: "%d{ISO8601_OFFSET_DATE_TIME_HHCMM} %-5p %c{1} %m%n"}
  Loggers:
    Root:
      level: info
      AppenderRef: {ref: out}
"""


def _command(java: Path, kafka: Path, rest: Sequence[str]) -> list[str]:
    logging = f"-Dlog4j2.configurationFile={kafka / 'log4j2.yaml'}"
    return [str(java), *JVM, "-cp", class_path(kafka), logging, *rest]


def _download(target: Path, progress: Progress) -> None:
    from concurrent.futures import ThreadPoolExecutor  # most sessions install nothing

    folder = target / "jars"
    folder.mkdir()
    with (
        step(progress, f"download Kafka {KAFKA}", lambda: size_of(folder)),
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(lambda row: _fetch_jar(target / "m2", folder, row), kafka_jars()))
    shutil.rmtree(target / "m2")


def _fetch_jar(cache: Path, folder: Path, row: tuple[str, str, str, str]) -> None:
    group, artifact, version, digest = row
    try:
        from jgo.maven import MavenContext
    except ImportError:
        raise Unavailable(
            "Kafka's jars must be downloaded, and jgo is not installed",
            hint="pip install 'dapr-harness[processes]'",
        ) from None
    maven = MavenContext(repo_cache=cache, timeout=60)
    name = f"{group}:{artifact}:{version}"
    try:
        jar = maven.project(group, artifact).at_version(version).artifact().resolve()
    except Exception as error:  # noqa: BLE001 - jgo raises whatever its HTTP client raises
        raise Unavailable(
            f"{name} cannot be downloaded from the Maven repository",
            last=f"{type(error).__name__}: {error}",
            hint="check the network, then run `dapr-harness provision` again",
        ) from None
    seen = hashlib.sha256(jar.read_bytes()).hexdigest()
    if seen != digest:
        raise Unavailable(
            f"{name} is corrupted",
            expected=f"sha256 {digest}",
            last=f"sha256 {seen}",
            hint="try again; if it fails again, do not use that repository",
        )
    shutil.move(jar, folder / jar.name)


def _prepare(target: Path, jars: Path, java: Path, major: int) -> None:
    """Format a data folder, and run one broker long enough to fill it and to be recorded."""
    # A link: the class path is resolved, so that the recorded one is valid at the final location.
    (target / "jars").symlink_to(Path("..") / jars.name / "jars")
    (target / "log4j2.yaml").write_text(LOGGING)
    client, controller = free_port(), free_port()
    config = target / "server.properties"
    listeners = Listeners(LOOPBACK, f"{LOOPBACK}:{client}", controller)
    config.write_text(properties(settings_of(listeners, target / "data")))
    _format(java, target, config)
    record = [f"-XX:AOTCacheOutput={target / 'kafka.aot'}"] if major >= AOT_FLOOR else []
    log = target / "prepare.log"
    with log.open("wb") as output:
        broker = subprocess.Popen(
            with_death_signal(_command(java, target, [*record, "kafka.Kafka", str(config)])),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _exercise(f"{LOOPBACK}:{client}", broker, log)
        finally:
            broker.send_signal(signal.SIGTERM)
            _await_end(broker, log)
    for leftover in (config, log, target / "kafka.aot.config"):
        leftover.unlink(missing_ok=True)
    for deleted in (target / "data").glob("*-delete"):
        shutil.rmtree(deleted)


def _await_end(broker: subprocess.Popen[bytes], log: Path) -> None:
    """Java writes its cache at exit, which took more than two minutes on a busy machine."""
    try:
        broker.wait(ENDING)
    except subprocess.TimeoutExpired:
        broker.kill()
        broker.wait()
        raise LaunchError(
            "Kafka did not exit after it was prepared for quick starts",
            expected="an exit after SIGTERM",
            last=log.read_text(errors="replace")[-1500:],
            budget=ENDING,
            hint="is the machine very busy? try again",
        ) from None


def _format(java: Path, target: Path, config: Path) -> None:
    arguments = ["format", "-t", "ZGFwci1oYXJuZXNzLWthZg", "-c", str(config)]
    done = subprocess.run(
        _command(java, target, ["kafka.tools.StorageTool", *arguments]),
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise LaunchError(
            "Kafka's data folder could not be formatted", last=(done.stdout + done.stderr)[-1500:]
        )


def _exercise(brokers: str, broker: subprocess.Popen[bytes], log: Path) -> None:
    """Join a group once: the first group creates ``__consumer_offsets``, which takes 0.5 s."""
    from confluent_kafka import Consumer, KafkaException, Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    quiet: dict[str, Any] = {"bootstrap.servers": brokers, "log_level": 0}
    admin = AdminClient(quiet)

    def answers() -> Observation:
        if broker.poll() is not None:
            raise LaunchError(
                "Kafka exited while it was being prepared",
                last=log.read_text(errors="replace")[-1500:],
            )
        try:
            return Observation(bool(admin.list_topics(timeout=1).brokers))
        except KafkaException as error:
            return Observation(False, str(error))

    if not (seen := poll(answers, Deadline(60))).ok:
        raise LaunchError(
            "Kafka did not answer while it was being prepared", last=seen.fact, budget=60
        )
    next(iter(admin.create_topics([NewTopic("prepare", 1, 1)]).values())).result()
    producer = Producer(quiet)
    producer.produce("prepare", b"1")
    producer.flush(10)
    consumer = Consumer({**quiet, "group.id": "prepare", "auto.offset.reset": "earliest"})
    consumer.subscribe(["prepare"])
    if consumer.poll(30) is None:
        raise LaunchError("Kafka did not deliver while it was being prepared", budget=30)
    consumer.commit(asynchronous=False)
    consumer.close()
    next(iter(admin.delete_consumer_groups(["prepare"]).values())).result()
    next(iter(admin.delete_topics(["prepare"]).values())).result()
