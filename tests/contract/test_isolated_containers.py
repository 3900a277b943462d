"""What only concerns copies of a stack on containers: networks, and what is left of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from harness import Postgres, Settings, Sidecar, Topology, running
from harness.stack.images import Images
from harness.stack.isolated import IsolatedStack
from tests.engine import left_of
from tests.projects import POSTGRESQL
from tests.support import environment, leftovers, project

pytestmark = pytest.mark.real

HOLDING = """
import sys
from pathlib import Path
from harness import Settings, running
from harness.stack.isolated import IsolatedStack
from tests.contract.test_isolated_containers import TOPOLOGY
settings = Settings.load(Path(sys.argv[1]), runtime="containers")
with running(TOPOLOGY, settings) as base, IsolatedStack(base) as copy:
    print(base.folder.name, copy.folder.name, flush=True)
    sys.stdin.read()
"""

TOPOLOGY = Topology(Postgres(), Sidecar("caller"), resources="c")


def written(folder: Path) -> Path:
    return project(folder, c__store_yaml=POSTGRESQL, pyproject_toml="")


def test_connections_to_shared_nodes_outlive_a_copy(images: Images, tmp_path: Path) -> None:
    """The engine closes them if it publishes their ports on another network. Its own is removed,
    although they are on it, too."""
    settings = Settings.load(written(tmp_path), dict(os.environ), runtime="containers")
    with (
        running(TOPOLOGY, settings) as base,
        psycopg.connect(base.book.exports("postgres")["dsn"], autocommit=True) as connection,
    ):
        (before,) = connection.execute("SELECT pg_backend_pid()").fetchall()
        with IsolatedStack(base) as copy:
            run = copy.folder.name

        assert run != base.folder.name
        assert [] == left_of(run, within=0)
        assert [before] == connection.execute("SELECT pg_backend_pid()").fetchall()


def test_a_killed_test_process_leaves_nothing_in_the_engine(images: Images, tmp_path: Path) -> None:
    """Neither of the stack, nor of the copy, on whose network are containers of the stack."""
    folder = written(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(folder)],
        env=environment(folder),
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        runs = process.stdout.readline().split()
        process.kill()

    assert 2 == len(runs)
    for run in runs:
        assert [] == left_of(run, within=60)
    assert [] == leftovers(folder)
