"""B5: a copy of a prepared PostgreSQL folder and a start on it, against initdb and a start."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from harness import Endpoint, Settings
from harness.core.deadline import Deadline, poll
from harness.core.endpoint import LOOPBACK
from harness.core.files import copy_tree
from harness.core.ports import free_port
from harness.core.private import temporary_folder
from harness.nodes.postgres import DEFAULTS, MAPPED, QUICK
from harness.provision.postgres import SUPERUSER
from harness.provision.toolbox import Provisioner
from harness.ready.postgres import PostgresCheck
from tests.bench.numbers import Figures, alternated, at_most, paired

PAIRS = 10
GATE, MOONSHOT = at_most(0.35), at_most(0.15)
OFTEN = 0.001
"""Seconds between two looks: this is not about noticing."""


def reuse(settings: Settings, pairs: int = PAIRS) -> Figures:
    """Folders in pairs, A B B A; each time until the server accepts connections."""
    tools = Provisioner(settings)
    server, prepared = tools.path("postgres"), tools.path("postgres-data")

    def copied() -> float:
        return _took(server, lambda data: copy_tree(prepared, data))

    def made(*options: str) -> float:
        return _took(server, lambda data: _initialize(server, data, options))

    synced = alternated(pairs, copied, made)
    unsynced = alternated(pairs, copied, lambda: made("--no-sync"))
    return {
        "copy and start, s (median)": median(copy for copy, _ in synced),
        "initdb and start, s (median)": median(other for _, other in synced),
        "B5 copy and start": paired(
            [copy / other for copy, other in synced], "initdb and start", GATE, MOONSHOT
        ),
        "copy and start, without sync": paired(
            [copy / other for copy, other in unsynced], "initdb --no-sync and start"
        ),
    }


def _took(server: Path, make: Callable[[Path], None]) -> float:
    """Seconds until a server accepts connections on a folder that is made first."""
    with tempfile.TemporaryDirectory(dir=temporary_folder()) as scratch:
        # The server refuses to run as root, and its account must reach the folder.
        Path(scratch).chmod(0o711)
        data = Path(scratch) / "data"
        data.mkdir(mode=0o700)
        if account := _account():
            shutil.chown(data, account)
        began = time.monotonic()
        make(data)
        return _started(server, data) - began


def _started(server: Path, data: Path) -> float:
    """The moment at which it accepts connections; it has ended when this returns."""
    port = free_port()
    options = {"listen_addresses": LOOPBACK, "port": str(port), "unix_socket_directories": ""}
    options |= DEFAULTS | QUICK | MAPPED
    flags = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with subprocess.Popen(
        [str(server), "-D", str(data), *flags], user=_account(), cwd="/",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as running:  # fmt: skip
        check = PostgresCheck(Endpoint(LOOPBACK, port), SUPERUSER)
        seen = poll(check.observe, Deadline(60), interval=OFTEN)
        at = time.monotonic()
        running.send_signal(signal.SIGQUIT)
    assert seen.ok, seen.fact
    return at


def _initialize(server: Path, data: Path, options: tuple[str, ...]) -> None:
    command = [str(server.with_name("initdb")), "-D", str(data), "-U", SUPERUSER, "--auth=trust"]
    subprocess.run(
        [*command, "--encoding=UTF8", "--locale=C", *options],
        user=_account(), cwd="/", check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def _account() -> str | None:
    return "nobody" if os.geteuid() == 0 else None
