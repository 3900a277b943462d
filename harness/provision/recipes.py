"""How each image is built on a machine that cannot reach a registry."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.core.errors import LaunchError, Unavailable
from harness.core.private import temporary_folder
from harness.provision.images import IMAGES, Context
from harness.provision.kafka import JVM, LOGGING
from harness.provision.versions import DAPR_BINARIES

SUITE = "bookworm"
BASE = IMAGES["app"].local
"""The base of every image that is not a single static binary."""

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
ZONES = Path("/usr/share/zoneinfo")
"""Where Go looks for time zones: without them, Dapr refuses a schedule that names one. Dapr's own
images have both (their base is distroless/static)."""

ProgramPath = Callable[[str], Path]


def context_of(name: str, path: ProgramPath) -> Context:
    """The build context of an image in the table.

    Args:
        name: an entry that can be built here; not the base.
        path: the path of a provisioned tool.
    """
    if name in DAPR_BINARIES:
        return _binary(name, path(name))
    return {"kafka": _kafka, "postgres": _postgres, "redis": _redis}[name](path)


def _binary(name: str, program: Path) -> Context:
    sources = {name: program}
    lines = ["FROM scratch", f"COPY {name} /{name}"]
    if CERTIFICATES.is_file():
        sources["ca-certificates.crt"] = CERTIFICATES
        lines.append(f"COPY ca-certificates.crt {CERTIFICATES}")
    if ZONES.is_dir():
        sources["zoneinfo"] = ZONES
        lines.append(f"COPY zoneinfo {ZONES}")
    return Context("\n".join(lines) + "\n", sources, {})


KAFKA_ENTRY = """\
#!/bin/sh
# Properties from KAFKA_ variables, as the official image has it, then the broker.
set -e
env | sed -n 's/^KAFKA_\\([A-Z0-9_]*\\)=/\\1=/p' | while IFS= read -r row; do
  key=$(printf %s "${row%%=*}" | sed 's/___/-/g' | tr 'A-Z_' 'a-z.')
  printf '%s=%s\\n' "$key" "${row#*=}"
done > /opt/kafka/server.properties
data=$(sed -n 's/^log.dirs=//p' /opt/kafka/server.properties)
[ -e "$data/meta.properties" ] || { mkdir -p "$data"; cp -a /opt/kafka/formatted/. "$data"; }
exec /opt/java/bin/java @/opt/kafka/jvm -XX:AOTCache=/opt/kafka/kafka.aot -Xlog:aot=off \\
  kafka.Kafka /opt/kafka/server.properties
"""

KAFKA_PREPARE = """\
#!/bin/sh
# The start-up cache, recorded by one short life of the broker on a copy of the formatted data.
set -e
cp -a /opt/kafka/formatted /tmp/data
cat > /tmp/server.properties <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093
controller.listener.names=CONTROLLER
log.dirs=/tmp/data
EOF
/opt/java/bin/java @/opt/kafka/jvm -XX:AOTCacheOutput=/opt/kafka/kafka.aot \\
  kafka.Kafka /tmp/server.properties > /tmp/log &
broker=$!
until grep -q 'Kafka Server started' /tmp/log; do
  kill -0 $broker || { cat /tmp/log; exit 1; }
  sleep 0.2
done
kill $broker
wait $broker || [ $? = 143 ]
rm -rf /tmp/data /tmp/log /tmp/server.properties
"""


def _kafka(path: ProgramPath) -> Context:
    kafka, java = path("kafka"), path("java")
    jars = sorted((kafka / "jars").resolve().glob("*.jar"))
    classes = ":".join(f"/opt/kafka/libs/{jar.name}" for jar in jars)
    options = [*JVM, "-cp", classes, "-Dlog4j2.configurationFile=/opt/kafka/log4j2.yaml"]
    lines = [
        f"FROM {BASE}",
        "COPY java /opt/java",
        "COPY libs /opt/kafka/libs",
        "COPY formatted /opt/kafka/formatted",
        "COPY log4j2.yaml jvm prepare entry /opt/kafka/",
        "RUN /opt/kafka/prepare",
        'ENTRYPOINT ["/opt/kafka/entry"]',
    ]
    return Context(
        "\n".join(lines) + "\n",
        {
            "java": java.resolve().parent.parent,
            "formatted": kafka / "data",
            **{f"libs/{jar.name}": jar for jar in jars},
        },
        {
            "log4j2.yaml": LOGGING,
            "jvm": "\n".join(options) + "\n",
            "prepare": KAFKA_PREPARE,
            "entry": KAFKA_ENTRY,
        },
    )


POSTGRES_ENTRY = """\
#!/bin/sh
# The variables of the official image: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB; and its
# folder of scripts, here with one statement a line.
set -e
data=/var/lib/postgresql/data
if [ ! -e "$data/PG_VERSION" ]; then
  cp -a /var/lib/postgresql/prepared "$data"
  user=${POSTGRES_USER:-postgres}
  quoted=$(printf %s "${POSTGRES_PASSWORD:?the superuser needs one}" | sed "s/'/''/g")
  { [ "$user" = postgres ] || echo "CREATE ROLE \\"$user\\" SUPERUSER LOGIN;"
    echo "ALTER ROLE \\"$user\\" PASSWORD '$quoted';"
    [ "${POSTGRES_DB:-$user}" = postgres ] || echo "CREATE DATABASE \\"${POSTGRES_DB:-$user}\\";"
  } | setpriv --reuid=postgres --regid=postgres --clear-groups \\
    postgres --single -D "$data" postgres > /dev/null
  for file in /docker-entrypoint-initdb.d/*.sql; do
    [ ! -e "$file" ] || setpriv --reuid=postgres --regid=postgres --clear-groups \\
      postgres --single -D "$data" "${POSTGRES_DB:-$user}" < "$file" > /dev/null
  done
fi
[ "$1" = postgres ] || exec "$@"
shift
exec setpriv --reuid=postgres --regid=postgres --clear-groups postgres -D "$data" "$@"
"""


AS_POSTGRES = "setpriv --reuid=postgres --regid=postgres --clear-groups"

INITDB = f"{AS_POSTGRES} initdb -D prepared -U postgres --no-sync --encoding=UTF8 --locale=C"
POSTGRES_PREPARE = " && ".join(
    (
        "useradd --system --home /var/lib/postgresql --create-home postgres",
        "cd /var/lib/postgresql",
        f"{INITDB} --auth-local=trust --auth-host=scram-sha-256 --wal-segsize=1",
        "echo 'host all all all scram-sha-256' >> /var/lib/postgresql/prepared/pg_hba.conf",
    )
)


def _postgres(path: ProgramPath) -> Context:
    # By its name in the wheel, because its libraries are next to it.
    install = path("postgres-wheel")
    libraries = install.parent.with_name(f"{install.parent.name}.libs")
    lines = [
        f"FROM {BASE}",
        f"COPY install /opt/wheel/{install.parent.name}/{install.name}",
        f"COPY libs /opt/wheel/{libraries.name}",
        f"ENV PATH=/opt/wheel/{install.parent.name}/{install.name}/bin:$PATH",
        f"RUN {POSTGRES_PREPARE}",
        "COPY entry /entry",
        'ENTRYPOINT ["/entry"]',
        'CMD ["postgres"]',
    ]
    return Context(
        "\n".join(lines) + "\n", {"install": install, "libs": libraries}, {"entry": POSTGRES_ENTRY}
    )


def _redis(path: ProgramPath) -> Context:
    lines = [
        f"FROM {BASE}",
        "COPY redis-server /usr/local/bin/redis-server",
        "WORKDIR /data",
        'CMD ["redis-server"]',
    ]
    return Context("\n".join(lines) + "\n", {"redis-server": path("redis")}, {})


@contextmanager
def debian_root(environment: Mapping[str, str]) -> Iterator[Path]:
    """A root file system of Debian with Python, for the duration of the ``with`` block.

    Raises:
        Unavailable: debootstrap is not installed, or this is not root.
        LaunchError: it failed.
    """
    program = shutil.which("debootstrap", path=_with_sbin(environment.get("PATH", "")))
    if program is None:
        raise Unavailable(
            "the base image is made by debootstrap, which is not installed",
            hint="apt-get install debootstrap, or set DAPR_HARNESS_IMAGE_APP to a Python image",
        )
    place = temporary_folder()
    with tempfile.TemporaryDirectory(prefix="dapr-harness-base-", dir=place) as work:
        root = Path(work) / "root"
        command = [program, "--variant=minbase", "--include=python3,ca-certificates", SUITE]
        done = subprocess.run([*command, str(root), *_mirror()], capture_output=True, text=True)
        if done.returncode != 0:
            raise LaunchError(
                "debootstrap failed",
                last=(done.stdout + done.stderr)[-1500:],
                hint="it needs root and a Debian mirror",
            )
        for leftover in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(root / leftover, ignore_errors=True)
        yield root


def _with_sbin(path: str) -> str:
    return f"{path}:/usr/sbin:/sbin"


def _mirror() -> list[str]:
    """The mirror that this machine's apt uses; debootstrap's default if there is no apt."""
    form = ["--format", "$(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    try:
        done = subprocess.run(["apt-get", "indextargets", *form], capture_output=True, text=True)
    except OSError:
        return []
    rows = [line.split() for line in done.stdout.splitlines()]
    return [row[0] for row in rows if row[1:] == [SUITE, "main"]][:1]
