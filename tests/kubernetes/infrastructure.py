"""A broker and a database as pods, for tests that apply the manifests of the reference system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.provision.kafka import JVM, Listeners, properties, settings_of
from harness.provision.postgres import PASSWORD_FILE, SUPERUSER
from tests.kubernetes.packing import INFRASTRUCTURE, KAFKA, POSTGRES

BROKER, DATABASE = "broker", "postgres"
"""The names that the manifests expect by default."""

ACCOUNT = 10002
CLASSES = f"{KAFKA}/jars/*"

START_KAFKA = f"""\
set -e
/bin/busybox cp -R {KAFKA}/data /data/kafka
exec java {" ".join(JVM)} -cp '{CLASSES}' -Dlog4j2.configurationFile={KAFKA}/log4j2.yaml \\
  kafka.Kafka /config/server.properties
"""

START_POSTGRES = f"""\
set -e
/bin/busybox cp -R {POSTGRES}/data /data/postgres
/bin/busybox chmod -R go= /data/postgres
single() {{ postgres --single -c log_min_messages=fatal -D /data/postgres "$1" > /dev/null; }}
echo 'CREATE DATABASE todo;' | single postgres
echo 'CREATE TABLE dapr_metadata (key text PRIMARY KEY, value text NOT NULL);' | single todo
exec postgres -D /data/postgres -c listen_addresses='*' -c unix_socket_directories= -c fsync=off \\
  -c hba_file=/config/hba.conf -c dynamic_shared_memory_type=mmap -c max_connections=200
"""
"""As on this machine; the table is the one that sidecars would create at the same time."""


def infrastructure(namespace: str, outside: str) -> Iterator[dict[str, Any]]:
    """The objects of both.

    Args:
        namespace: of the reference system.
        outside: the address by which clients of this machine reach the broker.
    """
    listeners = Listeners("0.0.0.0", outside, 9093, network=f"{BROKER}:9092")
    rows = settings_of(listeners, Path("/data/kafka"))
    port = int(outside.rpartition(":")[2])
    passwd = {"passwd": f"{DATABASE}:x:{ACCOUNT}:{ACCOUNT}::/:\n"}
    kafka = {"server.properties": properties(rows)}
    yield from _node(
        namespace, BROKER, {"main": 9092, "outside": port}, START_KAFKA, kafka | passwd
    )
    postgres = {"hba.conf": "host all all all scram-sha-256\n"}
    yield from _node(namespace, DATABASE, {"main": 5432}, START_POSTGRES, postgres | passwd)


def dsn(data: Path, host: str = DATABASE) -> str:
    """How the database is reached.

    Args:
        data: the prepared data, with the password next to it.
        host: where it listens.
    """
    password = data.with_name(PASSWORD_FILE).read_text()
    return f"postgresql://{SUPERUSER}:{password}@{host}/todo?sslmode=disable"


def _node(
    namespace: str, name: str, ports: Mapping[str, int], start: str, config: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    def of(version: str, kind: str, **more: Any) -> dict[str, Any]:
        head = {"apiVersion": version, "kind": kind}
        return {**head, "metadata": {"name": name, "namespace": namespace}, **more}

    container = {
        "name": name,
        "image": INFRASTRUCTURE,
        "imagePullPolicy": "Never",
        "command": ["/bin/sh", "-c", start],
        "ports": [{"name": key, "containerPort": port} for key, port in ports.items()],
        "resources": {"requests": {"cpu": "100m"}},
        "readinessProbe": {"tcpSocket": {"port": "main"}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "config", "mountPath": "/config"},
            # PostgreSQL asks for the name of its account.
            {"name": "config", "mountPath": "/etc/passwd", "subPath": "passwd"},
        ],
    }
    pod = {
        "metadata": {"labels": {"app": name}},
        "spec": {
            "securityContext": {"runAsUser": ACCOUNT, "runAsNonRoot": True},
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": [
                {"name": "data", "emptyDir": {}},
                {"name": "config", "configMap": {"name": name}},
            ],
        },
    }
    yield of("v1", "ConfigMap", data=dict(config))
    selected = {"app": name}
    yield of("apps/v1", "Deployment", spec={"selector": {"matchLabels": selected}, "template": pod})
    listed = [{"name": key, "port": port} for key, port in ports.items()]
    yield of("v1", "Service", spec={"selector": selected, "ports": listed})
